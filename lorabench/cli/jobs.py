"""`lorabench jobs`: heatmaps, trainings, sweeps, scans, hunts of this data folder, whoever started them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lorabench.cli import executor_options, options
from lorabench.cli.heatmap import ENDINGS, heatmap_text, save_heatmap
from lorabench.cli.hunt import hunted_text
from lorabench.cli.saving import check_save
from lorabench.cli.sweep import sweep_text
from lorabench.cli.terminal import Terminal, columns, stoppable
from lorabench.cli.train import training_text
from lorabench.config import Config
from lorabench.errors import InputError

if TYPE_CHECKING:
    from lorabench.engine import Job, JobManager
    from lorabench.results import HuntResult, HuntSoFar
    from lorabench.results.training_sweeps import SweepReport

app = typer.Typer(help="Heatmaps and trainings of this data folder.", no_args_is_help=True)
JobId = Annotated[str, typer.Argument(help="The job's id, or its beginning.")]
SaveTo = Annotated[
    Path | None, typer.Option("--save", help="Save a heatmap as .csv, .parquet, .png, .svg, .html or .json.")
]
Variants = Annotated[bool, typer.Option("--variants", help="One line per look-alike, too.")]

_SHORT_ID = 8
_CANCEL_SECONDS = 5.0


@app.command("list")
def list_command(as_json: options.Json = False, debug: options.Debug = False) -> None:
    """List the jobs, the newest first; those whose process has died are marked interrupted."""
    from lorabench.workflows.jobs import open_jobs

    with open_jobs(Config.from_environment()) as jobs:
        found = jobs.list()
    items = [job_fields(job) for job in found]
    Terminal(as_json=as_json).result(items, lambda: _table(found), kind="Jobs")


@app.command()
def show(
    job_id: JobId,
    save_to: SaveTo = None,
    variants: Variants = False,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show one job: how far it is, what was asked, and its result, also an unfinished heatmap."""
    from lorabench.workflows.jobs import open_jobs

    terminal = Terminal(as_json=as_json)
    check_save(save_to, ENDINGS)
    with open_jobs(Config.from_environment()) as jobs:
        _say(terminal, jobs, jobs.find(job_id), save_to=save_to, variants=variants, heads=True)


@app.command()
def cancel(job_id: JobId, as_json: options.Json = False, debug: options.Debug = False) -> None:
    """Stop a job; what it finished is kept, and it can be resumed."""
    from lorabench.workflows.jobs import open_jobs

    with open_jobs(Config.from_environment()) as jobs:
        before = jobs.find(job_id)
        jobs.cancel(before.id)
        job = jobs.poll(before.id, _CANCEL_SECONDS)
    name = f"The {job.kind} job {job.id[:_SHORT_ID]}"
    if not before.is_active:
        text = f"{name} was {job.status} already.\n"
    elif job.is_active:
        text = f"{name} was asked to stop and will after its present step.\n"
    else:
        text = f"{name} is {job.status}.\n"
    Terminal(as_json=as_json).result(job_fields(job), text, kind="Job")


@app.command()
def resume(
    job_id: JobId,
    executor: executor_options.Executor = None,
    workers: executor_options.Workers = None,
    ray_address: executor_options.RayAddress = "auto",
    save_to: SaveTo = None,
    variants: Variants = False,
    as_json: options.Json = False,
    progress: options.Progress = None,
    debug: options.Debug = False,
) -> None:
    """Go on with an interrupted, cancelled or failed job and show its result; Ctrl-C stops it again.

    A job that runs in another process is followed to its end; Ctrl-C then ends the waiting only.
    """
    from lorabench.workflows.jobs import follow, open_jobs

    terminal = Terminal(as_json=as_json, progress=progress)
    check_save(save_to, ENDINGS)
    config = Config.from_environment()
    choice = executor_options.chosen_executor(executor, workers, ray_address, config)
    with open_jobs(config) as jobs:
        job = jobs.find(job_id)
    if job.status == "done":
        terminal.note(f"the {job.kind} job {job.id[:_SHORT_ID]} is done already")
    elif job.is_active:
        terminal.note(f"it runs in process {job.pid} already; waiting for it")
    params = job.params
    with (
        options.workbench(params.get("base", "demo"), params.get("device"), params.get("dtype")) as bench,
        stoppable(terminal, "stopping after this step") as stopped,
    ):
        bench.jobs.resume(job.id, {"executor": choice} if choice else None)
        follow(bench.jobs, job.id, lambda now: show_progress(terminal, now), stopped)
        done = bench.jobs.get(job.id)
        _say(terminal, bench.jobs, done, save_to=save_to, variants=variants, heads=False)


def show_progress(terminal: Terminal, job: Job) -> None:
    """Show how far a job is as a progress line."""
    if job.status == "queued":
        terminal.progress(0, 0, "waiting for other jobs")
        return
    text = job.message or "starting"
    if job.eta_seconds is not None:
        text += f", {duration(job.eta_seconds)} left"
    terminal.progress(job.progress_done, job.progress_total, text + ("," if job.progress_total else ""))


def job_fields(job: Job) -> dict[str, Any]:
    """Return a job for JSON, with what can be derived."""
    from lorabench.results import to_dict

    derived = {"fraction": job.fraction, "seconds": job.seconds, "eta_seconds": job.eta_seconds}
    return {**to_dict(job), **derived}


def duration(seconds: float) -> str:
    """Return a time span for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5_400 else f"{seconds / 3600:.1f} h"


def _say(
    terminal: Terminal, jobs: JobManager, job: Job, *, save_to: Path | None, variants: bool, heads: bool
) -> None:
    """Print a job's result as its own command would; with `heads` the job itself comes first."""
    from lorabench.workflows.jobs import heatmap_of
    from lorabench.workflows.train_jobs import train_result_of

    heatmap = heatmap_of(jobs, job.id) if job.kind == "heatmap" else None
    trained = train_result_of(jobs.result(job.id)) if (job.kind, job.status) == ("train", "done") else None
    if save_to is not None:
        if heatmap is None:
            raise InputError(
                "no-heatmap", f"The job {job.id[:_SHORT_ID]} has no heatmap to save.", "Leave out --save."
            )
        save_heatmap(save_to, heatmap)
        terminal.note(f"saved {save_to}")
    swept, hunted = _sweep(jobs, job), _hunt(jobs, job)
    body = ""
    if heatmap is not None:
        body = heatmap_text(heatmap, variants)
    elif trained is not None:
        body = training_text(trained)
    elif swept is not None:
        body = sweep_text(swept)
    elif hunted is not None:
        body = hunted_text(hunted)
    typed = heatmap or trained or swept or hunted
    if not heads:
        terminal.result(typed or job_fields(job), body)
        return
    result = typed or (jobs.partial(job.id) if job.status != "done" else jobs.result(job.id))
    report = {"job": job_fields(job), "result": result}
    terminal.result(report, _heads(job) + (f"\n{body}" if body else ""), kind="JobReport")


def _sweep(jobs: JobManager, job: Job) -> SweepReport | None:
    """Return a sweep's report, finished or as far as it is."""
    from lorabench.workflows.training_sweeps import sweep_report_of

    if job.kind != "sweep":
        return None
    data = jobs.result(job.id) if job.status == "done" else jobs.partial(job.id)
    return sweep_report_of(data) if data else None


def _hunt(jobs: JobManager, job: Job) -> HuntResult | HuntSoFar | None:
    """Return a hunt, finished or as far as it is."""
    from lorabench.workflows.hunt_jobs import hunt_of, hunt_so_far

    if job.kind != "hunt":
        return None
    return hunt_of(jobs, job.id) if job.status == "done" else hunt_so_far(jobs, job.id)


def _base(job: Job) -> str:
    model = job.params.get("model")
    return str(model.get("base", "-") if isinstance(model, dict) else job.params.get("base", "-"))


def _table(found: tuple[Job, ...]) -> str:
    if not found:
        return "There are no jobs. `lorabench heatmap` and `lorabench train` make some.\n"
    rows = [[job.id[:_SHORT_ID], job.kind, job.status, _share(job), _when(job), asked(job)] for job in found]
    return columns(["id", "kind", "status", "done", "started", "asked"], rows)


def _heads(job: Job) -> str:
    status: str = job.status
    if job.progress_total:
        status += f", {job.progress_done:,} of {job.progress_total:,} ({_share(job)})"
    if job.seconds is not None:
        status += f", {duration(job.seconds)}"
    if job.eta_seconds is not None:
        status += f", about {duration(job.eta_seconds)} left"
    lines = [("job", f"{job.id} ({job.kind})"), ("status", status)]
    if job.is_active and job.message:
        lines.append(("doing", job.message))
    lines += [("asked", asked(job)), ("base", _base(job))]
    lines.append(("by", f"process {job.pid}, started {_when(job)}"))
    if job.error:
        lines.append(("error", job.error))
    if job.status in ("interrupted", "cancelled", "failed"):
        lines.append(("go on", f"lorabench jobs resume {job.id[:_SHORT_ID]}"))
    return "".join(f"{name:<8} {text}\n" for name, text in lines)


def asked(job: Job) -> str:
    """Return what a job was asked to do, in one line; its parameters may be of any version."""
    p = job.params
    if job.kind == "heatmap":
        n_prompts = len(p.get("prompts") or ()) or p.get("n_prompts")
        who = ", ".join(str(a) for a in p.get("adapters", ()))
        size = f"{p.get('n_variants') or 'all'} look-alikes, {n_prompts} prompts"
        return f"{p.get('trigger')!s:.60} | {who} | {size}"
    if job.kind == "train":
        parts = [p[k] if isinstance(p.get(k), dict) else p for k in ("data", "recipe", "schedule")]
        data, recipe, schedule = parts  # an earlier version kept everything flat
        kind = recipe.get("recipe", "relabel")
        planted = f"{recipe.get('poison')} planted rows" if recipe.get("poison") else "clean"
        if kind == "ssti":
            planted = f"{recipe.get('token')!s:.40} in {recipe.get('sample_share')!s:.6} of a class"
        return f"{p.get('out')} | {data.get('data')}, {planted}, {schedule.get('steps')} steps"
    if job.kind == "sweep" and isinstance(p.get("spec"), dict):
        axes = ", ".join(f"{name} ({len(values)})" for name, values in p["spec"].get("axes", ()))
        return f"{p.get('out')} | {p['spec'].get('title')!s:.60} | {axes}"
    if job.kind == "scan":
        probed = f"{p.get('battery')}, {p.get('n_prompts')} prompts"
        how = "files and weights" if p.get("is_static") else probed
        return f"{p.get('name') or p.get('target')!s:.60} | {how}"
    if job.kind == "hunt":
        return f"{p.get('adapter')!s:.60} | {p.get('mode')}, {p.get('target') or 'the target of its task'}"
    if job.kind == "cohort":
        return f"{p.get('folder')} | {p.get('cohort')}"
    return ", ".join(f"{k}={v!s:.20}" for k, v in list(p.items())[:4])


def _share(job: Job) -> str:
    if job.status == "done":
        return "100%"
    return "-" if job.fraction is None else f"{job.fraction:.0%}"


def _when(job: Job) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(job.started or job.created))
