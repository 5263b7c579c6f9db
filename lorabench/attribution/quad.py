"""The 2x2 of one adapter: base and adapter, without and with the trigger, and their differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from lorabench.attribution.leave_one_out import leave_one_out
from lorabench.attribution.maps import Explanation, subtract
from lorabench.attribution.shapley import shapley
from lorabench.attribution.texts import ExplainedText, explained_text
from lorabench.errors import unknown_name
from lorabench.results import AttributionMap, LabelTask, PlacedText, Quad, Trigger
from lorabench.results.attributions import Method
from lorabench.scoring.score import BASE_REF, Asker, ModelRef

METHODS: tuple[Method, ...] = get_args(Method)

OnMap = Callable[[AttributionMap], None]


def explain(
    asker: Asker, explained: ExplainedText, models: Sequence[ModelRef], *, method: Method, seed: int
) -> list[Explanation]:
    """Return one map of one text per model; all models are asked together where the method allows.

    Raises:
        InputError: For an unknown method, or one that cannot explain this kind of task.
        TaskError: If two labels share a first token.
    """
    if method == "leave_one_out":
        return leave_one_out(asker, explained, models)
    if method == "shapley":
        return shapley(asker, explained, models, seed=seed)
    if method not in METHODS:
        raise unknown_name("attribution method", method, METHODS)
    from lorabench.attribution import gradients

    if method == "integrated_gradients":  # how far it must be refined differs from model to model
        parts = [share_of_progress(asker, k, len(models)) for k in range(len(models))]
        return [
            gradients.integrated_gradients(part, explained, m, seed=seed)
            for part, m in zip(parts, models, strict=True)
        ]
    return gradients.input_x_gradient(asker, explained, models)


def attribute(
    asker: Asker,
    task: LabelTask,
    prompt: str,
    trigger: Trigger | None,
    adapter: ModelRef,
    *,
    method: Method = "leave_one_out",
    seed: int,
    provenance: dict[str, Any],
    on_map: OnMap | None = None,
) -> Quad:
    """Explain the margins of base and adapter, without and with the trigger.

    Args:
        asker: Who asks. Its `on_progress` gets hundredths: (done, 100 per text).
        task: A label task.
        prompt: The prompt without trigger.
        trigger: The trigger to add, or None.
        adapter: The adapter; it must be bound.
        method: How to explain.
        seed: Of random placements, permutations and reference words.
        provenance: Goes into the result as it is.
        on_map: Called with every map as soon as it exists, differences included.

    Raises:
        InputError: If a text or the method cannot be used.
        TaskError: If two labels share a first token.
        CancelledError: If cancelled; finished rows stay in the score store.
    """
    texts = [PlacedText(text=prompt)] + ([trigger.place(prompt, seed=seed)] if trigger else [])
    columns: list[_Column] = []
    for k, placed in enumerate(texts):
        explained = explained_text(asker, task, placed)
        columns.append(_column(asker, explained, adapter, (method, seed), (2 * k, 2 * len(texts)), on_map))
    plain, triggered = columns[0], columns[1] if trigger else None
    return Quad(
        task=task,
        adapter=adapter.name,
        base_plain=plain.base,
        adapter_plain=plain.adapter,
        base_triggered=triggered.base if triggered else None,
        adapter_triggered=triggered.adapter if triggered else None,
        difference_plain=plain.difference,
        difference_triggered=triggered.difference if triggered else None,
        did=triggered.difference.margin - plain.difference.margin if triggered else None,
        provenance=provenance,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """The three maps of one text."""

    base: AttributionMap
    adapter: AttributionMap
    difference: AttributionMap


def _column(
    asker: Asker,
    explained: ExplainedText,
    adapter: ModelRef,
    how: tuple[Method, int],
    place: tuple[int, int],
    on_map: OnMap | None,
) -> _Column:
    quiet = share_of_progress(asker, place[0] // 2, place[1] // 2)
    made = explain(quiet, explained, (BASE_REF, adapter), method=how[0], seed=how[1])
    if on_map is not None:
        for each in made:
            on_map(each.map)
    difference = subtract(made[1], made[0]).map
    if on_map is not None:
        on_map(difference)
    return _Column(base=made[0].map, adapter=made[1].map, difference=difference)


def share_of_progress(asker: Asker, part: int, parts: int) -> Asker:
    """Return an asker whose progress counts as part number `part` of `parts`, in hundredths."""
    report = asker.on_progress
    if report is None:
        return asker
    return replace(
        asker, on_progress=lambda done, total: report(100 * part + 100 * done // max(total, 1), 100 * parts)
    )
