"""Trainings as jobs: in a process of their own, or on a Ray cluster, and resumed from their checkpoints."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lorabench import __version__
from lorabench.adapters import read_adapter
from lorabench.adapters.files import staged_folder
from lorabench.config import Config
from lorabench.engine import JobContext, JobManager
from lorabench.engine.executors import ExecutorChoice, Link
from lorabench.errors import InputError, JobError
from lorabench.models import fetch
from lorabench.results import from_dict, to_dict
from lorabench.workflows.train_files import (
    file_digests,
    file_options,
    files_of,
    read_file,
    settled_options,
)
from lorabench.workflows.train_request import TrainRequest
from lorabench.workflows.train_result import TrainProgress, TrainResult
from lorabench.workflows.training import train

DEFAULT_EXECUTOR = ExecutorChoice(kind="process", workers=1)
_FUNCTION = "lorabench.workflows.train_jobs:train_piece"
_MAX_LOSSES = 2_000


def submit_train(
    jobs: JobManager,
    config: Config,
    request: TrainRequest,
    *,
    session: str,
    executor: ExecutorChoice | None = None,
    title: str | None = None,
) -> str:
    """Submit a training as a job and return its id; an equal one that waits or runs is attached to.

    One that was interrupted or cancelled goes on from its checkpoint.

    Raises:
        InputError: If the output folder exists, or a file cannot be read.
        BaseModelError: If the base is missing.
    """
    out = request.out.absolute()
    if out.exists():
        raise InputError("out-exists", f"The folder {request.out} exists already.", "Choose another --out.")
    settled = request.with_values(settled_options(request))
    params = to_dict(settled) | {"out": str(out), "device": config.device, "title": title or out.name}
    asked = to_dict(settled.with_values({"checkpoint_every": 1}))
    key = {name: value for name, value in (params | asked).items() if name != "resume"} | {
        "out": str(out),
        "files": file_digests(settled),
        "base_fingerprint": fetch.base_fingerprint(request.model.base, config),
        "lorabench": __version__,
    }
    options = {"executor": executor} if executor else None
    # A finished one whose folder is gone is no answer: it is made again.
    job = jobs.submit("train", params, session=session, key=key, options=options, reuses_done=False)
    return job.id


def train_request_of(params: Mapping[str, Any]) -> TrainRequest:
    """Return the request behind a training job's parameters.

    Raises:
        JobError: If an earlier version of lorabench made it, whose parameters were flat.
    """
    if not isinstance(params.get("schedule"), dict):
        raise JobError(
            "earlier-version",
            "The training was asked for by an earlier version of lorabench.",
            "Start it anew; its checkpoint was of that version as well.",
        )
    request = from_dict(TrainRequest, params)
    return replace(request, out=Path(request.out))


def train_progress_of(partial: Mapping[str, Any] | None) -> TrainProgress | None:
    """Return the latest step of a training job from its partial result, if there is one."""
    return from_dict(TrainProgress, partial["progress"]) if partial else None


def train_result_of(result: Mapping[str, Any]) -> TrainResult:
    """Return the result of a finished training job."""
    return from_dict(TrainResult, result)


def run_train(config: Config, params: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Run a training job: choose a worker, hand it the request, pass on what it reports."""
    chosen = context.options.get("executor")
    choice = chosen if isinstance(chosen, ExecutorChoice) else DEFAULT_EXECUTOR
    request = train_request_of(params)
    losses: list[tuple[int, float]] = []
    points: list[dict[str, Any]] = []

    def take(_: int, report: dict[str, Any]) -> None:
        progress = from_dict(TrainProgress, report)
        message = progress.message
        if progress.loss is not None:
            losses.append((progress.step, progress.loss))
            message += f", loss {progress.loss:.4f}"
        if progress.point is not None:
            points.append(to_dict(progress.point))
        if len(losses) > _MAX_LOSSES:
            del losses[:-1:2]  # every second one, for the shape of the curve
        partial = {"progress": report, "losses": [list(x) for x in losses], "curve": points}
        context.report(progress.step, progress.steps, message, partial)

    context.report(0, request.schedule.steps, "starting")
    with replace(choice, workers=1).open() as executor:
        payload = {
            "job": context.job_id,
            "params": params,
            "cache_dir": str(config.cache_dir) if executor.shares_disk else None,
            "files": None if executor.shares_disk else _sent_files(request),
        }
        cancelled = context.cancel_event.is_set
        for _, answer in executor.map(_FUNCTION, [payload], cancelled=cancelled, on_report=take):
            result: dict[str, Any] = answer["result"]
            if answer["files"] is not None:
                _receive(config, request.out, answer["files"], str(result["adapter_id"]))
            return result | {"folder": str(request.out), "losses": [list(x) for x in losses]}
    raise JobError("worker-failed", "The training ended without a result.", "Resume it.")


def _sent_files(request: TrainRequest) -> dict[str, list[str]]:
    """Return the files that a request names as [name, base64], for a worker on another machine."""
    return {
        name: [path.name, base64.b64encode(read_file(path)).decode()]
        for name, path in files_of(request).items()
    }


def _receive(config: Config, out: Path, files: dict[str, str], adapter_id: str) -> None:
    """Write an adapter that was made on another machine, whole or not at all."""
    with staged_folder(out) as staging:
        for name, text in files.items():
            (staging / Path(name).name).write_bytes(base64.b64decode(text))
        if read_adapter(staging, config.limits).facts.adapter_id != adapter_id:
            raise JobError(
                "damaged-transfer",
                "The adapter that the worker sent is not the one it made.",
                "Resume the job: it is made again.",
            )


# What runs on a worker.


def train_piece(payload: Any, link: Link) -> dict[str, Any]:
    """Train one adapter on a worker.

    Args:
        payload: The job's id and parameters, and the files of a worker on another machine, which
            trains into its own data folder and sends the adapter back.
        link: Progress goes out through it, the wish to stop comes in.

    Returns:
        The `TrainResult`, and the adapter's files as base64 (None where the folder is shared).
    """
    params = payload["params"]
    cache = payload["cache_dir"]
    config = Config.from_environment(device=params["device"], cache_dir=Path(cache) if cache else None)
    request = train_request_of(params)
    folder = config.data_dir / "trainings" / payload["job"]
    if payload["files"] is not None:
        found = file_options(request, _unpack(folder, payload["files"]))
        request = replace(request.with_values(found), out=folder / "adapter")
        shutil.rmtree(request.out, ignore_errors=True)  # of an attempt whose answer was lost
    result = train(
        config,
        request,
        on_progress=lambda progress: link.report(to_dict(progress)),
        cancelled=link.cancelled,
        title=params["title"],
    )
    files = None
    if payload["files"] is not None:
        files = {f.name: base64.b64encode(f.read_bytes()).decode() for f in sorted(request.out.iterdir())}
        shutil.rmtree(folder, ignore_errors=True)
    return {"result": to_dict(result), "files": files}


def _unpack(folder: Path, files: dict[str, list[str]]) -> dict[str, Path]:
    """Write the files that came with a payload; return where they are."""
    found: dict[str, Path] = {}
    for field, (name, text) in files.items():
        path = folder / field / Path(name).name  # its name is part of the adapter's provenance
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(text))
        found[field] = path
    return found
