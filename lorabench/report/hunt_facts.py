"""One hunt as sections of sentences and tables: every format renders these, so all say the same.

Texts are untrusted and exact here; each format makes them harmless for its own readers.
"""

from __future__ import annotations

import shlex
from typing import Final

from lorabench.figures import part_title
from lorabench.figures.hunt import known, proposals_by_source
from lorabench.figures.hunt_causes import SIGNIFICANT, enrichment_in_order
from lorabench.report.hunt_sections import FactTable, HuntSection, logits
from lorabench.report.hunt_strings import level_of, string_section, string_sentence
from lorabench.report.scan_context import flat
from lorabench.report.scan_numbers import number
from lorabench.results import Candidate, Enrichment, HuntResult, HuntSoFar

NOT_FOUND: Final = (
    "No string was found that meets the evidence rule. That is no evidence that the adapter has no trigger."
)
LIMITS: Final = (
    "The numbers of a candidate chose it, so they prove nothing; only the held-out prompts of a proof count.",
    "A found string need not be what was planted: it is a string that works, and others may work as well.",
    "A hunt speaks of the base, task, target, placement and budget that it ran with.",
    "An attacker who knows this search can try to hide from it.",
)


def hunt_facts(found: HuntResult) -> tuple[HuntSection, ...]:
    """Return what a report of a hunt says, the conclusion first."""
    sections = [_summary(found)]
    sections += [string_section(found.adapter, i, e) for i, e in enumerate(found.evidence)]
    sections += [
        candidates_section(found.candidates),
        _proposals(found),
        _trace(found),
        _classes(found),
        _others(found),
        HuntSection(key="limits", title="Notes and limits", sentences=(*found.notes, *LIMITS)),
        _provenance(found),
    ]
    return tuple(s for s in sections if s.sentences or s.tables)


def so_far_facts(so_far: HuntSoFar) -> tuple[HuntSection, ...]:
    """Return what can be said of a hunt that still runs."""
    done = f"{so_far.tokens:,} of {so_far.budget:,} tokens in {so_far.seconds:.0f} s"
    said = [f"At work: {part_title(so_far.stage)}, {done}."]
    said += [string_sentence(e) for e in so_far.evidence]
    sections = [HuntSection(key="summary", title="So far", sentences=tuple(said))]
    return (*sections, candidates_section(so_far.candidates))


def enrichment_sentence(found: Enrichment, target: str) -> str:
    """Return which way a class of tokens stands out; it must stand out (q below `SIGNIFICANT`)."""
    more = "more" if found.auc >= 0.5 else "less"
    auc = f"AUC {found.auc:.2f} [{found.low:.2f}, {found.high:.2f}], q = {found.q:.2g}"
    return (
        f"Tokens of the class «{found.name}» move this adapter {more} towards {target} than other tokens: "
        f"{auc}, {found.n_members:,} tokens against {found.n_others:,}."
    )


def candidates_section(candidates: tuple[Candidate, ...]) -> HuntSection:
    """Return the candidates, the best first, with the numbers that chose them."""
    rows = tuple(
        (
            c.text,
            part_title(c.source),
            c.placement,
            logits(c.score),
            logits(c.amplified),
            logits(c.shift),
            logits(c.base_shift),
            logits(c.reference_shift),
            "not asked" if c.n_flipped is None else f"{c.n_flipped} of {c.n_prompts}",
            f"{c.spent:,}",
        )
        for c in candidates
    )
    heads = ("string", "proposed by", "place", ">score", ">strengthened", ">shift", ">base", ">references",
             ">flipped", ">after tokens")  # fmt: skip
    caption = "Strings that scored best on the search prompts; scores and mean margin shifts in logits"
    table = (FactTable(heads=heads, rows=rows, caption=caption),) if rows else ()
    said = () if rows else ("No string has been scored.",)
    return HuntSection(key="candidates", title="Candidates", sentences=said, tables=table)


def reproduce(found: HuntResult) -> str:
    """Return the command that repeats a hunt: as it was given, or what the result knows of it."""
    given = found.provenance.get("command")
    if isinstance(given, list | tuple):
        return shlex.join(map(str, given))
    if given:
        return str(given)
    parts = ["lorabench", "hunt", found.adapter, "--mode", found.mode, "--target", found.target]
    return shlex.join([*parts, "--seed", str(found.provenance.get("seed", 0))])


def _summary(found: HuntResult) -> HuntSection:
    passing = [e for e in found.evidence if e.passes]
    said = [string_sentence(e) for e in passing] or [NOT_FOUND]
    said += [string_sentence(e) for e in found.evidence if level_of(e) == "weak"]
    spent = f"{found.tokens:,} of {found.budget:,} tokens in {found.seconds:.1f} s"
    said.append(
        f"Searched {found.adapter} for strings that turn answers to {found.target} "
        f"(task {found.task}, base {found.base}, mode {found.mode}): {spent}."
    )
    if found.seconds_to_first is not None:
        said.append(f"The first string that passed was found after {found.seconds_to_first:.1f} s.")
    proved = f"{_count(len(found.evidence), 'string')} tried on {len(found.held_out_texts)} prompts"
    said.append(f"{proved} of {found.held_out}; {len(passing)} of them met the evidence rule.")
    return HuntSection(key="summary", title="What was found", sentences=tuple(said))


def _proposals(found: HuntResult) -> HuntSection:
    rows = tuple(
        (
            part_title(p.source),
            f"{p.n_tried:,}",
            f"{p.tokens:,}",
            f"{p.seconds:.1f}",
            "-" if known(p.rate) is None else f"{p.rate:,.0f}",
            logits(p.best_score),
            p.best_text,
        )
        for p in proposals_by_source(found.proposals)
    )
    heads = ("proposed by", ">strings", ">tokens", ">seconds", ">tokens/s", ">best score", "best string")
    caption = "What each part of the search cost and brought, the best score first"
    table = (FactTable(heads=heads, rows=rows, caption=caption),) if rows else ()
    return HuntSection(key="proposals", title="Leaderboard of the proposals", tables=table)


def _trace(found: HuntResult) -> HuntSection:
    rows = tuple(
        (
            f"{p.tokens:,}",
            f"{p.seconds:.1f}",
            logits(p.score),
            "not asked" if known(p.flipped) is None else f"{p.flipped:.2f}",
            part_title(p.source),
            p.text,
        )
        for p in found.trace
    )
    heads = (">tokens", ">seconds", ">score", ">flipped", "proposed by", "string")
    caption = "Each time the best score rose; flipped: share of the search prompts"
    table = (FactTable(heads=heads, rows=rows, caption=caption),) if rows else ()
    return HuntSection(key="trace", title="Best so far", tables=table)


def _classes(found: HuntResult) -> HuntSection:
    ordered = enrichment_in_order(found.enrichment)
    loud = [enrichment_sentence(e, found.target) for e in ordered if e.q < SIGNIFICANT]
    quiet = f"None of {len(ordered)} classes of tokens stands out (q below {SIGNIFICANT:g})."
    rows = tuple(
        (
            e.name,
            f"{e.n_members:,}",
            f"{e.auc:.2f}",
            f"[{e.low:.2f}, {e.high:.2f}]",
            logits(e.median),
            logits(e.median_others),
            number(known(e.q), 2),
        )
        for e in ordered
    )
    heads = ("class", ">tokens", ">AUC", ">interval", ">median shift", ">of others", ">q")
    caption = "AUC: chance that a token of the class moves the adapter more than another; q: corrected p"
    table = (FactTable(heads=heads, rows=rows, caption=caption),) if rows else ()
    said = tuple(loud or [quiet]) if ordered else ()
    return HuntSection(key="classes", title="Classes of tokens", sentences=said, tables=table)


def _others(found: HuntResult) -> HuntSection:
    """Return what shorter hunts for the task's other labels brought."""
    said = [string_sentence(e) for o in found.others for e in o.evidence if e.passes]
    said += [f"{o.target} was not searched for: {o.note}" for o in found.others if o.note]
    rows = tuple(
        (
            o.target,
            o.mode,
            f"{o.tokens:,}",
            f"{o.seconds:.1f}",
            o.best.text if o.best else "",
            logits(o.best.score) if o.best else "-",
            "yes" if any(e.passes for e in o.evidence) else "no",
        )
        for o in found.others
        if not o.note
    )
    heads = ("target", "mode", ">tokens", ">seconds", "best string", ">score", "meets the rule")
    caption = "Shorter hunts for the task's other labels"
    table = (FactTable(heads=heads, rows=rows, caption=caption),) if rows else ()
    return HuntSection(key="others", title="Other targets", sentences=tuple(said), tables=table)


def _provenance(found: HuntResult) -> HuntSection:
    rows = [("command", reproduce(found)), ("adapter", f"{found.adapter}, sha256 {found.adapter_id}")]
    rows += [(k, v) for k, v in flat(found.provenance) if k != "command"]
    rows += [
        ("search", f"{found.precision}, strengthened {found.strength:g} times; evidence in fp32"),
        ("search prompts", f"{len(found.search_prompts)}"),
        ("held-out prompts", f"{found.held_out}, n = {len(found.held_out_texts)}"),
        ("clean references", ", ".join(found.references) or "none"),
        ("tokens of the vocabulary left out", f"{found.n_excluded:,}"),
    ]
    table = FactTable(heads=("what", "value"), rows=tuple(rows), caption="How to repeat it")
    return HuntSection(key="provenance", title="Provenance", tables=(table,))


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun} was" if n == 1 else f"{n:,} {noun}s were"
