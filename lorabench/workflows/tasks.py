"""The ready-made tasks, as the Playground's menu and `lorabench score --task` know them."""

from __future__ import annotations

from dataclasses import dataclass

from lorabench.data import TASKS
from lorabench.results import LabelTask, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskChoice:
    """One ready-made task.

    Attributes:
        name: What `--task` takes.
        kind: "label" or "generation".
        answers: Names of the labels, or the payload of a generation task.
        target: The label an attacker wants, or the payload.
        task: The task itself.
    """

    name: str
    kind: str
    answers: tuple[str, ...]
    target: str
    task: Task


def list_tasks() -> tuple[TaskChoice, ...]:
    """Return the ready-made tasks in the order people should see them."""
    return tuple(_choice(task) for task in TASKS.values())


def _choice(task: Task) -> TaskChoice:
    if isinstance(task, LabelTask):
        names = tuple(label.name for label in task.labels)
        return TaskChoice(name=task.name, kind=task.kind, answers=names, target=task.target, task=task)
    return TaskChoice(name=task.name, kind=task.kind, answers=(task.payload,), target=task.payload, task=task)
