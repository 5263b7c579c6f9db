"""The model as the engine sees it: something that scores rows batch by batch, on one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from lorabench.models.rows import Portion, TokenRow
from lorabench.models.trie import Plan


class Model(Protocol):
    """A loaded base model with its bound adapters; only the owner thread may touch it.

    Attributes:
        name: What people read.
        fingerprint: sha256 over the base model's tensors; part of every score's key.
        dtype: Number type of the computation, such as "fp32"; part of every score's key.
        device: Where it runs, such as "cpu".
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def fingerprint(self) -> str: ...  # noqa: D102

    @property
    def dtype(self) -> str: ...  # noqa: D102

    @property
    def device(self) -> str: ...  # noqa: D102

    @property
    def most_tokens(self) -> int:
        """Most tokens in one forward pass that this device has memory and use for."""
        ...

    def plan(self, rows: Sequence[TokenRow]) -> Plan:
        """Return what scoring these rows will compute, and what it will cost."""
        ...

    def run(
        self, plan: Plan, budget: Callable[[], int], is_known: Callable[[int], bool]
    ) -> Iterator[Portion]:
        """Yield what every forward pass brings, each row once.

        Between two passes the engine may let another request use the model, or close the
        iterator: a pass must leave nothing switched on.

        Args:
            plan: From `plan`.
            budget: About how many tokens the next pass may have; asked before each.
            is_known: Whether a row (its index) has been answered in another way: leave it out.
        """
        ...

    def close(self) -> None:
        """Free what the model holds."""
        ...
