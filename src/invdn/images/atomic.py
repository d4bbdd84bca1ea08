"""Files that take their names only once they are complete, and what killed runs leave behind.

Until it is complete, a file is a hidden one, `.invdn-<12 hex digits>.tmp`, in the folder of the
output. Its writer holds a lock on it, which the system lets go of however the writer ends; so a
temporary file without a lock is a dead run's, and `remove_strays` may take it away while other
runs go on. An output's digits come from its name, so that of two runs that make the same output
the second one finds out before it works.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_NAME = re.compile(r"\.invdn-[0-9a-f]{12}\.tmp")
_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)  # what a lock that somebody has says


class InWorkError(FileExistsError):
    """Another run, or another thread, is writing this very file."""


@contextmanager
def atomically(
    path: Path,
    *,
    overwrite: bool = False,
    before_naming: Callable[[BinaryIO], None] | None = None,
) -> Iterator[BinaryIO]:
    """A new file, open for reading and writing, that takes its name only once it is complete.

    On any error, an interrupt too, nothing is left. Without `overwrite` an existing file raises
    FileExistsError, at once, or in the end if somebody else made it meanwhile; an empty file is not
    one, but a name that was claimed by a run that was killed. `InWorkError` is raised at once where
    somebody is writing it already.
    before_naming: called with the complete file just before it takes its name.
    """
    with scratch(path.parent, path.name) as (temporary, file):
        if not overwrite and _is_there(path) and not is_empty_file(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        yield file
        file.flush()
        os.fsync(file.fileno())
        if before_naming is not None:
            before_naming(file)
        if os.name == "nt":  # where an open file cannot be renamed
            file.close()
        _take_name(temporary, path, overwrite or is_empty_file(path))


@contextmanager
def scratch(folder: Path, claimed: str | None = None) -> Iterator[tuple[Path, BinaryIO]]:
    """A locked temporary file in a folder, and its name; gone in the end, renamed or not.

    claimed: a name in that folder for which there is one such file at a time.
    """
    temporary, file = _locked_file(folder, claimed)
    with file:
        try:
            yield temporary, file
        finally:
            if os.name == "nt":
                file.close()
            # On Windows a file that somebody has open cannot go: it is a stray for the next run.
            with suppress(FileNotFoundError, *([PermissionError] if os.name == "nt" else [])):
                # Once it is renamed, a file of this name would be another run's.
                if os.name == "nt" or _is_named(temporary, file):
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


def _locked_file(folder: Path, claimed: str | None) -> tuple[Path, BinaryIO]:
    while True:
        digits = secrets.token_hex(6)
        if claimed is not None:
            digits = hashlib.sha256(os.fsencode(claimed)).hexdigest()[:12]
        temporary = folder / f".invdn-{digits}.tmp"
        try:
            file = temporary.open("x+b")
        except FileExistsError:
            if _is_in_work(temporary):
                raise InWorkError(errno.EEXIST, "another run is writing it", claimed) from None
            # On a file system without locks nobody knows: any other name does then.
            claimed = None if temporary.exists() else claimed
            continue
        try:
            # Nobody took it for a stray before it was locked, and made another of its name?
            if _lock(file) is not False and (os.name == "nt" or _is_named(temporary, file)):
                return temporary, file
        except BaseException:
            file.close()
            temporary.unlink(missing_ok=True)
            raise
        file.close()


def _is_named(path: Path, file: BinaryIO) -> bool:
    """Whether the file of that name is the open one; not where there is none."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _is_in_work(temporary: Path) -> bool:
    """Whether somebody is writing a temporary file; a dead run's is removed."""
    try:
        if os.name == "nt":
            temporary.unlink()  # fails for a file that is open
            return False
        with temporary.open("r+b") as file:  # some network drives lock for writing only
            locked = _lock(file)
            if locked and _is_named(temporary, file):
                temporary.unlink()
            return locked is False
    except FileNotFoundError:
        return False
    except PermissionError:
        return os.name == "nt"


def _lock(file: BinaryIO) -> bool | None:
    """Lock a file without waiting; False where somebody has it, None where there are no locks.

    Needless on Windows, see above.
    """
    if os.name == "nt":
        return True
    import fcntl

    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in _HELD else None
    return True


def _remove_if_stray(path: Path) -> None:
    with suppress(OSError):
        _is_in_work(path)


def _is_there(path: Path) -> bool:
    """Whether the name is taken; raises OSError where it cannot be one."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


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
