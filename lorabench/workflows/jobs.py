"""What the job list can run: each runner turns parameters into one workflow call."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lorabench.adapters import find_adapter
from lorabench.engine import JobContext
from lorabench.results import Heatmap, from_dict, to_dict
from lorabench.workflows.heatmaps import HeatmapRequest, heatmap, plan_variants
from lorabench.workflows.scoring import Caller, choose_task

if TYPE_CHECKING:
    from lorabench.workflows.workbench import Workbench

_PARTIAL_SECONDS = 1.0
Runner = Callable[[dict[str, Any], JobContext], dict[str, Any]]


def runners(bench: Workbench) -> Mapping[str, Runner]:
    """Return the runners by job kind, bound to a workbench."""

    def run_heatmap(params: dict[str, Any], context: JobContext) -> dict[str, Any]:
        written = [0.0]

        def partial(so_far: Heatmap, done: int) -> None:
            due = time.monotonic() - written[0] >= _PARTIAL_SECONDS
            context.report(done, so_far.n_rows, "scoring look-alikes", to_dict(so_far) if due else None)
            if due:  # counted from its end: a large heatmap takes long to write
                written[0] = time.monotonic()

        context.report(0, 0, "loading the base and the adapters")
        caller = Caller(session=context.session, cancelled=context.cancel_event.is_set)
        found = heatmap(bench, from_dict(HeatmapRequest, params), caller, partial)
        saved: dict[str, Any] = to_dict(found)
        return saved

    return {"heatmap": run_heatmap}


def request_of(params: Mapping[str, Any]) -> HeatmapRequest:
    """Return the request behind a heatmap job's parameters."""
    return from_dict(HeatmapRequest, params)


def submit_heatmap(bench: Workbench, request: HeatmapRequest, *, session: str) -> str:
    """Submit a heatmap as a job and return its id; an equal request attaches to the running one.

    The request is resolved first (adapters by content, task by value), so that "equal" means
    equal questions, not equal words.
    """
    plan_variants(request)
    ids = [find_adapter(a, bench.config) for a in request.adapters]
    params = to_dict(request) | {
        "task": to_dict(choose_task(bench, request.task, request.adapters)),
        "adapter_ids": [a.facts.adapter_id if a.facts else None for a in ids],
        "base": bench.base,
    }
    return str(bench.jobs.submit("heatmap", params, session=session).id)


def heatmap_of(bench: Workbench, job_id: str) -> Heatmap | None:
    """Return a job's heatmap, finished or as far as it is; None before the first cell.

    What was filled so far is kept in memory only: after a restart there is none until the job goes on.

    Raises:
        JobError: If there is no such job.
    """
    is_done = bench.jobs.get(job_id).status == "done"
    data = bench.jobs.result(job_id) if is_done else bench.jobs.partial(job_id)
    return from_dict(Heatmap, data) if data else None
