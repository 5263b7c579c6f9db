"""Small UTF-8 files that people write: tasks, sweeps, token lists. Read bounded, refused with a sentence."""

from __future__ import annotations

from pathlib import Path

from lorabench.errors import InputError, LorabenchError


def read_text_file(
    path: Path,
    *,
    max_bytes: int,
    kind: str = "file",
    missing: str = "Check the path.",
    too_large: str = "Shorten it.",
    error: type[LorabenchError] = InputError,
) -> str:
    """Return what is in a file, without a byte-order mark.

    Args:
        path: The file.
        max_bytes: Most bytes that are read.
        kind: What it is, in the rules and for people: "task-file".
        missing: What to do if it is not there.
        too_large: What to do if it is larger.
        error: Class of what is raised.

    Raises:
        LorabenchError: Rules "no-<kind>", "unreadable-<kind>", "<kind>-too-large" and "not-utf8".
    """
    words = kind.replace("-", " ")
    if not path.is_file():
        raise error(f"no-{kind}", f"There is no {words} {str(path)!r}.", missing)
    try:
        with path.open("rb") as f:
            data = f.read(max_bytes + 1)
    except OSError as failed:
        raise error(
            f"unreadable-{kind}",
            f"The {words} {path.name!r} cannot be read: {failed.strerror}.",
            "Check its rights.",
        ) from failed
    if len(data) > max_bytes:
        most = f"{max_bytes // 1024} KB" if max_bytes < 1024**2 else f"{max_bytes // 1024**2} MB"
        raise error(f"{kind}-too-large", f"The {words} {path.name!r} is larger than {most}.", too_large)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as failed:
        raise error("not-utf8", f"The {words} {path.name!r} is not UTF-8.", "Save it as UTF-8.") from failed
