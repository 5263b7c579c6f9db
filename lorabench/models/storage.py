"""The disk under the base models: one writer per base, and errors that say what to do."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lorabench.adapters.files import safetensors_errors
from lorabench.errors import StorageError
from lorabench.models.registry import BaseSpec
from lorabench.models.wheel import OnProgress


@contextmanager
def locked_base(bases: Path, spec: BaseSpec, report: OnProgress) -> Iterator[None]:
    """Hold the lock of one base; while another process has it, say so and wait.

    `report` is called twice a second meanwhile and may raise to give up.
    """
    lock = FileLock(bases / f".{spec.folder_name}.lock")
    while True:
        try:
            lock.acquire(timeout=0.5)
            break
        except Timeout:
            report(0, spec.n_bytes or 0, f"Waiting: {spec.base_id} is being fetched by another process")
    try:
        yield
    finally:
        lock.release()


@contextmanager
def storage_errors(bases: Path) -> Iterator[None]:
    """Translate a full or read-only disk into a `StorageError`."""
    try:
        with safetensors_errors():
            yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
            raise _disk_full(bases, "there was no space left while writing") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StorageError(
                "cache-not-writable",
                f"The folder {str(bases)!r} cannot be written ({error.strerror}).",
                "Set LORABENCH_CACHE_DIR to a folder that you may write to.",
            ) from error
        raise


def _disk_full(bases: Path, why: str) -> StorageError:
    return StorageError(
        "disk-full",
        f"The disk that holds {str(bases)!r} is full: {why}.",
        "Free some space, or set LORABENCH_CACHE_DIR to a folder on another disk; then pull again.",
    )


def check_free_space(bases: Path, needed: int) -> None:
    """Raise `StorageError` if a folder's disk has fewer free bytes than needed."""
    free = shutil.disk_usage(bases).free
    if free < needed:
        raise _disk_full(bases, f"{needed / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB are free")
