"""What was done to which photo: `.invdn-manifest.jsonl` in the folder of the outputs.

One line, a JSON object, a photo and a run. A line is appended just before the output takes its
name: whatever moment a run is killed at, no output of ours is there without its line, and of the
lines about an output that one counts whose output it is. A line that was cut off is passed over.

    {"output": "2023/a.jpg", "input": "/photos/2023/a.jpg", "status": "done", "seconds": 1.2,
     "sha256": <of the input>, "input_bytes": ..., "input_mtime_ns": ...,
     "output_sha256": ..., "output_bytes": ..., "output_mtime_ns": ...,
     "settings": {"strength": 1.0, "model": ...}}

"output" is relative to the folder, with "/" between its parts, so that the folder may be moved.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

NAME = ".invdn-manifest.jsonl"

Record = Mapping[str, Any]

State = Literal["new", "current", "ours", "foreign"]
"""What is known of an output: it is not there; it is what the same work would give again; it was
made by us, from another version of the same input or with other settings, and nobody changed it
since; or it is anything else, which must not be touched."""


@dataclass(frozen=True)
class Manifest:
    """The records of one folder of outputs."""

    folder: Path
    records: Mapping[str, Sequence[Record]]
    """Output, relative → the records of it, the oldest first."""

    def state(self, source: Path, output: Path, settings: Mapping[str, Any]) -> State:
        """What is to be thought of an output before its input is worked on.

        settings: all that the output depends on but the input. Reads the input only where its
        size or its modification time are not those of the record, and the output only to see
        whether it may be replaced.
        """
        if not os.path.lexists(output) or (output.is_file() and output.stat().st_size == 0):
            return "new"
        record = self._record_of(output)
        if record is None:
            return "foreign"
        unchanged = _is_input(source, record)
        if unchanged and record.get("settings") == settings:
            return "current"
        # Another photo of the same name is not a new version of this one.
        return "ours" if unchanged or record.get("input") == _absolute(source) else "foreign"

    def _record_of(self, output: Path) -> Record | None:
        """The record of making just this output; None for what somebody else made or changed."""
        records = self.records.get(self._key(output), ())
        if not records or output.is_symlink() or not output.is_file():
            return None
        status, last = output.stat(), records[-1]
        known = (last.get("output_bytes"), last.get("output_mtime_ns"))
        if known == (status.st_size, status.st_mtime_ns):
            return last
        sha256 = sha256_of(output)
        return next((r for r in reversed(records) if r.get("output_sha256") == sha256), None)

    def made(self, path: Path) -> bool:
        """Whether a file is an output of ours that nobody has changed."""
        try:
            return self._record_of(path) is not None
        except OSError:
            return False

    def check(self) -> None:
        """Raise OSError where it is there and `append` could not add to it."""
        with suppress(FileNotFoundError, NotADirectoryError):  # then that is the folder's fault
            os.close(os.open(self.folder / NAME, os.O_RDWR | os.O_APPEND))

    def append(self, output: Path, fields: Mapping[str, Any]) -> None:
        """Add a line; raises OSError where that cannot be."""
        line = json.dumps({"output": self._key(output), **fields}) + "\n"
        path = self.folder / NAME
        binary = getattr(os, "O_BINARY", 0)  # on Windows: lines end as everywhere
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | binary, 0o666)
        try:
            if not _ends_with_newline(handle):  # a line that a killed run cut off
                line = "\n" + line
            left = line.encode()
            while left:  # the beginning of a line may still find room where the disk gets full
                left = left[os.write(handle, left) :]
        finally:
            os.close(handle)

    def _key(self, output: Path) -> str:
        return Path(os.path.relpath(output, self.folder)).as_posix()


def load(folder: Path) -> Manifest:
    """The manifest of a folder; empty if there is none, or none that can be read."""
    records: dict[str, list[Record]] = {}
    try:
        lines = (folder / NAME).read_bytes().splitlines()
    except OSError:
        lines = []
    for line in lines:
        try:
            record = json.loads(line)
            if record["status"] == "done":
                records.setdefault(record["output"], []).append(record)
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return Manifest(folder, records)


def version_of(path: Path) -> tuple[int, int] | None:
    """A file's size and modification time, of which one changes with it; None if it is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def done(
    source: Path,
    version: tuple[int, int] | None,
    file: BinaryIO,
    settings: Mapping[str, Any],
    seconds: float,
) -> dict[str, Any]:
    """The fields about an input and the complete output, open for reading.

    version: of the input, from before the work.
    """
    input_bytes, input_mtime_ns = version or (None, None)
    try:
        sha256 = sha256_of(source)
    except OSError:  # deleted meanwhile: the output is good all the same
        sha256 = None
    file.seek(0)
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(1 << 20):
        digest.update(chunk)
        size += len(chunk)
    return {
        "input": _absolute(source),
        "status": "done",
        "seconds": round(seconds, 3),
        "sha256": sha256,
        "input_bytes": input_bytes,
        "input_mtime_ns": input_mtime_ns,
        "output_sha256": digest.hexdigest(),
        "output_bytes": size,
        "output_mtime_ns": os.fstat(file.fileno()).st_mtime_ns,
        "settings": dict(settings),
    }


def failed(source: Path, reason: str) -> dict[str, Any]:
    """The fields about an input that could not be done."""
    return {"input": _absolute(source), "status": "failed", "reason": reason}


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _is_input(source: Path, record: Mapping[str, Any]) -> bool:
    """Whether a photo is the one that a record is about, wherever it lies now."""
    status = source.stat()
    if status.st_size != record.get("input_bytes"):
        return False
    same_place = record.get("input") == _absolute(source)
    if same_place and status.st_mtime_ns == record.get("input_mtime_ns"):
        return True
    return sha256_of(source) == record.get("sha256")


def _absolute(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - links stay as they were given


def _ends_with_newline(handle: int) -> bool:
    size = os.lseek(handle, 0, os.SEEK_END)
    if size == 0:
        return True
    os.lseek(handle, size - 1, os.SEEK_SET)
    return os.read(handle, 1) == b"\n"
