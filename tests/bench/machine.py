"""Facts of this machine for result tables, its matrix-product peak, and how results are shown and kept."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import psutil
import torch

from lorabench.config import app_root
from lorabench.errors import InputError, LorabenchError
from lorabench.scoring.provenance import versions

T = TypeVar("T")
REFERENCE = "LORABENCH_REFERENCE"
_PEAK_SIZE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A few measurements of one thing.

    Attributes:
        median: Median, in the unit of the samples.
        low: Smallest.
        high: Largest.
        n: How many.
    """

    median: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.median:.4f} ({self.low:.4f} to {self.high:.4f}, n={self.n})"


def summary(samples: Sequence[float]) -> Summary:
    """Return median, smallest and largest of at least one sample."""
    return Summary(median=statistics.median(samples), low=min(samples), high=max(samples), n=len(samples))


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Return the seconds a call took, and its result."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def peak(device: str = "cpu", repeats: int = 20) -> float:
    """Return the best fp32 matrix product of two 1024 x 1024 matrices, in GFLOP/s, in this process."""
    a = torch.randn(_PEAK_SIZE, _PEAK_SIZE, device=device)
    b = torch.randn(_PEAK_SIZE, _PEAK_SIZE, device=device)
    best = float("inf")
    for _ in range(repeats):
        _finish(device)
        started = time.perf_counter()
        torch.mm(a, b)
        _finish(device)
        best = min(best, time.perf_counter() - started)
    return 2 * _PEAK_SIZE**3 / best / 1e9


def facts() -> dict[str, Any]:
    """Return what a reader needs to compare numbers: hardware and versions, no names and no paths."""
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {
        "processor": _processor(),
        "cores": psutil.cpu_count(logical=False) or os.cpu_count(),
        "threads of torch": torch.get_num_threads(),
        "memory (GiB)": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": gpu or "none",
        "system": f"{platform.system()} {platform.machine()}",
        **versions(),
        "lm-eval": _version("lm-eval"),
    }


def reference_file(name: str) -> Path:
    """Return a file of the reference data.

    Raises:
        InputError: If `LORABENCH_REFERENCE` is not set, or the file is not there.
    """
    root = os.environ.get(REFERENCE)
    if not root or not (found := Path(root) / "data" / name).is_file():
        raise InputError(
            "no-reference",
            f"The variable {REFERENCE} does not name a folder with data/{name}.",
            f"Set {REFERENCE} to the folder of reference data and run this again.",
        )
    return found


def table(title: str, rows: Iterable[tuple[str, object]]) -> None:
    """Print two aligned columns under a title."""
    shown = [(name, _text(value)) for name, value in rows]
    width = max((len(name) for name, _ in shown), default=0)
    print(f"\n{title}")
    for name, text in shown:
        print(f"  {name:<{width}}  {text}")


def columns(title: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print an aligned table with column heads, numbers to the right."""
    shown = [list(heads), *([_text(value) for value in row] for row in rows)]
    widths = [max(len(row[i]) for row in shown) for i in range(len(heads))]
    print(f"\n{title}")
    for row in shown:
        first = f"{row[0]:<{widths[0]}}"
        print("  " + "  ".join([first, *(f"{v:>{w}}" for v, w in zip(row[1:], widths[1:], strict=True))]))


def save(name: str, result: Mapping[str, Any]) -> None:
    """Write a result with the facts of the machine to `runs/NAME.json` (ignored by git)."""
    from lorabench.results import to_dict

    out = app_root() / "runs"
    out.mkdir(exist_ok=True)
    content = json.dumps({"machine": facts(), **to_dict(dict(result))}, indent=2, ensure_ascii=False)
    (out / f"{name}.json").write_text(content + "\n", encoding="utf-8")
    print(f"\nwritten: runs/{name}.json")


def run(main: Callable[[], None]) -> NoReturn:
    """Run a script's `main`; an expected error is one sentence and exit code 2."""
    try:
        main()
    except LorabenchError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    sys.exit(0)


def _text(value: object) -> str:
    if value is None:
        return "not measured"
    if isinstance(value, float):
        return (
            f"{value:.2e}"
            if 0 < abs(value) < 1e-3
            else f"{value:,.4f}"
            if abs(value) < 10
            else f"{value:,.1f}"
        )
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _finish(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
