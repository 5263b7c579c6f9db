"""A sweep file: options for all trainings, and a grid of values, checked before anything is trained."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorabench.config import app_root
from lorabench.data.text_files import read_text_file
from lorabench.errors import InputError, unknown_name
from lorabench.results import digest
from lorabench.results.training_sweeps import MEASURES, SweepCell, Value
from lorabench.workflows.train_request import PART_OF, TrainRequest, preset_values

MAX_CELLS = 500
_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSpec:
    """What a sweep file says.

    Attributes:
        name: Short identifier.
        title: For people.
        options: Options of all trainings, by their flat names.
        axes: Options and their values, in the file's order; every combination is trained.
        x: Option on the horizontal axis.
        series: Options that tell curves apart.
        measure: What the figure shows.
    """

    name: str
    title: str
    options: dict[str, Value]
    axes: tuple[tuple[str, tuple[Value, ...]], ...]
    x: str
    series: tuple[str, ...]
    measure: str

    @property
    def grid(self) -> dict[str, tuple[Value, ...]]:
        """Option -> values; kept as pairs, because a job's parameters lose a dictionary's order."""
        return dict(self.axes)

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
    bundled = ", ".join(sorted(p.name for p in sweeps_folder().glob("*.toml"))) or "none"
    text = read_text_file(path, max_bytes=_MAX_BYTES, kind="sweep-file", missing=f"Bundled: {bundled}.")
    return parse_sweep(text, name=path.stem)


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
        axes=tuple(checked.items()),
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


def _cell_id(names: tuple[str, ...], values: tuple[Value, ...]) -> str:
    parts = [f"{n}-{v}" for n, v in zip(names, values, strict=True)]
    name = "_".join("".join(c if c.isalnum() or c in "-." else "-" for c in part) for part in parts)
    return name if len(name) <= 100 else name[:80] + "-" + digest(name)[:12]


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
