"""What the job list can run: each runner turns parameters into one workflow call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lorabench.engine import JobContext
from lorabench.results import Heatmap, from_dict, to_dict

if TYPE_CHECKING:
    from lorabench.workflows.heatmaps import HeatmapRequest
    from lorabench.workflows.workbench import Workbench

Runner = Callable[[dict[str, Any], JobContext], dict[str, Any]]


def runners(bench: Workbench) -> Mapping[str, Runner]:
    """Return the runners by job kind, bound to a workbench."""

    def run_heatmap(params: dict[str, Any], context: JobContext) -> dict[str, Any]:
        from lorabench.workflows.heatmaps import HeatmapRequest, heatmap
        from lorabench.workflows.scoring import Caller

        def partial(so_far: Heatmap, done: int) -> None:
            context.report(done, so_far.n_rows, "scoring look-alikes", to_dict(so_far))

        caller = Caller(session=context.session, cancelled=context.cancel_event.is_set)
        found = heatmap(bench, from_dict(HeatmapRequest, params), caller, partial)
        saved: dict[str, Any] = to_dict(found)
        return saved

    return {"heatmap": run_heatmap}


def submit_heatmap(bench: Workbench, request: HeatmapRequest, *, session: str) -> str:
    """Submit a heatmap as a job and return its id; an equal request attaches to the running one.

    The request is resolved first (adapters by content, task by value), so that "equal" means
    equal questions, not equal words.
    """
    from lorabench.adapters import find_adapter
    from lorabench.workflows.heatmaps import plan_variants
    from lorabench.workflows.scoring import choose_task

    plan_variants(request)
    ids = [find_adapter(a, bench.config) for a in request.adapters]
    params = to_dict(request) | {
        "task": to_dict(choose_task(bench, request.task, request.adapters)),
        "adapter_ids": [a.facts.adapter_id if a.facts else None for a in ids],
        "base": bench.base,
    }
    return str(bench.jobs.submit("heatmap", params, session=session).id)


def heatmap_of(bench: Workbench, job_id: str) -> Heatmap | None:
    """Return a job's heatmap, finished or as far as it is; None before the first cell."""
    data = bench.jobs.result(job_id) or bench.jobs.partial(job_id)
    return from_dict(Heatmap, data) if data else None
