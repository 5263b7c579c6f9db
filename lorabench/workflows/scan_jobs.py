"""Scans as jobs: they outlive a page and a restart, and show each stage as it comes."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lorabench.engine import JobContext, JobManager
from lorabench.results import ScanResult, from_dict, to_dict
from lorabench.workflows.scan_behaviour import check_request
from lorabench.workflows.scanning import ScanRequest, ScanSoFar, scan
from lorabench.workflows.scoring import Caller

if TYPE_CHECKING:
    from lorabench.workflows.workbench import Workbench

_PARTIAL_SECONDS = 1.0


def submit_scan(bench: Workbench, request: ScanRequest, *, session: str) -> str:
    """Submit a scan and return its job id; an equal one that waits or runs is attached to.

    A finished one is no answer: files may have changed, and what was scored is not scored again.

    Raises:
        InputError: If the request names a battery or task that does not exist.
    """
    check_request(request)
    params = to_dict(request) | {"base": bench.base}
    return str(bench.jobs.submit("scan", params, session=session, reuses_done=False).id)


def run_scan(bench: Workbench, params: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Run a scan job."""
    written = [0.0, 0.0]

    def show(so_far: ScanSoFar) -> None:
        due = time.monotonic() - written[0] >= _PARTIAL_SECONDS or len(so_far.stages) != written[1]
        context.report(so_far.done, so_far.total, so_far.message, to_dict(so_far) if due else None)
        if due:
            written[:] = [time.monotonic(), len(so_far.stages)]

    caller = Caller(session=context.session, cancelled=context.cancel_event.is_set)
    found: dict[str, Any] = to_dict(scan(bench, scan_request_of(params), caller, show))
    return found


def scan_request_of(params: dict[str, Any]) -> ScanRequest:
    """Return the request behind a scan job's parameters."""
    request = from_dict(ScanRequest, params)
    return replace(request, prompts=tuple(request.prompts))


def scan_so_far(jobs: JobManager, job_id: str) -> ScanSoFar | None:
    """Return a running scan as far as it is, or None before the first stage."""
    data = jobs.partial(job_id)
    return from_dict(ScanSoFar, data) if data else None


def scan_of(jobs: JobManager, job_id: str) -> ScanResult:
    """Return the result of a finished scan job."""
    return from_dict(ScanResult, jobs.result(job_id))
