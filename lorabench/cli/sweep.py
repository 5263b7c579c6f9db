"""`lorabench sweep`: a grid of trainings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorabench.cli import executor_options, options
from lorabench.cli.terminal import Terminal, columns, stoppable
from lorabench.cli.train import minutes, show_job

if TYPE_CHECKING:
    from lorabench.results.training_sweeps import Spread, SweepReport
    from lorabench.workflows.sweep_spec import SweepSpec
    from lorabench.workflows.training_sweeps import SweepPlan


def sweep(
    file: Annotated[Path, typer.Argument(help="Sweep file (.toml), or the name of a bundled one.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the trainings; finished ones are kept.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the trainings and what they cost.")
    ] = False,
    figure: Annotated[Path | None, typer.Option(help="Write the figure as HTML.")] = None,
    device: options.Device = None,
    executor: executor_options.Executor = "process",
    workers: executor_options.Workers = None,
    ray_address: executor_options.RayAddress = "auto",
    as_json: options.Json = False,
    progress: options.Progress = None,
    debug: options.Debug = False,
) -> None:
    """Train a grid of adapters and put the measures together; Ctrl-C keeps what is done."""
    from lorabench.workflows.jobs import follow
    from lorabench.workflows.sweep_spec import read_sweep, sweeps_folder
    from lorabench.workflows.training_sweeps import plan_sweep, submit_sweep, sweep_report_of

    terminal = Terminal(as_json=as_json, progress=progress)
    if not file.suffix and not file.exists():
        file = sweeps_folder() / f"{file}.toml"
    spec = read_sweep(file)
    with options.workbench("demo", device, None) as bench:
        if dry_run:
            plan = plan_sweep(bench.config, spec)
            terminal.result(plan, lambda: _plan_text(spec, plan))
            return
        folder = out or Path("sweeps") / spec.name
        with stoppable(terminal, "saving a checkpoint after this step") as stopped:
            choice = executor_options.chosen_executor(executor, workers or 1, ray_address, bench.config)
            job_id = submit_sweep(bench.jobs, bench.config, spec, folder, session="local", executor=choice)
            saved = follow(bench.jobs, job_id, lambda job: show_job(terminal, job, "%"), stopped)
    report = sweep_report_of(saved)
    if figure is not None:
        from lorabench import figures

        figure.write_text(figures.sweep_chart(report).to_html(include_plotlyjs=True), encoding="utf-8")
    terminal.result(report, lambda: sweep_text(report))


def _plan_text(spec: SweepSpec, plan: SweepPlan) -> str:
    rows = [
        (*(str(v) for v in cell.values.values()), minutes(cost.seconds), f"{cost.n_bytes / 1e9:.1f} GB")
        for cell, cost in zip(plan.cells, plan.estimates, strict=True)
    ]
    head = f"{spec.title}: {len(rows)} trainings, about {minutes(plan.seconds)} one after another"
    return f"{head}\n{columns((*spec.grid, 'time', 'memory'), rows)}"


def sweep_text(report: SweepReport) -> str:
    """Return a sweep as a table of means."""
    from lorabench.results.training_sweeps import MEASURES

    if not report.points:
        return "no trainings\n"
    names = [m for m in MEASURES if any(m in p.measures for p in report.points)]
    head = (*report.points[0].values, "seeds", *(MEASURES[m][0] for m in names))
    rows = [
        (
            *(str(v) for v in p.values.values()),
            str(len(p.seeds)) + (f" of {len(p.seeds) + p.n_missing}" if p.n_missing else ""),
            *(_spread(p.measures.get(m)) for m in names),
        )
        for p in report.points
    ]
    failed = [f"failed: {c.cell_id}: {c.reason}" for c in report.cells if c.status == "failed"]
    return "\n".join([report.title, columns(head, rows).rstrip("\n"), *failed]) + "\n"


def _spread(found: Spread | None) -> str:
    if found is None:
        return "-"
    return f"{found.mean:.3f}" + (f" (sd {found.sample_sd:.3f})" if found.sample_sd is not None else "")
