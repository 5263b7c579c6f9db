"""One question to a model as token ids, and the answer as numbers; no torch here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """A fully rendered question.

    Attributes:
        ids: Token ids of the whole rendered question, special tokens included.
        labels: For each label the ids of its first tokens; the logits asked for.
        tail: Number of trailing ids that are an answer to be scored: their summed
            log-probability is asked for, and `labels` is empty. 0 asks for label logits
            at the position after the last id.
        adapter_id: Who is asked: a bound adapter, or None for the base alone.
    """

    ids: tuple[int, ...]
    labels: tuple[tuple[int, ...], ...] = ()
    tail: int = 0
    adapter_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowLogits:
    """The answer to one `TokenRow`, in fp32.

    Attributes:
        label_logits: One per label: logsumexp over the logits of its first tokens.
        logsumexp: Over the whole vocabulary at the answer position; None for a tail row.
        tail_logprob: Summed log-probability of the tail; None for a label row.
    """

    label_logits: tuple[float, ...] = ()
    logsumexp: float | None = None
    tail_logprob: float | None = None


@dataclass(frozen=True, slots=True)
class Portion:
    """What one forward pass brought.

    Attributes:
        rows: (index, answer) of the rows it finished; maybe none.
        n_tokens: Tokens that went through the model.
    """

    rows: list[tuple[int, RowLogits]]
    n_tokens: int
