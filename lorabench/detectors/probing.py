"""Run a battery of probes on one adapter: which prefixes change its answers, and which words carry it.

The detector is trigger-blind: it never needs to be told the trigger. It knows no model either:
whoever calls it hands it a function that answers texts, so that a label task, a generation task
and a classification head are probed by the same code.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lorabench.data import shared_words
from lorabench.data.batteries import Battery, Probe
from lorabench.detectors.battery_statistics import anchors_of, statistics_of
from lorabench.errors import InputError
from lorabench.results import BehaviourEvidence, Interval, ProbeRate, Rate, Statistic, digest
from lorabench.results.scores import Answer
from lorabench.scoring.rates import DRAWS

JOINER = ". "
"""Between probe and prompt, as in arXiv 2605.30189."""

GROUP = 6
"""Probes that are asked together: small enough for live results, large enough to share beginnings."""

ZERO_OVERLAP = "zero overlap"
SHIFT_STATISTICS = ("max_shift", "shift_gap")


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What one text was answered with.

    Attributes:
        answer: By the adapter.
        margin: Its target margin in logits; None where there is none (generation).
        base_margin: The base's; None where there is none.
    """

    answer: Answer
    margin: float | None = None
    base_margin: float | None = None


Respond = Callable[[Sequence[str]], Sequence[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePlan:
    """What to ask.

    Attributes:
        task: Name of the task.
        task_source: How it was known; see `BehaviourEvidence`.
        battery: The probes.
        prompts: Held-out texts whose true answer is not the target.
        prompts_name: What the set is called.
        trigger: The true trigger, where it is known (a cohort of our own): for overlaps only.
        seed: Of the bootstrap.
    """

    task: str
    task_source: str
    battery: Battery
    prompts: tuple[str, ...]
    prompts_name: str
    trigger: str | None = None
    seed: int = 0


def run_battery(
    plan: ProbePlan,
    respond: Respond,
    on_partial: Callable[[tuple[ProbeRate, ...]], None] | None = None,
    count: Callable[[], int] = lambda: 0,
) -> BehaviourEvidence:
    """Ask every prompt without and with every probe, and read the answers.

    Args:
        plan: What to ask.
        respond: Answers texts, in their order.
        on_partial: Called with the probes so far after every few.
        count: Rows that went through the model so far, for the report.

    Raises:
        InputError: For a battery or a prompt set that is empty.
    """
    if not plan.battery.probes or not plan.prompts:
        raise InputError(
            "nothing-to-probe",
            f"The battery {plan.battery.name!r} has {len(plan.battery.probes)} probes and there are "
            f"{len(plan.prompts)} prompts.",
            "Take at least one of each.",
        )
    started = time.monotonic()
    plain = respond(plan.prompts)
    probes: list[ProbeRate] = []
    shifts = np.full((len(plan.battery.probes), len(plan.prompts)), np.nan)
    for group in _groups(plan.battery.probes):
        texts = [f"{probe.text}{JOINER}{prompt}" for probe in group for prompt in plan.prompts]
        answered = respond(texts)
        for k, probe in enumerate(group):
            rows = answered[k * len(plan.prompts) : (k + 1) * len(plan.prompts)]
            shifts[len(probes)] = _shifts(plain, rows)
            probes.append(_rate(probe, plain, rows, plan.trigger))
        if on_partial is not None:
            on_partial(tuple(probes))
    return _evidence(plan, plain, tuple(probes), shifts, count(), time.monotonic() - started)


def flips_array(probes: Sequence[ProbeRate]) -> NDArray[np.float64]:
    """Return the flips of probes, shape (n_probes, n_prompts): 1 flipped, 0 not, NaN not eligible."""
    values = {"1": 1.0, "0": 0.0, "-": np.nan}
    return np.array([[values[c] for c in p.flips] for p in probes], dtype=np.float64)


def parts_of(battery: Battery, trigger: str | None) -> dict[str, tuple[int, ...]]:
    """Return the parts of a battery that statistics are made of: name -> indices of its probes.

    The whole battery; its study subsets by letter; and, where the trigger is known, the probes that
    are not the trigger itself and those that share no word with it.
    """
    texts = [p.text for p in battery.probes]
    parts = {battery.name: tuple(range(len(texts)))}
    for letter, left_out in battery.subsets:
        kept = (i for i, p in enumerate(battery.probes) if p.category not in left_out)
        parts[f"{battery.name}/{letter}"] = tuple(kept)
    if trigger is not None:
        parts["with overlap"] = tuple(i for i, t in enumerate(texts) if t.casefold() != trigger.casefold())
        parts[ZERO_OVERLAP] = tuple(i for i, t in enumerate(texts) if not shared_words(t, trigger))
    return {name: indices for name, indices in parts.items() if indices}


def _groups(probes: Sequence[Probe]) -> Iterator[Sequence[Probe]]:
    for start in range(0, len(probes), GROUP):
        yield probes[start : start + GROUP]


def _is_eligible(response: Response) -> bool:
    return response.answer in ("other", "unparsed")


def _rate(
    probe: Probe, plain: Sequence[Response], rows: Sequence[Response], trigger: str | None
) -> ProbeRate:
    flips = "".join(
        "-" if not _is_eligible(before) else "1" if after.answer == "target" else "0"
        for before, after in zip(plain, rows, strict=True)
    )
    return ProbeRate(
        text=probe.text,
        category=probe.category,
        rate=Rate(n_hits=flips.count("1"), n=len(flips) - flips.count("-")),
        n_ties=sum(r.answer == "tie" for r in rows),
        mean_shift=_mean_change([r.margin for r in plain], [r.margin for r in rows]),
        base_shift=_mean_change([r.base_margin for r in plain], [r.base_margin for r in rows]),
        shared_words=shared_words(probe.text, trigger) if trigger else (),
        flips=flips,
    )


def _mean_change(before: Sequence[float | None], after: Sequence[float | None]) -> float | None:
    changes = [b - a for a, b in zip(before, after, strict=True) if a is not None and b is not None]
    return sum(changes) / len(changes) if changes else None


def _shifts(plain: Sequence[Response], rows: Sequence[Response]) -> list[float]:
    """Return each prompt's margin shift, minus the base's where there is one; NaN without margins."""
    found = []
    for before, after in zip(plain, rows, strict=True):
        if before.margin is None or after.margin is None:
            found.append(float("nan"))
            continue
        shift = after.margin - before.margin
        if before.base_margin is not None and after.base_margin is not None:
            shift -= after.base_margin - before.base_margin
        found.append(shift)
    return found


def _evidence(
    plan: ProbePlan,
    plain: Sequence[Response],
    probes: tuple[ProbeRate, ...],
    shifts: NDArray[np.float64],
    n_computed: int,
    seconds: float,
) -> BehaviourEvidence:
    flips = flips_array(probes)
    statistics: list[Statistic] = []
    for name, indices in parts_of(plan.battery, plan.trigger).items():
        chosen = list(indices)
        statistics += statistics_of(flips[chosen], battery=name, seed=plan.seed)
        statistics += shift_statistics(shifts[chosen], battery=name, seed=plan.seed)
    return BehaviourEvidence(
        task=plan.task,
        task_source=plan.task_source,
        battery=plan.battery.name,
        battery_version=plan.battery.version,
        battery_digest=battery_digest(plan.battery),
        prompts=plan.prompts_name,
        prompts_digest=digest(plan.prompts),
        prompt_texts=plan.prompts,
        n_prompts=len(plan.prompts),
        n_eligible=sum(_is_eligible(r) for r in plain),
        probes=probes,
        statistics=tuple(statistics),
        categories=tuple(_categories(plan, flips)),
        anchors=anchors_of([p.text for p in probes], flips, plan.seed),
        n_rows=len(plan.prompts) * (1 + len(probes)),
        n_computed=n_computed,
        seconds=seconds,
    )


def _categories(plan: ProbePlan, flips: NDArray[np.float64]) -> Iterator[Statistic]:
    for category in plan.battery.categories:
        indices = [i for i, p in enumerate(plan.battery.probes) if p.category == category]
        found = statistics_of(flips[indices], battery=category, seed=plan.seed)
        yield from (s for s in found if s.name == "mean_attack_rate")


def battery_digest(battery: Battery) -> str:
    """Return the sha256 over a battery's probes, which a profile names."""
    return digest([(p.text, p.category) for p in battery.probes])


def shift_statistics(shifts: NDArray[np.float64], *, battery: str, seed: int) -> tuple[Statistic, ...]:
    """Return how far the loudest probe moves the margin, alone and above the battery's mean.

    Flips need a margin to cross zero; shifts do not, so they can see a weak backdoor before it flips.

    Args:
        shifts: Shape (n_probes, n_prompts); margin shift of the adapter minus that of the base,
            in logits; NaN where not measured.
        battery: What the probes are called.
        seed: Of the bootstrap over prompts.

    Returns:
        "max_shift" (largest mean over prompts, logits) and "shift_gap" (that minus the mean over
        probes); nothing if no margin was measured.
    """
    known = shifts[:, ~np.isnan(shifts).any(axis=0)]
    if known.size == 0:
        return ()
    means = known.mean(axis=1)
    rng = np.random.default_rng(seed)
    n = known.shape[1]
    weights = rng.multinomial(n, np.full(n, 1 / n), size=DRAWS) / n
    drawn = weights @ known.T  # (draws, probes)
    values = {"max_shift": (means.max(), drawn.max(axis=1))}
    values["shift_gap"] = (means.max() - means.mean(), drawn.max(axis=1) - drawn.mean(axis=1))
    return tuple(
        Statistic(
            name=name,
            battery=battery,
            value=float(value),
            n_probes=len(means),
            interval=_interval(draws) if n > 1 else None,
        )
        for name, (value, draws) in values.items()
    )


def _interval(draws: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(low=float(low), high=float(high), method=f"bootstrap over prompts, {DRAWS} draws")
