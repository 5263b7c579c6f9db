"""What an adapter's README would do where it is shown as a page; here it is plain text."""

from __future__ import annotations

import re

from lorabench.adapters.book import FindingBook
from lorabench.adapters.text import shown
from lorabench.results.findings import Fact

# No text is gone through twice: what may follow a start never reaches over the next one.
_ACTIVE = {
    "script or frame": re.compile(
        r"<\s*(?:script|iframe|object|embed|svg|style|form|meta|link)\b", re.IGNORECASE
    ),
    "event handler": re.compile(r"<[^<>]{0,300}\bon[a-z]{3,20}\s*+=", re.IGNORECASE),
    "remote image": re.compile(
        r"!\[(?:[^!\]]|!(?!\[)){0,300}+\]\(\s*+(?:https?:)?//[^)]{0,300}|<\s*img\b[^<>]{0,300}",
        re.IGNORECASE,
    ),
    "script address": re.compile(r"(?:javascript|vbscript|data):[^\s)]{1,200}", re.IGNORECASE),
    "hidden characters": re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\U000e0000-\U000e007f]+"),
}


def note_card(text: str, name: str, book: FindingBook) -> None:
    """Note markup of a card that would run, call out or deceive where it is rendered.

    Args:
        text: The card.
        name: Its file name.
        book: Takes what is found.
    """
    found = {kind: match[0] for kind, pattern in _ACTIVE.items() if (match := pattern.search(text))}
    if found:
        book.note(
            "card-active-content",
            f"{shown(name)} has {', '.join(found)}. It is shown as plain text.",
            where=name,
            facts=tuple(Fact(name=kind, value=shown(piece, limit=200)) for kind, piece in found.items()),
        )
