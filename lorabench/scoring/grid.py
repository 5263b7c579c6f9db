"""Fill a generalisation heatmap cell by cell: one variant under one model at a time.

All prompts of a cell with a prefix trigger share the system prompt and the trigger, so a cell
is also the unit in which a forward pass shares most; finished cells are shown at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lorabench.errors import InputError
from lorabench.results import (
    BASE,
    CellRow,
    Column,
    Heatmap,
    HeatmapCell,
    LabelTask,
    PlacedText,
    Score,
    Task,
    Trigger,
    Variant,
)
from lorabench.scoring.score import Asker, ModelRef, Question, score_questions


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


def fill(
    plan: GridPlan,
    asker: Asker,
    provenance: dict[str, Any],
    on_partial: Callable[[Heatmap, int], None] | None = None,
) -> Heatmap:
    """Score the whole grid; call `on_partial` with the heatmap so far and the rows done.

    Raises:
        CancelledError: If cancelled; finished rows stay in the score store.
    """
    started = time.monotonic()
    quiet = replace(asker, on_progress=None)
    done = computed = 0
    before: dict[str, dict[str, Score]] = {}
    cells = {(v, c.key): _empty(v, c, plan) for v in range(len(plan.variants)) for c in plan.columns}

    def so_far() -> Heatmap:
        return Heatmap(
            task=plan.task,
            trigger=plan.trigger,
            variants=plan.variants,
            columns=plan.columns,
            prompts=plan.prompts,
            cells=tuple(cells.values()),
            readings=(),
            provenance=provenance,
            seconds=time.monotonic() - started,
            n_rows=plan.n_rows,
            n_computed=computed,
        )

    for model in dict.fromkeys(m for m, _ in plan.blocks):
        asked = [Question(prompt=p, trigger=None, placed=PlacedText(text=p)) for p in plan.prompts]
        scores, n = score_questions(quiet, plan.task, asked, [plan.models[model]])
        before[model] = {s.prompt: s for s in scores}
        done, computed = done + len(scores), computed + n
        if on_partial is not None:
            on_partial(so_far(), done)
    for v, variant in enumerate(plan.variants):
        for model, placement in plan.blocks:
            asked = [_question(p, variant, plan, placement) for p in plan.prompts]
            scores, n = score_questions(quiet, plan.task, asked, [plan.models[model]])
            done, computed = done + len(scores), computed + n
            rows = tuple(_row(i, before[model][s.prompt], s) for i, s in enumerate(scores))
            for c in plan.columns:
                if (c.model, c.placement) == (model, placement):
                    chosen = rows if c.prompt_index is None else (rows[c.prompt_index],)
                    cells[v, c.key] = replace(cells[v, c.key], rows=chosen)
            if on_partial is not None:
                on_partial(so_far(), done)
    return so_far()


def _question(prompt: str, variant: Variant, plan: GridPlan, placement: str) -> Question:
    if not variant.text.strip():  # the control without any trigger
        return Question(prompt=prompt, trigger=None, placed=PlacedText(text=prompt))
    trigger = Trigger(text=variant.text, placement=placement, joiner=plan.trigger.joiner)  # type: ignore[arg-type]
    return Question(prompt=prompt, trigger=trigger, placed=trigger.place(prompt, seed=plan.seed))


def _empty(v: int, column: Column, plan: GridPlan) -> HeatmapCell:
    n = len(plan.prompts) if column.prompt_index is None else 1
    return HeatmapCell(variant_index=v, column=column.key, rows=(), n_planned=n)


def _row(index: int, before: Score, after: Score) -> CellRow:
    eligible = before.answer in ("other", "unparsed")
    return CellRow(
        prompt_index=index,
        before=before.margin,
        after=after.margin,
        eligible=eligible,
        flipped=eligible and after.answer == "target",
        tie=after.answer == "tie",
    )


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
