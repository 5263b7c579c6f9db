"""The integral of integrated gradients along one straight path, refined where the margin bends.

Gauss-Legendre quadrature with 8 nodes first. While the residual exceeds 5 %, the worst piece
of the path is halved and each half gets 8 nodes of its own, up to 64 nodes in all. A margin
often turns within a short stretch of the path, and halving spends its nodes there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from captum.attr import IntegratedGradients
from captum.attr._utils.approximation_methods import approximation_parameters
from torch import Tensor

from lorabench.attribution.maps import relative_residual

NODES = 8
MAX_NODES = 64
TOLERANCE = 0.05
STEP_SECONDS = 0.4
MAX_STEP_TOKENS = 4096
"""Most tokens of one backward pass: on a GPU memory binds before time does."""


class Slicer:
    """Learns how many rows fit into one step of the engine."""

    def __init__(self) -> None:
        self._rows_per_second: float | None = None

    def rows(self, n_tokens: int) -> int:
        """Return how many rows of `n_tokens` to take next; the first time 1."""
        if self._rows_per_second is None:
            return 1
        wanted = min(int(self._rows_per_second * STEP_SECONDS), MAX_STEP_TOKENS // n_tokens)
        return max(wanted, 1)

    def learn(self, n_rows: int, seconds: float) -> None:
        """Take note of a finished step."""
        self._rows_per_second = n_rows / max(seconds, 1e-6)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """A finished stretch of the path: where it runs, m at its ends, scores (tokens,)."""

    low: float
    high: float
    at_low: float
    at_high: float
    scores: Tensor

    @property
    def error(self) -> float:
        return abs(float(self.scores.sum()) - (self.at_high - self.at_low))


class Path:
    """The way from a reference to the embedded question.

    Attributes:
        n_done: Nodes evaluated so far.
        n_planned: Nodes planned so far; grows when a piece is halved.
        at_start: m at the reference.
    """

    def __init__(
        self,
        margin: Callable[[Tensor], Tensor],
        acting: Callable[[], AbstractContextManager[None]],
        slicer: Slicer,
        start: Tensor,
        end: Tensor,
        at_end: float,
    ) -> None:
        """Prepare a path.

        Args:
            margin: m of embeddings (rows, tokens, width), differentiable.
            acting: Context in which `margin` may be called.
            slicer: Shared by all paths of one map.
            start: The reference (tokens, width).
            end: The question (tokens, width).
            at_end: m(end).
        """
        self._margin = margin
        self._acting = acting
        self._slicer = slicer
        self._start = start
        self._end = end
        self._at_end = at_end
        self._pieces: list[_Piece] = []
        self.at_start = self._value(0.0)
        self.n_done = 0
        self.n_planned = NODES

    @property
    def scores(self) -> Tensor:
        """Scores (tokens,) of the whole path."""
        return torch.stack([p.scores for p in self._pieces]).sum(dim=0)

    @property
    def residual(self) -> float:
        """Share of m(end) - m(start) that the pieces miss, errors of both signs added up."""
        missed = self._at_end - self.at_start + sum(p.error for p in self._pieces)
        return relative_residual(missed, self._at_end, self.at_start)

    def steps(self) -> Iterator[None]:
        """Integrate, yielding after every step."""
        yield from self._integrate(0.0, 1.0, self.at_start, self._at_end)
        while self.residual > TOLERANCE and self.n_done + NODES < MAX_NODES:
            worst = max(self._pieces, key=lambda p: p.error)
            self._pieces.remove(worst)
            middle = (worst.low + worst.high) / 2
            at_middle = self._value(middle)
            self.n_planned += 2 * NODES
            yield from self._integrate(worst.low, middle, worst.at_low, at_middle)
            yield from self._integrate(middle, worst.high, at_middle, worst.at_high)

    def _integrate(self, low: float, high: float, at_low: float, at_high: float) -> Iterator[None]:
        sizes, alphas = approximation_parameters("gausslegendre")
        nodes = list(zip(sizes(NODES), alphas(NODES), strict=True))
        total = torch.zeros(len(self._end), device=self._end.device)
        while nodes:
            n = self._slicer.rows(len(self._end))
            part, nodes = nodes[:n], nodes[n:]
            began = time.monotonic()
            total += self._part(low, high, part)
            self._slicer.learn(len(part), time.monotonic() - began)
            self.n_done += len(part)
            yield
        self._pieces.append(_Piece(low=low, high=high, at_low=at_low, at_high=at_high, scores=total))

    def _part(self, low: float, high: float, part: list[tuple[float, float]]) -> Tensor:
        # `attribute` runs all nodes in one call; Captum's own batching uses this method too.
        with self._acting():
            (scores,) = IntegratedGradients(self._margin)._attribute(
                inputs=(self._at(high)[None],),
                baselines=(self._at(low)[None],),
                n_steps=len(part),
                step_sizes_and_alphas=([size for size, _ in part], [alpha for _, alpha in part]),
            )
        summed: Tensor = scores.detach()[0].sum(dim=-1)
        return summed

    def _at(self, share: float) -> Tensor:
        return self._start + share * (self._end - self._start)

    def _value(self, share: float) -> float:
        with self._acting(), torch.no_grad():
            return float(self._margin(self._at(share)[None])[0])
