"""Hostile adapter folders, made anew for each test, and the canary that none of them may wake."""

from __future__ import annotations

import io
import os
import pickle
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adapter_files import make

from lorabench.adapters import FileScan, read_adapter, scan_folder
from lorabench.config import Limits
from lorabench.errors import AdapterRefusedError
from lorabench.results.findings import Finding

CANARY = "lorabench_canary"
_CODE = "import pathlib\npathlib.Path({!r}).write_text('the canary was imported')\n"


class Bomb:
    """Its pickle writes a file when it is opened."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.marker), "w")


def torch_zip(payload: bytes) -> bytes:
    """Return what torch.save makes: a zip archive with a pickle inside."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", payload)
    return buffer.getvalue()


class Den:
    """A place for one hostile folder, with a planted module and pickles that would leave a mark.

    Attributes:
        folder: The adapter's folder; a copy of the canary lies in it.
        marker: What any executed code would write.
    """

    def __init__(self, tmp_path: Path) -> None:
        self.marker = tmp_path / "marks" / "executed"
        self.marker.parent.mkdir()
        self.folder = tmp_path / "adapter"
        self.code = _CODE.format(str(self.marker)).encode()
        self.module_folder = tmp_path / "on_the_path"
        self.module_folder.mkdir()
        (self.module_folder / f"{CANARY}.py").write_bytes(self.code)

    def make(self, **changes: Any) -> Path:
        """Write an adapter's folder, as `adapter_files.make` does."""
        return make(self.folder, **changes)

    def pickle(self, protocol: int = 4) -> bytes:
        """Return a pickle that writes the marker when it is opened."""
        return pickle.dumps({"w": Bomb(self.marker)}, protocol=protocol)

    def scan(self, limits: Limits | None = None, **options: Any) -> FileScan:
        """Scan the folder, and see that the firewall changed nothing in it."""
        before = _state(self.folder)
        found = scan_folder(self.folder, limits or Limits(), **options)
        assert _state(self.folder) == before
        for finding in found.report.findings:
            check_wording(finding)
        return found


@contextmanager
def canary(den: Den) -> Iterator[Den]:
    """Give the den; at the end nothing may have been imported, executed or written."""
    sys.path.insert(0, str(den.module_folder))
    sys.path.insert(0, str(den.folder))
    modules = set(sys.modules)
    try:
        yield den
    finally:
        sys.path.remove(str(den.module_folder))
        sys.path.remove(str(den.folder))
    assert CANARY not in sys.modules
    new = set(sys.modules) - modules
    assert not {name for name in new if name.split(".")[0] in ("torch", "transformers", "peft", "jinja2")}
    assert not den.marker.exists()
    assert not list(den.marker.parent.iterdir())


def refusal_of(folder: Path, limits: Limits | None = None) -> str | None:
    """Return the rule by which binding refuses a folder, or None if it could be bound."""
    try:
        read_adapter(folder, limits)
    except AdapterRefusedError as error:
        return error.rule
    return None


def levels(found: FileScan) -> dict[str, str]:
    """Return the level of each rule that was found, the most serious one."""
    return {f.rule: f.level for f in reversed(found.report.findings)}


def finding(found: FileScan, rule: str) -> Finding:
    """Return the first finding of a rule."""
    return next(f for f in found.report.findings if f.rule == rule)


def check_wording(found: Finding) -> None:
    """A finding is whole sentences without control or hidden characters, and never promises safety."""
    assert found.sentence.endswith("."), found
    assert not found.changes or found.changes.endswith("."), found
    texts = [found.sentence, found.changes, found.where]
    assert all(c.isprintable() for text in texts for c in text), found
    for promise in ("is safe", "no backdoor", "is clean"):
        assert promise not in f"{found.sentence} {found.changes}".lower()


def _state(folder: Path) -> list[tuple[str, int, int]]:
    found = []
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            info = os.lstat(os.path.join(root, name))
            found.append((os.path.join(root, name), info.st_size, info.st_mtime_ns))
    return sorted(found)
