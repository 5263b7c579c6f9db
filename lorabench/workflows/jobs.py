"""Long work as jobs, one list for pages, command line and Python: submit it, follow it, read it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lorabench import __version__
from lorabench.adapters import find_adapter
from lorabench.config import Config
from lorabench.engine import Job, JobContext, JobManager
from lorabench.engine.executors import ExecutorChoice
from lorabench.errors import CancelledError, JobError
from lorabench.models import fetch
from lorabench.models.registry import spec_for
from lorabench.results import Heatmap, from_dict, to_dict
from lorabench.workflows.cohort import run_cohort
from lorabench.workflows.heatmaps import HeatmapRequest, heatmap, plan_heatmap, plan_variants
from lorabench.workflows.hunt_jobs import run_hunt
from lorabench.workflows.scan_jobs import run_scan
from lorabench.workflows.scoring import Caller, choose_task
from lorabench.workflows.sweeps import compute_elsewhere
from lorabench.workflows.train_jobs import run_train
from lorabench.workflows.training_sweeps import run_sweep

if TYPE_CHECKING:
    from lorabench.workflows.workbench import Workbench

_PARTIAL_SECONDS = 1.0
_POLL_SECONDS = 0.1
Runner = Callable[[dict[str, Any], JobContext], dict[str, Any]]


def runners(bench: Workbench) -> Mapping[str, Runner]:
    """Return the runners by job kind, bound to a workbench."""

    def run_heatmap(params: dict[str, Any], context: JobContext) -> dict[str, Any]:
        written = [0.0]

        def partial(so_far: Heatmap, done: int) -> None:
            due = time.monotonic() - written[0] >= _PARTIAL_SECONDS
            context.report(done, so_far.n_rows, _message(so_far), to_dict(so_far) if due else None)
            if due:  # counted from its end: a large heatmap takes long to write
                written[0] = time.monotonic()

        context.report(0, 0, "loading the base and the adapters")
        _check_unchanged(bench, params)
        request = from_dict(HeatmapRequest, params)
        caller = Caller(session=context.session, cancelled=context.cancel_event.is_set)
        executor = context.options.get("executor")
        n_elsewhere = 0
        if isinstance(executor, ExecutorChoice) and executor.kind != "thread":
            plan = plan_heatmap(bench, request, caller)
            n_elsewhere = compute_elsewhere(bench, plan, request.adapters, executor, context)
        found = heatmap(bench, request, caller, partial)
        saved: dict[str, Any] = to_dict(replace(found, n_computed=found.n_computed + n_elsewhere))
        return saved

    return {
        "heatmap": run_heatmap,
        "train": lambda params, context: run_train(bench.config, params, context),
        "sweep": lambda params, context: run_sweep(bench.config, params, context),
        "scan": lambda params, context: run_scan(bench, params, context),
        "hunt": lambda params, context: run_hunt(bench, params, context),
        "cohort": lambda params, context: run_cohort(bench, params, context),
    }


def _message(so_far: Heatmap) -> str:
    """Return what is being done, with what the plan says it costs."""
    if not so_far.n_unique_tokens:
        return "scoring look-alikes"
    return f"scoring look-alikes, {so_far.n_unique_tokens:,} unique of {so_far.n_naive_tokens:,} tokens"


def open_jobs(config: Config) -> JobManager:
    """Return the job list of a data folder, to look at it and to cancel; close it after use."""
    return JobManager(config.jobs_path, {})


def request_of(params: Mapping[str, Any]) -> HeatmapRequest:
    """Return the request behind a heatmap job's parameters."""
    return from_dict(HeatmapRequest, params)


def submit_heatmap(
    bench: Workbench, request: HeatmapRequest, *, session: str, executor: ExecutorChoice | None = None
) -> str:
    """Submit a heatmap as a job and return its id; an equal request attaches to the one there is.

    The request is resolved first (adapters by content, task by value), so that "equal" means
    equal questions, not equal words. Who computes it is no part of the question.
    """
    plan_variants(request)
    adapters = [find_adapter(a, bench.config) for a in request.adapters]
    params = to_dict(request) | {
        "adapters": [a.path if a.origin == "path" else a.name for a in adapters],
        "task": to_dict(choose_task(bench, request.task, request.adapters)),
        "adapter_ids": [a.facts.adapter_id if a.facts else None for a in adapters],
        "base": base_name(bench.base),
        "base_fingerprint": fetch.base_fingerprint(bench.base, bench.config),
        "dtype": bench.config.dtype,
    }
    prompts = list(dict.fromkeys(request.prompts))
    key = params | {
        "prompts": prompts,
        "n_prompts": 0 if prompts else request.n_prompts,
        "placement": "" if request.columns == "placements" else request.placement,
        "lorabench": __version__,  # a later one may read the same numbers in another way
    }
    options = {"executor": executor} if executor else None
    return str(bench.jobs.submit("heatmap", params, session=session, key=key, options=options).id)


def base_name(base: str) -> str:
    """Return what a base is called in a job's parameters: a folder's name holds wherever one stands."""
    return spec_for(base).base_id


def heatmap_of(source: Workbench | JobManager, job_id: str) -> Heatmap | None:
    """Return a job's heatmap, finished or as far as it is; None before the first cell.

    Args:
        source: A workbench, or the job list alone.
        job_id: A heatmap job of any process, living or dead.

    Raises:
        JobError: If there is no such job.
    """
    jobs = source if isinstance(source, JobManager) else source.jobs
    is_done = jobs.get(job_id).status == "done"
    data = jobs.result(job_id) if is_done else jobs.partial(job_id)
    return from_dict(Heatmap, data) if data else None


def follow(
    jobs: JobManager,
    job_id: str,
    on_change: Callable[[Job], None] | None = None,
    stopped: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Wait for a job, whoever runs it, and return its result.

    If the process that runs it dies, it goes on here.

    Args:
        jobs: The list; its runners do the work if it must go on here.
        job_id: The job.
        on_change: Called about ten times a second with the job as it stands.
        stopped: Polled as often. True cancels a job that runs here, and ends the waiting for one of
            another process, which goes on.

    Raises:
        CancelledError: If it was stopped or cancelled; the sentence says how to go on.
        LorabenchError: What the job itself failed with.
    """
    runs_here = jobs.runs_here(job_id)
    while True:
        job = jobs.poll(job_id, _POLL_SECONDS)
        if job.status == "interrupted" and not runs_here:
            jobs.resume(job_id)
            runs_here = jobs.runs_here(job_id)
            continue
        if not job.is_active:
            break
        if on_change is not None:
            on_change(job)
        if stopped is not None and stopped():
            _stop(jobs, job_id, runs_here)
    if job.status == "cancelled":
        raise _cancelled(job)
    raised = jobs.error(job_id)
    if raised is not None:
        raise raised
    return jobs.result(job_id)


def _stop(jobs: JobManager, job_id: str, runs_here: bool) -> None:
    if not runs_here:
        raise CancelledError(
            "stopped-waiting",
            f"The job {job_id[:8]} goes on in another lorabench process.",
            f"`lorabench jobs show {job_id[:8]}` shows how far it is, `lorabench jobs cancel` stops it.",
        )
    jobs.cancel(job_id)
    jobs.wait(job_id)


def _cancelled(job: Job) -> CancelledError:
    how_far = f" after {job.progress_done:,} of {job.progress_total:,}" if job.progress_total else ""
    return CancelledError(
        "job-cancelled",
        f"The {job.kind} job {job.id[:8]} was stopped{how_far}.",
        f"`lorabench jobs resume {job.id[:8]}` goes on from there, and so does the same command again.",
    )


def _check_unchanged(bench: Workbench, params: dict[str, Any]) -> None:
    """Refuse to run a job on another base, number type or adapter than it was submitted for."""
    bench.asker()  # the base is open after this
    facts = {
        "base": base_name(bench.base),
        "dtype": bench.config.dtype,
        "base_fingerprint": bench.engine.status().fingerprint,
        "adapter_ids": [
            a.facts.adapter_id if a.facts else None
            for a in (find_adapter(name, bench.config) for name in params.get("adapters", ()))
        ],
    }
    words = {
        "base": "another base model",
        "dtype": "another number type",
        "base_fingerprint": "other weights of the base model",
        "adapter_ids": "other weights of an adapter",
    }
    for name, now in facts.items():
        if name in params and params[name] != now:
            raise JobError(
                "job-differs",
                f"The job was submitted for {words[name]} than lorabench has now.",
                "Start it anew, or go on with the base and the adapters it was made for.",
            )
