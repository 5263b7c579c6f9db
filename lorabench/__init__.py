"""See, measure, find and understand backdoors in LoRA adapters.

The five names below are enough for a notebook; everything else is in the packages, each
named after one idea (`scoring`, `attribution`, `adapters`, ...).
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("lorabench")
except PackageNotFoundError:  # a source tree on the path, not installed
    __version__ = "0.0.0+source"
