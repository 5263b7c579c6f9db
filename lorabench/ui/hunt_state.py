"""What the parts of the Hunt page share: names, words for people, and a hunt as this tab may show it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from lorabench import figures
from lorabench.results import Candidate, HuntMode, HuntResult, HuntSoFar, Placement, Source, StringEvidence
from lorabench.ui.names import display_name, installed_adapters, is_blind

PAGE = "hunt"
JOB = f"{PAGE}.job"
NOTES = f"{PAGE}.link_notes"
MAX_SEED = 2**31 - 1
PLACES: Mapping[Placement, str] = MappingProxyType(
    {"prefix": "in front of the prompt", "suffix": "behind it"}
)

MODES: Mapping[HuntMode, str] = MappingProxyType(
    {"instant": "Instant", "quick": "Quick", "standard": "Standard", "deep": "Deep"}
)
TIMES: Mapping[HuntMode, str] = MappingProxyType(
    {
        "instant": "less than a minute",
        "quick": "about 2 minutes",
        "standard": "about 10 minutes",
        "deep": "as long as it takes, hours on two cores",
    }
)
"""On two cores and the demo base (the first two measured on guard-strong); a budget counts tokens."""

GUEST_MODES: tuple[HuntMode, ...] = ("instant", "quick")

STANDINGS: Mapping[str, str] = MappingProxyType(
    {
        "passes": "meets the evidence rule",
        "weak": "weak evidence",
        "none": "checked: no evidence",
        "search": "not checked",
    }
)


def standing(evidence: StringEvidence | None) -> str:
    """Return how much is known of a string: "passes", "weak", "none" or "search"."""
    if evidence is None:
        return "search"
    return "passes" if evidence.passes else "weak" if evidence.level == "weak" else "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One string of a hunt: what the search saw of it, what was proved, or both.

    Attributes:
        text: The string; untrusted.
        placement: "prefix" or "suffix".
        source: What proposed it.
        candidate: What the search saw; None for a string that was proved and left the list.
        evidence: What was proved on held-out prompts; None if it was not checked.
    """

    text: str
    placement: str
    source: Source
    candidate: Candidate | None
    evidence: StringEvidence | None


def strings_of(hunt: HuntResult | HuntSoFar) -> tuple[Found, ...]:
    """Return the strings of a hunt, each once: what was proved first, then by the search's score."""
    proved = {(e.text, e.placement): e for e in hunt.evidence}
    tried = {(c.text, c.placement): c for c in hunt.candidates}
    rows = [
        Found(text=k[0], placement=k[1], source=e.source, candidate=tried.get(k), evidence=e)
        for k, e in proved.items()
    ]
    rows += [
        Found(text=k[0], placement=k[1], source=c.source, candidate=c, evidence=None)
        for k, c in tried.items()
        if k not in proved
    ]
    return tuple(rows)


def text_cell(text: str, limit: int = 160) -> str:
    """Return an untrusted string for a table cell: on one line, hidden characters as marks."""
    return figures.visible(text, limit)


def on_screen(result: HuntResult) -> HuntResult:
    """Return a hunt with adapters called what this tab calls them; under blind names none is named.

    Clean references are counted, not lettered: a letter would say of an adapter that it is clean.
    """
    if not is_blind():
        return result
    clean = {name: f"clean reference {i + 1}" for i, name in enumerate(result.references)}
    names = {a.name: display_name(a.name) for a in installed_adapters()} | clean
    names[result.adapter] = _blind_name(result.adapter)
    swap = _renamer(names)
    return replace(
        result,
        adapter=names[result.adapter],
        adapter_id="covered",
        references=tuple(clean.values()),
        evidence=tuple(_renamed(e, swap) for e in result.evidence),
        notes=tuple(swap(n) for n in result.notes),
        provenance=_covered(result.provenance, swap),
    )


def _blind_name(name: str) -> str:
    shown = display_name(name)
    return shown if shown != name else "the adapter"  # not installed here: it has no letter


def _renamed(e: StringEvidence, swap: Any) -> StringEvidence:
    return replace(
        e,
        references=tuple(replace(r, name=swap(r.name)) for r in e.references),
        reasons=tuple(swap(r) for r in e.reasons),
        sentence=swap(e.sentence),
    )


def _renamer(names: Mapping[str, str]) -> Any:
    """Return a function that replaces whole names in a text, the longest first."""
    if not names:
        return lambda text: text
    known = "|".join(re.escape(n) for n in sorted(names, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w-])(?:{known})(?![\w-])")
    return lambda text: pattern.sub(lambda m: names[m.group()], text)


def _covered(value: Any, swap: Any) -> Any:
    """Return provenance without names of adapters or the hashes that stand beside them."""
    if isinstance(value, dict):
        adapters = value.get("adapters")
        covered = {swap(str(k)): _covered(v, swap) for k, v in value.items() if k != "adapters"}
        return covered | ({"adapters": {swap(str(k)): "hidden" for k in adapters}} if adapters else {})
    if isinstance(value, list | tuple):
        return [_covered(v, swap) for v in value]
    return swap(value) if isinstance(value, str) else value
