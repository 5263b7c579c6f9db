"""What every report records so that others can repeat it."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import lorabench
from lorabench.results import Task
from lorabench.results.checks import SelfCheck

_PACKAGES = ("torch", "transformers", "peft", "captum", "streamlit", "numpy")


def versions() -> dict[str, str]:
    """Return the versions of everything that can change a number."""
    found = {"lorabench": lorabench.__version__, "python": ".".join(map(str, sys.version_info[:3]))}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found


def provenance(
    *,
    task: Task | None,
    base: str,
    base_fingerprint: str,
    adapters: dict[str, str],
    device: str,
    dtype: str,
    seed: int,
    sharing: Sequence[SelfCheck] = (),
    fast_mode: str = "",
) -> dict[str, Any]:
    """Return the provenance of a report: seed, digests, versions, device, number type.

    Args:
        task: The question asked, or None.
        base: Base id.
        base_fingerprint: sha256 over the base's tensors.
        adapters: Adapter ids by name.
        device: Such as "cpu".
        dtype: Such as "fp32".
        seed: The one seed of the run.
        fast_mode: What must be said of a fast mode's agreement with fp32; "" in evidence mode.
        sharing: How the token trie compares with the plain forward pass here.
    """
    return {
        "seed": seed,
        "task": None if task is None else {"name": task.name, "digest": task.digest},
        "base": {"id": base, "fingerprint": base_fingerprint},
        "adapters": adapters,
        "device": device,
        "dtype": dtype,
        "mode": "evidence" if dtype == "fp32" else "fast",
        "fast_mode": fast_mode,
        "sharing": {check.kind: check.sentence for check in sharing} or "off",
        "versions": versions(),
        "platform": f"{platform.system()} {platform.machine()}",
    }
