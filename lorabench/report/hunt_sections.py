"""What a report of a hunt is made of: sections of sentences and tables, exact texts in them."""

from __future__ import annotations

from dataclasses import dataclass

from lorabench.figures import signed
from lorabench.figures.hunt import known


@dataclass(frozen=True, slots=True, kw_only=True)
class FactTable:
    """A table of texts.

    Attributes:
        heads: Names of the columns; one that begins with ">" holds numbers, set to the right.
        rows: As many cells each.
        caption: What it shows; a phrase.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HuntSection:
    """One part of a report.

    Attributes:
        key: "summary", "string", "candidates", "proposals", "trace", "classes", "limits" or "provenance".
        title: Its heading.
        sentences: What it says.
        tables: The numbers behind it.
        subject: Index of the string in `HuntResult.evidence` that it is about, or None.
    """

    key: str
    title: str
    sentences: tuple[str, ...] = ()
    tables: tuple[FactTable, ...] = ()
    subject: int | None = None


def logits(value: float | None) -> str:
    """Return a score or a shift with its sign, or "n/a" if it was not asked."""
    return "n/a" if known(value) is None else signed(value, 2)
