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
