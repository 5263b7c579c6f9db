"""What people type into the case book, bounded and without control characters."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime

from lorabench.errors import InputError

NOTE_CHARS = 20_000
NAME_CHARS = 200
_SUBJECT = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"#?0*([1-9][0-9]{0,8})", re.ASCII)


def now() -> str:
    """Return the time as ISO text in UTC."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def running_text(text: str, what: str) -> str:
    """Return a note or reason without control characters, line breaks and tabs kept.

    Args:
        text: Untrusted; whoever shows it escapes it.
        what: Such as "note", for the sentence of a refusal.

    Raises:
        InputError: If it is empty or longer than `NOTE_CHARS`.
    """
    if len(text) > NOTE_CHARS:
        raise InputError(
            "text-too-long",
            f"The {what} has {len(text):,} characters; at most {NOTE_CHARS:,} are kept.",
            "Shorten it, or split it into several notes.",
        )
    clean = plain(text.replace("\r\n", "\n").replace("\r", "\n"), keep="\n\t").strip()
    if not clean:
        raise InputError("empty-text", f"The {what} has no text.", "Write at least a word.")
    return clean


def person(who: str) -> str:
    """Return who did something, on one line.

    Raises:
        InputError: If it is empty or longer than `NAME_CHARS`.
    """
    clean = one_line(who[: NAME_CHARS + 1])
    if not clean or len(who) > NAME_CHARS:
        raise InputError(
            "bad-who",
            "It must be said who does this, in at most 200 characters.",
            "Give a name with --who, or in the field of the page.",
        )
    return clean


def one_line(text: str, limit: int = NAME_CHARS) -> str:
    """Return untrusted text on one line without control characters, cut at `limit`."""
    spaced = "".join(" " if c.isspace() else c for c in text[: 2 * limit])
    return " ".join(plain(spaced).split())[:limit].strip()


def plain(text: str, keep: str = "") -> str:
    """Return text that every database can hold: no control characters but `keep`, no lone surrogates."""
    return "".join(c for c in text if c in keep or unicodedata.category(c) not in ("Cc", "Cs"))


def case_id(number: str | int) -> int:
    """Return the id behind a case number such as "0007", "7" or "#7".

    Raises:
        InputError: If it is no such number.
    """
    match = _NUMBER.fullmatch(str(number).strip()[:40])
    if match is None:
        raise InputError(
            "bad-case-number",
            f"{one_line(str(number), 40)!r} is no case number.",
            "Case numbers look like 0007; `lorabench cases list` shows them.",
        )
    return int(match[1])


def case_number(number: int) -> str:
    """Return how a case's id is written."""
    return f"{number:04d}"


def subject_of(text: str) -> str:
    """Return a sha256 as it must be.

    Raises:
        InputError: If it is not 64 hexadecimal digits.
    """
    if not _SUBJECT.fullmatch(text):
        raise InputError(
            "bad-subject",
            "The scan does not name its adapter by a sha256.",
            "Scan the adapter again, then keep that scan.",
        )
    return text
