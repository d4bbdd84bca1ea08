"""Files that take their names only once they are complete, and what killed runs leave behind.

Until it is complete, a file is a hidden one, `.invdn-<12 hex digits>.tmp`, in the folder of the
output. Its writer holds a lock on it, which the system lets go of however the writer ends; so a
temporary file without a lock is a dead run's, and `remove_strays` may take it away while other
runs go on.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_NAME = re.compile(r"\.invdn-[0-9a-f]{12}\.tmp")


@contextmanager
def atomically(
    path: Path,
    *,
    overwrite: bool = False,
    before_naming: Callable[[BinaryIO], None] | None = None,
) -> Iterator[BinaryIO]:
    """A new file, open for reading and writing, that takes its name only once it is complete.

    On any error, an interrupt too, nothing is left. Without `overwrite` an existing file raises
    FileExistsError, even one that somebody else made a moment ago; an empty file is not one,
    but a name that was claimed by a run that was killed.
    before_naming: called with the complete file just before it takes its name.
    """
    with scratch(path.parent) as (temporary, file):
        yield file
        file.flush()
        os.fsync(file.fileno())
        if before_naming is not None:
            before_naming(file)
        if os.name == "nt":  # where an open file cannot be renamed
            file.close()
        _take_name(temporary, path, overwrite or is_empty_file(path))


@contextmanager
def scratch(folder: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A locked temporary file in a folder, and its name; gone in the end, renamed or not."""
    temporary, file = _locked_file(folder)
    try:
        with file:
            yield temporary, file
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def is_empty_file(path: Path) -> bool:
    """Whether there is a regular file with nothing in it, which no photo can be."""
    try:
        return path.is_file() and not path.is_symlink() and path.stat().st_size == 0
    except OSError:
        return False


def remove_strays(folders: Iterable[Path]) -> None:
    """Remove the temporary files of runs that were killed; those of living runs stay."""
    for folder in folders:
        with suppress(OSError):  # a folder that is not there, or not to be looked into
            for entry in os.scandir(folder):
                if _NAME.fullmatch(entry.name):
                    _remove_if_stray(Path(entry.path))


def _locked_file(folder: Path) -> tuple[Path, BinaryIO]:
    while True:
        temporary = folder / f".invdn-{secrets.token_hex(6)}.tmp"
        file = temporary.open("x+b")
        try:
            _lock(file)
            if temporary.exists():  # nobody took it for a stray before it was locked
                return temporary, file
        except BaseException:
            file.close()
            temporary.unlink(missing_ok=True)
            raise
        file.close()


def _lock(file: BinaryIO) -> bool:
    """Lock a file without waiting; whether that succeeded. Needless on Windows, see above."""
    if os.name == "nt":
        return True
    import fcntl

    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody has it, or the file system has no locks
        return False
    return True


def _remove_if_stray(path: Path) -> None:
    with suppress(OSError):
        if os.name == "nt":
            path.unlink()  # fails for a file that is open
            return
        with path.open("rb") as file:
            if _lock(file):
                path.unlink()


def _take_name(temporary: Path, path: Path, overwrite: bool) -> None:
    if overwrite:
        temporary.replace(path)
    elif os.name == "nt":
        temporary.rename(path)  # on Windows this never replaces
    else:
        try:
            os.link(temporary, path)  # unlike a rename, this never replaces
        except FileExistsError:
            raise
        except OSError:  # FAT and some network drives have no links: claim the name, then replace
            path.open("xb").close()
            try:
                temporary.replace(path)
            except BaseException:
                path.unlink()
                raise
