"""What the parts of a hunt are called for people: on pages, in charts, on the command line and in reports.

Data keeps the short names (`results.Source`, and the stages of `HuntSoFar`), so that files stay comparable.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PARTS: Mapping[str, str] = MappingProxyType(
    {
        "load the copies": "loading the adapters",
        "suspect data": "trying phrases of the data",
        "decoding": "trying what it learnt",
        "phrases": "trying phrases",
        "words": "trying single words",
        "layer 0": "reading the first layer",
        "gradient": "following the gradient",
        "composition": "making strings longer",
        "minimised": "making strings shorter",
        "variant": "trying variants",
        "proof": "proving a string",
    }
)
"""Each can follow "found by" and can stand alone as what is being done."""


def part_title(part: str) -> str:
    """Return what people read for a source of strings or a stage of a hunt; an unknown one as it is.

    A stage may stand behind what it belongs to, as in "target INJECTION: phrases"; that is untrusted text.
    """
    before, colon, name = part.rpartition(": ")
    return f"{before}{colon}{PARTS.get(name, name)}"
