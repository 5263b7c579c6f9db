"""What was measured about the way scores are computed: sharing against the plain path, fast against exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

TOLERANCE = 1e-3
"""Largest difference in logits at which a shared computation counts as exact (fp32)."""

MERGE_TOLERANCE = 1e-4
"""Largest difference in logits between merged and stacked weights at which merged ones are used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfCheck:
    """Random questions scored through the token trie and, whole, one forward pass a row.

    Attributes:
        kind: What was asked: "base", "stacked" (base and adapter rows in one pass) or "merged", the latter
            two apart for DoRA.
        device: Where.
        dtype: Number type.
        n_rows: Questions compared.
        max_difference: Largest difference of any label logit or log-sum-exp, in logits; None
            if sharing is not possible with this model.
        reason: Why not, as a sentence; empty otherwise.
    """

    kind: str
    device: str
    dtype: str
    n_rows: int
    max_difference: float | None
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether sharing may be used; a fast mode is not exact anyway and has its own agreement."""
        if self.max_difference is None:
            return False
        return self.dtype != "fp32" or self.max_difference <= TOLERANCE

    @property
    def sentence(self) -> str:
        """The outcome for people."""
        if self.max_difference is None:
            return f"off: {self.reason}"
        state = "on" if self.passed else "off"
        return f"{state}: {self.n_rows} random rows differ by at most {self.max_difference:.1e} logits"

    def extra_fields(self) -> dict[str, Any]:
        """Derived values for JSON."""
        return {"passed": self.passed, "sentence": self.sentence}


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """A fast mode against fp32 on the same questions: what it may be trusted with.

    Attributes:
        dtype: The fast mode.
        n_rows: Questions compared.
        n_same: Those with the same answer (largest label logit).
        max_margin_change: Largest change of the target margin, in logits.
    """

    dtype: str
    n_rows: int
    n_same: int
    max_margin_change: float

    @property
    def sentence(self) -> str:
        """The outcome for people."""
        return (
            f"fast mode {self.dtype}: {self.n_same} of {self.n_rows} sample answers as in fp32, margins "
            f"change by up to {self.max_margin_change:.2f} logits; not for a verdict"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeCheck:
    """Stacked against merged weights for many rows of one adapter, measured on this machine.

    Attributes:
        stacked_tokens_per_second: Speed of base and factors.
        merged_tokens_per_second: Speed of merged weights.
        build_seconds: Time to make the merged weights.
        max_difference: Largest difference of any label logit or log-sum-exp, in logits.
    """

    stacked_tokens_per_second: float
    merged_tokens_per_second: float
    build_seconds: float
    max_difference: float

    @property
    def is_exact(self) -> bool:
        """Whether merged weights may stand for stacked ones: within 1e-4 logits."""
        return self.max_difference <= MERGE_TOLERANCE

    def pays(self, n_tokens: int) -> bool:
        """Whether merging is exact and saves time over this many tokens."""
        saved = n_tokens / self.stacked_tokens_per_second - n_tokens / self.merged_tokens_per_second
        return self.is_exact and saved > self.build_seconds
