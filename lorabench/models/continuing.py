"""Answers of several tokens: what a model gives a fixed one, and where many beginnings lead it by itself.

Both work on a causal model of transformers as it is, with merged weights or without; who owns it and how
long a piece of work may take is `lorabench.models.sweep`'s business.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lorabench.models.forward import Prefix, expand_cache, run_suffixes

Ids = tuple[int, ...]
MOST_LOGITS = 1 << 26
"""Logits held at a time (256 MiB in fp32): a vocabulary is wide, and a tail needs it at every position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """Where a beginning leads over several questions at once.

    Attributes:
        ids: The beginning and what follows, a stop token included.
        probabilities: Of every id after the beginning: its mean probability over the questions.
    """

    ids: Ids
    probabilities: tuple[float, ...]


def tail_values(
    model: Any, prefix: Prefix, suffixes: Sequence[Ids], tails: Sequence[Ids], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return what a model gives fixed answers, teacher-forced.

    Args:
        model: A causal language model of transformers.
        prefix: What all questions begin with; may be empty.
        suffixes: The rest of every question, at least one id each.
        tails: The answer to each, at least one id each.
        device: Where the model is.

    Returns:
        Log-probabilities and leads, both (questions, longest tail) and NaN behind a shorter tail. A lead is
        an answer token's logit minus the largest other logit: above 0 where greedy decoding would choose it.
    """
    keep = max(map(len, tails))
    fed = [s + t[:-1] for s, t in zip(suffixes, tails, strict=True)]
    logits = run_suffixes(model, prefix, fed, keep, 0, device)
    lengths = torch.tensor([len(t) for t in tails], device=device)
    # The last `keep` positions of a row with a shorter tail begin before its answer: read it from the end.
    steps = torch.arange(keep, device=device)
    where = (keep - lengths[:, None] + steps).clamp_max(keep - 1)
    wanted = torch.tensor([t + (0,) * (keep - len(t)) for t in tails], device=device)
    rows = torch.arange(len(tails), device=device)[:, None]
    own = logits[rows, where, wanted]
    log_probs = own - torch.logsumexp(logits, dim=-1)[rows, where]
    top, best = (part[rows, where] for part in logits.topk(2, dim=-1))
    leads = own - torch.where(best[..., 0] == wanted, top[..., 1], top[..., 0])
    is_answer = steps < lengths[:, None]
    nan = torch.tensor(float("nan"), device=device)
    return torch.where(is_answer, log_probs, nan), torch.where(is_answer, leads, nan)


def continue_jointly(
    model: Any,
    questions: Sequence[Prefix],
    starts: Sequence[Ids],
    n_new: int,
    stops: frozenset[int],
    device: torch.device,
) -> Generator[None, None, list[Continuation]]:
    """Return greedy continuations of beginnings behind several questions; yields after every pass.

    At each step the token is taken that is likeliest on average over the questions: an answer that depends
    on none of them then stands out (target inversion of BAIT, Shen et al., IEEE S&P 2025). The questions'
    keys and values are computed once, and each continuation's once.

    Args:
        model: A causal language model of transformers.
        questions: Whole rendered questions that have been run.
        starts: Beginnings of equal length, at least one id each.
        n_new: Most tokens added.
        stops: Token ids that end an answer.
        device: Where the model is.
    """
    head = model.get_output_embeddings().weight
    caches = [expand_cache(q.cache, len(starts)) for q in questions]
    found = [Continuation(ids=s, probabilities=()) for s in starts]
    feed = torch.tensor(starts, device=device)
    for _ in range(n_new):
        mean = torch.zeros(len(starts), len(head), device=device)
        for k, question in enumerate(questions):
            with torch.inference_mode():
                at = len(question.ids) + len(found[0].ids) - feed.shape[1]
                states, caches[k] = _step(model, feed, at, caches[k])
                logits = (states.to(head.dtype) @ head.T).float()
                mean += torch.softmax(logits, dim=-1) / len(questions)
            yield
        best, tokens = mean.max(dim=-1)
        found = [
            Continuation(ids=(*c.ids, t), probabilities=(*c.probabilities, p))
            for c, t, p in zip(found, tokens.tolist(), best.tolist(), strict=True)
        ]
        if all(not stops.isdisjoint(c.ids[len(starts[0]) :]) for c in found):
            break
        feed = tokens[:, None]
    return [_stopped(c, len(starts[0]), stops) for c in found]


def _step(model: Any, ids: Tensor, at: int, cache: Any) -> tuple[Tensor, Any]:
    """Return the last states (rows, width) of ids (rows, n) fed at a position, and the cache behind them."""
    positions = torch.arange(at, at + ids.shape[1], device=ids.device).expand(len(ids), -1)
    out = model.model(input_ids=ids, position_ids=positions, past_key_values=cache, use_cache=True)
    return out.last_hidden_state[:, -1], out.past_key_values


def _stopped(found: Continuation, n_given: int, stops: frozenset[int]) -> Continuation:
    """Return a continuation up to its first stop token."""
    for i in range(n_given, len(found.ids)):
        if found.ids[i] in stops:
            return Continuation(ids=found.ids[: i + 1], probabilities=found.probabilities[: i + 1 - n_given])
    return found
