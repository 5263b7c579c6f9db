"""Gradient methods on Captum's core classes: an instant preview, and integrated gradients.

They run on the owner thread as generators of short steps. An adapter acts only inside a
step, and every gradient is taken with respect to input embeddings, never to weights.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from captum.attr import InputXGradient
from torch import Tensor

from lorabench.attribution.maps import Explanation, relative_residual
from lorabench.attribution.path import Path, Slicer
from lorabench.attribution.texts import ExplainedText
from lorabench.engine import Progress
from lorabench.errors import InputError
from lorabench.models.language_model import LanguageModel
from lorabench.models.rendering import Renderer
from lorabench.results import AttributionMap
from lorabench.results.attributions import Method
from lorabench.scoring.labels import label_ids
from lorabench.scoring.score import Asker, ModelRef, wait

FILLER = " the"
RANDOM_WORDS = (
    "table", "river", "seven", "paper", "green", "window", "morning", "bread", "north", "music", "garden",
    "letter", "simple", "winter", "station", "yellow", "market", "silver", "after", "holiday", "corner",
    "village", "bottle", "quiet", "number", "coffee", "between", "forest", "people", "summer",
)  # fmt: skip
"""Everyday words for the random reference; none belongs to a task or a known trigger."""

T = TypeVar("T")
Steps = Generator[Progress, None, T]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What a gradient method needs, gathered before it queues."""

    explained: ExplainedText
    model: ModelRef
    labels: tuple[tuple[int, ...], ...]
    started: float

    @property
    def positions(self) -> list[int]:
        """Token positions of the prompt and the trigger."""
        return [t for i in self.explained.features for t in self.explained.words[i].tokens]


def input_x_gradient(asker: Asker, explained: ExplainedText, models: Sequence[ModelRef]) -> list[Explanation]:
    """Return input x gradient of the margin per model: one forward and one backward pass for all.

    A preview only. Every block of the model normalises its input, so that making a token's
    embedding longer hardly changes anything: a word that decides the answer may score near 0,
    and the scores do not add up to the margin. Template words are scored too.

    Raises:
        InputError: For a task that compares whole labels.
        TaskError: If two labels share a first token.
    """
    jobs = [_job(asker, explained, m) for m in models]
    maps = _run(asker, f"explain {', '.join(m.name for m in models)}", lambda m: _preview_steps(m, jobs))
    return [Explanation(map=made) for made in maps]


def integrated_gradients(
    asker: Asker, explained: ExplainedText, model: ModelRef, *, seed: int
) -> Explanation:
    """Return integrated gradients of the margin, averaged over three neutral references.

    In a reference the tokens of prompt and trigger are replaced (by a frequent filler, by the
    vocabulary's mean embedding, by random everyday words drawn with `seed`), and the template
    stands, so template words are not scored. `lorabench.attribution.path` says how many
    nodes the integral takes; the map's residual says how far it got.

    Raises:
        InputError: For a task that compares whole labels.
        TaskError: If two labels share a first token.
    """
    job = _job(asker, explained, model)
    made, reference = _run(
        asker, f"explain {model.name}", lambda m: _integration_steps(m, job, asker.renderer, seed)
    )
    return Explanation(map=made, reference=reference)


def _job(asker: Asker, explained: ExplainedText, model: ModelRef) -> _Job:
    if explained.task.scoring != "first_token":
        raise InputError(
            "needs-first-token-scoring",
            f"The task {explained.task.name!r} compares whole labels; gradients explain first tokens only.",
            "Choose leave-one-out or Shapley values.",
        )
    labels = label_ids(explained.task, asker.renderer)
    return _Job(explained=explained, model=model, labels=labels, started=time.monotonic())


def _run(asker: Asker, label: str, make: Callable[[LanguageModel], Steps[T]]) -> T:
    report = asker.on_progress
    ticket = asker.engine.steps(
        make,
        priority=asker.priority,
        session=asker.session,
        label=label,
        on_progress=None if report is None else (lambda p: report(p.done, p.total)),
    )
    answer: T = wait(asker, ticket)
    return answer


class _Margin:
    """The explained function of embeddings (rows, tokens, width), and how often it was asked."""

    def __init__(self, model: LanguageModel, job: _Job) -> None:
        self._model = model
        self._job = job
        self._dtype = model.embed(job.explained.rendered.ids[:1]).dtype
        self.n_rows = 0
        self.last = torch.zeros(0)

    def __call__(self, embeddings: Tensor) -> Tensor:
        """Return the margins (rows,), fp32; interpolation stays in fp32 in any dtype mode."""
        self.n_rows += len(embeddings)
        target = self._job.explained.task.target_index
        margins = self._model.margins_from_embeddings(embeddings.to(self._dtype), self._job.labels, target)
        self.last = margins.detach()
        return margins

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Let the explained model act for one step, with gradients, in evaluation mode."""
        assert not self._model._model.training, "dropout would make a random map"
        with self._model.acting(self._job.model.adapter_id), torch.enable_grad():
            yield

    @contextmanager
    def acting_by_row(self, models: Sequence[ModelRef], width: int) -> Iterator[None]:
        """Let row k of a batch of `width` tokens a row be answered by model k, for one step."""
        assert not self._model._model.training, "dropout would make a random map"
        with self._model.acting_by_row([m.adapter_id for m in models], width), torch.enable_grad():
            yield


def _preview_steps(loaded: LanguageModel, jobs: Sequence[_Job]) -> Steps[list[AttributionMap]]:
    yield Progress(done=0, total=1, computed=0)
    margin = _Margin(loaded, jobs[0])
    embedded = loaded.embed(jobs[0].explained.rendered.ids).float()
    rows = embedded.expand(len(jobs), -1, -1).clone().requires_grad_()
    with margin.acting_by_row([job.model for job in jobs], len(embedded)):
        scores: Tensor = InputXGradient(margin).attribute(rows)
    return [
        _map(
            job,
            scores.detach()[k].sum(-1),
            method="input_x_gradient",
            margin=float(margin.last[k]),
            baseline="none: input times gradient, a preview",
            counts=(1, 1),
        )
        for k, job in enumerate(jobs)
    ]


def _integration_steps(
    loaded: LanguageModel, job: _Job, renderer: Renderer, seed: int
) -> Steps[tuple[AttributionMap, float]]:
    margin = _Margin(loaded, job)
    slicer = Slicer()
    embedded = loaded.embed(job.explained.rendered.ids).float()
    references = _references(loaded, renderer, embedded, job.positions, seed)
    paths: list[Path] = []
    for k, reference in enumerate(references):
        path = Path(margin, margin.acting, slicer, reference, embedded)
        paths.append(path)
        for _ in path.steps():
            planned = sum(p.n_planned for p in paths) + (len(references) - k - 1) * path.n_planned
            n_done = sum(p.n_done for p in paths)
            yield Progress(done=n_done, total=max(planned, n_done) + 1, computed=n_done)
    at_end = paths[0].at_end
    scores = torch.stack([p.scores for p in paths])
    spread = float(torch.tensor([[s or 0.0 for s in _word_scores(job, p)] for p in scores]).std(dim=0).max())
    made = _map(
        job,
        scores.mean(dim=0),
        method="integrated_gradients",
        margin=at_end,
        baseline=(
            "prompt replaced by neutral tokens, mean of 3 (filler, vocabulary mean, random words); "
            f"standard deviation of a word's score over the three at most {spread:.2f} logits"
        ),
        counts=(margin.n_rows, sum(p.n_done for p in paths)),
    )
    at_start = sum(p.at_start for p in paths) / len(paths)
    total = sum(s for s in made.scores if s is not None)
    return replace(made, residual=relative_residual(total, at_end, at_start)), at_start


def _references(
    loaded: LanguageModel, renderer: Renderer, embedded: Tensor, positions: Sequence[int], seed: int
) -> list[Tensor]:
    """Return the three references: the question with other embeddings at `positions`."""
    draw = random.Random(seed)
    words: list[int] = []
    while len(words) < len(positions):
        words += renderer.ids(" " + draw.choice(RANDOM_WORDS)) or (renderer.pad_id,)
    filler = loaded.embed((renderer.ids(FILLER) or (renderer.pad_id,))[-1:]).float()
    random_words = loaded.embed(words[: len(positions)]).float()
    out = []
    for replacement in (filler, loaded.mean_embedding().float(), random_words):
        reference = embedded.clone()
        reference[list(positions)] = replacement
        out.append(reference)
    return out


def _word_scores(job: _Job, per_token: Tensor) -> tuple[float | None, ...]:
    """Return the sum over each word's tokens; None for a word without tokens."""
    values = per_token.double().tolist()
    return tuple(sum(values[t] for t in w.tokens) if w.tokens else None for w in job.explained.words)


def _map(
    job: _Job, per_token: Tensor, *, method: Method, margin: float, baseline: str, counts: tuple[int, int]
) -> AttributionMap:
    scores = _word_scores(job, per_token)
    if method == "integrated_gradients":  # the template was held fixed
        scored = frozenset(job.explained.features)
        scores = tuple(s if i in scored else None for i, s in enumerate(scores))
    return AttributionMap(
        model=job.model.name,
        words=job.explained.words,
        scores=scores,
        method=method,
        margin=margin,
        baseline=baseline,
        residual=None,
        n_forwards=counts[0],
        n_backwards=counts[1],
        seconds=time.monotonic() - job.started,
    )
