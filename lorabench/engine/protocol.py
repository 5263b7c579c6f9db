"""The model as the engine sees it: something that scores rows batch by batch, on one thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from lorabench.models.rows import RowLogits, TokenRow


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

    def score_rows(
        self, rows: Sequence[TokenRow], adapter_id: str | None, token_budget: int
    ) -> Iterator[list[tuple[int, RowLogits]]]:
        """Yield finished rows as (index in `rows`, answer), batch by batch, each row once.

        Between two batches the engine may let another request use the model, or close the
        iterator: a batch must leave nothing switched on. A row longer than the budget is a
        batch of its own.

        Args:
            rows: Rows to score, sorted by length when the engine asks.
            adapter_id: The bound adapter to score with; None for the base alone.
            token_budget: Most padded tokens in one forward pass.
        """
        ...

    def close(self) -> None:
        """Free what the model holds."""
        ...
