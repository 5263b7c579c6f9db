"""Numbers of a low-rank change, measured without ever forming B @ A."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from lorabench.adapters.cores import add_rows, core_spectrum, factor_spectrum, gram, row_blocks
from lorabench.adapters.modules import LoraModule
from lorabench.results import ModuleFacts
from lorabench.results.weights import ModuleSpectrum

RANK_TOLERANCE = 1e-5
_DORA_MARK = b"\xffDoRA\xff\xff\xff"
"""Stands before a magnitude vector; read as the length of a name it would be impossible."""


def core_singular_values(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the singular values of B @ A, largest first, from an r x r core of QR factors.

    Args:
        a: Shape (r, in).
        b: Shape (out, r).

    Returns:
        Shape (min(r, in, out),), float64.
    """
    return factor_spectrum(add_rows(None, a.T), add_rows(None, b))


def module_spectrum(module: LoraModule) -> ModuleSpectrum:
    """Measure one adapted layer; DoRA's rescaling needs the base weights and is not part of it."""
    cores = []
    for rows in (module.a.T, module.b):
        core = None
        for block in row_blocks(rows):
            core = gram(core, block)
        if core is None:
            raise ValueError(f"a matrix of {module.name} is empty")
        cores.append(core)
    n_values = min(*module.a.shape, module.b.shape[0])
    values = core_spectrum(cores[0], cores[1], n_values)
    if values is None:
        values = core_singular_values(module.a, module.b)
    return spectrum_of(
        name=module.name,
        shape=(module.b.shape[0], module.a.shape[1]),
        rank=module.a.shape[0],
        scale=module.scale,
        values=values,
        cores=(cores[0], cores[1]),
    )


def spectrum_of(
    *,
    name: str,
    shape: tuple[int, int],
    rank: int,
    scale: float,
    values: NDArray[np.float64],
    cores: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> ModuleSpectrum:
    """Put together what was measured of one layer.

    Args:
        name: Its path.
        shape: (out, in).
        rank: Rows of A.
        scale: alpha / r, or alpha / sqrt(r).
        values: Singular values of B @ A.
        cores: A @ A^T and B^T @ B.
    """
    return ModuleSpectrum(
        name=name,
        in_features=shape[1],
        out_features=shape[0],
        rank=rank,
        scale=scale,
        singular_values=tuple(values.tolist()),
        norm_a=float(np.sqrt(np.trace(cores[0]))),
        norm_b=float(np.sqrt(np.trace(cores[1]))),
    )


def facts_of(spectrum: ModuleSpectrum) -> ModuleFacts:
    """Return the numerical rank and the Frobenius norm of one layer's scaled change."""
    values = np.asarray(spectrum.singular_values)
    largest = float(values[0])
    return ModuleFacts(
        name=spectrum.name,
        in_features=spectrum.in_features,
        out_features=spectrum.out_features,
        rank=spectrum.rank,
        measured_rank=int((values > RANK_TOLERANCE * largest).sum()) if largest > 0 else 0,
        scale=spectrum.scale,
        delta_norm=abs(spectrum.scale) * float(np.sqrt((values**2).sum())),
    )


def adapter_id(modules: Iterable[LoraModule]) -> str:
    """Return the sha256 over the sorted modules: name, shapes, float32 values, scale, DoRA's vector.

    Equal ids mean equal behaviour on the same base, whatever the files look like.
    """
    found = hashlib.sha256()
    for module in sorted(modules, key=lambda m: m.name):
        found.update(id_prefix(module.name, module.a.shape, module.b.shape))
        for values in (module.a, module.b):
            found.update(np.ascontiguousarray(values, dtype="<f4").data)
        found.update(id_scale(module.scale, dora=module.magnitude is not None))
        if module.magnitude is not None:
            found.update(np.ascontiguousarray(module.magnitude, dtype="<f4").data)
    return found.hexdigest()


def id_prefix(name: str, shape_a: tuple[int, ...], shape_b: tuple[int, ...]) -> bytes:
    """Return what stands before a module's A in the digest that is an adapter's id."""
    text = name.encode()
    return struct.pack("<5Q", len(text), *shape_a, *shape_b) + text


def id_scale(scale: float, *, dora: bool = False) -> bytes:
    """Return what follows a module's B there, up to the numbers of a magnitude vector."""
    return struct.pack("<d", scale) + (_DORA_MARK if dora else b"")
