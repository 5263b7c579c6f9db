"""What a training will cost, from its tokens and a matrix product timed here."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

EFFICIENCY = {"cpu": 0.33, "cuda": 0.25, "mps": 0.25}
"""Share of the matrix-product peak that training reaches. CPU: see `tests/bench/training.py`; the others
are guesses, because nothing was measured there."""

_BYTES = 4
_SIZE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """The numbers of a base that a cost depends on.

    Attributes:
        layers: Blocks.
        hidden: Width of the states.
        inner: Width of the feed-forward layer.
        vocabulary: Token ids; 0 without a language head.
        block_parameters: Weights of one block.
        embedding_parameters: Weights outside the blocks.
    """

    layers: int
    hidden: int
    inner: int
    vocabulary: int
    block_parameters: int
    embedding_parameters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTokens:
    """The tokens of one step.

    Attributes:
        unique: Computed, the shared beginning once.
        learnt: Answer tokens, for which the vocabulary is scored.
        micro: Of the largest micro-batch, shared beginning included.
    """

    unique: float
    learnt: float
    micro: float


def step_flops(size: ModelSize, tokens: StepTokens, first_layer: int, *, caches_lower: bool) -> float:
    """Return the floating-point operations of a step.

    A forward pass costs two operations per weight and token, and so does the backward pass, which
    ends at the lowest adapted layer: the base's weights have no gradients of their own.
    """
    upper = size.layers - first_layer
    forward = upper + (0 if caches_lower else first_layer)
    blocks = 2.0 * size.block_parameters * tokens.unique * (forward + upper)
    return blocks + 4.0 * size.vocabulary * size.hidden * tokens.learnt


def training_bytes(size: ModelSize, tokens: StepTokens, first_layer: int, n_adapter: int) -> int:
    """Return the memory of a training: base, adapter with gradients and moments, and what backward needs.

    Per adapted block and token about fourteen states and four inner ones are kept for the backward
    pass; the blocks below keep nothing.
    """
    weights = _BYTES * (size.layers * size.block_parameters + size.embedding_parameters)
    per_token = _BYTES * (14 * size.hidden + 4 * size.inner) * (size.layers - first_layer)
    logits = 3 * _BYTES * size.vocabulary * tokens.learnt
    runtime = 600_000_000  # Python, torch and transformers themselves
    return int(weights + 4 * _BYTES * n_adapter + per_token * tokens.micro + logits + runtime)


def peak_flops(device: str, seconds: float = 0.3) -> float:
    """Return the best rate of a 1024-cubed fp32 product on a device, in operations a second."""
    a = torch.randn(_SIZE, _SIZE, device=device)
    best, until = 0.0, time.monotonic() + seconds
    while time.monotonic() < until:
        start = time.perf_counter()
        for _ in range(4):
            a @ a
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        best = max(best, 4 * 2 * _SIZE**3 / (time.perf_counter() - start))
    return best
