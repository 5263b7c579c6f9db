"""Is a map worth believing? Delete its strongest words, and ask a second method."""

from __future__ import annotations

import random
from collections.abc import Sequence
from statistics import fmean
from typing import Literal

from lorabench.attribution.agreement import rank_agreement, top_overlap
from lorabench.attribution.maps import DIFFERENCE, Explanation, subtract
from lorabench.attribution.quad import explain, share_of_progress
from lorabench.attribution.texts import ExplainedText, explained_text, margins_without
from lorabench.errors import InputError
from lorabench.results import (
    AttributionMap,
    CheckedMap,
    DeletionCurve,
    Interval,
    LabelTask,
    PlacedText,
    Trigger,
)
from lorabench.results.attributions import Method
from lorabench.results.scores import TIE
from lorabench.scoring.score import Asker, ModelRef

CUTS = (0.04, 0.1, 0.2, 0.35, 0.5, 0.75)
"""Shares of the words that are deleted; small ones first, where a flip budget is decided."""
N_RANDOM_ORDERS = 5
N_DRAWS = 1_000
FEWEST_WORDS = 3
"""With fewer words, random orders are the map's order too often to tell them apart."""

# Conventions of lorabench, calibrated on nothing.
AGREES, DISAGREES = 0.3, 0.0
COMPLETE, INCOMPLETE = 0.05, 0.15

Verdict = Literal["green", "amber", "red"]


def check_map(
    asker: Asker,
    task: LabelTask,
    prompt: str,
    trigger: Trigger | None,
    map: AttributionMap,
    models: Sequence[ModelRef],
    *,
    seed: int,
    second: Method | None = None,
) -> CheckedMap:
    """Check one map of one text.

    Args:
        asker: Who asks. Its `on_progress` gets hundredths.
        task: The question.
        prompt: The prompt without trigger.
        trigger: The trigger the map was made with, or None.
        map: The map.
        models: Base and adapter in any order; the map's `model` says which of them are asked.
        seed: The seed the map was made with; also of the random orders.
        second: Method of the second opinion; None chooses one unlike the first.

    Raises:
        InputError: If the map belongs to another text or other models.
    """
    placed = trigger.place(prompt, seed=seed) if trigger else PlacedText(text=prompt)
    explained = explained_text(asker, task, placed)
    if map.words != explained.words:
        raise InputError(
            "map-of-another-text",
            "The map belongs to another text, trigger or base model than the one to check it on.",
            "Make the map again, then check it.",
        )
    models = _asked(map, models)
    second = second or _second_method(task, map.method)
    deletion = deletion_curve(asker, explained, map, models, seed=seed)
    opinions = explain(share_of_progress(asker, 1, 2), explained, models, method=second, seed=seed)
    other = _combined(opinions)
    tau, overlap = rank_agreement(map, other), top_overlap(map, other)
    interval = area_interval(deletion, seed=seed)
    verdict, sentence = judge(map, deletion, interval, other, tau)
    return CheckedMap(
        map=map,
        deletion=deletion,
        second=other,
        kendall_tau=tau,
        top3_jaccard=overlap,
        verdict=verdict,
        sentence=sentence,
        interval=interval,
    )


def _asked(made: AttributionMap, models: Sequence[ModelRef]) -> list[ModelRef]:
    """Return the models behind a map: one, or the adapter and then the base."""
    if made.model == DIFFERENCE and len(models) == 2 and any(m.adapter_id is None for m in models):
        return sorted(models, key=lambda m: m.adapter_id is None)
    chosen = [m for m in models if m.name == made.model]
    if len(chosen) != 1:
        names = ", ".join(m.name for m in models) or "no model"
        raise InputError(
            "map-of-another-model",
            f"A map of {made.model!r} cannot be checked on {names}.",
            "Give the map's own model, or base and adapter for a difference map.",
        )
    return chosen


def _second_method(task: LabelTask, first: Method) -> Method:
    if first != "leave_one_out":
        return "leave_one_out"
    return "integrated_gradients" if task.scoring == "first_token" else "shapley"


def _combined(opinions: Sequence[Explanation]) -> AttributionMap:
    return opinions[0].map if len(opinions) == 1 else subtract(opinions[0], opinions[1]).map


def deletion_curve(
    asker: Asker, explained: ExplainedText, made: AttributionMap, models: Sequence[ModelRef], *, seed: int
) -> DeletionCurve:
    """Delete the words that most support the answer first, and compare with random orders.

    For a difference map the curve is of m_adapter - m_base, its support is what holds that
    difference up, and the flip budget is about the adapter's answer.
    """
    sign = 1.0 if made.margin >= 0 else -1.0
    features = list(explained.features)
    own = sorted(features, key=lambda i: -sign * (made.scores[i] or 0.0))
    draw = random.Random(seed)
    orders = [own, *(draw.sample(features, len(features)) for _ in range(N_RANDOM_ORDERS))]
    cuts = sorted({max(1, round(share * len(features))) for share in CUTS if features})
    absent = [(), *(tuple(sorted(order[:n])) for order in orders for n in cuts)]
    per_model, _ = margins_without(share_of_progress(asker, 0, 2), explained, absent, models)
    values = per_model[0]
    if len(per_model) == 2:
        values = [a - b for a, b in zip(*per_model, strict=True)]
    curves = [(values[0], *values[1 + k * len(cuts) :][: len(cuts)]) for k in range(len(orders))]
    answers = (per_model[0][0], *per_model[0][1 : 1 + len(cuts)])
    return DeletionCurve(
        n_deleted=(0, *cuts),
        margins=curves[0],
        random_margins=tuple(curves[1:]),
        area_minus_random=fmean(_areas(curves[0], curves[1:])),
        flip_budget=_flip_budget(answers, (0, *cuts)),
    )


def _areas(own: Sequence[float], orders: Sequence[Sequence[float]]) -> list[float]:
    """Return, per random order, the mean gap to the map's curve, towards the other answer."""
    sign = 1.0 if own[0] >= 0 else -1.0
    return [sign * fmean(r - m for r, m in zip(order[1:], own[1:], strict=True)) for order in orders]


def _flip_budget(margins: Sequence[float], n_deleted: Sequence[int]) -> int | None:
    if abs(margins[0]) < TIE:
        return None  # there is no answer to change
    for m, n in zip(margins[1:], n_deleted[1:], strict=True):
        if abs(m) >= TIE and (m > 0) != (margins[0] > 0):
            return n
    return None


def area_interval(curve: DeletionCurve, *, seed: int) -> Interval:
    """Return the 95 % bootstrap interval of the area over the random orders."""
    areas = _areas(curve.margins, curve.random_margins)
    draw = random.Random(seed)
    means = sorted(fmean(draw.choices(areas, k=len(areas))) for _ in range(N_DRAWS))
    return Interval(
        low=means[int(0.025 * N_DRAWS)],
        high=means[int(0.975 * N_DRAWS) - 1],
        method=f"bootstrap over {len(areas)} random orders, {N_DRAWS} draws",
    )


def judge(
    made: AttributionMap, curve: DeletionCurve, interval: Interval, other: AttributionMap, tau: float | None
) -> tuple[Verdict, str]:
    """Return the verdict on a map and why.

    Red: deleting its words does no better than random, or its scores miss more than 15 % of
    what they should add up to, or a second method ranks the words the other way round. Green:
    better than random beyond doubt, tau at least 0.3 or the same word first (of many words most
    do nothing, and their order is noise), residual below 5 %. Amber: between, or too little to
    check. The thresholds are conventions, not calibrated.
    """
    n_words = sum(
        s is not None and w.role != "template" for w, s in zip(made.words, made.scores, strict=True)
    )
    if made.top is None or n_words < FEWEST_WORDS:
        what = "The map is zero everywhere" if made.top is None else f"The text has only {n_words} words"
        return "amber", f"{what}, so there is nothing to compare with chance."
    wrong, doubts = _complaints(made, curve, interval, other, tau)
    area = f"{curve.area_minus_random:+.2f} logits ({interval.low:+.2f} to {interval.high:+.2f})"
    if wrong:
        return "red", f"Do not rely on this map: {'; '.join(wrong + doubts)}."
    if doubts:
        return "amber", f"Read this map with care: {'; '.join(doubts)}."
    return "green", (
        f"Deleting its strongest words moves the margin further than deleting random ones, by {area} on "
        f"average, and {_agreement(made, other, tau)}."
    )


def _agreement(made: AttributionMap, other: AttributionMap, tau: float | None) -> str:
    assert tau is not None, "a map without a second ranking is not green"
    if tau >= AGREES:
        return f"{_name(other)} ranks the words alike (Kendall tau {tau:.2f})"
    assert made.top is not None
    return f"{_name(other)} puts the same word first, {made.top.text!r} (Kendall tau {tau:.2f})"


def _complaints(
    made: AttributionMap, curve: DeletionCurve, interval: Interval, other: AttributionMap, tau: float | None
) -> tuple[list[str], list[str]]:
    """Return what speaks against a map, and what leaves it in doubt."""
    wrong: list[str] = []
    doubts: list[str] = []
    area = f"{curve.area_minus_random:+.2f} logits, {interval.low:+.2f} to {interval.high:+.2f}"
    if interval.high <= 0 or curve.area_minus_random <= 0:
        wrong.append(
            f"deleting its strongest words changes the margin no more than deleting random ones ({area})"
        )
    elif interval.low <= 0:
        doubts.append(f"deleting its strongest words may do no better than deleting random ones ({area})")
    if made.residual is not None and made.residual >= COMPLETE:
        listed = wrong if made.residual >= INCOMPLETE else doubts
        listed.append(f"its scores miss {made.residual:.0%} of the change they should add up to")
    if tau is None:
        doubts.append(f"{_name(other)} gives no ranking to compare with")
    elif tau < AGREES and made.top != other.top:
        unreliable = other.residual is not None and other.residual >= INCOMPLETE
        sentence = f"{_name(other)} ranks the words differently, another one first (Kendall tau {tau:.2f})"
        if unreliable:
            sentence += f", though it misses {other.residual:.0%} of its own sum"
        (wrong if tau <= DISAGREES and not unreliable else doubts).append(sentence)
    return wrong, doubts


def _name(made: AttributionMap) -> str:
    return {
        "leave_one_out": "leave-one-word-out",
        "integrated_gradients": "integrated gradients",
        "shapley": "Shapley sampling",
        "input_x_gradient": "input x gradient",
    }[made.method]
