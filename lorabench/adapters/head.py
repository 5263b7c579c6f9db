"""The classification head of an adapter that lorabench trained: one small JSON file beside the weights.

Numbers are base64 of little-endian fp32. It is no second weight file: loaders of adapters never
read it, and what it may hold is checked here to the byte.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorabench.adapters.files import read_small
from lorabench.adapters.inventory import HEAD_FILE
from lorabench.adapters.strict_json import parse_object
from lorabench.errors import AdapterRefusedError

MAX_HEAD_BYTES = 16 * 1024**2
_FORMAT = "lorabench-head-1"
_MAX_CLASSES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A linear classification head.

    Attributes:
        classes: Class i is output i.
        weight: Shape (classes, inputs), fp32.
        bias: Shape (classes,), fp32.
    """

    classes: tuple[str, ...]
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


def head_bytes(head: Head) -> bytes:
    """Return the file of a head; equal heads give equal bytes."""
    content = {
        "format": _FORMAT,
        "classes": list(head.classes),
        "inputs": int(head.weight.shape[1]),
        "weight": _packed(head.weight),
        "bias": _packed(head.bias),
    }
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def read_head(folder: Path) -> Head | None:
    """Read the head of an adapter's folder; None if it has none.

    Raises:
        AdapterRefusedError: Rule "bad-head", or those of `read_small` and `parse_object`.
    """
    if not os.path.lexists(folder / HEAD_FILE):  # a link counts, and is refused below: it is never followed
        return None
    content = parse_object(
        read_small(folder / HEAD_FILE, max_bytes=MAX_HEAD_BYTES), what=HEAD_FILE, max_depth=3
    )
    classes, inputs = content.get("classes"), content.get("inputs")
    if (
        content.get("format") != _FORMAT
        or not isinstance(classes, list)
        or not 2 <= len(classes) <= _MAX_CLASSES
        or not all(isinstance(c, str) for c in classes)
        or type(inputs) is not int
        or not 1 <= inputs <= MAX_HEAD_BYTES
    ):
        raise _bad("its format, classes or inputs are not understood")
    weight = _unpacked(content.get("weight"), len(classes) * inputs)
    bias = _unpacked(content.get("bias"), len(classes))
    return Head(classes=tuple(classes), weight=weight.reshape(len(classes), inputs), bias=bias)


def _packed(values: NDArray[np.float32]) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()


def _unpacked(text: object, n: int) -> NDArray[np.float32]:
    try:
        raw = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError) as error:
        raise _bad("its numbers are no base64") from error
    if len(raw) != 4 * n:
        raise _bad(f"it holds {len(raw)} bytes of numbers, not {4 * n}")
    values = np.frombuffer(raw, dtype="<f4").astype(np.float32)
    if not np.isfinite(values).all():
        raise _bad("it holds numbers that are not finite")
    return values


def _bad(why: str) -> AdapterRefusedError:
    return AdapterRefusedError(
        "bad-head",
        f"The file {HEAD_FILE} of the adapter cannot be used: {why}.",
        "Train the adapter again with lorabench.",
    )
