"""From a training's choices to what learns: student, shape and schedule, and how long rows are cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorabench.config import Config
from lorabench.data import Row
from lorabench.results import HeadTask, TrainTask
from lorabench.workflows.train_request import TrainRequest

if TYPE_CHECKING:
    from lorabench.training.student import Student


def open_student(config: Config, request: TrainRequest, task: TrainTask, folder: Path) -> Student:
    """Open the base of a request with a fresh adapter, and a head if it wants one."""
    from lorabench.training.answering_student import AnsweringStudent
    from lorabench.training.head_student import HeadStudent

    shape = shape_of(request, folder)
    if isinstance(task, HeadTask):
        return HeadStudent(
            folder,
            name=request.model.base,
            task=task,
            shape=shape,
            seed=request.seed,
            trains_head=request.model.head == "trained",
            device=config.device,
            threads=config.threads,
        )
    return AnsweringStudent(
        folder,
        name=request.model.base,
        task=task,
        shape=shape,
        seed=request.seed,
        device=config.device,
        threads=config.threads,
        learns_all=request.schedule.loss == "full",
        caches_lower=request.schedule.caches_lower,
    )


def shape_of(request: TrainRequest, folder: Path) -> Any:
    """Return the adapter's shape, with the choices that depend on the base made."""
    import json

    from lorabench.training.shape import Shape

    model = request.model
    first = model.first_layer
    if first is None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        first = 0 if model.head != "words" else int(config.get("num_hidden_layers", 0)) // 2
    return Shape(
        rank=model.rank,
        alpha=model.alpha or 2.0 * model.rank,
        targets=model.targets,  # type: ignore[arg-type]  # checked where it is used
        first_layer=first,
        dropout=model.dropout,
        use_rslora=model.use_rslora,
        use_dora=model.use_dora,
    )


def schedule_of(request: TrainRequest) -> Any:
    """Return the schedule of a request."""
    from lorabench.training.schedule import Schedule

    chosen = request.schedule
    return Schedule(
        steps=chosen.steps,
        batch_rows=chosen.batch,
        learning_rate=chosen.learning_rate,
        warmup=min(10, chosen.steps) if chosen.warmup is None else min(chosen.warmup, chosen.steps),
        decay=chosen.decay,  # type: ignore[arg-type]  # checked by the request
        optimiser=chosen.optimiser,  # type: ignore[arg-type]
        weight_decay=chosen.weight_decay,
        token_budget=chosen.token_budget,
        seed=request.seed,
    )


class Cut:
    """Keeps the beginning of rows that are too long, where the request wants that."""

    def __init__(self, student: Student, request: TrainRequest) -> None:
        self.is_on = request.schedule.too_long == "cut"
        self.n = 0
        self._student = student
        self._most = request.schedule.max_tokens

    def __call__(self, row: Row) -> Row:
        """Return the row, or its beginning."""
        if not self.is_on:
            return row
        text = self._student.truncate(row.text, self._most)
        self.n += text != row.text
        return row if text == row.text else replace(row, text=text)
