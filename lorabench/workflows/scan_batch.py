"""Which adapters a scan is asked for, and which of them were scanned before in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lorabench import __version__
from lorabench.adapters.files import open_regular
from lorabench.adapters.inventory import CONFIG_FILE, WEIGHTS_FILE
from lorabench.config import Config
from lorabench.errors import InputError, LorabenchError
from lorabench.report import read_scan
from lorabench.results import ScanResult, digest
from lorabench.workflows.profiles import list_profiles
from lorabench.workflows.scanning import ScanRequest

MAX_TARGETS = 10_000
_MARKS = (CONFIG_FILE, WEIGHTS_FILE, "adapter_model.bin")


def expand_targets(targets: Sequence[str]) -> tuple[str, ...]:
    """Return the adapters that are meant; a folder of adapters stands for its sub-folders and archives.

    Raises:
        InputError: If there are none, or too many.
    """
    found: list[str] = []
    for target in targets:
        folder = Path(target).expanduser()
        if len(target) < 4096 and "\0" not in target and folder.is_dir() and not _is_adapter(folder):
            inner = sorted(p for p in folder.iterdir() if _is_adapter(p) or p.suffix.lower() == ".zip")
            found += [str(p) for p in inner] or [target]
        else:
            found.append(target)
    found = list(dict.fromkeys(found))
    if not found or len(found) > MAX_TARGETS:
        raise InputError(
            "no-targets",
            f"{len(found):,} adapters were named; 1 to {MAX_TARGETS:,} can be scanned at once.",
            "Give folders, zip files, hub ids or installed names.",
        )
    return tuple(found)


def request_digest(config: Config, base: str, request: ScanRequest) -> str:
    """Return the sha256 over everything but the target that can change a scan."""
    profiles = [p.id for p in list_profiles(config)]
    asked = replace(request, target="", name="")
    return digest([asked, base, config.dtype, __version__, profiles])


def earlier_scan(path: Path, target: str, wanted: str) -> ScanResult | None:
    """Return a saved scan that still holds: asked in the same way, of files that have not changed.

    Args:
        path: A JSON report of ours; anything else counts as none.
        target: What is to be scanned; only folders are recognised again.
        wanted: `request_digest` of the request.
    """
    folder = Path(target).expanduser()
    if not path.is_file() or not folder.is_dir():
        return None
    try:
        scan = read_scan(path.read_text(encoding="utf-8"))
    except (LorabenchError, OSError, UnicodeDecodeError):
        return None
    hashes = {f.name: f.sha256 for f in scan.file.files}
    if scan.provenance.get("request") != wanted:
        return None
    same = all(hashes.get(name) == _sha256(folder / name) for name in (CONFIG_FILE, WEIGHTS_FILE))
    names = {f.name for f in scan.file.files}
    return scan if same and names == _names(folder) else None


def _is_adapter(path: Path) -> bool:
    return path.is_dir() and any((path / mark).exists() for mark in _MARKS)


def _names(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_symlink() or not p.is_dir()}


def _sha256(path: Path) -> str | None:
    import hashlib

    try:
        fd, _ = open_regular(path, max_bytes=1 << 40)
    except LorabenchError:
        return None
    with open(fd, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
