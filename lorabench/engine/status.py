"""What an engine says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["starting", "ready", "failed", "closed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """What the engine is doing now.

    Attributes:
        state: "starting" while the model opens, "ready", "failed" when it could not be
            opened, "closed".
        model: Name of the model; this and the next three are None until it is open.
        fingerprint: Its fingerprint.
        device: Where it runs.
        dtype: Number type of the computation.
        queue_length: Requests that wait, the running one aside.
        running: Label of the running request, or None.
        tokens_per_second: Measured speed, or None before the first batch.
        error: Why the model could not be opened, as a sentence.
        store_message: What went wrong with the score store, as a sentence.
    """

    state: State
    model: str | None
    fingerprint: str | None
    device: str | None
    dtype: str | None
    queue_length: int
    running: str | None
    tokens_per_second: float | None
    error: str | None
    store_message: str | None
