"""Absolute paths cut to the last name: where a file lay says who looked at it."""

from __future__ import annotations

import re

_END = r"\s'\"«»<>|;,()\[\]"
_QUOTED = re.compile(r"(?P<open>['\"«`])(?P<path>(?:~?/|[A-Za-z]:[\\/]|\\\\)[^'\"»`\n]+)(?P<close>['\"»`])")
_POSIX = re.compile(rf"(?<![\w./\\~-])~?/(?!/)(?:[^{_END}/]+/)+[^{_END}/]*")
_HOME = re.compile(rf"(?<![\w./\\~-])~[\w.-]*/[^{_END}/]+")
_WINDOWS = re.compile(rf"(?<!\w)(?:[A-Za-z]:[\\/]|\\\\)[^{_END}]+")
_FILE_URI = re.compile(rf"file://[^{_END}]+", re.IGNORECASE)


def is_absolute(text: str) -> bool:
    """Return whether the whole text is an absolute path with at least one name."""
    return "\n" not in text and bool(re.match(r"(?:~[\w.-]*/|/(?!/)[^/]|[A-Za-z]:[\\/]|\\\\|file://)", text))


def without_folders(text: str, known: tuple[str, ...] = ()) -> str:
    """Return a text whose absolute paths, quoted or not, are cut to their last name; URLs stay.

    Args:
        text: Anything.
        known: Absolute paths that may hold spaces and are looked for as they are.
    """
    if is_absolute(text) and " " not in text:
        return last_name(text)
    if text in known:
        return last_name(text)
    if "/" not in text and "\\" not in text:
        return text
    for path in sorted(known, key=len, reverse=True):
        text = text.replace(path, last_name(path))
    text = _QUOTED.sub(lambda m: m["open"] + last_name(m["path"]) + m["close"], text)
    for pattern in (_FILE_URI, _WINDOWS, _POSIX, _HOME):
        text = pattern.sub(lambda m: last_name(m[0]), text)
    return text


def last_name(path: str) -> str:
    """Return the last name of a path of any system; "(folder)" where it has none."""
    names = [
        name for name in re.split(r"[/\\]", path) if name and not re.fullmatch(r"[A-Za-z]:|~|file:", name)
    ]
    return names[-1] if names else "(folder)"
