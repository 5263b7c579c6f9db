"""Hunts as jobs: they outlive a page and a restart, and show the race as it runs."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorabench import __version__
from lorabench.adapters import find_adapter
from lorabench.engine import JobContext, JobManager
from lorabench.figures import part_title
from lorabench.hunting.plans import plan_for
from lorabench.models import fetch
from lorabench.results import HuntResult, HuntSoFar, from_dict, to_dict
from lorabench.workflows.hunt_request import HuntRequest
from lorabench.workflows.hunt_setting import clean_references, task_of
from lorabench.workflows.nulls import list_nulls
from lorabench.workflows.scoring import Caller

if TYPE_CHECKING:
    from lorabench.workflows.workbench import Workbench

_PARTIAL_SECONDS = 1.0


def submit_hunt(bench: Workbench, request: HuntRequest, *, session: str, again: bool = False) -> str:
    """Submit a hunt and return its job id; an equal one that waits, runs or is done is attached to.

    Equal means the same request over the same weights, base, data and version, not the same words.

    Args:
        bench: The workbench.
        request: What to hunt for.
        session: Who asks.
        again: Whether one that is done is no answer.

    Raises:
        LorabenchError: If an adapter, the task or the base is not there.
    """
    from lorabench.workflows.jobs import base_name  # which knows the runners, this module's among them

    params = to_dict(request) | {"base": base_name(bench.base)}
    names = request.references or clean_references(bench, task_of(bench, request), request.adapter)
    key = params | {
        "adapter_ids": [_content_id(bench, name) for name in (request.adapter, *names)],
        "task": to_dict(task_of(bench, request)),
        "base_fingerprint": fetch.base_fingerprint(bench.base, bench.config),
        "suspect_data": _file_digest(request.suspect_data),
        "nulls": [n.name for n in list_nulls(bench.config)],
        "plan": to_dict(plan_for(request.mode, request.budget)),
        "lorabench": __version__,
    }
    return str(bench.jobs.submit("hunt", params, session=session, key=key, reuses_done=not again).id)


def _content_id(bench: Workbench, name: str) -> str | None:
    facts = find_adapter(name, bench.config).facts
    return facts.adapter_id if facts is not None else None


def _file_digest(path: str | None) -> str | None:
    """Return the sha256 of a file of the analyst's; a bundled set goes by its name."""
    if path is None or not Path(path).is_file():
        return path
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run_hunt(bench: Workbench, params: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Run a hunt job."""
    from lorabench.workflows.hunting import hunt

    written = [0.0]

    def show(so_far: HuntSoFar) -> None:
        due = time.monotonic() - written[0] >= _PARTIAL_SECONDS
        partial = to_dict(so_far) if due else None
        context.report(so_far.tokens, so_far.budget, part_title(so_far.stage), partial)
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
