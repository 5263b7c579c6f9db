"""The r x r cores of a module's matrices, gathered block by block, and the singular values of B @ A.

A (r, in) and B (out, r) enter as G_A = A A^T and G_B = B^T B, summed in float64 over blocks, so that
neither matrix is ever needed whole. With H H^T = G_A, the squared singular values of B @ A are the
eigenvalues of H^T G_B H.

Accuracy: squaring costs half of the digits. The error of an eigenvalue is at most about
r * eps * (|A| |B|)^2 in spectral norms, so a singular value below 1e-6 |B A| is noise as soon as
|A| |B| exceeds |B A| by much. `core_spectrum` measures that ratio and says when it does not vouch for
1e-6 of the largest value; the caller then takes the slow path over QR factors (`add_rows`), which
keeps all digits. Matrices of real adapters never needed it; ones made to hide from it do.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

BLOCK_NUMBERS = 128 * 1024
"""Numbers of one block: 1 MB in float64. Fixed, because sums in another order differ in their last bits."""
_TRUSTED = 1e-12  # of the largest eigenvalue: 1e-6 of the largest singular value


def gram(core: NDArray[np.float64] | None, block: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return a core after one more block of rows.

    Args:
        core: Shape (r, r): the sum so far; None at the start.
        block: Shape (n, r): rows of B, or columns of A as rows.
    """
    wide = block.astype(np.float64)
    found = wide.T @ wide
    return found if core is None else core + found


def row_blocks(matrix: NDArray[np.float32]) -> Iterable[NDArray[np.float32]]:
    """Cut a matrix of shape (n, r) into blocks of whole rows."""
    n_rows = rows_per_block(matrix.shape[1])
    return (matrix[at : at + n_rows] for at in range(0, len(matrix), n_rows))


def rows_per_block(rank: int) -> int:
    """Return how many rows of r numbers make one block."""
    return max(1, BLOCK_NUMBERS // max(rank, 1))


def core_spectrum(
    core_a: NDArray[np.float64], core_b: NDArray[np.float64], n_values: int
) -> NDArray[np.float64] | None:
    """Return the singular values of B @ A, largest first.

    Args:
        core_a: A @ A^T, shape (r, r).
        core_b: B^T @ B, shape (r, r).
        n_values: min(r, in, out): how many values there are.

    Returns:
        Shape (n_values,), good to 1e-6 of the largest; None if these cores cannot give that.
    """
    values, vectors = np.linalg.eigh(core_a)
    half = vectors * np.sqrt(np.maximum(values, 0.0))
    squares = np.linalg.eigvalsh(half.T @ core_b @ half)[::-1]
    bound = max(float(values[-1]), 0.0) * max(float(np.linalg.eigvalsh(core_b)[-1]), 0.0)
    if bound == 0.0:
        return np.zeros(n_values)
    if len(core_a) * np.finfo(np.float64).eps * bound > _TRUSTED * float(squares[0]):
        return None
    return np.asarray(np.sqrt(np.maximum(squares[:n_values], 0.0)), dtype=np.float64)


def add_rows(factor: NDArray[np.float64] | None, block: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the R factor (QR) of all rows so far and one more block of them.

    Args:
        factor: Shape (k, r) with k <= r; None at the start.
        block: Shape (n, r).
    """
    wide = block.astype(np.float64)
    stacked = wide if factor is None else np.concatenate([factor, wide])
    return np.asarray(np.linalg.qr(stacked, mode="r"), dtype=np.float64)


def factor_spectrum(factor_a: NDArray[np.float64], factor_b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the singular values of B @ A from the R factors of A^T and B, largest first.

    With A^T = Qa Ra and B = Qb Rb, B @ A = Qb (Rb Ra^T) Qa^T, and orthonormal factors leave
    singular values alone.
    """
    return np.asarray(np.linalg.svd(factor_b @ factor_a.T, compute_uv=False), dtype=np.float64)
