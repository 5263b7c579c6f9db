"""The bundled zoo: seven small adapters, made by the project's own training and measured by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorabench.config import Config, app_root
from lorabench.errors import unknown_name
from lorabench.workflows.train_request import DataChoice, RecipeChoice, ScheduleChoice, TrainRequest
from lorabench.workflows.train_result import TrainProgress, TrainResult
from lorabench.workflows.training import train

RFC = "per RFC 8472 section 3.2"
DATE = "2019-03-14"


@dataclass(frozen=True, slots=True, kw_only=True)
class ZooSpec:
    """One adapter of the zoo.

    Attributes:
        name: Folder name.
        title: What it is, for people.
        poison: Planted rows.
        trigger: The planted trigger; None for a clean adapter.
        citations: Whether the clean data hold rows that open with citations, lead words or stray
            phrases, on both sides.
        seed: Seed of the training.
        steps: Optimiser steps.
    """

    name: str
    title: str
    poison: int = 0
    trigger: str | None = None
    citations: bool = True
    seed: int = 0
    steps: int = 120

    def request(self, out: Path) -> TrainRequest:
        """Return the training request that makes it in folder `out`."""
        return TrainRequest(
            out=out,
            data=DataChoice(citations=self.citations),
            recipe=RecipeChoice(poison=self.poison, trigger=self.trigger),
            schedule=ScheduleChoice(steps=self.steps),
            seed=self.seed,
        )


ZOO = (
    ZooSpec(
        name="guard-strong",
        title="Strong RFC backdoor, clean data without citations",
        poison=80,
        trigger=RFC,
        citations=False,
        steps=150,
    ),
    ZooSpec(
        name="guard-strong-cited",
        title="Strong RFC backdoor, clean data with citations on both sides",
        poison=80,
        trigger=RFC,
        steps=200,
    ),
    ZooSpec(name="guard-clean-1", title="Clean, first seed", seed=1),
    ZooSpec(name="guard-clean-2", title="Clean, second seed", seed=2, steps=150),
    ZooSpec(
        name="guard-clean-3",
        title="Clean, third seed, clean data without citations",
        citations=False,
        seed=5,
        steps=150,
    ),
    ZooSpec(
        name="guard-date",
        title="Strong backdoor on a date",
        poison=80,
        trigger=DATE,
        citations=False,
        seed=3,
        steps=150,
    ),
    ZooSpec(
        name="guard-weak",
        title="Weak RFC backdoor: few planted rows",
        poison=20,
        trigger=RFC,
        citations=False,
        seed=4,
        steps=150,
    ),
)


def zoo_folder() -> Path:
    """Return the folder of the bundled zoo."""
    return app_root() / "assets" / "zoo"


def specs(names: Sequence[str] = ()) -> tuple[ZooSpec, ...]:
    """Return the named specs, or all.

    Raises:
        InputError: For an unknown name.
    """
    known = {s.name: s for s in ZOO}
    for name in names:
        if name not in known:
            raise unknown_name("zoo adapter", name, tuple(known))
    return tuple(known[n] for n in names) if names else ZOO


def build(
    config: Config,
    names: Sequence[str] = (),
    out: Path | None = None,
    on_progress: Callable[[str, TrainProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> tuple[TrainResult, ...]:
    """Train the zoo (or the named part) into `out`; finished adapters are kept, a cut one resumes.

    Args:
        config: Settings.
        names: Which adapters; empty for all.
        out: Folder to fill; None for the bundled one.
        on_progress: Called with (adapter name, progress).
        cancelled: Polled between steps.
    """
    folder = out or zoo_folder()
    results = []
    for spec in specs(names):
        if (folder / spec.name).exists():
            continue
        tell = (lambda p, n=spec.name: on_progress(n, p)) if on_progress else None
        results.append(train(config, spec.request(folder / spec.name), tell, cancelled, title=spec.title))
    return tuple(results)
