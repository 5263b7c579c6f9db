"""Hunts as jobs: they outlive a page and a restart, and show the race as it runs."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lorabench.engine import JobContext, JobManager
from lorabench.results import HuntResult, HuntSoFar, from_dict, to_dict
from lorabench.workflows.hunt_request import HuntRequest
from lorabench.workflows.scoring import Caller

if TYPE_CHECKING:
    from lorabench.workflows.workbench import Workbench

_PARTIAL_SECONDS = 1.0


def submit_hunt(bench: Workbench, request: HuntRequest, *, session: str) -> str:
    """Submit a hunt and return its job id; an equal one that waits, runs or is done is attached to."""
    params = to_dict(request) | {"base": bench.base}
    return str(bench.jobs.submit("hunt", params, session=session).id)


def run_hunt(bench: Workbench, params: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Run a hunt job."""
    from lorabench.workflows.hunting import hunt

    written = [0.0]

    def show(so_far: HuntSoFar) -> None:
        due = time.monotonic() - written[0] >= _PARTIAL_SECONDS
        context.report(so_far.tokens, so_far.budget, so_far.stage, to_dict(so_far) if due else None)
        if due:
            written[0] = time.monotonic()

    caller = Caller(session=context.session, cancelled=context.cancel_event.is_set)
    found: dict[str, Any] = to_dict(hunt(bench, hunt_request_of(params), caller, show))
    return found


def hunt_request_of(params: dict[str, Any]) -> HuntRequest:
    """Return the request behind a hunt job's parameters."""
    request = from_dict(HuntRequest, params)
    return replace(request, references=tuple(request.references), prompts=tuple(request.prompts))


def hunt_so_far(jobs: JobManager, job_id: str) -> HuntSoFar | None:
    """Return a running hunt as far as it is, or None before its first step."""
    data = jobs.partial(job_id)
    return from_dict(HuntSoFar, data) if data else None


def hunt_of(jobs: JobManager, job_id: str) -> HuntResult:
    """Return the result of a finished hunt job."""
    return from_dict(HuntResult, jobs.result(job_id))
