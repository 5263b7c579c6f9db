"""Fill a generalisation heatmap: one request, and cells fill as answers come.

Rows are asked for variant by variant, and the trie keeps that order where it can, so a prefix
heatmap fills from the top; with the trigger behind the prompt it fills everywhere at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from queue import SimpleQueue
from typing import Any

from lorabench.engine import Ticket
from lorabench.models.rendering import Rendered
from lorabench.models.rows import RowLogits
from lorabench.results import CellRow, Column, Heatmap, HeatmapCell, LabelTask, Score
from lorabench.scoring.grid import GridPlan, Place, needs_label_task, places_of, render_all, token_rows_of
from lorabench.scoring.score import (
    Asker,
    Cost,
    Question,
    ask,
    cost_of,
    label_score,
    label_values,
    rows_per_question,
    score_questions,
)

_LOOK_SECONDS = 0.2


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
    state = _Filling(plan, provenance)
    places = places_of(plan)
    rendered = render_all(asker, plan, places)
    if isinstance(plan.task, LabelTask):
        batches = _label_batches(plan, asker, places, rendered, state)
    else:
        batches = _generated_batches(plan, asker, places)
    for scores in batches:
        for place, score in scores:
            state.take(place, score)
        if on_partial is not None:
            on_partial(state.heatmap(), state.done)
    return state.heatmap()


def _label_batches(
    plan: GridPlan,
    asker: Asker,
    places: Sequence[tuple[Place, Question]],
    rendered: Sequence[Rendered],
    state: _Filling,
) -> Iterator[list[tuple[Place, Score]]]:
    """Yield the scores of all rows, one request, as they come."""
    task = needs_label_task(plan.task)
    per_question = rows_per_question(task)
    answers: SimpleQueue[Sequence[tuple[int, RowLogits]]] = SimpleQueue()
    parts: dict[int, dict[int, RowLogits]] = {}
    ticket = ask(
        replace(asker, on_progress=None), token_rows_of(plan, asker, places, rendered), "heatmap", answers.put
    )
    is_done = False
    while not is_done:
        is_done = _is_answered(asker, ticket)
        scores = []
        while not answers.empty():
            for i, logits in answers.get():
                k = i // per_question
                part = parts.setdefault(k, {})
                part[i % per_question] = logits
                if len(part) == per_question:
                    values = label_values(task, [part[n] for n in range(per_question)])
                    place, question = places[k]
                    model = plan.models[place.model]
                    scores.append((place, label_score(task, question, rendered[k], model, *values)))
                    del parts[k]
        state.cost = cost_of(ticket.progress)
        if scores:
            yield scores


def _is_answered(asker: Asker, ticket: Ticket[Any]) -> bool:
    """Wait a moment; return whether the request is done.

    Raises:
        CancelledError: If it was cancelled.
    """
    if asker.cancelled is not None and asker.cancelled():
        ticket.cancel()
    try:
        ticket.result(timeout=_LOOK_SECONDS)
    except TimeoutError:
        return False
    return True


def _generated_batches(
    plan: GridPlan, asker: Asker, places: Sequence[tuple[Place, Question]]
) -> Iterator[list[tuple[Place, Score]]]:
    """Yield the scores of a generation task, one cell after the other."""
    quiet = replace(asker, on_progress=None)
    for _, group in groupby(places, key=lambda x: (x[0].variant, x[0].model, x[0].placement)):
        cell = list(group)
        model = plan.models[cell[0][0].model]
        scores, _ = score_questions(quiet, plan.task, [q for _, q in cell], [model])
        yield [(place, score) for (place, _), score in zip(cell, scores, strict=True)]


class _Filling:
    """The cells so far. A row needs its prompt's answer without trigger, whichever comes first."""

    def __init__(self, plan: GridPlan, provenance: dict[str, Any]) -> None:
        self.done = 0
        self.cost = Cost()
        self._plan = plan
        self._provenance = provenance
        self._started = time.monotonic()
        self._before: dict[tuple[str, int], Score] = {}
        self._early: dict[tuple[str, int], list[tuple[Place, Score]]] = {}
        self._cells = {
            (v, c.key): _empty(v, c, plan) for v in range(len(plan.variants)) for c in plan.columns
        }
        self._columns: dict[tuple[str, str, int | None], list[Column]] = {}
        for c in plan.columns:
            self._columns.setdefault((c.model, c.placement, c.prompt_index), []).append(c)

    def take(self, place: Place, score: Score) -> None:
        """Put one score where it belongs."""
        self.done += 1
        at = place.model, place.prompt
        if place.variant is None:
            self._before[at] = score
            for waiting in self._early.pop(at, []):
                self._put(*waiting)
        elif at in self._before:
            self._put(place, score)
        else:
            self._early.setdefault(at, []).append((place, score))

    def _put(self, place: Place, score: Score) -> None:
        row = _row(place.prompt, self._before[place.model, place.prompt], score)
        for prompt in (None, place.prompt):
            for c in self._columns.get((place.model, place.placement, prompt), ()):
                assert place.variant is not None
                cell = self._cells[place.variant, c.key]
                rows = tuple(sorted((*cell.rows, row), key=lambda r: r.prompt_index))
                self._cells[place.variant, c.key] = replace(cell, rows=rows)

    def heatmap(self) -> Heatmap:
        """Return the heatmap so far."""
        plan = self._plan
        return Heatmap(
            task=plan.task,
            trigger=plan.trigger,
            variants=plan.variants,
            columns=plan.columns,
            prompts=plan.prompts,
            cells=tuple(self._cells.values()),
            readings=(),
            provenance=self._provenance,
            seconds=time.monotonic() - self._started,
            n_rows=plan.n_rows,
            n_computed=self.cost.n_computed,
            n_unique_tokens=self.cost.n_unique_tokens,
            n_naive_tokens=self.cost.n_naive_tokens,
        )


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
