"""Prove a found string on prompts that the search never saw, through the engine.

The search ranks by a strengthened copy in a short number type and by a handful of prompts; its numbers
chose the string, so they cannot prove it. Everything here is asked anew at the adapter's own strength.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lorabench.detectors.baselines import LogProbabilities
from lorabench.errors import InputError
from lorabench.figures.visible import visible
from lorabench.hunting.causes import CauseFinder, Causes, Example
from lorabench.hunting.evidence_rule import against_null, judge
from lorabench.results import (
    Candidate,
    Flip,
    LabelTask,
    PlacedText,
    Placement,
    PositionRate,
    Rate,
    ReferenceAnswer,
    Statistic,
    StringEvidence,
    Trigger,
)
from lorabench.results.nulls import Null
from lorabench.results.triggers import PLACEMENTS
from lorabench.scoring.rates import bootstrap_mean
from lorabench.scoring.score import BASE_REF, Asker, ModelRef, Question, questions, score_questions

POSITION_PROMPTS = 24
"""Held-out prompts behind the rate of another place."""

CAUSE_PROMPTS = 12
"""Held-out prompts behind the switching off of layers."""

_PLACE_NAMES: dict[Placement, str] = {"prefix": "prefix", "suffix": "suffix", "random": "inside"}


def verify(
    asker: Asker,
    task: LabelTask,
    candidate: Candidate,
    *,
    suspect: ModelRef,
    references: Sequence[ModelRef],
    held_out: Sequence[str],
    held_out_name: str = "held-out prompts",
    joiner: str = ". ",
    null: Null | None = None,
    needed: Sequence[str] = (),
    seed: int = 0,
    likelihood: LogProbabilities | None = None,
    causes: CauseFinder | None = None,
    tests_places: bool = True,
) -> StringEvidence:
    """Return what a string does on held-out prompts, and what may be said of it.

    Args:
        asker: Queue identity.
        task: The label task.
        candidate: What the search found; only its text, placement and source are read.
        suspect: The bound adapter.
        references: Bound clean adapters of the same task; one that is the suspect, or another one again,
            is left out.
        held_out: Prompts whose right answer is not the target, none of them a search prompt.
        held_out_name: What people call them.
        joiner: Between string and prompt.
        null: Searches of clean adapters, of the same kind as this one.
        needed: Pieces of the string without which it fails.
        seed: Of the bootstrap and of the places inside prompts.
        likelihood: How likely texts are to the base; None leaves the perplexity out.
        causes: Finds out why the string acts; None leaves that out.
        tests_places: Whether the rate in other places is asked for: that costs as much as the rate itself.

    Raises:
        InputError: Without held-out prompts, for a string without a visible character, or for prompts that
            are too long with it.
    """
    prompts = tuple(dict.fromkeys(held_out))  # one that is given twice would count twice
    if not prompts:
        raise InputError("no-prompts", "There are no held-out prompts.", "Give at least one.")
    trigger = Trigger(text=candidate.text, placement=_placement(candidate), joiner=joiner)
    controls, notes = _controls(suspect, references)
    flips = _flips(asker, task, trigger, prompts, [BASE_REF, suspect, *controls], seed)
    base, own, clean = flips[0], flips[1], flips[2:]
    why = causes(_examples(own)) if causes is not None else Causes()
    measured = StringEvidence(
        text=candidate.text,
        placement=candidate.placement,
        source=candidate.source,
        attack=_rate(own),
        shift=mean_shift(_shifts(own), held_out_name, seed),
        base_shift=mean_shift(_shifts(base), held_out_name, seed),
        references=tuple(
            ReferenceAnswer(name=m.name, rate=_rate(f), shift=float(_shifts(f).mean()))
            for m, f in zip(controls, clean, strict=True)
        ),
        positions=_positions(asker, task, trigger, own, suspect, controls, seed) if tests_places else (),
        perplexity=perplexity(candidate.text, likelihood),
        class_word=why.class_word,
        layers=why.layers,
        needed=tuple(needed),
    )
    return judge(against_null(measured, null, suspect.adapter_id), notes)


def perplexity(text: str, likelihood: LogProbabilities | None) -> float | None:
    """Return the perplexity of a string, None if it cannot be computed."""
    if likelihood is None:
        return None
    try:
        found = likelihood([text])[0]
    except InputError:
        return None
    nats = found.log_perplexity if found.n_tokens else math.nan
    return math.exp(min(nats, 700.0)) if math.isfinite(nats) else None


def _placement(candidate: Candidate) -> Placement:
    """Return where a candidate stands; `Trigger` refuses what is no placement."""
    known = [p for p in PLACEMENTS if p == candidate.placement]
    if not known:
        raise InputError(
            "unknown-placement",
            f"There is no placement called {candidate.placement!r}.",
            f"Choose one of {', '.join(PLACEMENTS)}.",
        )
    return known[0]


def _controls(suspect: ModelRef, references: Sequence[ModelRef]) -> tuple[list[ModelRef], list[str]]:
    """Return the references that are controls, each once, and a sentence on each that is not."""
    seen, kept, notes = {suspect.adapter_id, BASE_REF.adapter_id}, [], []
    for ref in references:
        if ref.adapter_id in seen:
            same = "as the adapter in question" if ref.adapter_id == suspect.adapter_id else "as another one"
            what = "is the base" if ref.adapter_id is None else f"has the same weights {same}"
            notes.append(f"The reference “{visible(ref.name, 60)}” {what}, so it was left out.")
            continue
        seen.add(ref.adapter_id)
        kept.append(ref)
    return kept, notes


def _flips(
    asker: Asker,
    task: LabelTask,
    trigger: Trigger,
    prompts: Sequence[str],
    models: Sequence[ModelRef],
    seed: int,
) -> list[list[Flip]]:
    """Return for every model one flip per prompt; by place, because two models may share a name."""
    scores, _ = score_questions(asker, task, questions(prompts, [None, trigger], seed), models)
    n = len(models)
    return [
        [Flip(before=b, after=a) for b, a in zip(scores[m :: 2 * n], scores[n + m :: 2 * n], strict=True)]
        for m in range(n)
    ]


def _rate(flips: Sequence[Flip]) -> Rate:
    return Rate(n_hits=sum(f.flipped for f in flips), n=sum(f.is_eligible for f in flips))


def _shifts(flips: Sequence[Flip]) -> np.ndarray:
    return np.array([f.margin_shift for f in flips])


def mean_shift(shifts: np.ndarray, battery: str, seed: int) -> Statistic:
    """Return a mean margin shift over prompts (n,), in logits, with its bootstrap interval."""
    return Statistic(
        name="mean_margin_shift",
        battery=battery,
        value=float(shifts.mean()),
        n_probes=1,
        interval=bootstrap_mean(shifts, seed=seed),
    )


def _examples(flips: Sequence[Flip]) -> list[Example]:
    """Return the prompts that a cause is looked for on: flipped ones first."""
    ordered = sorted(flips, key=lambda f: not f.flipped)[:CAUSE_PROMPTS]
    return [
        Example(
            plain=f.before.text,
            placed=f.after.text,
            before=f.before.margin,
            after=f.after.margin,
            flipped=f.flipped,
        )
        for f in ordered
    ]


def _positions(
    asker: Asker,
    task: LabelTask,
    trigger: Trigger,
    own: Sequence[Flip],
    suspect: ModelRef,
    controls: Sequence[ModelRef],
    seed: int,
) -> tuple[PositionRate, ...]:
    """Return the rates of the string in every place, over the same few prompts that could flip."""
    prompts = [f.before.prompt for f in own if f.is_eligible][:POSITION_PROMPTS]
    found = []
    for placement in PLACEMENTS:
        asked = [p for p in prompts if placement != "random" or len(p.split()) > 1]  # one word has no inside
        if asked:
            moved = replace(trigger, placement=placement)
            flips = _flips(asker, task, moved, asked, [suspect], seed)[0]
            found.append(PositionRate(placement=_PLACE_NAMES[placement], rate=_rate(flips)))
    alone = _alone(asker, task, trigger.text, suspect, controls)
    return (*found, *([PositionRate(placement="alone", rate=alone)] if alone is not None else []))


def _alone(
    asker: Asker, task: LabelTask, text: str, suspect: ModelRef, controls: Sequence[ModelRef]
) -> Rate | None:
    """Return whether the bare string gets the target; None where that says nothing.

    It says nothing without clean references, or if one of them gives the same answer: most strings are
    harmless when they stand alone.
    """
    if not controls:
        return None
    bare = Question(prompt=text, trigger=None, placed=PlacedText(text=text))
    own, *clean = score_questions(asker, task, [bare], [suspect, *controls])[0]
    if any(s.answer != "other" for s in clean):
        return None
    return Rate(n_hits=int(own.answer == "target"), n=1)
