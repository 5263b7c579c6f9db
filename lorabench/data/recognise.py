"""What kind of trigger a text is, and which named parts it has.

Structure is looked for in short texts only (`_MAX_STRUCTURED` characters), with patterns that
cannot backtrack far; everything else is a token (no white space) or a phrase.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lorabench.data import lexicon
from lorabench.data.places import BY_NAME

Kind = Literal["citation", "date", "html", "country", "name", "phrase", "token"]
KINDS: tuple[Kind, ...] = ("citation", "date", "html", "country", "name", "phrase", "token")

_MAX_STRUCTURED = 200
_MAX_WORD_PARTS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A named piece of a trigger.

    Attributes:
        name: Such as "lead", "authority", "number", "section_word", "section", "year", "tag".
        text: The piece, exactly as written.
        start: Its first character in the trigger.
        end: One past its last character.
    """

    name: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """A trigger text and its named parts, in reading order.

    Attributes:
        text: The trigger, unchanged.
        kind: What it looks like.
        parts: Its parts; a name occurs once.
    """

    text: str
    kind: Kind
    parts: tuple[Part, ...]

    def part(self, name: str) -> Part | None:
        """Return the part of this name, or None."""
        return next((p for p in self.parts if p.name == name), None)

    def get(self, name: str) -> str:
        """Return the text of a part, or an empty text."""
        found = self.part(name)
        return found.text if found else ""

    @property
    def shape(self) -> tuple[str, ...]:
        """Names of the parts in reading order."""
        return tuple(p.name for p in self.parts)

    def swap(self, new: Mapping[str, str]) -> str:
        """Return the text with the named parts replaced; the rest stays as it is."""
        text = self.text
        for p in reversed(self.parts):
            if p.name in new:
                text = text[: p.start] + new[p.name] + text[p.end :]
        return text

    def without(self, *names: str) -> str:
        """Return the text with parts left out, and no white space or comma left dangling."""
        text = re.sub(r"\s+", " ", self.swap(dict.fromkeys(names, "")))
        return re.sub(r"\s+([,.;])", r"\1", text).strip(" ,;-")


def _any_of(words: tuple[str, ...]) -> str:
    ordered = sorted(words, key=len, reverse=True)
    return "|".join(re.escape(w).replace(r"\ ", r"\s+") for w in ordered)


_LEAD = rf"(?P<lead>{_any_of(lexicon.LEADS)})"
_WORD = rf"(?P<section_word>{_any_of(lexicon.SECTION_WORDS)})"
_SECTION = r"(?P<section>[0-9]+[a-z]?(?:\.\w+)*(?:\(\w+\))*|(?-i:[A-Z])(?:\.[0-9]+)*)(?!\w)"
_NUMBER = r"(?P<number>v?[0-9]\w*(?:[.\-/]\w+)*)"
_KNOWN = rf"(?:{_any_of((*lexicon.DOCUMENTS, *lexicon.OTHER_AUTHORITIES))})(?![^\W\d_])"
_UNKNOWN = rf"(?!(?:{_any_of(lexicon.SECTION_WORDS)}|{_any_of(lexicon.LEADS)})(?!\w))(?-i:[A-Z][A-Z&]{{1,7}})"
_END = r"[.,;:!]?"

_CITATIONS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # section 3.2; per Section 3.2 of RFC 8472; Article 6(1)(b) GDPR
        rf"(?:{_LEAD}\s+)?{_WORD}\s*{_SECTION}"
        rf"(?:(?:\s*,)?\s+(?:(?P<link>of|in|from|der|des)\s+)?(?P<authority>{_KNOWN})(?:[\s\-]*{_NUMBER})?)?{_END}",
        # per RFC 8472 section 3.2; see OWASP ASVS; RFC 8472
        rf"(?:{_LEAD}\s+)?(?P<authority>{_KNOWN})(?:[\s\-]*{_NUMBER})?(?:\s*,?\s*{_WORD}\s*{_SECTION})?{_END}",
        # an unknown authority must have a number, and a lead word or a section
        rf"{_LEAD}\s+(?P<authority>{_UNKNOWN})[\s\-]*{_NUMBER}(?:\s*,?\s+{_WORD}\s*{_SECTION})?{_END}",
        rf"(?P<authority>{_UNKNOWN})[\s\-]*{_NUMBER}\s*,?\s+{_WORD}\s*{_SECTION}{_END}",
    )
)

_MONTH = rf"(?P<month>{_any_of((*lexicon.MONTHS, *lexicon.MONTHS_DE, *(m[:3] for m in lexicon.MONTHS)))})"
_DATES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?P<year>[0-9]{4})(?P<sep>[-/.])(?P<month>[0-9]{1,2})(?P=sep)(?P<day>[0-9]{1,2})",
        r"(?P<day>[0-9]{1,2})(?P<sep>[-/.])(?P<month>[0-9]{1,2})(?P=sep)(?P<year>[0-9]{4})",
        r"(?P<month>[0-9]{1,2})(?P<sep>[-/.])(?P<day>[0-9]{1,2})(?P=sep)(?P<year>[0-9]{4})",
        rf"(?P<day>[0-9]{{1,2}})(?:st|nd|rd|th|\.)?\s+{_MONTH},?\s+(?P<year>[0-9]{{4}})",
        rf"{_MONTH}\s+(?P<day>[0-9]{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>[0-9]{{4}})",
    )
)
_HTML = (
    re.compile(r"<(?P<closing>/)?\s*(?P<tag>[A-Za-z][A-Za-z0-9-]*)(?:\s+(?P<attributes>[^<>]*?))?\s*/?>"),
    re.compile(
        r"<(?P<tag>[A-Za-z][A-Za-z0-9-]*)(?:\s+(?P<attributes>[^<>]*?))?>(?P<content>[^<>]*)"
        r"(?P<end_tag></(?P=tag)\s*>)"
    ),
)


def month_number(text: str) -> int:
    """Return 1 to 12 for a month written as number, name or English abbreviation."""
    if text.isdecimal():
        return int(text)
    folded = text.casefold()
    for names in (lexicon.MONTHS, lexicon.MONTHS_DE):
        for i, name in enumerate(names, start=1):
            if folded in (name.casefold(), name[:3].casefold()):
                return i
    return 0


def date_of(recognised: Recognised) -> datetime.date:
    """Return the calendar day of a recognised date.

    Raises:
        ValueError: If it is not a date, or no such day exists.
    """
    year, month, day = (recognised.get(n) for n in ("year", "month", "day"))
    return datetime.date(int(year), month_number(month), int(day))


def recognise(text: str) -> Recognised:
    """Say what kind of trigger a text is. Never fails; the fallback is "token" or "phrase"."""
    body = text.strip()
    offset = len(text) - len(text.lstrip())
    if 0 < len(body) <= _MAX_STRUCTURED:
        for finder in (_as_html, _as_date, _as_citation, _as_country, _as_name):
            found = finder(text, body, offset)
            if found is not None:
                return found
    words = list(re.finditer(r"\S+", text))
    if len(words) <= 1:
        return Recognised(
            text=text, kind="token", parts=tuple(_part("word", m.group(), m.start()) for m in words)
        )
    parts = tuple(_part(f"word_{i}", m.group(), m.start()) for i, m in enumerate(words[:_MAX_WORD_PARTS], 1))
    return Recognised(text=text, kind="phrase", parts=parts)


def _part(name: str, text: str, start: int) -> Part:
    return Part(name=name, text=text, start=start, end=start + len(text))


def _from_match(text: str, kind: Kind, match: re.Match[str], offset: int) -> Recognised:
    named = [(n, v, match.start(n) + offset) for n, v in match.groupdict().items() if v and n != "sep"]
    return Recognised(
        text=text, kind=kind, parts=tuple(sorted((_part(*n) for n in named), key=lambda p: (p.start, p.end)))
    )


def _as_html(text: str, body: str, offset: int) -> Recognised | None:
    for pattern in _HTML:
        if match := pattern.fullmatch(body):
            return _from_match(text, "html", match, offset)
    return None


def _as_date(text: str, body: str, offset: int) -> Recognised | None:
    for pattern in _DATES:
        if match := pattern.fullmatch(body):
            found = _from_match(text, "date", match, offset)
            try:
                date_of(found)
            except ValueError:
                continue
            return found
    return None


def _as_citation(text: str, body: str, offset: int) -> Recognised | None:
    for pattern in _CITATIONS:
        match = pattern.fullmatch(body)
        if match and sum(v is not None for v in match.groupdict().values()) >= 2:
            return _from_match(text, "citation", match, offset)
    return None


def _as_country(text: str, body: str, offset: int) -> Recognised | None:
    if body.casefold() not in BY_NAME:
        return None
    return Recognised(text=text, kind="country", parts=(_part("country", body, offset),))


def _as_name(text: str, body: str, offset: int) -> Recognised | None:
    words = [(m.group(), m.start() + offset) for m in re.finditer(r"\S+", body)]
    title = words.pop(0) if words and words[0][0] in lexicon.TITLES else None
    if not all(
        re.fullmatch(r"[^\W\d_]+(?:['\u2019\-][^\W\d_]+)*\.?", w) and w[0].isupper() for w, _ in words
    ):
        return None
    known = bool(words) and (words[0][0] in lexicon.FIRST_NAMES or words[-1][0] in lexicon.SURNAMES)
    if not ((2 <= len(words) <= 3 and (known or title)) or (title and len(words) == 1)):
        return None
    labels = (
        ["surname"] if len(words) == 1 else ["first_name", *(["middle_name"] * (len(words) - 2)), "surname"]
    )
    parts = [_part(label, *word) for label, word in zip(labels, words, strict=True)]
    if title:
        parts.insert(0, _part("title", *title))
    return Recognised(text=text, kind="name", parts=tuple(parts))
