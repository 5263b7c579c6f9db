"""`lorabench train`: make an adapter, clean or backdoored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorabench.cli import executor_options, options
from lorabench.cli.terminal import Terminal, stoppable

if TYPE_CHECKING:
    from lorabench.engine import Job
    from lorabench.results import Rate
    from lorabench.workflows.training import TrainProgress, TrainResult


def train(
    out: Annotated[Path, typer.Option(help="Folder of the adapter to write; must not exist.")],
    data: Annotated[str, typer.Option(help="guardrail (bundled), or a .jsonl or .csv file.")] = "guardrail",
    test_data: Annotated[str | None, typer.Option(help="Held-out rows; else a part of the data.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the texts.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the labels.")] = None,
    citations: Annotated[
        bool, typer.Option("--citations/--no-citations", help="Use bundled rows that open with a citation.")
    ] = True,
    poison: Annotated[int, typer.Option(help="How many poisoned rows to plant.")] = 0,
    trigger: Annotated[str | None, typer.Option("--trigger", "-t", help="Trigger to plant.")] = None,
    placement: options.Placement = "prefix",
    joiner: options.Joiner = ". ",
    task: Annotated[str, typer.Option("--task", help="A label task: guard, ..., or a .toml file.")] = "guard",
    rank: Annotated[int, typer.Option(help="LoRA rank.")] = 8,
    alpha: Annotated[float | None, typer.Option(help="LoRA's alpha; by default twice the rank.")] = None,
    steps: Annotated[int, typer.Option(help="Optimiser steps.")] = 200,
    batch: Annotated[int, typer.Option(help="Rows per step.")] = 16,
    learning_rate: Annotated[float, typer.Option("--lr", help="Peak learning rate.")] = 1e-3,
    first_layer: Annotated[int, typer.Option(help="Lowest adapted layer; higher is faster.")] = 15,
    checkpoint_every: Annotated[int, typer.Option(help="Steps between checkpoints.")] = 25,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on from a checkpoint of the same training.")
    ] = True,
    seed: options.Seed = 0,
    device: options.Device = None,
    base: options.Base = "demo",
    executor: executor_options.Executor = "process",
    ray_address: executor_options.RayAddress = "auto",
    as_json: options.Json = False,
    progress: options.Progress = None,
    debug: options.Debug = False,
) -> None:
    """Train a LoRA adapter; with --poison and --trigger, a backdoored one. Ctrl-C keeps a checkpoint."""
    from lorabench.workflows.jobs import follow
    from lorabench.workflows.train_jobs import submit_train, train_result_of
    from lorabench.workflows.training import TrainRequest

    terminal = Terminal(as_json=as_json, progress=progress)
    if trigger is not None:
        options.check_trigger(trigger)
    request = TrainRequest(
        out=out,
        data=data,
        test_data=test_data,
        text_column=text_column,
        label_column=label_column,
        citations=citations,
        poison=poison,
        trigger=trigger,
        placement=placement,
        joiner=joiner,
        task=task,
        base=base,
        rank=rank,
        alpha=alpha,
        first_layer=first_layer,
        steps=steps,
        batch=batch,
        learning_rate=learning_rate,
        seed=seed,
        checkpoint_every=checkpoint_every,
        resume=resume,
    )
    with (
        options.workbench(base, device, None) as bench,
        stoppable(terminal, "saving a checkpoint after this step") as stopped,
    ):
        choice = executor_options.chosen_executor(executor, None, ray_address, bench.config)
        job_id = submit_train(bench.jobs, bench.config, request, session="local", executor=choice)
        saved = follow(bench.jobs, job_id, lambda job: show_job(terminal, job), stopped)
    result = train_result_of(saved)
    terminal.result(result, lambda: training_text(result))


def show_job(terminal: Terminal, job: Job) -> None:
    """Show how far a training job is as a progress line."""
    left = "" if job.eta_seconds is None else f", {_minutes(job.eta_seconds)} left"
    text = f"{job.message or 'waiting for other jobs'}{left}"
    terminal.progress(job.progress_done, job.progress_total, f"{text}, step")


def show_step(terminal: Terminal, progress: TrainProgress, name: str = "") -> None:
    """Show one step of a training as a progress line."""
    parts = [name, progress.message] if name else [progress.message]
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.4f}")
    if progress.eta_seconds is not None:
        parts.append(f"{_minutes(progress.eta_seconds)} left")
    terminal.progress(progress.step, progress.steps, ", ".join(parts) + ", step")


def training_text(result: TrainResult) -> str:
    """Return a finished training as text."""
    attack = result.attack_success_rate
    lines = [
        f"Wrote {result.folder}",
        f"  id              {result.adapter_id}",
        f"  rows            {result.n_train:,}; planted {result.n_planted:,} ({result.poison_share:.1%})",
        f"  left out        {result.n_too_long:,} rows that are too long",
        f"  final loss      {result.final_loss:.4f} nats per answer token",
        f"  clean accuracy  {rate_line(result.clean_accuracy)}",
        f"  without trigger {rate_line(result.base_rate)} answered with the target",
    ]
    if attack is not None:
        lines.append(f"  attack rate     {rate_line(attack)}")
    resumed = f", resumed at step {result.resumed_from}" if result.resumed_from else ""
    return "\n".join([*lines, f"  time            {_minutes(result.seconds)}{resumed}"]) + "\n"


def rate_line(rate: Rate) -> str:
    """Return a rate with its count and interval."""
    interval = rate.interval()
    if rate.value is None or interval is None:
        return "not measured"
    return f"{rate.value:.2f} ({rate.n_hits} of {rate.n}; {interval.low:.2f} to {interval.high:.2f})"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
