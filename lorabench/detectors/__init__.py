"""Measurements to findings: what in a data set, or in an adapter, speaks for a backdoor.

A detector ranks and counts; it never says "clean".
"""

from lorabench.detectors.inspect_rows import inspect_rows
from lorabench.detectors.statistics import entropy_bits, g2, log10_fisher
from lorabench.detectors.token_entropy import STUDY_FLOOR, default_floor

__all__ = ["STUDY_FLOOR", "default_floor", "entropy_bits", "g2", "inspect_rows", "log10_fisher"]
