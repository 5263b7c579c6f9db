"""Attention over packed trie nodes: each token sees its ancestors, then its own node up to itself.

Registered with transformers (`AttentionInterface`) under a name of its own, and named in a
model's config for the length of one call. What a model asks beyond plain attention (windows,
caps, sinks) is refused, and sharing is then off for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

ATTENTION = "lorabench_trie"
_UNSUPPORTED = ("sliding_window", "softcap", "s_aux", "position_bias")

KeysValues = tuple[Tensor, Tensor]


@dataclass(slots=True, eq=False)
class Branch:
    """Keys and values of everything up to the end of a node: one (1, heads, tokens, width) pair a layer."""

    layers: dict[int, KeysValues] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """Leaves of one parent, of any lengths, from `start` to `end` in the packed sequence.

    `spread` takes their tokens to n rows of equal width, `pack` takes those rows back.
    """

    start: int
    end: int
    n: int
    parent: Any
    spread: Tensor
    pack: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """`n` sibling nodes of `width` tokens each, from `start` on in the packed sequence.

    `slots` name them for their children: None where there are none.
    """

    start: int
    n: int
    width: int
    parent: Any
    slots: tuple[int | None, ...]


@dataclass(slots=True, eq=False)
class Layout:
    """How one packed sequence is to be attended."""

    spans: list[Span]
    families: list[Family]
    kept: dict[Any, Branch]
    keep: frozenset[int]
    causal: Tensor
    here: dict[int, KeysValues] = field(default_factory=dict)


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    trie: Layout,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attend node by node, leaves of one parent together. Shapes as transformers passes them.

    Raises:
        NotImplementedError: If the model asks for attention that this one does not do.
    """
    if asked := [name for name in _UNSUPPORTED if options.get(name) is not None]:
        raise NotImplementedError(f"trie attention does not do {', '.join(asked)}")
    layer = module.layer_idx
    out = query.new_empty(1, query.shape[2], query.shape[1], value.shape[3])
    trie.here.clear()
    for span in trie.spans:
        end = span.start + span.n * span.width
        q, k, v = (_rows(x[:, :, span.start : end], span.n) for x in (query, key, value))
        before = _before(trie, span.parent, layer)
        if before is not None:
            k = torch.cat([before[0].expand(span.n, -1, -1, -1), k], dim=2)
            v = torch.cat([before[1].expand(span.n, -1, -1, -1), v], dim=2)
        n_before = k.shape[2] - span.width
        mask = trie.causal[n_before : n_before + span.width, : k.shape[2]] if n_before else None
        done = scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            is_causal=mask is None,
            scale=scaling,
            enable_gqa=q.shape[1] != k.shape[1],
        )
        out[0, span.start : end] = done.transpose(1, 2).reshape(span.n * span.width, *out.shape[2:])
        for at, slot in enumerate(span.slots):
            if slot is not None:
                pair = k[at : at + 1], v[at : at + 1]
                trie.here[slot] = pair
                if slot in trie.keep:  # without ancestors it is a view that would hold the whole portion
                    trie.kept[slot].layers[layer] = pair if n_before else (pair[0].clone(), pair[1].clone())
    for family in trie.families:
        before = _before(trie, family.parent, layer)
        assert before is not None
        out[0, family.start : family.end] = _attend_family(query, key, value, family, before, scaling)
    return out, None


def _attend_family(
    query: Tensor, key: Tensor, value: Tensor, family: Family, before: KeysValues, scaling: float | None
) -> Tensor:
    """Return (tokens, heads, width) for leaves that share their ancestors' keys, which are not copied.

    Attention over ancestors and over the leaf itself is done apart and put together by the two
    log-sum-exps: softmax over both is their mean, weighted with the share of each.
    """
    attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    q, k, v = (x[:, :, family.start : family.end] for x in (query, key, value))
    above, log_above = attention(q, *before, 0.0, False, scale=scaling)
    spread = (_rows(x.index_select(2, family.spread), family.n) for x in (q, k, v))
    own, log_own = attention(*spread, 0.0, True, scale=scaling)
    own = own.transpose(1, 2).flatten(0, 1).index_select(0, family.pack)
    log_own = log_own.transpose(1, 2).flatten(0, 1).index_select(0, family.pack)
    share = torch.sigmoid(log_above[0].T - log_own)[:, :, None]
    return torch.lerp(own, above[0].transpose(0, 1), share.to(own.dtype))


def _rows(x: Tensor, n: int) -> Tensor:
    """(1, heads, n * width, d) -> (n, heads, width, d)."""
    if n == 1:
        return x
    heads, tokens, d = x.shape[1:]
    return x[0].reshape(heads, n, tokens // n, d).transpose(0, 1)


def _before(trie: Layout, parent: Any, layer: int) -> KeysValues | None:
    if parent in trie.here:
        return trie.here[parent]
    branch = trie.kept.get(parent)
    return branch.layers[layer] if branch is not None else None


def register() -> None:
    """Make the attention known to transformers; doing it again changes nothing."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    if ATTENTION not in ALL_ATTENTION_FUNCTIONS:
        ALL_ATTENTION_FUNCTIONS.register(ATTENTION, attend)


@contextmanager
def trie_attention(model: Any) -> Iterator[None]:
    """Let a model use our attention for the length of a `with` block."""
    config = model.config
    before = config._attn_implementation
    config._attn_implementation = ATTENTION
    try:
        yield
    finally:
        config._attn_implementation = before


def family(start: int, lengths: Sequence[int], parent: Any, device: torch.device) -> Family:
    """Return how leaves of these lengths, one behind the other from `start` on, are attended together."""
    width, at = max(lengths), 0
    spread: list[int] = []
    pack: list[int] = []
    for row, n in enumerate(lengths):
        spread += [*range(at, at + n), *[at] * (width - n)]  # what is padded comes last and is not read
        pack += range(row * width, row * width + n)
        at += n
    index = (torch.tensor(x, device=device) for x in (spread, pack))
    return Family(start, start + at, len(lengths), parent, *index)
