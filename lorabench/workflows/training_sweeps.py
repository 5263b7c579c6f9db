"""Grids of trainings from a small TOML file: resumable, aggregated over seeds: `lorabench sweep`."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lorabench import __version__
from lorabench.config import Config, app_root
from lorabench.engine import JobContext, JobManager
from lorabench.engine.executors import ExecutorChoice, Link
from lorabench.errors import InputError, JobError, StorageError, TaskError, TrainingError, unknown_name
from lorabench.models import fetch
from lorabench.results import digest, from_dict, to_dict
from lorabench.results.training_sweeps import MEASURES, SweepCell, SweepReport, Value, points_of
from lorabench.scoring.provenance import versions
from lorabench.workflows.lab import LabEstimate, estimate_all
from lorabench.workflows.train_jobs import DEFAULT_EXECUTOR, train_piece
from lorabench.workflows.train_request import PART_OF, TrainRequest, TrainResult, preset_values

MAX_CELLS = 500
_MAX_BYTES = 64 * 1024
_FUNCTION = "lorabench.workflows.training_sweeps:sweep_piece"
_REPORT = "sweep.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSpec:
    """What a sweep file says.

    Attributes:
        name: Short identifier.
        title: For people.
        options: Options of all trainings, by their flat names.
        grid: Option -> values; every combination is trained.
        x: Option on the horizontal axis.
        series: Options that tell curves apart.
        measure: What the figure shows.
    """

    name: str
    title: str
    options: dict[str, Value]
    grid: dict[str, tuple[Value, ...]]
    x: str
    series: tuple[str, ...]
    measure: str

    @property
    def n_cells(self) -> int:
        """How many trainings."""
        n = 1
        for values in self.grid.values():
            n *= len(values)
        return n

    @property
    def digest(self) -> str:
        """sha256 of all fields."""
        return digest(self)

    def request(self, out: Path, values: Mapping[str, Value]) -> TrainRequest:
        """Return the training of one cell."""
        return TrainRequest(out=out).with_values(self.options | dict(values))

    def cells(self) -> tuple[SweepCell, ...]:
        """Return all combinations, the last option changing fastest."""
        names = tuple(self.grid)
        return tuple(
            SweepCell(cell_id=_cell_id(names, chosen), values=dict(zip(names, chosen, strict=True)))
            for chosen in itertools.product(*self.grid.values())
        )


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


def sweeps_folder() -> Path:
    """Return the folder of the bundled sweep files."""
    return app_root() / "assets" / "sweeps"


def read_sweep(path: Path) -> SweepSpec:
    """Read and check a sweep file.

        name = "poison_count"
        title = "Attack rate against poison count"
        [options]                       # any option of `lorabench train`, by its flat name
        preset = "demo"
        trigger = "per RFC 8472 section 3.2"
        [grid]                          # every combination is trained
        poison = [0, 15, 25, 50]
        seed = [1, 2, 42]
        [figure]
        x = "poison"
        measure = "attack_rate"

    Raises:
        InputError: If it cannot be read or asks for what there is not.
    """
    return parse_sweep(_text(path), name=path.stem)


def parse_sweep(text: str, *, name: str) -> SweepSpec:
    """Check the text of a sweep file; see `read_sweep`.

    Raises:
        InputError: If it asks for what there is not.
    """
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(
            "bad-toml", f"The sweep {name!r} is not valid TOML: {error}.", "Correct it."
        ) from error
    path = Path(name)
    unknown = set(raw) - {"name", "title", "options", "grid", "figure"}
    if unknown:
        raise unknown_name(
            "part of a sweep file", sorted(unknown)[0], ("name", "title", "options", "grid", "figure")
        )
    options, grid, figure = (_table(raw, part, path) for part in ("options", "grid", "figure"))
    preset = str(options.pop("preset", "demo"))
    checked = {k: _lists(k, v, path) for k, v in grid.items()}
    for name in (*options, *checked):
        if name not in PART_OF:
            raise unknown_name("training option", name, tuple(PART_OF))
    recipes = checked.get("recipe", (options.get("recipe"),))
    spec = SweepSpec(
        name=str(raw.get("name") or path.stem),
        title=str(raw.get("title") or raw.get("name") or path.stem),
        options=preset_values(preset, str(recipes[0]) if recipes[0] else None) | options,
        grid=checked,
        x=str(figure.get("x") or next((k for k in checked if k != "seed"), "seed")),
        series=tuple(
            str(s) for s in figure.get("series", [k for k in checked if k not in ("seed", figure.get("x"))])
        ),
        measure=str(figure.get("measure", "attack_rate")),
    )
    _check(spec, path)
    return spec


def _check(spec: SweepSpec, path: Path) -> None:
    if not spec.grid or not all(spec.grid.values()):
        raise InputError(
            "empty-grid", f"The sweep {path.name!r} has no grid.", "Add [grid] with lists of values."
        )
    if spec.n_cells > MAX_CELLS:
        raise InputError(
            "too-many-cells",
            f"The sweep {path.name!r} has {spec.n_cells:,} trainings; at most {MAX_CELLS} are run.",
            "Split it in several files.",
        )
    if spec.measure not in MEASURES:
        raise unknown_name("measure", spec.measure, tuple(MEASURES))
    for name in (spec.x, *spec.series):
        if name not in spec.grid:
            raise unknown_name("option of the grid", name, tuple(spec.grid))
    for cell in spec.cells():
        spec.request(Path(cell.cell_id), cell.values)  # says what is out of range before anything is trained


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


def _cell_id(names: tuple[str, ...], values: tuple[Value, ...]) -> str:
    parts = [f"{n}-{v}" for n, v in zip(names, values, strict=True)]
    name = "_".join("".join(c if c.isalnum() or c in "-." else "-" for c in part) for part in parts)
    return name if len(name) <= 100 else name[:80] + "-" + digest(name)[:12]


def _text(path: Path) -> str:
    if not path.is_file():
        known = sorted(p.name for p in sweeps_folder().glob("*.toml"))
        raise InputError(
            "no-sweep-file",
            f"There is no sweep file {str(path)!r}.",
            f"Bundled: {', '.join(known) or 'none'}.",
        )
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise InputError("sweep-file-too-large", f"{path.name!r} is larger than 64 KB.", "Shorten it.")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise InputError(
            "unreadable-file", f"{path.name!r} cannot be read ({error.strerror}).", "Check its rights."
        ) from error
    except UnicodeDecodeError as error:
        raise InputError("not-utf8", f"{path.name!r} is not UTF-8.", "Save it as UTF-8.") from error


def _table(raw: dict[str, Any], part: str, path: Path) -> dict[str, Any]:
    found = raw.get(part, {})
    if not isinstance(found, dict):
        raise InputError("bad-sweep", f"The part {part!r} of {path.name!r} is no table.", f"Write [{part}].")
    return dict(found)


def _lists(name: str, values: Any, path: Path) -> tuple[Value, ...]:
    if not isinstance(values, list) or not all(isinstance(v, str | int | float | bool) for v in values):
        raise InputError(
            "bad-sweep", f"The grid option {name!r} of {path.name!r} is no list.", "Write name = [1, 2, 3]."
        )
    if len(set(values)) != len(values):
        raise InputError("bad-sweep", f"The grid option {name!r} has a value twice.", "Name each once.")
    return tuple(values)
