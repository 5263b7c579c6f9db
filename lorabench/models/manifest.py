"""The record kept beside a fetched base model: where it came from and what it must contain."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lorabench.errors import BaseModelError
from lorabench.models.fingerprint import file_sha256

MANIFEST_NAME = "lorabench-base.json"
_SCHEMA = 1
_MAX_BYTES = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """Size and sha256 of one file."""

    n_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What was fetched.

    Attributes:
        base_id: Which base.
        title: What people read.
        source: Where it came from, with sha256 or commit.
        licence: Licence name as stated by its source.
        fingerprint: sha256 over its tensors.
        chat_template: "own" or "none".
        files: Every other file of the folder.
        revision: Hub: the commit.
        requested_revision: Hub: the branch, tag or commit that was asked for; None if none was.
        versions: Versions of the packages that took part.
    """

    base_id: str
    title: str
    source: str
    licence: str
    fingerprint: str
    chat_template: str
    files: Mapping[str, FileRecord]
    revision: str | None = None
    requested_revision: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def n_bytes(self) -> int:
        """Size of all files together."""
        return sum(record.n_bytes for record in self.files.values())


def record_files(folder: Path) -> dict[str, FileRecord]:
    """Return size and sha256 of every file at the top level of a folder, the manifest left out."""
    return {
        path.name: FileRecord(n_bytes=path.stat().st_size, sha256=file_sha256(path))
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name != MANIFEST_NAME
    }


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the record into the folder."""
    text = json.dumps({"schema": _SCHEMA, **asdict(manifest)}, indent=2, ensure_ascii=False)
    (folder / MANIFEST_NAME).write_text(text + "\n", "utf-8")


def read_manifest(folder: Path) -> Manifest | None:
    """Return the record of a folder, or None if there is none.

    Raises:
        BaseModelError: If there is one that cannot be read.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError("too large")
        values: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if values.pop("schema") != _SCHEMA:
            raise ValueError("another schema")
        files = {_plain(name): FileRecord(**record) for name, record in values.pop("files").items()}
        return Manifest(files=files, **values)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BaseModelError(
            "base-manifest",
            f"The record {str(path)!r} cannot be read ({type(error).__name__}).",
            f"Delete the folder {str(folder)!r} and pull the base model again.",
        ) from error


def is_complete(folder: Path, manifest: Manifest) -> bool:
    """Whether every recorded file is there with its recorded size; contents are not read."""
    for name, record in manifest.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != record.n_bytes:
            return False
    return True


def _plain(name: str) -> str:
    if Path(name).name != name or name in ("", ".", ".."):
        raise ValueError("not a plain file name")
    return name
