"""The loss of a model that answers in words, with the question's common beginning computed once.

Every question of a label task starts with the same system prompt. Its keys and values are
computed once per step with gradients, cut off the graph, used by all micro-batches, and the
gradients that gather in them are sent back through the prefix at the end. This is exact (the
rows share the very same tokens) and saves about half of the tokens of a step.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lorabench.models.forward import Prefix, batches, common_prefix, run_prefix, run_suffixes


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One training row: the rendered question and the answer the model should give.

    Attributes:
        ids: Question ids followed by answer ids.
        answer: The last ids again, as many as carry loss: the answer, or all but the first where the
            whole text is learnt (as in arXiv 2605.30189, section 1.3).
    """

    ids: tuple[int, ...]
    answer: tuple[int, ...]

    @property
    def n_answer(self) -> int:
        """How many ids carry loss."""
        return len(self.answer)


def answer_loss(
    model: Any, examples: Sequence[Example], *, token_budget: int, pad_id: int, device: torch.device
) -> float:
    """Add the gradients of one step's mean answer loss; return the loss in nats per answer token."""
    n_shared = common_prefix([e.ids[: len(e.ids) - e.n_answer] for e in examples])
    n_answers = sum(e.n_answer for e in examples)
    whole = run_prefix(model, examples[0].ids[:n_shared], device) if n_shared else Prefix((), None)
    prefix, leaves = _cut(whole)
    total = 0.0
    for group in batches([len(e.ids) - n_shared for e in examples], token_budget):
        chosen = [examples[i] for i in group]
        keep = max(e.n_answer for e in chosen) + 1
        logits = run_suffixes(model, prefix, [e.ids[n_shared:] for e in chosen], keep, pad_id, device)
        loss = (
            torch.stack([_row_loss(row, e) for row, e in zip(logits, chosen, strict=True)]).sum() / n_answers
        )
        loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    if leaves:
        torch.autograd.backward([x for x, _ in leaves], [y.grad for _, y in leaves])
    return total


def _cut(prefix: Prefix) -> tuple[Prefix, list[tuple[Tensor, Tensor]]]:
    """Replace a prefix's keys and values by leaves that gather gradients; also return the pairs."""
    if prefix.cache is None:
        return prefix, []
    pairs: list[tuple[Tensor, Tensor]] = []
    cache = copy.copy(prefix.cache)
    cache.layers = [copy.copy(layer) for layer in prefix.cache.layers]
    for layer in cache.layers:
        for name in ("keys", "values"):
            value = getattr(layer, name)
            leaf = value.detach().requires_grad_(value.requires_grad)
            if value.requires_grad:
                pairs.append((value, leaf))
            setattr(layer, name, leaf)
    return Prefix(prefix.ids, cache), pairs


def _row_loss(logits: Tensor, example: Example) -> Tensor:
    """Return the summed cross-entropy of the answer; logits (keep, vocabulary) end at the last id."""
    n = example.n_answer
    target = torch.tensor(example.answer, device=logits.device)
    return torch.nn.functional.cross_entropy(logits[-n - 1 : -1], target, reduction="sum")
