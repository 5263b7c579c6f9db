"""Grids of trainings from a small TOML file: resumable, aggregated over seeds: `lorabench sweep`."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lorabench import __version__
from lorabench.config import Config
from lorabench.engine import JobContext, JobManager
from lorabench.engine.executors import ExecutorChoice, Link
from lorabench.errors import InputError, JobError, StorageError, TaskError, TrainingError
from lorabench.models import fetch
from lorabench.results import digest, from_dict, to_dict
from lorabench.results.training_sweeps import SweepCell, SweepReport, points_of
from lorabench.scoring.provenance import versions
from lorabench.workflows.lab import LabEstimate, estimate_all
from lorabench.workflows.sweep_spec import SweepSpec
from lorabench.workflows.train_jobs import DEFAULT_EXECUTOR, train_piece
from lorabench.workflows.train_result import TrainResult

_FUNCTION = "lorabench.workflows.training_sweeps:sweep_piece"
_REPORT = "sweep.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPlan:
    """What a sweep will cost.

    Attributes:
        cells: Its trainings.
        estimates: One for each.
        seconds: One after another.
    """

    cells: tuple[SweepCell, ...]
    estimates: tuple[LabEstimate, ...]
    seconds: float


def plan_sweep(config: Config, spec: SweepSpec) -> SweepPlan:
    """Return what a sweep will cost, before anything is trained.

    Raises:
        LorabenchError: What a training of it would refuse about data, task, recipe or base.
    """
    costs = estimate_all(config, [spec.request(Path(c.cell_id), c.values) for c in spec.cells()])
    return SweepPlan(cells=spec.cells(), estimates=costs, seconds=sum(c.seconds for c in costs))


def submit_sweep(
    jobs: JobManager,
    config: Config,
    spec: SweepSpec,
    out: Path,
    *,
    session: str,
    executor: ExecutorChoice | None = None,
) -> str:
    """Submit a sweep as a job and return its id; an equal one that waits or runs is attached to.

    Trainings that are done already (of this sweep, in this folder) are kept.
    """
    params = {"spec": to_dict(spec), "out": str(out.absolute()), "device": config.device}
    key = params | {"lorabench": __version__}
    options = {"executor": executor} if executor else None
    return jobs.submit("sweep", params, session=session, key=key, options=options, reuses_done=False).id


def sweep_report_of(data: Mapping[str, Any]) -> SweepReport:
    """Return the report of a sweep job's result, or of its partial result."""
    return from_dict(SweepReport, data)


def read_report(out: Path) -> SweepReport | None:
    """Return the report that a sweep left in its folder; None if there is none."""
    path = out / _REPORT
    return from_dict(SweepReport, json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def run_sweep(config: Config, params: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Run a sweep job: train what is not there yet, and put the measures together after every training."""
    spec = from_dict(SweepSpec, params["spec"])
    out = Path(params["out"])
    chosen = context.options.get("executor")
    choice = chosen if isinstance(chosen, ExecutorChoice) else DEFAULT_EXECUTOR
    with _writing(out):
        out.mkdir(parents=True, exist_ok=True)
    cells = [_known(config, spec, out, cell) for cell in spec.cells()]
    waiting = [i for i, cell in enumerate(cells) if cell.status == "waiting"]
    report = _save(config, spec, out, cells)

    def take(index: int, progress: dict[str, Any]) -> None:
        cell = cells[waiting[index]]
        values = ", ".join(f"{k} {v}" for k, v in cell.values.items())
        done = sum(c.status != "waiting" for c in cells)
        share = int(100 * progress["step"] / max(1, progress["steps"]))
        context.report(100 * done + share, 100 * len(cells), f"training {values}: {progress['message']}")

    context.report(100 * (len(cells) - len(waiting)), 100 * len(cells), "starting", to_dict(report))
    with choice.open() as executor:
        payloads = [_payload(config, spec, out, cells[i], context, executor.shares_disk) for i in waiting]
        answers = executor.map(_FUNCTION, payloads, cancelled=context.cancel_event.is_set, on_report=take)
        for index, answer in answers:
            i = waiting[index]
            cells[i] = _finished(config, spec, out, cells[i], answer)
            report = _save(config, spec, out, cells)
            done = sum(c.status != "waiting" for c in cells)
            context.report(100 * done, 100 * len(cells), f"{done} of {len(cells)} trained", to_dict(report))
    saved: dict[str, Any] = to_dict(report)
    return saved


def sweep_piece(payload: Any, link: Link) -> dict[str, Any]:
    """Train one cell on a worker; what is wrong with the cell alone is its result, not the sweep's end."""
    try:
        return train_piece(payload, link)
    except (TrainingError, InputError, TaskError) as error:
        return {"failed": str(error)}


def _payload(
    config: Config, spec: SweepSpec, out: Path, cell: SweepCell, context: JobContext, shares_disk: bool
) -> dict[str, Any]:
    if not shares_disk:
        raise JobError(
            "sweep-needs-shared-disk",
            "The workers of this executor do not see this machine's folders.",
            "Run the sweep where they do, or with --executor process.",
        )
    request = spec.request(out / cell.cell_id, cell.values)
    params = to_dict(request) | {
        "out": str(request.out),
        "device": config.device,
        "title": f"{spec.title}: {cell.cell_id}",
    }
    return {
        "job": f"{context.job_id}-{cell.cell_id}",
        "params": params,
        "cache_dir": str(config.cache_dir),
        "files": None,
    }


def _known(config: Config, spec: SweepSpec, out: Path, cell: SweepCell) -> SweepCell:
    """Return a cell with its result if it was trained before with the same settings."""
    path = out / f"{cell.cell_id}.json"
    if not path.is_file():
        if (out / cell.cell_id).exists():  # trained, but killed before its measures were noted
            shutil.rmtree(out / cell.cell_id)
        return cell
    kept = json.loads(path.read_text(encoding="utf-8"))
    if kept["digest"] != _digest(config, spec, cell):
        raise InputError(
            "other-sweep",
            f"The folder {out.name!r} holds a training {cell.cell_id!r} of another sweep or version.",
            "Choose another --out, or delete that training there.",
        )
    return from_dict(SweepCell, kept["cell"])


def _finished(
    config: Config, spec: SweepSpec, out: Path, cell: SweepCell, answer: dict[str, Any]
) -> SweepCell:
    if "failed" in answer:
        return replace(cell, status="failed", reason=str(answer["failed"]))
    result = from_dict(TrainResult, answer["result"])
    done = replace(cell, status="done", figures=result.figures, folder=cell.cell_id, seconds=result.seconds)
    _write(out / f"{cell.cell_id}.json", {"digest": _digest(config, spec, cell), "cell": to_dict(done)})
    return done


def _digest(config: Config, spec: SweepSpec, cell: SweepCell) -> str:
    request = spec.request(Path(cell.cell_id), cell.values)
    files = {
        name: hashlib.sha256(Path(text).read_bytes()).hexdigest()
        for name, text in (("data", request.data.data), ("test", request.data.test_data or ""))
        if text and Path(text).is_file()
    }
    asked = to_dict(request.with_values({"checkpoint_every": 1}))
    return digest([asked, files, fetch.base_fingerprint(request.model.base, config), __version__])


def _save(config: Config, spec: SweepSpec, out: Path, cells: list[SweepCell]) -> SweepReport:
    first = spec.request(out, cells[0].values)
    report = SweepReport(
        name=spec.name,
        title=spec.title,
        x=spec.x,
        series=spec.series,
        measure=spec.measure,
        cells=tuple(cells),
        points=points_of(cells),
        provenance={
            "options": to_dict(spec.options),
            "base": Path(first.model.base).name,
            "base_fingerprint": fetch.base_fingerprint(first.model.base, config),
            "versions": versions(),
        },
    )
    _write(out / _REPORT, to_dict(report))
    return report


def _write(path: Path, value: Any) -> None:
    staged = path.with_name(path.name + ".new")
    with _writing(path.parent):
        staged.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")
        os.replace(staged, path)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            "cannot-write",
            f"The sweep's folder {str(folder)!r} cannot be written ({error.strerror or error}).",
            "Free some space or choose another --out; finished trainings are kept.",
        ) from error
