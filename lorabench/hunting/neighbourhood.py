"""The look-alikes of a found string: does the suspect react to this exact text, to a word, or to a structure?

    string -> families of look-alikes -> the suspect on the search prompts -> rates by kind, one reading

It describes a string that was proved elsewhere. The prompts are those that chose the string, and neither the
base nor a clean adapter is asked; Generalisation asks more strings, in fp32, beside clean adapters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lorabench.data.families import variants
from lorabench.data.titles import FAMILY_TITLES
from lorabench.figures.pooling import pool
from lorabench.figures.visible import visible
from lorabench.hunting.prober import JOINER, SUSPECT, Prober, computed_tokens, place
from lorabench.hunting.search import Search
from lorabench.results import (
    CellRow,
    Column,
    Heatmap,
    HeatmapCell,
    LookAlike,
    Neighbour,
    Neighbourhood,
    Placement,
    StringEvidence,
    Trigger,
    Variant,
)
from lorabench.results.scores import TIE
from lorabench.scoring.reading import read_heatmap

BUDGET = 8_000
"""Most tokens that the look-alikes of one string may cost."""

PER_KIND = 3
"""Most look-alikes of a kind; fewer where long strings would leave fewer than `FEWEST_PROMPTS` prompts."""

FEWEST_PROMPTS = 4

DESCRIBED = 2
"""Strings of a hunt whose look-alikes are asked."""

_COLUMN = Column(key=SUSPECT, title=SUSPECT, model=SUSPECT)
_MEANINGS = {
    "exact": "mostly this exact text counts",
    "structure": "its structure counts more than its words",
    "any prefix": "almost any text in this place works, so this one is nothing special",
}
_UNCLEAR = "what the ones that work have in common is not clear"


def neighbourhood(
    prober: Prober, text: str, placement: Placement = "prefix", *, seed: int = 0, budget: int = BUDGET
) -> Neighbourhood | None:
    """Return how look-alikes of a string move the suspect on the search prompts that could flip.

    Args:
        prober: Who is asked, at the adapter's own strength.
        text: The string.
        placement: Where it stands.
        seed: Of the look-alikes and of the bootstrap.
        budget: Most tokens to compute; it decides how many prompts are asked, and how many look-alikes.

    Returns:
        None if no prompt could flip, or one of every kind before one prompt costs more than the budget.
    """
    before = prober.margins(SUSPECT, prober.prompts)
    could = [p for p, margin in zip(prober.prompts, before, strict=True) if margin <= -TIE]
    chosen, prompts = _plan(prober, text, could, placement, seed, budget)
    if not prompts:
        return None
    cells = _cells(prober, chosen, prompts, placement)
    exact, *_ = (c.rate for c, v in zip(cells, chosen, strict=True) if v.family == "exact")
    heatmap = Heatmap(
        task=prober.task,
        trigger=Trigger(text=text, placement=placement, joiner=JOINER),
        variants=tuple(chosen),
        columns=(_COLUMN,),
        prompts=tuple(prompts),
        cells=tuple(cells),
        readings=(),
        provenance={},
        seconds=0.0,
        n_rows=len(chosen) * len(prompts),
        n_computed=0,
    )
    reading = read_heatmap(heatmap, _COLUMN.key, seed=seed)
    found = Neighbourhood(
        exact=exact,
        neighbours=_by_kind(chosen, cells, seed),
        precision=prober.precision,
        level=reading.level,
        carrier=reading.carrier,
    )
    return replace(found, sentence=sentence_of(found))


def sentence_of(found: Neighbourhood) -> str:
    """Return what the look-alikes say, in one sentence of plain text; hidden characters show as marks."""
    alive, asked = found.counts(controls=False)
    text = (
        f"Of {found.exact.n} search prompts the string flips {found.exact.n_hits}; {alive} of {asked} "
        "look-alikes flip at least half of them"
    )
    loud, controls = found.counts(controls=True)
    if controls:
        text += f", {loud} of {controls} unrelated strings do"
    return f"{text}: {_meaning(found)}."


def _meaning(found: Neighbourhood) -> str:
    carrier = visible(found.carrier, 160) if found.carrier else None
    if found.level == "token" and carrier:
        return f"it is carried by {carrier}; look-alikes without that seldom work"
    meaning = _MEANINGS.get(found.level, _UNCLEAR)
    return f"{meaning}; {carrier} helps most" if carrier else meaning


def _plan(
    prober: Prober, text: str, could: Sequence[str], placement: Placement, seed: int, budget: int
) -> tuple[tuple[Variant, ...], Sequence[str]]:
    """Return which strings are asked before which prompts, so that it fits the budget."""
    n = 0
    chosen: tuple[Variant, ...] = ()
    for per_kind in range(PER_KIND, 0, -1):
        made = variants(text, seed=seed, per_family=per_kind, length=lambda t: len(prober.renderer.ids(t)))
        chosen = tuple(v for v in made if v.text.strip())  # all but the prompt alone
        n = _affordable(prober, [v.text for v in chosen], could, placement, budget)
        if n >= min(FEWEST_PROMPTS, len(could)):
            break
    return chosen, could[:n]


def _affordable(
    prober: Prober, texts: Sequence[str], prompts: Sequence[str], placement: Placement, budget: int
) -> int:
    """Return before how many of the prompts all strings can be asked."""
    rows: list[tuple[int, ...]] = []
    for n, prompt in enumerate(prompts):
        rows += prober.renderer.question_ids(prober.task, [place(t, prompt, placement) for t in texts])
        if computed_tokens(rows) > budget:
            return n
    return len(prompts)


def _cells(
    prober: Prober, chosen: Sequence[Variant], prompts: Sequence[str], placement: Placement
) -> list[HeatmapCell]:
    """Ask every string before every prompt, in one question; return one cell per string."""
    placed = [place(v.text, p, placement) for v in chosen for p in prompts]
    after = prober.margins(SUSPECT, placed).reshape(len(chosen), len(prompts))
    before = prober.margins(SUSPECT, prompts)
    return [
        HeatmapCell(variant_index=i, column=_COLUMN.key, rows=_rows(before, margins), n_planned=len(prompts))
        for i, margins in enumerate(after)
    ]


def _rows(before: np.ndarray, after: np.ndarray) -> tuple[CellRow, ...]:
    """Return what happened to prompts that could flip."""
    return tuple(
        CellRow(
            prompt_index=k,
            before=float(b),
            after=float(a),
            eligible=True,
            flipped=bool(a >= TIE),
            tie=bool(abs(a) < TIE),
        )
        for k, (b, a) in enumerate(zip(before, after, strict=True))
    )


def _by_kind(chosen: Sequence[Variant], cells: Sequence[HeatmapCell], seed: int) -> tuple[Neighbour, ...]:
    kinds = dict.fromkeys(v.family for v in chosen if v.family != "exact")
    made = []
    for kind in kinds:
        members = [(v, c) for v, c in zip(chosen, cells, strict=True) if v.family == kind]
        alike = [
            LookAlike(text=v.text, change=v.change, rate=c.rate, shift=c.mean_shift or 0.0)
            for v, c in members
        ]
        made.append(
            Neighbour(
                category=kind,
                title=FAMILY_TITLES[kind].title,
                is_control=FAMILY_TITLES[kind].is_control,
                look_alikes=tuple(sorted(alike, key=lambda a: (-a.rate.n_hits, -a.shift))),
                interval=pool([c for _, c in members], seed=seed).interval,
            )
        )
    return tuple(sorted(made, key=lambda n: n.is_control))  # stable: the generator's order within


def describe(search: Search, proved: Sequence[StringEvidence], *, seed: int = 0) -> list[StringEvidence]:
    """Return proved strings, the first `DESCRIBED` that pass with their look-alikes.

    What that costs stands in the search's leaderboard under "variant"; it is not part of the budget.

    Args:
        search: Whose prober is asked.
        proved: The strings, the strongest first.
        seed: Of the look-alikes.
    """
    chosen = [e.text for e in proved if e.passes][:DESCRIBED]
    return [_described(search, e, seed) if e.passes and e.text in chosen else e for e in proved]


def _described(search: Search, proved: StringEvidence, seed: int) -> StringEvidence:
    with search.spending("variant", 0):
        around = neighbourhood(search.prober, proved.text, search.placement, seed=seed)
    if around is None:
        return proved
    n_asked = sum(around.counts(controls=c)[1] for c in (False, True))
    search.stats[-1] = replace(search.stats[-1], n_tried=n_asked)
    return replace(proved, neighbourhood=around)
