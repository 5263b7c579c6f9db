"""What a training reports on its way and at its end."""

from __future__ import annotations

from dataclasses import dataclass

from lorabench.results import CurvePoint, TrainFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainProgress:
    """One step of a running training.

    Attributes:
        step: Steps done.
        steps: Steps in all.
        loss: Nats per learnt token (per row with a head) of this step.
        seconds: Since the start of this run.
        eta_seconds: Until the last step, at the present rate.
        message: What is happening.
        point: A measurement, at the steps that have one.
    """

    step: int
    steps: int
    loss: float | None
    seconds: float
    eta_seconds: float | None
    message: str
    point: CurvePoint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """A finished training.

    Attributes:
        folder: Where the adapter is.
        adapter_id: sha256 over its tensors.
        n_train: Rows trained on, planted ones included.
        n_test: Held-out rows.
        n_planted: Planted or altered rows.
        poison_share: Planted over all rows.
        n_too_long: Rows left out for their length.
        n_cut: Rows of which only the beginning was kept.
        figures: What was measured on the held-out rows.
        final_loss: Mean over the last ten steps.
        steps_per_second: Of this run, measurements left out.
        peak_bytes: Most memory of the process so far; None where the platform does not say.
        seconds: Wall time of this run.
        resumed_from: Step of the checkpoint it went on from; 0 for none.
        notes: What people should know, as sentences.
        curve: Measurements during the training.
    """

    folder: str
    adapter_id: str
    n_train: int
    n_test: int
    n_planted: int
    poison_share: float
    n_too_long: int
    n_cut: int
    figures: TrainFigures
    final_loss: float
    steps_per_second: float | None
    peak_bytes: int | None
    seconds: float
    resumed_from: int
    notes: tuple[str, ...] = ()
    curve: tuple[CurvePoint, ...] = ()
