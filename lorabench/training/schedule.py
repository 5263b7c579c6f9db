"""How the optimiser walks: rates, the order of the rows, and the optimisers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from lorabench.errors import unknown_name

Optimiser = Literal["adamw", "adafactor"]
Decay = Literal["linear", "cosine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How the optimiser walks.

    Attributes:
        steps: Optimiser steps.
        batch_rows: Rows per step. They pass in micro-batches of at most `token_budget` tokens whose
            gradients add up, so this is the effective batch, whatever the memory.
        learning_rate: Peak rate, reached after `warmup` steps, then down to zero.
        warmup: Warm-up steps.
        decay: Straight down ("linear") or half a cosine.
        optimiser: "adamw", or "adafactor" as the second study sets it (no relative step, no
            scaling by parameter, update clipped at 1; arXiv 2506.11402, released configuration).
        weight_decay: Decoupled weight decay.
        clip_norm: Largest gradient norm.
        token_budget: Most padded tokens of one micro-batch.
        seed: Order of the rows, and what dropout drops.
    """

    steps: int = 200
    batch_rows: int = 16
    learning_rate: float = 1e-3
    warmup: int = 10
    decay: Decay = "linear"
    optimiser: Optimiser = "adamw"
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    token_budget: int = 384
    seed: int = 0

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        left = max(0.0, (self.steps - step) / max(1, self.steps - self.warmup))
        if self.decay == "cosine":
            left = 0.5 * (1 + math.cos(math.pi * (1 - left)))
        return self.learning_rate * left

    def rows_of(self, step: int, n_examples: int) -> list[int]:
        """Return which examples a step uses; depends on seed and step alone, so a resume agrees."""
        out: list[int] = []
        at = step * self.batch_rows
        while len(out) < self.batch_rows:
            epoch, offset = divmod(at + len(out), n_examples)
            order = np.random.default_rng([self.seed, epoch]).permutation(n_examples)
            out.extend(int(i) for i in order[offset : offset + self.batch_rows - len(out)])
        return out

    def optimiser_for(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Return the optimiser over these parameters; the loop sets its rate at every step."""
        if self.optimiser == "adamw":
            return torch.optim.AdamW(parameters, weight_decay=self.weight_decay)
        if self.optimiser == "adafactor":
            from transformers.optimization import Adafactor

            found: torch.optim.Optimizer = Adafactor(
                parameters,
                lr=self.learning_rate,
                weight_decay=self.weight_decay,
                relative_step=False,
                scale_parameter=False,
                warmup_init=False,
                clip_threshold=1.0,
            )
            return found
        raise unknown_name("optimiser", self.optimiser, ("adamw", "adafactor"))
