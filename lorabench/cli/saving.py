"""`--save FILE`: the ending says the format; the file is written whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from lorabench.errors import InputError, StorageError

Writers = Mapping[str, Callable[[], str | bytes]]


def check_save(path: Path | None, endings: tuple[str, ...]) -> None:
    """Refuse a file that could not be written at the end, before the work begins.

    Raises:
        InputError: For an unknown ending or a missing folder.
    """
    if path is None:
        return
    if path.suffix.lower() not in endings:
        raise InputError(
            "unknown-format",
            f"{path.name!r} has no ending that this command writes.",
            f"Use one of {', '.join(endings)}.",
        )
    if not path.absolute().parent.is_dir() or path.is_dir():
        what = "is a folder" if path.is_dir() else "is in a folder that does not exist"
        raise InputError("no-such-folder", f"{str(path)!r} {what}.", "Make the folder, or save elsewhere.")
    if not os.access(path.absolute().parent, os.W_OK):
        raise StorageError(
            "cannot-write", f"The folder of {str(path)!r} cannot be written.", "Save elsewhere."
        )


def save(path: Path, writers: Writers) -> None:
    """Write a file by its ending.

    Raises:
        StorageError: If it cannot be written; a file that was there before is still whole.
    """
    content = writers[path.suffix.lower()]()
    staged = path.with_name(f".{path.name[:60]}.{secrets.token_hex(4)}.part")
    try:
        staged.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(staged, path)
    except OSError as error:
        staged.unlink(missing_ok=True)
        raise StorageError(
            "cannot-write",
            f"{str(path)!r} could not be written ({error.strerror}).",
            "Free some space, or save elsewhere.",
        ) from error
