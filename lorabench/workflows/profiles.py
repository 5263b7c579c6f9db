"""Calibration profiles: those that ship, those a user made, and which one may judge an adapter."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from lorabench.config import Config
from lorabench.detectors.calibration import mismatches
from lorabench.errors import InputError, unknown_name
from lorabench.results import BehaviourEvidence, Profile, WeightEvidence, from_dict, to_dict
from lorabench.results.profiles import PROFILE_FORMAT

_MAX_BYTES = 4 * 1024**2


def list_profiles(config: Config) -> tuple[Profile, ...]:
    """Return every readable profile, the user's own first; of equal names and versions the user's."""
    found: dict[tuple[str, int], Profile] = {}
    own = sorted(config.profiles_dir.glob("*.json")) if config.profiles_dir.is_dir() else []
    shipped = resources.files("lorabench.data") / "profiles"
    files = shipped.iterdir() if shipped.is_dir() else ()
    packaged = sorted((f for f in files if f.name.endswith(".json")), key=lambda f: f.name)
    for path in (*own, *packaged):
        profile = _read(path)
        found.setdefault((profile.name, profile.version), profile)
    return tuple(found.values())


def find_profile(config: Config, name_or_file: str) -> Profile:
    """Return a profile by name (its highest version), id, or file.

    Raises:
        InputError: For an unknown name, or a file that is no profile.
    """
    path = Path(name_or_file)
    if path.suffix == ".json" and path.is_file():
        return _read(path)
    known = list_profiles(config)
    named = [p for p in known if name_or_file in (p.name, p.id)]
    if not named:
        raise unknown_name("profile", name_or_file, tuple(p.name for p in known))
    return max(named, key=lambda p: p.version)


def save_profile(config: Config, profile: Profile, out: Path | None = None) -> Path:
    """Write a profile, whole or not at all; by default among the user's own.

    Raises:
        InputError: If the file exists.
    """
    path = out or config.profiles_dir / f"{profile.name}-v{profile.version}.json"
    if path.exists():
        raise InputError(
            "profile-exists",
            f"There is a profile {path.name!r} already.",
            "Give another --name or --version; reports name the old one.",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    text = json.dumps(to_dict(profile), ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
    return path


def choose_profile(
    profiles: Sequence[Profile],
    behaviour: BehaviourEvidence,
    *,
    base_fingerprint: str,
    task_digest: str,
    rank: int,
    weights: WeightEvidence,
) -> tuple[Profile | None, tuple[str, ...]]:
    """Return the profile that may judge an adapter, or None and why the nearest one may not.

    Of several that fit, the one with most clean adapters.
    """
    layers = [m.layer for m in weights.modules if m.layer is not None]
    judged = []
    for profile in profiles:
        why = mismatches(
            profile,
            base_fingerprint=base_fingerprint,
            task_digest=task_digest,
            battery_digest=behaviour.battery_digest,
            prompts_digest=behaviour.prompts_digest,
            rank=rank,
            targets=tuple(sorted({m.projection for m in weights.modules})),
            first_layer=min(layers, default=None),
        )
        judged.append((why, profile))
    fitting = [profile for why, profile in judged if not why]
    if fitting:
        return max(fitting, key=lambda p: (p.n_clean, p.version)), ()
    nearest = min(judged, key=lambda pair: len(pair[0]), default=None)
    if nearest is None:
        return None, ("There is no profile at all.",)
    return None, (f"The nearest profile, {nearest[1].name}, does not fit.", *nearest[0])


def _read(path: Path | Traversable) -> Profile:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ValueError("too large")
        raw = json.loads(data)
        if raw.get("format") != PROFILE_FORMAT:
            raise ValueError("another format")
        return from_dict(Profile, raw)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            "bad-profile",
            f"{path.name!r} is no calibration profile of this version ({type(error).__name__}).",
            "Remove it, or make it again with `lorabench calibrate`.",
        ) from error
