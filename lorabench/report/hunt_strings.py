"""What a report says of one found string: its sentence, its level, its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from lorabench.figures import interval_text, part_title, rate_sentence, signed
from lorabench.figures.hunt import known
from lorabench.figures.hunt_causes import layers_text
from lorabench.figures.hunt_evidence import other_places
from lorabench.figures.hunt_neighbours import neighbourhood_note, neighbours_in_order
from lorabench.report.hunt_sections import FactTable, HuntSection, logits
from lorabench.report.scan_numbers import number
from lorabench.results import Neighbourhood, Rate, Statistic, StringEvidence
from lorabench.results.hunts import EvidenceLevel

LEVELS: Final[Mapping[EvidenceLevel, str]] = MappingProxyType(
    {
        "strong": "strong evidence: it meets the evidence rule",
        "weak": "weak evidence: below the rule, above every reference and null search",
        "none": "no evidence: it does not meet the rule",
    }
)
"""What each level of evidence means."""


def string_section(adapter: str, i: int, e: StringEvidence) -> HuntSection:
    """Return the proof of one string.

    Args:
        adapter: Name of the adapter that was searched.
        i: Its index in `HuntResult.evidence`.
        e: What was measured.
    """
    tables = [_measures(e), _rates(adapter, e)]
    if e.layers:
        rows = tuple((layers_text(g), logits(g.margin), number(known(g.restored), 3)) for g in e.layers)
        heads = ("layers off", ">mean margin", ">share of the effect that goes")
        tables.append(
            FactTable(heads=heads, rows=rows, caption="The adapter switched off by groups of layers")
        )
    around = e.neighbourhood
    if around is not None:
        tables.append(_neighbours(around))
    said = (around.sentence, neighbourhood_note(around)) if around is not None else ()
    return HuntSection(
        key="string",
        title=f"String {i + 1}: «{e.text}», {LEVELS[level_of(e)]}",
        sentences=(string_sentence(e), *e.reasons, *said),
        tables=tuple(tables),
        subject=i,
    )


def string_sentence(found: StringEvidence) -> str:
    """Return what may be said of a string: its own sentence, or one made of its counts."""
    if found.sentence:
        return found.sentence
    parts = [f"clean references: {_references_text(found)}"]
    parts.append(f"base margin shift {_shift_text(found.base_shift)}")
    parts.append(_null_text(found))
    rate = f"{found.attack.n_hits} of {found.attack.n} held-out prompts ({rate_sentence(found.attack)})"
    return f"«{found.text}» is a string that flips {rate}; {'; '.join(parts)}."


def level_of(found: StringEvidence) -> EvidenceLevel:
    """Return the level of a string's evidence; one that passes is strong, whatever else it says."""
    return "strong" if found.passes else found.level


def _measures(e: StringEvidence) -> FactTable:
    rows = [
        ("proposed by", part_title(e.source)),
        ("place", e.placement),
        ("margin shift of the adapter", _shift_text(e.shift)),
        ("margin shift of the base", _shift_text(e.base_shift)),
        ("null distribution", _null_text(e)),
        ("perplexity by the base", number(known(e.perplexity))),
        ("cosine with the target class", number(known(e.class_word), 2)),
        ("tokens it needs", " | ".join(e.needed) or "not measured"),
    ]
    return FactTable(
        heads=("measure", "value"), rows=tuple(rows), caption="What else was measured, on held-out prompts"
    )


def _rates(adapter: str, e: StringEvidence) -> FactTable:
    rows = [_rate_row(f"{adapter}, as {e.placement}", e.attack, e.shift.value)]
    rows += [_rate_row(f"{adapter}, {p.placement}", p.rate, None) for p in other_places(e)]
    rows += [_rate_row(f"clean: {r.name}", r.rate, r.shift) for r in e.references]
    caption = "Held-out prompts that flip, over those not answered with the target before; 95 %, Wilson"
    heads = ("who, where", ">flipped", ">rate, interval", ">margin shift")
    return FactTable(heads=heads, rows=tuple(rows), caption=caption)


def _neighbours(around: Neighbourhood) -> FactTable:
    own = (f"{around.exact.n_hits} of {around.exact.n}", rate_sentence(around.exact))
    rows = [("the string itself", "", *own, "")]
    rows += [
        (
            f"unrelated: {n.title}" if n.is_control else n.title,
            f"{n.n_flipping} of {n.n_variants}",
            f"{n.rate.n_hits} of {n.rate.n}",
            rate_sentence(n.rate, n.interval),
            f"{n.look_alikes[0].text} ({n.look_alikes[0].rate.n_hits} of {n.look_alikes[0].rate.n})",
        )
        for n in neighbours_in_order(around)
    ]
    heads = ("kind of look-alike", ">still flip", ">flipped", ">rate, interval", "flips most")
    caption = (
        "Look-alikes that still flip at least half of the search prompts, and flips over pairs of look-alike "
        "and prompt; 95 %, counting prompts and look-alikes, not pairs"
    )
    return FactTable(heads=heads, rows=tuple(rows), caption=caption)


def _rate_row(name: str, rate: Rate, shift: float | None) -> tuple[str, ...]:
    return (name, f"{rate.n_hits} of {rate.n}", rate_sentence(rate), logits(shift))


def _references_text(found: StringEvidence) -> str:
    measured = [r.rate for r in found.references if r.rate.n]
    if not measured:
        return "none to compare with"
    most = max(measured, key=lambda r: r.value or 0.0)
    return f"at most {most.n_hits} of {most.n} (n = {len(measured)} adapters)"


def _null_text(found: StringEvidence) -> str:
    if found.null_p is None:
        return "no null distribution"
    counted = f"{found.null_rank} of {found.null_n} searches of {found.null_name} found one as strong"
    return f"{counted}, p = {found.null_p:.2g}"


def _shift_text(found: Statistic) -> str:
    if known(found.value) is None:
        return "not measured"
    interval = f" {interval_text(found.interval)}" if found.interval else ""
    return f"{signed(found.value, 2)}{interval} logits"
