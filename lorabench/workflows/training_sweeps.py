"""Grids of trainings from a small TOML file: resumable, aggregated over seeds: `lorabench sweep`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lorabench import __version__
from lorabench.adapters.claims import read_claims
from lorabench.adapters.inventory import CLAIMS_FILE
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
from lorabench.workflows.train_files import file_digests, file_options, files_of, settled_options
from lorabench.workflows.train_jobs import DEFAULT_EXECUTOR, train_piece
from lorabench.workflows.train_request import TrainRequest
from lorabench.workflows.train_result import TrainResult
from lorabench.workflows.training import ADAPTER_FORMAT

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

    Raises:
        InputError: If the base's name is not understood.
        BaseModelError: If the base is a folder that is missing.
    """
    params = {
        "spec": to_dict(spec),
        "out": str(out.absolute()),
        "device": config.device,
        "settled": _settled(spec),
    }
    key = params | {"lorabench": __version__}
    options = {"executor": executor} if executor else None
    return jobs.submit("sweep", params, session=session, key=key, options=options, reuses_done=False).id


def sweep_report_of(data: Mapping[str, Any]) -> SweepReport:
    """Return the report of a sweep job's result, or of its partial result."""
    return from_dict(SweepReport, data)


def run_sweep(config: Config, params: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Run a sweep job: train what is not there yet, and put the measures together after every training."""
    sweep = _Sweep(
        config=config,
        spec=from_dict(SweepSpec, params["spec"]),
        out=Path(params["out"]),
        settled=params.get("settled", {}),
    )
    chosen = context.options.get("executor")
    choice = chosen if isinstance(chosen, ExecutorChoice) else DEFAULT_EXECUTOR
    with _writing(sweep.out):
        sweep.out.mkdir(parents=True, exist_ok=True)
    cells = [_known(sweep, cell) for cell in sweep.spec.cells()]
    waiting = [i for i, cell in enumerate(cells) if cell.status == "waiting"]
    report = _save(sweep, cells)

    def take(index: int, progress: dict[str, Any]) -> None:
        cell = cells[waiting[index]]
        values = ", ".join(f"{k} {v}" for k, v in cell.values.items())
        done = sum(c.status != "waiting" for c in cells)
        share = int(100 * progress["step"] / max(1, progress["steps"]))
        context.report(100 * done + share, 100 * len(cells), f"training {values}: {progress['message']}")

    context.report(100 * (len(cells) - len(waiting)), 100 * len(cells), "starting", to_dict(report))
    with choice.open() as executor:
        payloads = [_payload(sweep, cells[i], context, executor.shares_disk) for i in waiting]
        answers = executor.map(_FUNCTION, payloads, cancelled=context.cancel_event.is_set, on_report=take)
        for index, answer in answers:
            i = waiting[index]
            cells[i] = _finished(sweep, cells[i], answer)
            report = _save(sweep, cells)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sweep:
    """A sweep that runs.

    Attributes:
        config: Settings.
        spec: What is trained.
        out: Its folder.
        settled: Option -> value as written -> value that means the same in every working folder.
    """

    config: Config
    spec: SweepSpec
    out: Path
    settled: Mapping[str, Mapping[str, str]]

    def request(self, cell: SweepCell) -> TrainRequest:
        """Return the training of a cell, its files and base as they were found when it was asked for."""
        written = self.spec.options | cell.values
        found = {k: v[str(written[k])] for k, v in self.settled.items() if str(written.get(k)) in v}
        return self.spec.request(self.out / cell.cell_id, cell.values).with_values(found)

    def digest(self, cell: SweepCell) -> str:
        """Return the digest of all that decides a cell's result; files count by name and content."""
        request = replace(self.request(cell), out=Path(cell.cell_id))
        names = file_options(request, {k: Path(path.name) for k, path in files_of(request).items()})
        asked = to_dict(request.with_values({"checkpoint_every": 1} | names))
        fingerprint = fetch.base_fingerprint(request.model.base, self.config)
        return digest([asked, file_digests(request), fingerprint, __version__])


def _settled(spec: SweepSpec) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for cell in spec.cells():
        written = spec.options | cell.values
        for name, value in settled_options(spec.request(Path(cell.cell_id), cell.values)).items():
            if name in written:
                found.setdefault(name, {})[str(written[name])] = value
    return found


def _payload(sweep: _Sweep, cell: SweepCell, context: JobContext, shares_disk: bool) -> dict[str, Any]:
    if not shares_disk:
        raise JobError(
            "sweep-needs-shared-disk",
            "The workers of this executor do not see this machine's folders.",
            "Run the sweep where they do, or with --executor process.",
        )
    request = sweep.request(cell)
    params = to_dict(request) | {
        "out": str(request.out),
        "device": sweep.config.device,
        "title": f"{sweep.spec.title}: {cell.cell_id}",
    }
    return {
        "job": f"{context.job_id}-{cell.cell_id}",
        "params": params,
        "cache_dir": str(sweep.config.cache_dir),
        "files": None,
    }


def _known(sweep: _Sweep, cell: SweepCell) -> SweepCell:
    """Return a cell with its result if it was trained before with the same settings."""
    path = sweep.out / f"{cell.cell_id}.json"
    if not path.is_file():
        _clear(sweep.out / cell.cell_id)
        return cell
    kept = json.loads(path.read_text(encoding="utf-8"))
    if kept["digest"] != sweep.digest(cell):
        raise InputError(
            "other-sweep",
            f"The folder {sweep.out.name!r} holds a training {cell.cell_id!r} of another sweep or version.",
            "Choose another --out, or delete that training there.",
        )
    return from_dict(SweepCell, kept["cell"])


def _clear(folder: Path) -> None:
    """Remove an adapter that was trained, but killed before its measures were noted; nothing else."""
    if not folder.exists() and not folder.is_symlink():
        return
    is_folder = folder.is_dir() and not folder.is_symlink()
    claims = read_claims(folder, (CLAIMS_FILE,), base_model=None, notes=[]).lorabench if is_folder else None
    if (claims or {}).get("format") != ADAPTER_FORMAT:
        raise InputError(
            "not-of-a-sweep",
            f"The sweep would write to {str(folder)!r}, where there is something that it did not make.",
            "Choose another --out, or move that away.",
        )
    with _writing(folder.parent):
        shutil.rmtree(folder)


def _finished(sweep: _Sweep, cell: SweepCell, answer: dict[str, Any]) -> SweepCell:
    if "failed" in answer:
        return replace(cell, status="failed", reason=str(answer["failed"]))
    result = from_dict(TrainResult, answer["result"])
    done = replace(cell, status="done", figures=result.figures, folder=cell.cell_id, seconds=result.seconds)
    _write(sweep.out / f"{cell.cell_id}.json", {"digest": sweep.digest(cell), "cell": to_dict(done)})
    return done


def _save(sweep: _Sweep, cells: list[SweepCell]) -> SweepReport:
    spec, base = sweep.spec, sweep.request(cells[0]).model.base
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
            "base": Path(base).name,
            "base_fingerprint": fetch.base_fingerprint(base, sweep.config),
            "versions": versions(),
        },
    )
    _write(sweep.out / _REPORT, to_dict(report))
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
