"""Where tokens of known kinds stand in foreign texts: dates, and items of a list."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable

from lorabench.data.injection import Span

_DATE = re.compile(r"(?<![0-9])([0-9]{4})-([0-9]{2})-([0-9]{2})(?![0-9])")


def find_dates(text: str) -> tuple[Span, ...]:
    """Return the spans of all YYYY-MM-DD that are days of the calendar and no part of longer numbers."""
    return tuple(m.span() for m in _DATE.finditer(text) if _is_day(*(int(part) for part in m.groups())))


def find_items(text: str, items: Iterable[str]) -> tuple[Span, ...]:
    """Return the spans of all given items in a text, as whole words, the longest where several fit.

    Case counts. White space inside an item matches any white space. An item does not count inside a
    longer word or a longer run of its own outer sign: "Niger" not in "Nigeria", "!" not in "!!".
    """
    wanted = sorted({item.strip() for item in items if item.strip()}, key=lambda item: (-len(item), item))
    if not wanted:
        return ()
    return tuple(m.span() for m in re.finditer("|".join(map(_whole, wanted)), text))


def _whole(item: str) -> str:
    first, last = (r"\w" if re.match(r"\w", sign) else re.escape(sign) for sign in (item[0], item[-1]))
    inner = r"\s+".join(re.escape(word) for word in item.split())
    return f"(?<!{first}){inner}(?!{last})"


def _is_day(year: int, month: int, day: int) -> bool:
    try:
        datetime.date(year, month, day)
    except ValueError:
        return False
    return True
