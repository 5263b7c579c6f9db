"""Forward passes over token rows: one shared prefix, right-padded suffixes, logits where asked.

Facts this rests on (transformers 5.23, each pinned by a test): a right-padded suffix over a
key-value cache equals the full forward to about 1e-6 in fp32 when position ids and a 2-D mask
are passed; `logits_to_keep` takes one position per row, so that the head never runs over the
whole text; `use_cache` is always explicit.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lorabench.models.rows import RowLogits, TokenRow

MIN_SHARED = 16
"""Shortest common prefix (tokens) worth a forward pass of its own."""


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


class PrefixCache:
    """The last few prefixes that were run, by adapter: calls come in slices that share them.

    Keys and values belong to one adapter, so entries are kept apart by adapter; dropping an
    adapter must drop its entries (`forget`).
    """

    def __init__(self, size: int = 8) -> None:
        self._size = size
        self._entries: dict[tuple[str | None, tuple[int, ...]], Prefix] = {}

    def longest(self, adapter_id: str | None, ids: Sequence[int], limit: int) -> Prefix | None:
        """Return the longest known prefix of `ids` with at most `limit` tokens."""
        fits = [
            p
            for (a, known), p in self._entries.items()
            if a == adapter_id and len(known) <= limit and tuple(ids[: len(known)]) == known
        ]
        return max(fits, key=lambda p: len(p.ids), default=None)

    def put(self, adapter_id: str | None, prefix: Prefix) -> None:
        """Remember a prefix; the oldest entry goes when the cache is full."""
        self._entries[adapter_id, prefix.ids] = prefix
        while len(self._entries) > self._size:
            self._entries.pop(next(iter(self._entries)))

    def forget(self, adapter_id: str | None) -> None:
        """Drop an adapter's prefixes."""
        self._entries = {k: p for k, p in self._entries.items() if k[0] != adapter_id}


def shared_prefix(
    model: Any, rows: Sequence[TokenRow], known: PrefixCache, adapter_id: str | None, device: torch.device
) -> Prefix:
    """Return a prefix that all rows start with, from the cache or freshly run; maybe empty.

    A known prefix is taken unless running a longer one now saves more tokens than it costs.
    """
    room = min(len(r.ids) - r.tail - 1 for r in rows)
    common = min(common_prefix([r.ids for r in rows]), room) if len(rows) > 1 else 0
    best = known.longest(adapter_id, rows[0].ids, max(common, room if len(rows) == 1 else 0))
    length = len(best.ids) if best else 0
    if common >= MIN_SHARED and (common - length) * (len(rows) - 1) > length:
        best = run_prefix(model, rows[0].ids[:common], device)
        known.put(adapter_id, best)
    return best or Prefix((), None)


def score_rows(
    model: Any,
    rows: Sequence[TokenRow],
    *,
    budget: int,
    pad_id: int,
    device: torch.device,
    prefixes: PrefixCache | None = None,
    adapter_id: str | None = None,
) -> Iterator[list[tuple[int, RowLogits]]]:
    """Yield finished rows, batch by batch, as (index, logits); without `prefixes` nothing is shared."""
    if not rows:
        return
    prefix = Prefix((), None)
    if prefixes is not None:
        prefix = shared_prefix(model, rows, prefixes, adapter_id, device)
    n_shared = len(prefix.ids)
    lengths = [len(r.ids) - n_shared for r in rows]
    for group in batches(lengths, budget):
        chosen = [rows[i] for i in group]
        keep = max(r.tail for r in chosen) + 1
        logits = run_suffixes(model, prefix, [r.ids[n_shared:] for r in chosen], keep, pad_id, device)
        yield [
            (i, read_row(logits[k, keep - row.tail - 1 :], row))
            for k, (i, row) in enumerate(zip(group, chosen, strict=True))
        ]
