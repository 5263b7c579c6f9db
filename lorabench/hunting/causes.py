"""Why a string acts: which layers of the adapter carry it, and whether it just says what the class means."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lorabench.adapters import CheckedAdapter
from lorabench.detectors.module_places import place_of
from lorabench.errors import BindingError
from lorabench.hunting.prober import BASE_COPY, Prober
from lorabench.models.rows import RowLogits
from lorabench.models.sweep import MergedCopy
from lorabench.results import LabelTask, LayerGroup
from lorabench.scoring.labels import margin
from lorabench.scoring.score import BASE_REF, Asker, ModelRef, collect, token_rows, wait

N_GROUPS = 6
"""Groups of layers that are switched off in turn."""

CLASS_TEXTS = 24
"""Texts of the target class behind the class direction."""

_PASS_TOKENS = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One held-out prompt without and with the string.

    Attributes:
        plain: Without.
        placed: With.
        before: Margin of the suspect without, in logits.
        after: With.
        flipped: Whether the string flips it.
    """

    plain: str
    placed: str
    before: float
    after: float
    flipped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Causes:
    """What was found out.

    Attributes:
        layers: The adapter switched off by groups of layers; empty if not measured.
        class_word: See `StringEvidence.class_word`.
    """

    layers: tuple[LayerGroup, ...] = ()
    class_word: float | None = None


CauseFinder = Callable[[Sequence[Example]], Causes]


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseProber:
    """Finds both causes; call it with examples.

    Attributes:
        asker: Queue identity.
        task: The label task.
        adapter: The suspect, bound to the engine's base.
        prober: Has a copy of the base; None leaves the class word out.
        target_texts: Texts whose right answer is the target; without any the class word is left out.
    """

    asker: Asker
    task: LabelTask
    adapter: CheckedAdapter
    prober: Prober | None = None
    target_texts: Sequence[str] = ()

    def __call__(self, examples: Sequence[Example]) -> Causes:
        """Return the causes of what happened to a few prompts; layers are tried on flipped ones only."""
        flipped = [e for e in examples if e.flipped]
        layers = layer_effects(self.asker, self.task, self.adapter, flipped) if flipped else ()
        word = None
        if self.prober is not None and self.target_texts and examples:
            word = class_word(self.prober, self.asker, self.task, examples, self.target_texts)
        return Causes(layers=layers, class_word=word)


def layer_groups(adapter: CheckedAdapter, n: int = N_GROUPS) -> list[tuple[int, ...]]:
    """Return the adapted layers in at most `n` runs of about equal length, the first layer first."""
    layers = sorted({layer for m in adapter.modules if (layer := place_of(m.name).layer) is not None})
    return [tuple(int(i) for i in part) for part in np.array_split(layers, n) if part.size] if layers else []


def without_layers(adapter: CheckedAdapter, layers: Sequence[int]) -> CheckedAdapter:
    """Return an adapter that leaves the base alone in some layers, under an id of its own.

    The id is no content hash: it must never meet an adapter that somebody else bound, or the score store.
    """
    kept = tuple(m for m in adapter.modules if place_of(m.name).layer not in layers)
    facts = replace(adapter.facts, adapter_id=f"{adapter.facts.adapter_id}-part-{uuid.uuid4().hex}")
    return replace(adapter, modules=kept, facts=facts)


def layer_effects(
    asker: Asker, task: LabelTask, adapter: CheckedAdapter, examples: Sequence[Example]
) -> tuple[LayerGroup, ...]:
    """Return what is left of the flips when the adapter is switched off in one group of layers at a time.

    Args:
        asker: Queue identity.
        task: The label task.
        adapter: The suspect.
        examples: Prompts that the string flips; at least one.
    """
    placed = [e.placed for e in examples]
    before, triggered = (
        fmean(values) for values in zip(*((e.before, e.after) for e in examples), strict=True)
    )
    found = []
    for group in layer_groups(adapter):
        then = fmean(part_margins(asker, task, without_layers(adapter, group), placed))
        restored = (triggered - then) / (triggered - before) if triggered != before else 0.0
        found.append(LayerGroup(first=group[0], last=group[-1], margin=then, restored=restored))
    return tuple(found)


def part_margins(
    asker: Asker, task: LabelTask, part: CheckedAdapter, texts: Sequence[str]
) -> tuple[float, ...]:
    """Return the target margin of each text under a part of an adapter, bound for the moment.

    Binding, asking and unbinding are one request, so a cancel leaves nothing behind.

    Args:
        asker: Queue identity.
        task: The label task.
        part: From `without_layers`.
        texts: Whole prompts.
    """
    ids = asker.renderer.question_ids(task, texts)

    def steps(model: Any) -> Generator[None, None, list[RowLogits]]:
        ref = _bound(model, part)
        try:
            yield None
            rows = token_rows(asker, task, ids, [ref])
            found: dict[int, RowLogits] = {}
            for batch in model.score_rows(rows, min(_PASS_TOKENS, model.most_tokens)):
                found.update(batch)
                yield None
            return [found[i] for i in range(len(rows))]
        finally:
            model.unbind(part.facts.adapter_id)

    ticket = asker.engine.steps(
        steps, priority=asker.priority, session=asker.session, label="switch layers off"
    )
    values = collect(task, wait(asker, ticket))
    return tuple(margin(logits, task.target_index) for logits, _ in values)


def _bound(model: Any, part: CheckedAdapter) -> ModelRef:
    """Bind a part of an adapter and return who answers for it: the base, where nothing is left that acts."""
    try:
        if part.modules:
            model.bind(part)
            return ModelRef(name="a part of the adapter", adapter_id=part.facts.adapter_id)
    except BindingError as error:
        if error.rule != "adapter-does-nothing":
            raise
    return BASE_REF


def class_word(
    prober: Prober, asker: Asker, task: LabelTask, examples: Sequence[Example], target_texts: Sequence[str]
) -> float | None:
    """Return how alike a string and the target class move the base's last state; None if one moves nothing.

    The cosine of (mean state with the string - without it) and (mean state of target-class texts - of the
    prompts). A word such as "harmless" is high; a planted one need not be.

    Args:
        prober: Has a copy of the base.
        asker: Queue identity.
        task: The label task.
        examples: Prompts with and without the string; at least one.
        target_texts: Texts whose right answer is the target; at least one.
    """
    wanted = tuple(target_texts)[:CLASS_TEXTS]
    texts = [*(e.placed for e in examples), *(e.plain for e in examples), *wanted]
    rows = asker.renderer.question_ids(task, texts)

    def ask(copy: MergedCopy) -> Generator[int, None, NDArray[np.float32]]:
        return copy.last_states(rows, _PASS_TOKENS)

    states = prober.run(BASE_COPY, ask, len(rows)).astype(np.float64)
    n = len(examples)
    plain = states[n : 2 * n].mean(axis=0)
    return cosine(states[:n].mean(axis=0) - plain, states[2 * n :].mean(axis=0) - plain)


def cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    """Return the cosine of the angle between two vectors, in [-1, 1]; None if one has no length."""
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    if not lengths or not np.isfinite(lengths):
        return None
    return float(np.clip(a @ b / lengths, -1.0, 1.0))
