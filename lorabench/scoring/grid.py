"""What a generalisation heatmap asks: variants x models or placements x prompts, as rows of one request.

The whole grid goes to the engine at once, so that the token trie sees everything that is
shared: the template, the trigger, the prompt, as far as the text allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lorabench.errors import CancelledError, InputError
from lorabench.models.rendering import Rendered
from lorabench.models.rows import TokenRow
from lorabench.results import BASE, Column, LabelTask, PlacedText, Task, Trigger, Variant
from lorabench.scoring.score import (
    BASE_REF,
    Asker,
    ModelRef,
    Question,
    render_checked,
    rows_per_question,
    token_rows,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GridPlan:
    """What a heatmap will hold.

    Attributes:
        task: The question.
        trigger: The trigger behind the variants.
        variants: Rows.
        columns: Columns; those that differ only in `prompt_index` share their scores.
        prompts: Prompts whose true label is not the target.
        models: Models by name, for every column's `model`.
        seed: Seed of random placements.
    """

    task: Task
    trigger: Trigger
    variants: tuple[Variant, ...]
    columns: tuple[Column, ...]
    prompts: tuple[str, ...]
    models: dict[str, ModelRef]
    seed: int

    @property
    def blocks(self) -> list[tuple[str, str]]:
        """Distinct (model, placement) pairs, in column order: what is scored per variant."""
        return list(dict.fromkeys((c.model, c.placement) for c in self.columns))

    @property
    def n_rows(self) -> int:
        """Rows to score: every prompt once without trigger per model, then per variant and block."""
        plain = len({model for model, _ in self.blocks})
        return len(self.prompts) * (plain + len(self.blocks) * len(self.variants))


def columns_for(
    kind: str, models: Sequence[tuple[str, str]], placement: str, prompts: Sequence[str]
) -> tuple[Column, ...]:
    """Return the columns of a heatmap.

    Args:
        kind: "models": one column per model; "placements": the three placements under the
            last model; "prompts": all prompts, then each alone, under the last model.
        models: (name, title) pairs, base first.
        placement: Placement of the trigger unless the columns are placements.
        prompts: The prompts.
    """
    name, _ = models[-1]
    if kind == "placements":
        return tuple(Column(key=p, title=p, model=name, placement=p) for p in ("prefix", "suffix", "random"))
    if kind == "prompts":
        together = Column(key="all", title="all prompts", model=name, placement=placement)
        return (
            together,
            *(
                replace(together, key=f"prompt-{i}", title=f"{i + 1}. {p[:40]}", prompt_index=i)
                for i, p in enumerate(prompts)
            ),
        )
    if kind != "models":
        raise InputError(
            "unknown-columns", f"There is no column kind {kind!r}.", "Choose models, placements or prompts."
        )
    return tuple(Column(key=n, title=t, model=n, placement=placement) for n, t in models)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row of a grid belongs.

    Attributes:
        variant: Index of the variant, or None without trigger.
        model: Name of the model.
        placement: Placement of the trigger; the first block's without one.
        prompt: Index of the prompt.
    """

    variant: int | None
    model: str
    placement: str
    prompt: int


def places_of(plan: GridPlan) -> list[tuple[Place, Question]]:
    """Return every question of a grid in the order in which cells are to fill."""
    found = [
        (Place(None, model, "", i), Question(prompt=p, trigger=None, placed=PlacedText(text=p)))
        for model in dict.fromkeys(m for m, _ in plan.blocks)
        for i, p in enumerate(plan.prompts)
    ]
    for v, variant in enumerate(plan.variants):
        for model, placement in plan.blocks:
            for i, p in enumerate(plan.prompts):
                found.append((Place(v, model, placement, i), _question(p, variant, plan, placement)))
    return found


def render_all(asker: Asker, plan: GridPlan, places: Sequence[tuple[Place, Question]]) -> list[Rendered]:
    """Return every question rendered; equal texts, such as those of two models, once.

    Raises:
        CancelledError: If cancelled.
        InputError: For a text that cannot be asked.
    """
    known: dict[str, Rendered] = {}
    for _, question in places:
        if asker.cancelled is not None and asker.cancelled():
            raise CancelledError()
        if question.placed.text not in known:
            known[question.placed.text] = render_checked(asker, plan.task, question.placed)
    return [known[question.placed.text] for _, question in places]


def rows_of(plan: GridPlan, asker: Asker) -> list[TokenRow]:
    """Return every engine row of a label task's grid, in the order in which cells are to fill."""
    places = places_of(plan)
    return token_rows_of(plan, asker, places, render_all(asker, plan, places))


def token_rows_of(
    plan: GridPlan, asker: Asker, places: Sequence[tuple[Place, Question]], rendered: Sequence[Rendered]
) -> list[TokenRow]:
    """Return the engine rows of rendered questions, in their order."""
    task = needs_label_task(plan.task)
    n = rows_per_question(task)
    rows = token_rows(asker, task, [r.ids for r in rendered], [BASE_REF])
    owners = [plan.models[place.model].adapter_id for place, _ in places for _ in range(n)]
    return [replace(row, adapter_id=owner) for row, owner in zip(rows, owners, strict=True)]


def _question(prompt: str, variant: Variant, plan: GridPlan, placement: str) -> Question:
    if not variant.text.strip():  # the control without any trigger
        return Question(prompt=prompt, trigger=None, placed=PlacedText(text=prompt))
    trigger = Trigger(text=variant.text, placement=placement, joiner=plan.trigger.joiner)  # type: ignore[arg-type]
    return Question(prompt=prompt, trigger=trigger, placed=trigger.place(prompt, seed=plan.seed))


def needs_label_task(task: Task) -> LabelTask:
    """Return a label task, or refuse: attributions need label margins."""
    if not isinstance(task, LabelTask):
        raise InputError(
            "needs-label-task",
            f"The task {task.name!r} generates free text, which has no label margin to explain.",
            "Choose a label task.",
        )
    return task


def is_base(column: Column) -> bool:
    """Return whether a column shows the base model without an adapter."""
    return column.model == BASE
