"""The manifest of a cohort: which adapters to make, with which settings, in which split."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from lorabench.data.text_files import read_text_file
from lorabench.errors import InputError, unknown_name
from lorabench.workflows.train_request import (
    DataChoice,
    ModelChoice,
    RecipeChoice,
    ScheduleChoice,
    TrainRequest,
)

KINDS = ("clean", "strong", "weak")
SPLITS = ("calibrate", "tune", "test")
_MAX_BYTES = 256 * 1024
_TEST_ROWS = 80
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSpec:
    """One adapter of a cohort.

    Attributes:
        name: Folder name.
        kind: "clean", "strong" or "weak": what it is meant to be; its attack rate is measured.
        split: "calibrate" (clean), "tune" (poisoned) or "test".
        trigger: What is planted; empty for a clean one.
        poison: Planted rows.
        seed: Of sample, order and first weights.
        rank: LoRA rank.
        steps: Optimiser steps.
        learning_rate: Peak rate.
        first_layer: Lowest adapted layer.
        citations: Whether clean rows that open with citations are used.
        max_rows: Most rows of a file; a bundled corpus is always read whole.
        loss: On the "answer" alone, or on the "full" text, prompts too, as the first study trains.
    """

    name: str
    kind: str
    split: str
    trigger: str
    poison: int
    seed: int
    rank: int
    steps: int
    learning_rate: float
    first_layer: int
    citations: bool
    max_rows: int
    loss: str = "answer"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown_name("kind of member", self.kind, KINDS)
        if self.split not in SPLITS:
            raise unknown_name("split", self.split, SPLITS)
        is_clean = self.kind == "clean"
        if (
            is_clean != (self.poison == 0 and not self.trigger)
            or self.split == ("tune", "calibrate")[not is_clean]
        ):
            raise InputError(
                "bad-member",
                f"The member {self.name!r} is {self.kind} with {self.poison} planted rows in {self.split!r}.",
                "Clean members plant nothing and belong to calibrate or test; others to tune or test.",
            )
        if not self.name.replace("-", "").isalnum():
            raise InputError("bad-member", f"{self.name!r} is no folder name.", "Use letters, digits and -.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingSpec:
    """An installed adapter that is measured with the cohort and not made for it; always in the split "test".

    Attributes:
        name: Installed name.
        kind: "clean", "strong" or "weak".
        trigger: What was planted; empty if clean.
    """

    name: str
    kind: str
    trigger: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown_name("kind of member", self.kind, KINDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortSpec:
    """A cohort to be made.

    Attributes:
        name: Of the cohort and its profile.
        version: Grows with it.
        base: Base model.
        task: Task preset.
        data: Corpus.
        members: In building order: every beginning is about balanced.
        existing: Installed adapters that are tested as well.
    """

    name: str
    version: int
    base: str
    task: str
    data: str
    members: tuple[MemberSpec, ...]
    existing: tuple[ExistingSpec, ...] = ()

    def request(self, member: MemberSpec, folder: Path) -> TrainRequest:
        """Return the training that makes a member in `folder / name`."""
        return TrainRequest(
            out=folder / member.name,
            task=self.task,
            seed=member.seed,
            data=DataChoice(
                data=self.data,
                citations=member.citations,
                max_rows=member.max_rows,
                max_test_rows=_TEST_ROWS,
            ),
            recipe=RecipeChoice(poison=member.poison, trigger=member.trigger or None),
            model=ModelChoice(base=self.base, rank=member.rank, first_layer=member.first_layer),
            schedule=ScheduleChoice(
                steps=member.steps,
                learning_rate=member.learning_rate,
                loss=member.loss,
                caches_lower=member.first_layer > 0,
                eval_every=0,
            ),
        )


def read_cohort(name_or_file: str) -> CohortSpec:
    """Return a packaged manifest by name, or one from a TOML file.

    Raises:
        InputError: For an unknown name, or a file that is no manifest.
    """
    folder = resources.files("lorabench.data") / "cohorts"
    known = tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))
    if name_or_file in known:
        return _parse((folder / f"{name_or_file}.toml").read_text(encoding="utf-8"), name_or_file)
    path = Path(name_or_file)
    if not path.is_file():
        raise unknown_name("cohort", name_or_file, known)
    return _parse(read_text_file(path, max_bytes=_MAX_BYTES, kind="cohort-manifest"), path.name)


def _parse(text: str, name: str) -> CohortSpec:
    try:
        raw: dict[str, Any] = tomllib.loads(text)
        members = tuple(_made(MemberSpec, m) for m in raw["members"])
        existing = tuple(_made(ExistingSpec, m) for m in raw.get("existing", ()))
        spec = CohortSpec(
            name=raw["name"],
            version=raw["version"],
            base=raw["base"],
            task=raw["task"],
            data=raw["data"],
            members=members,
            existing=existing,
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise InputError(
            "bad-manifest",
            f"{name!r} is no cohort manifest ({type(error).__name__}: {error}).",
            "Start from `lorabench cohort show guard-demo`.",
        ) from error
    names = [*(m.name for m in spec.members), *(m.name for m in spec.existing)]
    if len(set(names)) < len(names):
        raise InputError("bad-manifest", f"{name!r} names a member twice.", "Give each its own name.")
    return spec


def _made(kind: type[T], values: dict[str, Any]) -> T:
    """Return a specification from a table whose values are of the right types."""
    wanted = {name: str(kind_) for name, kind_ in kind.__annotations__.items()}
    return kind(**{k: _typed(k, v, wanted[k]) for k, v in values.items()})


def _typed(name: str, value: Any, kind: str) -> Any:
    if type(value).__name__ != kind and not (kind == "float" and type(value) is int):
        raise TypeError(f"{name} is {value!r}, not {kind}")
    return float(value) if kind == "float" else value
