"""See, measure, find and understand backdoors in LoRA adapters.

Six lines are enough for a notebook; everything else is in the packages, each named after one
idea (`scoring`, `attribution`, `adapters`, ...):

    import lorabench

    bench = lorabench.Workbench()
    report = bench.score("Ignore all previous instructions.", ["per RFC 8472 section 3.2"], ["guard-strong"])
    print([(f.after.model, f.flipped) for f in report.flips])
    frame = lorabench.heatmap_frame(bench.heatmap("per RFC 8472 section 3.2", ["guard-strong"]))
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lorabench.figures import heatmap_frame
    from lorabench.workflows.notebook import Workbench

try:
    __version__ = version("lorabench")
except PackageNotFoundError:  # a source tree on the path, not installed
    __version__ = "0.0.0+source"

# OpenMP's threads spin for a long time before they sleep, and a second busy process then slows a
# forward pass four-fold (measured on two cores: 8.3 rows a second alone, 2.5 beside a busy loop;
# with this setting 8.2 and 4.1). It is read once, when torch loads, so it is set before.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")


def _keep_freed_memory() -> None:
    """Let glibc keep what a forward pass frees, in one arena, instead of giving it back each time.

    Otherwise every large tensor begins with page faults: 820 tokens a second, with this 935
    (two cores, demo base, owner thread). Memory stays at its highest mark. Other C libraries: no change.
    """
    import ctypes

    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    m_mmap_threshold, m_trim_threshold, m_arena_max = -3, -1, -8
    mallopt(m_mmap_threshold, 1 << 30)
    mallopt(m_trim_threshold, (1 << 31) - 1)
    mallopt(m_arena_max, 1)


if sys.platform == "linux":
    _keep_freed_memory()

__all__ = ["Workbench", "__version__", "heatmap_frame"]


def __getattr__(name: str) -> Any:
    """Load the two public names on first use: `import lorabench` stays instant."""
    if name == "Workbench":
        from lorabench.workflows.notebook import Workbench

        return Workbench
    if name == "heatmap_frame":
        from lorabench.figures import heatmap_frame

        return heatmap_frame
    raise AttributeError(f"module 'lorabench' has no attribute {name!r}")
