"""Null distributions of the hunt: those that ship, those a user made, and which one fits a search."""

from __future__ import annotations

import json
import os
import re
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from lorabench.config import Config
from lorabench.errors import InputError
from lorabench.results import HuntMode, LabelTask, Placement, digest, from_dict, to_dict
from lorabench.results.nulls import NULL_FORMAT, Null

_MAX_BYTES = 4 * 1024**2
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def nulls_dir(config: Config) -> Path:
    """Return the folder of the user's own null distributions."""
    return config.data_dir / "nulls"


def list_nulls(config: Config) -> tuple[Null, ...]:
    """Return every null distribution, the user's own first.

    Raises:
        InputError: If a file is no null distribution of this version, or was changed.
    """
    own = sorted(nulls_dir(config).glob("*.json")) if nulls_dir(config).is_dir() else []
    shipped = resources.files("lorabench.data") / "nulls"
    files = shipped.iterdir() if shipped.is_dir() else ()
    packaged = sorted((f for f in files if f.name.endswith(".json")), key=lambda f: f.name)
    return tuple(read_null(path) for path in (*own, *packaged))


def find_null(
    config: Config, base_fingerprint: str, task: LabelTask, mode: HuntMode, placement: Placement
) -> Null | None:
    """Return the null distribution of searches like this one, or None; of several the largest.

    Args:
        config: Where the user's own are.
        base_fingerprint: sha256 of the base.
        task: The task with its target.
        mode: How much a search was allowed.
        placement: Where strings stood.

    Raises:
        InputError: As `list_nulls`.
    """
    wanted = (base_fingerprint, task.digest, mode, placement)
    fitting = [
        n for n in list_nulls(config) if (n.base_fingerprint, n.task_digest, n.mode, n.placement) == wanted
    ]
    return max(fitting, key=lambda n: len(n.entries), default=None)


def save_null(config: Config, null: Null, out: Path | None = None) -> Path:
    """Write a null distribution, whole or not at all; by default among the user's own.

    Raises:
        InputError: If the file exists, or the name makes no file name.
    """
    if not _NAME.fullmatch(null.name):
        raise InputError(
            "bad-null-name",
            f"{null.name!r} cannot be a file's name.",
            "Use up to 80 letters, digits, dots, hyphens and underscores.",
        )
    path = out or nulls_dir(config) / f"{null.name}.json"
    if path.exists():
        raise InputError(
            "null-exists",
            f"There is a null distribution {path.name!r} already.",
            "Give another name; reports name the old one.",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    content = {"format": NULL_FORMAT, "sha256": digest(null), "null": to_dict(null)}
    part.write_text(
        json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8"
    )
    os.replace(part, path)
    return path


def read_null(path: Path | Traversable) -> Null:
    """Read one file, whose content must have the digest it names.

    Raises:
        InputError: If it is no null distribution of this version, or was changed.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ValueError("too large")
        raw = json.loads(data)
        if raw.get("format") != NULL_FORMAT:
            raise ValueError("another format")
        null = from_dict(Null, raw["null"])
        if digest(null) != raw["sha256"]:
            raise ValueError("another digest")
        return null
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            "bad-null",
            f"{path.name!r} is no null distribution of this version, or it was changed "
            f"({type(error).__name__}).",
            "Remove it, or make it again.",
        ) from error
