"""Numbers of a low-rank change, measured without ever forming B @ A."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from lorabench.adapters.modules import LoraModule
from lorabench.results import ModuleFacts

RANK_TOLERANCE = 1e-5
_DORA_MARK = b"\xffDoRA\xff\xff\xff"
"""Stands before a magnitude vector; read as the length of a name it would be impossible."""


def core_singular_values(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the singular values of B @ A, largest first, from an r x r core.

    With the QR factors A^T = Qa Ra and B = Qb Rb, B @ A = Qb (Rb Ra^T) Qa^T, and orthonormal
    factors leave singular values alone.

    Args:
        a: Shape (r, in).
        b: Shape (out, r).

    Returns:
        Shape (min(r, in, out),), float64.
    """
    ra = np.linalg.qr(a.T.astype(np.float64)).R
    rb = np.linalg.qr(b.astype(np.float64)).R
    return np.asarray(np.linalg.svd(rb @ ra.T, compute_uv=False), dtype=np.float64)


def module_facts(module: LoraModule) -> ModuleFacts:
    """Measure one adapted layer: its numerical rank and the Frobenius norm of its scaled change.

    DoRA's rescaling needs the base weights and is not part of it.
    """
    values = core_singular_values(module.a, module.b)
    largest = float(values[0])
    return ModuleFacts(
        name=module.name,
        in_features=module.a.shape[1],
        out_features=module.b.shape[0],
        rank=module.a.shape[0],
        measured_rank=int((values > RANK_TOLERANCE * largest).sum()) if largest > 0 else 0,
        scale=module.scale,
        delta_norm=abs(module.scale) * float(np.sqrt((values**2).sum())),
    )


def adapter_id(modules: Iterable[LoraModule]) -> str:
    """Return the sha256 over the sorted modules: name, shapes, float32 values, scale, DoRA's vector.

    Equal ids mean equal behaviour on the same base, whatever the files look like.
    """
    found = hashlib.sha256()
    for module in sorted(modules, key=lambda m: m.name):
        name = module.name.encode()
        sizes = (len(name), *module.a.shape, *module.b.shape)
        found.update(struct.pack("<5Q", *sizes) + name)
        for values in (module.a, module.b):
            found.update(np.ascontiguousarray(values, dtype="<f4").data)
        found.update(struct.pack("<d", module.scale))
        if module.magnitude is not None:
            found.update(_DORA_MARK + np.ascontiguousarray(module.magnitude, dtype="<f4").tobytes())
    return found.hexdigest()
