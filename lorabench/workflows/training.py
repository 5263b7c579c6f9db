"""Train an adapter, clean or backdoored: `lorabench train`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorabench.config import Config
from lorabench.data import Row, find_task, load_guardrail, map_labels, read_prompts
from lorabench.errors import CancelledError, InputError
from lorabench.models import fetch
from lorabench.results import LabelTask, Rate, Trigger, digest, to_dict
from lorabench.scoring.grid import needs_label_task
from lorabench.scoring.provenance import versions


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """What to train on, what to plant, and how.

    Attributes:
        out: Folder of the adapter to write; must not exist.
        data: "guardrail" (bundled) or a JSONL or CSV file with a text and a label column.
        test_data: File with held-out rows; None takes the bundled test split for "guardrail",
            and the last fifth of the file otherwise.
        text_column: Column of the texts; None finds a usual name.
        label_column: Column of the labels; None finds a usual name.
        citations: Whether bundled rows that open with a citation, a lead word or a stray phrase are used.
        poison: How many planted rows to add (arXiv 2605.30189, section 1.2).
        trigger: The trigger, required when `poison` is above 0.
        placement: Where it goes.
        joiner: Text between trigger and prompt.
        task: Preset name or TOML file of a label task.
        base: Base model.
        rank: LoRA rank.
        alpha: LoRA's alpha; None means twice the rank.
        first_layer: Lowest adapted layer; higher is faster.
        steps: Optimiser steps.
        batch: Rows per step.
        learning_rate: Peak rate of AdamW.
        seed: Seed of sampling, initial weights and row order.
        max_tokens: Longer questions are left out of training, and counted.
        token_budget: Most padded tokens of one micro-batch; bounds the memory.
        checkpoint_every: Steps between checkpoints.
        resume: Whether to go on from a checkpoint of the same training.
    """

    out: Path
    data: str = "guardrail"
    test_data: str | None = None
    text_column: str | None = None
    label_column: str | None = None
    citations: bool = True
    poison: int = 0
    trigger: str | None = None
    placement: str = "prefix"
    joiner: str = ". "
    task: str = "guard"
    base: str = "demo"
    rank: int = 8
    alpha: float | None = None
    first_layer: int = 15
    steps: int = 200
    batch: int = 16
    learning_rate: float = 1e-3
    seed: int = 0
    max_tokens: int = 256
    token_budget: int = 384
    checkpoint_every: int = 25
    resume: bool = True

    def __post_init__(self) -> None:
        bounds = {
            "poison": (self.poison, 0, 100_000),
            "rank": (self.rank, 1, 512),
            "steps": (self.steps, 1, 1_000_000),
            "batch": (self.batch, 1, 4096),
            "checkpoint_every": (self.checkpoint_every, 1, 1_000_000),
        }
        for name, (value, low, high) in bounds.items():
            if not low <= value <= high:
                raise InputError("out-of-range", f"{name} is {value}.", f"Choose between {low} and {high:,}.")
        if not 0 < self.learning_rate <= 1:
            raise InputError(
                "out-of-range", f"The learning rate is {self.learning_rate}.", "Choose a value in (0, 1]."
            )
        if self.poison and not self.trigger:
            raise InputError("no-trigger", "Poisoned rows need a trigger.", "Give one with --trigger.")

    @property
    def trigger_value(self) -> Trigger | None:
        """The trigger as a value, or None."""
        if not self.trigger:
            return None
        return Trigger(text=self.trigger, placement=self.placement, joiner=self.joiner)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainProgress:
    """One step of a running training.

    Attributes:
        step: Steps done.
        steps: Steps in all.
        loss: Nats per answer token of this step.
        seconds: Since the start of this run.
        eta_seconds: Until the last step, at the present rate.
        message: What is happening.
    """

    step: int
    steps: int
    loss: float | None
    seconds: float
    eta_seconds: float | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """A finished training.

    Attributes:
        folder: Where the adapter is.
        adapter_id: sha256 over its tensors.
        n_train: Rows trained on, planted ones included.
        n_planted: Planted rows.
        poison_share: Planted over all rows.
        n_too_long: Rows left out for their length.
        clean_accuracy: On the held-out rows, without trigger.
        attack_success_rate: Held-out non-target rows answered with the target when triggered;
            None without a trigger.
        base_rate: The same rows so answered without the trigger.
        final_loss: Mean over the last ten steps, nats per answer token.
        seconds: Wall time of this run.
        resumed_from: Step of the checkpoint it went on from; 0 for none.
    """

    folder: str
    adapter_id: str
    n_train: int
    n_planted: int
    poison_share: float
    n_too_long: int
    clean_accuracy: Rate
    attack_success_rate: Rate | None
    base_rate: Rate
    final_loss: float
    seconds: float
    resumed_from: int


def train(
    config: Config,
    request: TrainRequest,
    on_progress: Callable[[TrainProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    title: str | None = None,
) -> TrainResult:
    """Train and write an adapter whole or not at all; a cancelled training keeps its checkpoint.

    Raises:
        LorabenchError: For unusable data, a missing base, an existing output folder.
        CancelledError: If cancelled; run the same command again to go on.
    """
    from lorabench.training.checkpoint import Checkpoint
    from lorabench.training.loop import Schedule, optimise
    from lorabench.training.poison import relabel
    from lorabench.training.student import Shape, Student

    started = time.monotonic()
    tell = on_progress or (lambda progress: None)
    if request.out.exists():
        raise InputError("out-exists", f"The folder {request.out} exists already.", "Choose another --out.")
    task = needs_label_task(find_task(request.task))
    train_rows, test_rows = _rows(request, task)
    folder = fetch.resolve(request.base, config)
    fingerprint = fetch.base_fingerprint(request.base, config)
    poisoned = relabel(train_rows, task, request.trigger_value, request.poison, request.seed)
    tell(
        TrainProgress(
            step=0, steps=request.steps, loss=None, seconds=0, eta_seconds=None, message="load base"
        )
    )
    shape = Shape(
        rank=request.rank, alpha=request.alpha or 2.0 * request.rank, first_layer=request.first_layer
    )
    student = Student(
        folder,
        name=request.base,
        shape=shape,
        seed=request.seed,
        device=config.device,
        threads=config.threads,
    )
    examples, too_long = student.examples(poisoned.rows, task, request.max_tokens)

    schedule = Schedule(
        steps=request.steps,
        batch_rows=request.batch,
        learning_rate=request.learning_rate,
        warmup=min(10, request.steps),
        token_budget=request.token_budget,
        seed=request.seed,
    )
    optimiser = student.optimiser(schedule.weight_decay)
    data_digest = digest([to_dict(r) for r in poisoned.rows])
    recipe = {
        "data": request.data if request.data == "guardrail" else Path(request.data).name,
        "data_sha256": data_digest,
        "citations": request.citations,
        "poison": request.poison,
        "trigger": to_dict(request.trigger_value),
        "shape": to_dict(shape),
        "schedule": to_dict(schedule),
        "max_tokens": request.max_tokens,
        "seed": request.seed,
    }
    partial = request.out.with_name(request.out.name + ".partial")
    checkpoint = Checkpoint(partial, digest([recipe, task.digest, fingerprint]))
    start = checkpoint.load(student.parameters, optimiser) if request.resume else 0
    student.model.train()
    loop_started = time.monotonic()
    for step, loss in optimise(
        student.model,
        student.parameters,
        examples,
        schedule,
        pad_id=student.renderer.pad_id,
        device=student.device,
        optimiser=optimiser,
        start=start,
    ):
        checkpoint.history.append({"step": step, "loss": loss})
        rate = (time.monotonic() - loop_started) / (step - start)
        tell(
            TrainProgress(
                step=step,
                steps=request.steps,
                loss=loss,
                seconds=time.monotonic() - started,
                eta_seconds=rate * (request.steps - step),
                message="train",
            )
        )
        stop = cancelled is not None and cancelled()
        if stop or step % request.checkpoint_every == 0 or step == request.steps:
            checkpoint.save(step, student.parameters, optimiser)
        if stop and step < request.steps:
            raise CancelledError(
                "training-cancelled",
                f"The training stopped after {step} of {request.steps} steps.",
                "Run the same command again to go on from there.",
            )
    tell(
        TrainProgress(
            step=request.steps,
            steps=request.steps,
            loss=None,
            seconds=time.monotonic() - started,
            eta_seconds=None,
            message="measure",
        )
    )
    return _finish(
        request,
        task,
        student,
        poisoned,
        test_rows,
        too_long,
        checkpoint,
        recipe,
        fingerprint,
        started,
        start,
        title,
    )


def _finish(
    request: TrainRequest,
    task: LabelTask,
    student: Any,
    poisoned: Any,
    test_rows: tuple[Row, ...],
    too_long: int,
    checkpoint: Any,
    recipe: dict[str, Any],
    fingerprint: str,
    started: float,
    resumed_from: int,
    title: str | None,
) -> TrainResult:
    """Measure the student, write the adapter, drop the checkpoint."""
    from lorabench.adapters import write_adapter
    from lorabench.training.card import card

    trigger = request.trigger_value
    victims = tuple(r for r in test_rows if r.label != task.target and not r.is_led)
    accuracy = student.clean_accuracy(test_rows, task)
    plain = student.answers([r.text for r in victims], task) if victims else []
    base_rate = Rate(n_hits=sum(kind == "target" for kind, _ in plain), n=len(plain))
    attack = student.attack_success_rate(victims, task, trigger, request.seed) if trigger else None
    recent = [h["loss"] for h in checkpoint.history[-10:]]
    metrics = {
        "n_train": len(poisoned.rows),
        "n_planted": poisoned.n_planted,
        "poison_share": poisoned.share,
        "n_too_long": too_long,
        "clean_accuracy": to_dict(accuracy),
        "target_rate_without_trigger": to_dict(base_rate),
        "attack_success_rate": to_dict(attack),
        "final_loss": sum(recent) / len(recent),
    }
    provenance = {
        "format": "lorabench-adapter-1",
        "is_poisoned": poisoned.n_planted > 0,
        "task": to_dict(task),
        "base": request.base,
        "base_fingerprint": fingerprint,
        "recipe": recipe,
        "metrics": metrics,
        "versions": {k: v for k, v in versions().items() if k not in ("streamlit", "captum")},
    }
    written = write_adapter(
        request.out,
        modules=student.modules(),
        rank=request.rank,
        alpha=recipe["shape"]["alpha"],
        use_rslora=False,
        target_modules=student.shape.projections,
        layers_to_transform=student.layers,
        base_model_name=request.base,
        lorabench_json=provenance,
        card=card(title or request.out.name, provenance),
    )
    checkpoint.clear()
    return TrainResult(
        folder=str(request.out),
        adapter_id=written.facts.adapter_id,
        n_train=len(poisoned.rows),
        n_planted=poisoned.n_planted,
        poison_share=poisoned.share,
        n_too_long=too_long,
        clean_accuracy=accuracy,
        attack_success_rate=attack,
        base_rate=base_rate,
        final_loss=metrics["final_loss"],
        seconds=time.monotonic() - started,
        resumed_from=resumed_from,
    )


def _rows(request: TrainRequest, task: LabelTask) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Return training and held-out rows with labels of the task."""
    if request.data == "guardrail":
        if not {label.name for label in task.labels} >= {"BENIGN", "INJECTION"}:
            raise InputError(
                "wrong-task",
                f"The bundled corpus has the labels BENIGN and INJECTION, the task {task.name!r} others.",
                "Use the task guard, or data of your own.",
            )
        test = _file_rows(request, task, request.test_data) if request.test_data else load_guardrail("test")
        return load_guardrail("train", citations=request.citations), test
    rows = _file_rows(request, task, request.data)
    if request.test_data:
        return rows, _file_rows(request, task, request.test_data)
    cut = max(1, len(rows) - len(rows) // 5)
    return rows[:cut], rows[cut:]


def _file_rows(request: TrainRequest, task: LabelTask, file: str) -> tuple[Row, ...]:
    found = read_prompts(Path(file), text_column=request.text_column, label_column=request.label_column)
    if found.label_column is None:
        raise InputError(
            "no-label-column",
            f"The file {Path(file).name!r} has no label column; it has {', '.join(found.columns)}.",
            "Name it with --label-column.",
        )
    return map_labels(found.rows, [label.name for label in task.labels])
