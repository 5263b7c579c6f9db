"""Is everything here that lorabench needs? One list of checks, each with its value and its remedy."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from lorabench.adapters import list_adapters
from lorabench.config import Config, app_root
from lorabench.engine import ScoreStore
from lorabench.errors import LorabenchError
from lorabench.models import fetch
from lorabench.models.self_check import outcomes
from lorabench.workflows.server import running_dashboards
from lorabench.workflows.zoo import ZOO

Status = Literal["ok", "note", "missing"]

FLOORS = {
    "torch": "2.10",
    "transformers": "5.3",
    "peft": "0.20",
    "captum": "0.9",
    "streamlit": "1.67",
    "altair": "5.5",
    "plotly": "6",
    "vl-convert-python": "1.7",
    "pandas": "2.2",
    "numpy": "1.26",
    "pyarrow": "17",
    "scipy": "1.15",
    "safetensors": "0.6",
    "gguf": "0.17",
    "huggingface-hub": "1.0",
    "typer": "0.16",
    "platformdirs": "4.3",
    "filelock": "3.16",
    "sqlalchemy": "2.0.36",
    "alembic": "1.14",
    "jsonschema": "4.23",
}
"""Oldest version that works, by package; the same as in pyproject.toml (a test compares them)."""

_NEEDED_DISK = 1_000_000_000
_NEEDED_MEMORY = 4_000_000_000
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What it is.
        status: "ok"; "note": works, but worth knowing; "missing": needed and not there.
        value: What was found.
        remedy: What to do next; empty if nothing needs doing.
    """

    name: str
    status: Status
    value: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorReport:
    """What `lorabench doctor` found.

    Attributes:
        checks: All checks in the order people should read them.
    """

    checks: tuple[Check, ...]

    @property
    def is_ready(self) -> bool:
        """Whether nothing that is needed is missing."""
        return all(c.status != "missing" for c in self.checks)


def examine(config: Config) -> DoctorReport:
    """Look at versions, machine, folders, base and zoo; creates and changes nothing but stale notes."""
    checks = [
        *_versions(),
        *_machine(config),
        *_folders(config),
        _demo_base(config),
        _zoo(config),
        *_shared_forward(config),
        _dashboards(config),
        _browser(),
    ]
    return DoctorReport(checks=tuple(checks))


def _versions() -> Iterator[Check]:
    from lorabench import __version__

    python = platform.python_version()
    ok = sys.version_info >= (3, 11)
    remedy = "" if ok else "Install Python 3.11 or newer."
    yield Check(name="lorabench", status="ok", value=f"{__version__} at {app_root()}")
    yield Check(
        name="python", status="ok" if ok else "missing", value=f"{python} ({sys.executable})", remedy=remedy
    )
    for package, floor in FLOORS.items():
        yield _version(package, floor)


def _version(package: str, floor: str) -> Check:
    try:
        found = version(package)
    except PackageNotFoundError:
        return Check(
            name=package,
            status="missing",
            value="not installed",
            remedy=f"Run `{sys.executable} -m pip install '{package}>={floor}'`.",
        )
    if _numbers(found) < _numbers(floor):
        return Check(
            name=package,
            status="missing",
            value=f"{found}, older than {floor}",
            remedy=f"Run `{sys.executable} -m pip install --upgrade '{package}>={floor}'`.",
        )
    return Check(name=package, status="ok", value=found)


def _numbers(text: str) -> tuple[int, ...]:
    """Return the release numbers of a version; what follows them (rc1, +cpu) does not count here."""
    found = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(n) for n in found[0].split(".")) if found else ()


def _machine(config: Config) -> Iterator[Check]:
    yield _device(config)
    yield Check(name="system", status="ok", value=f"{platform.system()} {platform.machine()}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch = sys.modules.get("torch")  # imported by `_device`, through lorabench.models
    threads = config.threads or (torch.get_num_threads() if torch else None)
    yield Check(name="cores", status="ok", value=f"{cores}; the model uses {threads or 'unknown'} threads")
    memory = _memory_bytes()
    if memory is None:
        yield Check(name="memory", status="note", value="unknown")
    else:
        low = memory < _NEEDED_MEMORY
        yield Check(
            name="memory",
            status="note" if low else "ok",
            value=f"{memory / 1e9:.1f} GB",
            remedy="Below 4 GB trainings may be killed; use a smaller --batch." if low else "",
        )


def _device(config: Config) -> Check:
    try:
        from lorabench.models.opening import choose_device

        device = choose_device(config.device)
    except LorabenchError as error:
        return Check(name="device", status="missing", value=error.problem, remedy=error.remedy)
    except (ImportError, OSError) as error:  # a torch that is missing or whose libraries do not load
        return Check(
            name="device",
            status="missing",
            value=f"torch cannot be imported ({type(error).__name__})",
            remedy="Install torch again for this Python and this machine.",
        )
    mode = "evidence mode" if config.dtype == "fp32" else "fast mode, not evidence"
    return Check(name="device", status="ok", value=f"{device}, {config.dtype} ({mode})")


def _memory_bytes() -> int | None:
    """Return the memory this process may use: the machine's, or its container's if that is less."""
    found = []
    with suppress(AttributeError, ValueError, OSError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            found.append(int(Path(limit).read_text().strip()))
        except (OSError, ValueError):
            continue
    return min(found, default=None)


def _folders(config: Config) -> Iterator[Check]:
    for name, path, variable in (
        ("user data", config.data_dir, "LORABENCH_DATA_DIR"),
        ("base models", config.cache_dir, "LORABENCH_CACHE_DIR"),
    ):
        yield _folder(name, path, variable)


def _folder(name: str, path: Path, variable: str) -> Check:
    existing = next((p for p in (path, *path.absolute().parents) if p.exists()), Path("/"))
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return Check(
            name=name,
            status="missing",
            value=f"{path} cannot be written",
            remedy=f"Set {variable} to a folder you can write to.",
        )
    free = shutil.disk_usage(existing).free
    low = free < _NEEDED_DISK
    return Check(
        name=name,
        status="note" if low else "ok",
        value=f"{path} ({free / 1e9:.1f} GB free{'' if path.exists() else ', not made yet'})",
        remedy="Free some space: less than 1 GB is left." if low else "",
    )


def _demo_base(config: Config) -> Check:
    try:
        base = fetch.describe("demo", config)
    except (LorabenchError, OSError) as error:
        return Check(
            name="demo base", status="missing", value=str(error), remedy="Run `lorabench models pull demo`."
        )
    if not base.is_present:
        return Check(
            name="demo base",
            status="missing",
            value="not on this machine",
            remedy="Run `lorabench models pull demo` (93 MB).",
        )
    mark = (base.fingerprint or "")[:12]
    return Check(name="demo base", status="ok", value=f"{base.title}, fingerprint {mark}")


def _zoo(config: Config) -> Check:
    found = {a.name: a for a in list_adapters(config) if a.origin == "zoo"}
    absent = [spec.name for spec in ZOO if spec.name not in found]
    damaged = [name for name, a in found.items() if a.facts is None]
    strange = [
        name for name, a in found.items() if a.facts and not _belongs(a.facts.claims.base_fingerprint, config)
    ]
    if absent:
        return Check(
            name="zoo",
            status="missing",
            value=f"{len(found)} of {len(ZOO)} adapters; not there: {', '.join(absent)}",
            remedy="Install lorabench again, or run `lorabench zoo build` (minutes each).",
        )
    if damaged or strange:
        return Check(
            name="zoo",
            status="missing",
            value=f"damaged or for another base: {', '.join([*damaged, *strange])}",
            remedy="Install lorabench again.",
        )
    return Check(name="zoo", status="ok", value=f"{len(found)} adapters, all readable")


def _shared_forward(config: Config) -> Iterator[Check]:
    """Say how exact the token trie and merged weights are here, as far as it was measured."""
    name = "shared forward pass"
    try:
        fingerprint = fetch.base_fingerprint("demo", config)
    except LorabenchError:
        return
    known: list[str] = []
    if config.store_path.is_file():
        store = ScoreStore(config.store_path)
        known = outcomes(store.checks, fingerprint)
        store.close()
    for sentence in known:
        yield Check(name=name, status="ok" if ": off" not in sentence else "note", value=sentence)
    if not known:
        yield Check(
            name=name,
            status="ok",
            value="not measured yet: the first question does it, or `lorabench doctor --measure`",
        )


def measure(config: Config) -> None:
    """Load the demo base and a bundled adapter, and compare the fast ways of asking with the plain one.

    Raises:
        LorabenchError: If they cannot be loaded.
    """
    from lorabench.workflows.workbench import Workbench

    with Workbench(config) as bench:
        ref = bench.ref("guard-strong")
        bench.engine.run(lambda m: m.measure(ref.adapter_id), label="measure").result()


def _belongs(claimed: str | None, config: Config) -> bool:
    from lorabench.models.registry import BASES

    return claimed in (None, BASES["demo"].fingerprint)


def _dashboards(config: Config) -> Check:
    urls = ", ".join(d.url for d in running_dashboards(config))
    return Check(name="dashboards", status="ok", value=f"running: {urls}" if urls else "none is running")


def _browser() -> Check:
    found = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        root = os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright"
        found = next((str(p) for p in sorted(Path(root).glob("chromium-*"))), None)
    if found:
        return Check(name="chromium", status="ok", value=found)
    return Check(
        name="chromium",
        status="note",
        value="not found",
        remedy="Only the browser tests need it: run `playwright install chromium`.",
    )
