"""Files and folders that someone else may control: opened once, bounded, written whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from lorabench.adapters.text import shown
from lorabench.errors import AdapterRefusedError, InputError, LorabenchError, StorageError

CHUNK = 4 * 1024**2
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)  # a symlink is refused, not followed
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO does not hang us
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


def open_regular(path: Path, *, max_bytes: int) -> tuple[int, os.stat_result]:
    """Open a regular file for reading and return its descriptor and what fstat says of it.

    Raises:
        AdapterRefusedError: Rules "not-an-adapter" (missing), "symlink", "not-a-regular-file",
            "unreadable-file" and "file-too-large".
    """
    name = shown(path.name)
    try:
        fd = os.open(path, _FLAGS)
    except FileNotFoundError as error:
        raise AdapterRefusedError(
            "not-an-adapter",
            f"The file {name} is missing.",
            "Choose a folder as saved by PEFT's save_pretrained.",
        ) from error
    except OSError as error:
        if error.errno == errno.ELOOP or path.is_symlink():
            raise AdapterRefusedError(
                "symlink",
                f"The file {name} is a symbolic link.",
                "Copy the real files into a folder of their own, for instance with cp -rL.",
            ) from error
        raise AdapterRefusedError(
            "unreadable-file",
            f"The file {name} cannot be opened ({shown(error.strerror)}).",
            "Check its permissions.",
        ) from error
    try:
        state = os.fstat(fd)
        if not stat.S_ISREG(state.st_mode):
            raise AdapterRefusedError(
                "not-a-regular-file",
                f"{name} is a folder, device or pipe instead of a file.",
                "Choose a folder as saved by PEFT's save_pretrained.",
            )
        if state.st_size > max_bytes:
            raise AdapterRefusedError(
                "file-too-large",
                f"The file {name} has {state.st_size:,} bytes; at most {max_bytes:,} are accepted.",
                "Use a smaller adapter, or raise the limit if you trust its source.",
            )
    except BaseException:
        os.close(fd)
        raise
    return fd, state


def is_unchanged(before: os.stat_result, after: os.stat_result) -> bool:
    """Return whether two fstat answers describe the same, untouched file."""
    keys = ("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")
    return all(getattr(before, key) == getattr(after, key) for key in keys)


def file_changed(path: Path) -> AdapterRefusedError:
    """Return the error for a file that was written to while it was read."""
    return AdapterRefusedError(
        "file-changed",
        f"The file {shown(path.name)} changed while it was read.",
        "Wait until nothing writes to it any more, then try again.",
    )


def read_small(path: Path, *, max_bytes: int) -> bytes:
    """Return the content of a regular file of at most `max_bytes` bytes.

    Raises:
        AdapterRefusedError: As `open_regular`, or "file-changed".
    """
    fd, before = open_regular(path, max_bytes=max_bytes)
    with os.fdopen(fd, "rb") as file:
        data = file.read(max_bytes + 1)
        if len(data) != before.st_size or not is_unchanged(before, os.fstat(fd)):
            raise file_changed(path)
    return data


def copy_regular(source: Path, target: Path, *, max_bytes: int) -> None:
    """Copy a regular file of at most `max_bytes` bytes to a new file.

    Raises:
        AdapterRefusedError: As `read_small`.
    """
    fd, before = open_regular(source, max_bytes=max_bytes)
    with os.fdopen(fd, "rb") as reader, target.open("xb") as writer:
        left = before.st_size
        while chunk := reader.read(min(CHUNK, left)):
            writer.write(chunk)
            left -= len(chunk)
        if left or not is_unchanged(before, os.fstat(fd)):
            raise file_changed(source)


@contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """Give a new empty folder that becomes `target` when the block ends well, and vanishes otherwise.

    Raises:
        InputError: Rule "folder-exists": the target is already there.
        StorageError: Rules "disk-full" and "cannot-write".
    """
    if target.exists() or target.is_symlink():
        raise _folder_exists(target)
    staging = target.with_name(f".{target.name[:60]}.{secrets.token_hex(6)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir()
        yield staging
        for path in staging.iterdir():  # the data must reach the disk before the name does
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        os.rename(staging, target)
    except OSError as error:
        raise storage_error(target, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def safetensors_errors() -> Iterator[None]:
    """Raise a failure of the safetensors writer as the `OSError` that its text hides."""
    try:
        yield
    except SafetensorError as error:
        found = re.search(r"os error (\d+)", str(error))
        if found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1]))) from error


def storage_error(target: Path, error: OSError) -> LorabenchError:
    """Return the lorabench error for an operating-system error while writing below `target`."""
    if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
        return _folder_exists(target)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            "disk-full",
            f"The disk is full, so {shown(target.name)} was not written; nothing is left of it.",
            f"Free some space below {shown(target.parent)} and try again.",
        )
    return StorageError(
        "cannot-write",
        f"{shown(target.name)} could not be written ({shown(error.strerror or error)}).",
        f"Check the permissions of {shown(target.parent)}.",
    )


def _folder_exists(target: Path) -> InputError:
    return InputError(
        "folder-exists",
        f"There is already something called {shown(target.name)} in {shown(target.parent)}.",
        "Choose another name, or remove the old one first.",
    )
