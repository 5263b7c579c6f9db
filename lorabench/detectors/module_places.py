"""Where in a model a module stands, read off its path: layer, block, and what it is in its layer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Block = Literal["attention", "mlp", "other"]

_NUMBER = re.compile(r"[0-9]{1,4}")
_ATTENTION = ("attn", "attention")
_ATTENTION_NAMES = frozenset(
    {
        *("query", "key", "value", "query_key_value"),
        *("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj", "out_proj"),
        *("q_lin", "k_lin", "v_lin", "out_lin"),
        *("wq", "wk", "wv", "wo", "wqkv"),
    }
)
_MLP = ("mlp", "ffn", "feed_forward", "feedforward", "intermediate", "expert", "densereludense")
_MLP_NAMES = frozenset(
    {
        *("gate_proj", "up_proj", "down_proj", "gate_up_proj"),
        *("fc1", "fc2", "lin1", "lin2", "w1", "w2", "w3"),
        *("dense_h_to_4h", "dense_4h_to_h"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a module stands.

    Attributes:
        layer: The first number in its path; None if there is none.
        block: "attention", "mlp" or "other".
        projection: Last part of the path.
        site: The path with its layer taken out, such as "encoder.layer.#.output.dense": modules that do
            the same in different layers share it, and BERT's three "dense" do not.
    """

    layer: int | None
    block: Block
    projection: str
    site: str


def place_of(name: str) -> Place:
    """Read a module's place off its path, as Llama, Qwen, Gemma, Mistral, GPT-2, T5 and BERT name them."""
    parts = name.split(".")
    at = next((i for i, part in enumerate(parts) if _NUMBER.fullmatch(part)), None)
    inside = [p.lower() for p in (parts if at is None else parts[at + 1 :])]
    return Place(
        layer=None if at is None else int(parts[at]),
        block=_block(inside, is_in_layer=at is not None),
        projection=parts[-1],
        site=name if at is None else ".".join([*parts[:at], "#", *parts[at + 1 :]]),
    )


def _block(inside: list[str], *, is_in_layer: bool) -> Block:
    last = inside[-1] if inside else ""
    if any(mark in part for part in inside for mark in _ATTENTION) or last in _ATTENTION_NAMES:
        return "attention"
    if any(mark in part for part in inside for mark in _MLP) or last in _MLP_NAMES:
        return "mlp"
    if is_in_layer and inside == ["output", "dense"]:  # BERT: the second half of its MLP
        return "mlp"
    return "other"
