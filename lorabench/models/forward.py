"""The plain forward pass: whole rows, right-padded, nothing shared; and what training shares.

This is the path that everything faster is held against (`lorabench.models.self_check`), and
the one that is taken where a model's attention cannot be shared. Facts it rests on
(transformers 5.23, each pinned by a test): a right-padded suffix over a key-value cache equals
the full forward to about 1e-6 in fp32 when position ids and a 2-D mask are passed;
`logits_to_keep` takes one position per row, so that the head never runs over the whole text;
`use_cache` is always explicit.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lorabench.models.rows import RowLogits, TokenRow


@dataclass(frozen=True, slots=True)
class Prefix:
    """A prefix that has been run: its tokens and their keys and values (batch of one)."""

    ids: tuple[int, ...]
    cache: Any | None


def common_prefix(rows: Sequence[tuple[int, ...]]) -> int:
    """Return how many leading ids all rows share, leaving at least one id to each row."""
    if len(rows) < 2:
        return 0
    low, high = min(rows), max(rows)  # lexicographic extremes share exactly the common prefix
    n = 0
    for x, y in zip(low, high, strict=False):
        if x != y:
            break
        n += 1
    return min(n, min(map(len, rows)) - 1)


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Yield row indices, sorted by length, in groups of at most `budget` padded tokens."""
    group: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and (len(group) + 1) * lengths[index] > budget:
            yield group
            group = []
        group.append(index)
    if group:
        yield group


def run_prefix(model: Any, ids: Sequence[int], device: torch.device) -> Prefix:
    """Run a shared prefix once and keep its keys and values."""
    out = model(input_ids=torch.tensor([list(ids)], device=device), use_cache=True, logits_to_keep=1)
    return Prefix(tuple(ids), out.past_key_values)


def expand_cache(cache: Any, n: int) -> Any:
    """Return a cache of `n` equal rows; the original stays untouched (and keeps its graph)."""
    wide = copy.copy(cache)
    wide.layers = []
    for layer in cache.layers:
        twin = copy.copy(layer)  # tensors are shared; `update` concatenates into new ones
        twin.keys = layer.keys.expand(n, -1, -1, -1)
        twin.values = layer.values.expand(n, -1, -1, -1)
        wide.layers.append(twin)
    return wide


def run_suffixes(
    model: Any,
    prefix: Prefix,
    suffixes: Sequence[Sequence[int]],
    keep: int,
    pad_id: int,
    device: torch.device,
) -> Tensor:
    """Return logits (n, keep, vocabulary) of the last `keep` positions of every suffix.

    Args:
        model: A causal language model of transformers.
        prefix: Shared prefix; may be empty.
        suffixes: n non-empty id sequences, each at least `keep` long.
        keep: How many final positions per row.
        pad_id: Any valid id; padded positions are masked and never read.
        device: Where the model is.
    """
    n, shared = len(suffixes), len(prefix.ids)
    width = max(map(len, suffixes))
    lengths = torch.tensor([len(s) for s in suffixes], device=device)
    ids = torch.tensor([list(s) + [pad_id] * (width - len(s)) for s in suffixes], device=device)
    positions = torch.arange(shared, shared + width, device=device).expand(n, -1)
    steps = torch.arange(width, device=device)
    mask = torch.cat([torch.ones(n, shared, device=device), steps < lengths[:, None]], dim=1).long()
    wanted = (lengths[:, None] - keep + torch.arange(keep, device=device)).clamp_min(0)
    cache = expand_cache(prefix.cache, n) if prefix.cache is not None else None
    out = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=cache is not None,
        logits_to_keep=wanted,
    )
    logits: Tensor = out.logits
    return logits.float()


def read_row(logits: Tensor, row: TokenRow) -> RowLogits:
    """Turn one row's logits (keep, vocabulary) into what the row asks for."""
    if row.tail:
        log_probs = torch.log_softmax(logits[:-1], dim=-1)
        answer = torch.tensor(row.ids[-row.tail :], device=logits.device)
        return RowLogits(tail_logprob=float(log_probs.gather(1, answer[:, None]).sum()))
    last = logits[-1]
    picked = tuple(float(torch.logsumexp(last[list(ids)], dim=0)) for ids in row.labels)
    return RowLogits(label_logits=picked, logsumexp=float(torch.logsumexp(last, dim=0)))


def plain_batch(model: Any, rows: Sequence[TokenRow], pad_id: int, device: torch.device) -> list[RowLogits]:
    """Return the answers to rows that go through whole, in one forward pass."""
    keep = max(r.tail for r in rows) + 1
    logits = run_suffixes(model, Prefix((), None), [r.ids for r in rows], keep, pad_id, device)
    return [read_row(logits[k, keep - row.tail - 1 :], row) for k, row in enumerate(rows)]
