"""The training loop, built to be read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import torch

from lorabench.errors import TrainingError
from lorabench.training.schedule import Schedule


class Learner(Protocol):
    """What the loop trains."""

    @property
    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """Trainable tensors by name."""
        ...

    @property
    def n_examples(self) -> int:
        """How many rows there are to learn from."""
        ...

    def learn(self, chosen: Sequence[int], token_budget: int) -> float:
        """Add the gradients of the mean loss over these rows; return that loss in nats."""
        ...


def optimise(
    learner: Learner, schedule: Schedule, optimiser: torch.optim.Optimizer, start: int = 0
) -> Iterator[tuple[int, float]]:
    """Walk the schedule from step `start`; yield (steps done, loss) after every step.

    Nothing random is carried from step to step: rows and dropout follow from seed and step, so
    that a resumed training is the same training.

    Raises:
        TrainingError: If the loss is not finite: rule "diverged". The step is not taken.
    """
    for step in range(start, schedule.steps):
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(step)
        with torch.random.fork_rng():
            torch.manual_seed(schedule.seed * 1_000_003 + step)
            loss = learner.learn(schedule.rows_of(step, learner.n_examples), schedule.token_budget)
        norm = torch.nn.utils.clip_grad_norm_(learner.parameters.values(), schedule.clip_norm)
        if not (math.isfinite(loss) and math.isfinite(float(norm))):
            raise TrainingError(
                "diverged",
                f"The training diverged at step {step + 1}: the loss or its gradient is not a finite number.",
                "Start it again with a lower learning rate; the adapter was not written.",
            )
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        yield step + 1, loss
