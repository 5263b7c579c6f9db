"""Adapters on this machine: list, inspect, add and remove, for the Models page and `lorabench adapters`."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lorabench import adapters
from lorabench.config import Config
from lorabench.errors import AdapterRefusedError
from lorabench.models import fetch
from lorabench.results import InstalledAdapter


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedAdapter:
    """What removing an adapter did.

    Attributes:
        name: Which adapter.
        n_bytes: Size of its weight file; None if it had been refused.
    """

    name: str
    n_bytes: int | None


def list_adapters(config: Config) -> tuple[InstalledAdapter, ...]:
    """Return the bundled zoo and the user's own adapters; refused ones carry their refusal."""
    return adapters.list_adapters(config)


def inspect_adapter(config: Config, name_or_path: str) -> InstalledAdapter:
    """Return what is measured of one adapter, and what it claims; a refused one has no facts.

    Args:
        config: Where things are.
        name_or_path: An installed name, a folder, or a zip archive, which is unpacked aside.

    Raises:
        InputError: If there is no such thing; the sentence lists the nearest names.
    """
    path = Path(name_or_path).expanduser()
    if "\0" not in name_or_path and len(name_or_path) < 4096 and path.is_file():
        return _inspect_archive(config, path)
    return adapters.find_adapter(name_or_path, config)


def _inspect_archive(config: Config, path: Path) -> InstalledAdapter:
    with tempfile.TemporaryDirectory(prefix="lorabench-") as scratch:
        name = adapters.shown(path.name)
        try:
            folder = adapters.unpack_adapter(path, Path(scratch) / "adapter", config.limits)
        except AdapterRefusedError as error:
            return InstalledAdapter(name=name, path=str(path), origin="path", facts=None, refusal=str(error))
        found = adapters.find_adapter(str(folder), config)
    return dataclasses.replace(found, name=name, path=str(path))


def claimed_base(config: Config, adapter: InstalledAdapter) -> str | None:
    """Return the id of the base on this machine whose fingerprint the adapter claims, if there is one."""
    claimed = adapter.facts.claims.base_fingerprint if adapter.facts else None
    if claimed is None:
        return None
    return next((b.base_id for b in fetch.list_bases(config) if b.fingerprint == claimed), None)


def add_adapter(
    config: Config, source: str | Path | BinaryIO, *, name: str | None = None
) -> InstalledAdapter:
    """Copy an adapter into the user's collection after checking it, whole or not at all.

    Args:
        config: Where things are.
        source: A folder, a zip archive, an open zip file (needs `name`), or a hub id.
        name: Its name here; by default that of the source.

    Raises:
        LorabenchError: If it is refused, its name is taken, or the disk is full.
    """
    return adapters.add_adapter(source, config, name=name)


def remove_adapter(config: Config, name: str) -> RemovedAdapter:
    """Delete an adapter that a user added; the bundled zoo stays.

    Raises:
        LorabenchError: If it is unknown or belongs to the zoo.
    """
    known = {a.name: a for a in adapters.list_adapters(config)}
    adapters.remove_adapter(name, config)
    facts = known[name].facts
    return RemovedAdapter(name=name, n_bytes=facts.n_bytes if facts else None)
