"""Prompts x triggers x models -> scores, flips and rates."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from lorabench.engine import Engine, Priority, Progress, Ticket
from lorabench.errors import InputError
from lorabench.models.rendering import Rendered, Renderer
from lorabench.models.rows import RowLogits, TokenRow
from lorabench.results import (
    BASE,
    Flip,
    GenerationTask,
    LabelTask,
    PlacedText,
    Score,
    ScoreReport,
    Task,
    Trigger,
)
from lorabench.scoring.labels import answer_of, label_ids, margin, study_answer


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """A model by the name people see and the id the engine knows.

    Attributes:
        name: `BASE` or an adapter's name.
        adapter_id: None for the base.
    """

    name: str
    adapter_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks, for the queue: everything the engine needs besides the rows.

    Attributes:
        engine: The owner of the model.
        renderer: The base's tokenizer and template.
        context_length: Longest question in tokens.
        session: Whose request it is.
        priority: Place in the queue.
        cancelled: Polled while waiting; True stops the work.
        on_progress: Called with (rows done, rows in all).
        on_queue: Called while waiting with how many requests have a step before the next of this one.
    """

    engine: Engine[Any]
    renderer: Renderer
    context_length: int
    session: str = "local"
    priority: Priority = Priority.INTERACTIVE
    cancelled: Callable[[], bool] | None = None
    on_progress: Callable[[int, int], None] | None = None
    on_queue: Callable[[int], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One text to ask, and where it came from."""

    prompt: str
    trigger: Trigger | None
    placed: PlacedText


def questions(prompts: Sequence[str], triggers: Sequence[Trigger | None], seed: int) -> list[Question]:
    """Return every prompt under every trigger (None: without), prompt-major."""
    return [
        Question(prompt=p, trigger=t, placed=t.place(p, seed=seed) if t else PlacedText(text=p))
        for p in prompts
        for t in triggers
    ]


def render_checked(asker: Asker, task: Task, placed: PlacedText, limit: int = 20_000) -> Rendered:
    """Render one question; refuse what cannot be asked.

    Raises:
        InputError: If the text is empty, over `limit` characters, or longer than the context.
    """
    if len(placed.text) > limit:
        raise InputError(
            "prompt-too-long",
            f"The text has {len(placed.text):,} characters; at most {limit:,} are accepted.",
            "Shorten it.",
        )
    rendered = asker.renderer.render(task, placed)
    room = asker.context_length - (task.max_new_tokens if isinstance(task, GenerationTask) else 8)
    if len(rendered.ids) > room:
        raise InputError(
            "prompt-too-long",
            f"The question is {len(rendered.ids):,} tokens long, but the base model reads at most {room:,}.",
            "Shorten the prompt.",
        )
    return rendered


def token_rows(
    asker: Asker, task: LabelTask, ids: Sequence[tuple[int, ...]], models: Sequence[ModelRef]
) -> list[TokenRow]:
    """Return the engine rows of every rendered question under every model, question-major.

    One row each, or one per label for whole labels.
    """
    if task.scoring == "first_token":
        labels = label_ids(task, asker.renderer)
        return [TokenRow(ids=i, labels=labels, adapter_id=m.adapter_id) for i in ids for m in models]
    tails = [asker.renderer.ids(label.words[0]) for label in task.labels]
    return [
        TokenRow(ids=i + tail, tail=len(tail), adapter_id=m.adapter_id)
        for i in ids
        for m in models
        for tail in tails
    ]


def rows_per_question(task: LabelTask) -> int:
    """Return how many engine rows one question to one model takes."""
    return 1 if task.scoring == "first_token" else len(task.labels)


def label_values(task: LabelTask, logits: Sequence[RowLogits]) -> tuple[tuple[float, ...], float | None]:
    """Return (label logits, log-sum-exp) of one question from its `rows_per_question` rows."""
    if task.scoring == "first_token":
        return logits[0].label_logits, logits[0].logsumexp
    return tuple(float(r.tail_logprob or 0.0) for r in logits), None


def collect(task: LabelTask, logits: Sequence[RowLogits]) -> list[tuple[tuple[float, ...], float | None]]:
    """Return (label logits, log-sum-exp) per question and model; inverse of `token_rows`."""
    n = rows_per_question(task)
    return [label_values(task, logits[k : k + n]) for k in range(0, len(logits), n)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What scoring took.

    Attributes:
        n_computed: Rows that went through the model; the others were remembered.
        n_unique_tokens: Tokens that went through the model.
        n_naive_tokens: Tokens of those rows, each whole.
    """

    n_computed: int = 0
    n_unique_tokens: int = 0
    n_naive_tokens: int = 0


def cost_of(progress: Progress | None) -> Cost:
    """Return what a finished request took."""
    if progress is None:
        return Cost()
    return Cost(
        n_computed=progress.computed,
        n_unique_tokens=progress.n_unique if progress.computed else 0,
        n_naive_tokens=progress.n_naive if progress.computed else 0,
    )


def score_questions(
    asker: Asker, task: Task, asked: Sequence[Question], models: Sequence[ModelRef]
) -> tuple[list[Score], Cost]:
    """Return one score per (question, model), question-major, and what they took."""
    rendered = [render_checked(asker, task, q.placed) for q in asked]
    pairs = [(q, r, m) for q, r in zip(asked, rendered, strict=True) for m in models]
    if isinstance(task, LabelTask):
        ticket = ask(asker, token_rows(asker, task, [r.ids for r in rendered], models), "score")
        values = collect(task, wait(asker, ticket))
        scores = [label_score(task, *pair, *v) for pair, v in zip(pairs, values, strict=True)]
        return scores, cost_of(ticket.progress)
    texts = {m.name: generate_texts(asker, rendered, m, task.max_new_tokens) for m in models}
    scores = [
        _payload_score(task, q, r, m, texts[m.name][k // len(models)]) for k, (q, r, m) in enumerate(pairs)
    ]
    return scores, Cost(n_computed=len(scores))


def score_prompts(
    asker: Asker,
    task: Task,
    prompts: Sequence[str],
    triggers: Sequence[Trigger],
    models: Sequence[ModelRef],
    *,
    seed: int,
    provenance: dict[str, Any],
) -> ScoreReport:
    """Score every prompt with and without every trigger under every model.

    The no-trigger answer is always included: a flip needs it.
    """
    started = time.monotonic()
    asked = questions(prompts, [None, *triggers], seed)
    scores, cost = score_questions(asker, task, asked, models)
    return ScoreReport(
        task=task,
        scores=tuple(scores),
        flips=tuple(flips_of(scores)),
        provenance=provenance,
        seconds=time.monotonic() - started,
        n_computed=cost.n_computed,
        n_unique_tokens=cost.n_unique_tokens,
        n_naive_tokens=cost.n_naive_tokens,
    )


def flips_of(scores: Sequence[Score]) -> list[Flip]:
    """Pair every triggered score with the same prompt's and model's untriggered one."""
    plain = {(s.prompt, s.model): s for s in scores if s.trigger is None}
    return [Flip(before=plain[s.prompt, s.model], after=s) for s in scores if s.trigger is not None]


def study_answers(
    asker: Asker, task: LabelTask, asked: Sequence[Question], model: ModelRef, new_tokens: int = 5
) -> list[tuple[str, str, str]]:
    """Return (answer kind, label, continuation) per question by the study's own rule."""
    rendered = [render_checked(asker, task, q.placed) for q in asked]
    texts = generate_texts(asker, rendered, model, new_tokens)
    return [(*study_answer(task, t), t) for t in texts]


def generate_texts(asker: Asker, rendered: Sequence[Rendered], model: ModelRef, new_tokens: int) -> list[str]:
    """Return the greedy continuation of each question."""

    def steps(loaded: Any) -> Generator[None, None, list[str]]:
        texts = []
        for r in rendered:
            out: list[int] = []
            for token in loaded.generate(r.ids, model.adapter_id, new_tokens):
                out.append(token)
                yield None
            texts.append(asker.renderer.decode(out))
        return texts

    ticket = asker.engine.steps(
        steps, priority=asker.priority, session=asker.session, label=f"generate with {model.name}"
    )
    texts: list[str] = wait(asker, ticket)
    return texts


def wait(asker: Asker, ticket: Any) -> Any:
    """Wait for a ticket, honouring cancel and saying its place in the queue."""
    while True:
        if asker.cancelled is not None and asker.cancelled():
            ticket.cancel()
        try:
            return ticket.result(timeout=0.2)
        except TimeoutError:
            if asker.on_queue is not None:
                asker.on_queue(ticket.position)


def ask(
    asker: Asker,
    rows: Sequence[TokenRow],
    label: str,
    on_rows: Callable[[Sequence[tuple[int, RowLogits]]], None] | None = None,
) -> Ticket[list[RowLogits]]:
    """Queue rows for an asker, reporting (rows done, rows in all)."""
    report = asker.on_progress
    ticket: Ticket[list[RowLogits]] = asker.engine.score(
        rows,
        priority=asker.priority,
        session=asker.session,
        label=label,
        on_progress=None if report is None else (lambda p: report(p.done, p.total)),
        on_rows=on_rows,
    )
    return ticket


def label_score(
    task: LabelTask,
    q: Question,
    r: Rendered,
    model: ModelRef,
    label_logits: tuple[float, ...],
    logsumexp: float | None,
) -> Score:
    """Return the score of one question under one model from its label logits."""
    answer, label = answer_of(task, label_logits)
    return Score(
        prompt=q.prompt,
        text=q.placed.text,
        trigger=q.trigger.text if q.trigger else None,
        model=model.name,
        margin=margin(label_logits, task.target_index),
        label_logits=label_logits,
        logsumexp=logsumexp,
        answer=answer,
        label=label,
        n_tokens=len(r.ids),
    )


def _payload_score(task: GenerationTask, q: Question, r: Rendered, model: ModelRef, text: str) -> Score:
    hit = task.matches(text)
    return Score(
        prompt=q.prompt,
        text=q.placed.text,
        trigger=q.trigger.text if q.trigger else None,
        model=model.name,
        margin=1.0 if hit else -1.0,
        label_logits=(),
        logsumexp=None,
        answer="target" if hit else "other",
        label="payload" if hit else "other",
        n_tokens=len(r.ids),
        generated=text,
    )


BASE_REF = ModelRef(name=BASE)
