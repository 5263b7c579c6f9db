"""The line under each word map: how it was made and, once it was checked, what the check says of it."""

from __future__ import annotations

from lorabench.results import AttributionMap, CheckedMap
from lorabench.ui.text import duration, signed

METHOD_NAMES = {
    "leave_one_out": "leave one word out",
    "integrated_gradients": "integrated gradients",
    "shapley": "Shapley values",
    "input_x_gradient": "input x gradient",
}
VERDICTS = {"green": "holds up", "amber": "read with care", "red": "do not rely on it"}
"""What the verdicts of a check are called."""
FAIR, POOR = 0.05, 0.15
"""Completeness residuals from which a map's sum is only fair, and poor."""


def made_text(map: AttributionMap) -> str:
    """Return how a map was made and what its sum is worth, in one line."""
    passes = f"{map.n_forwards:,} forwards"
    if map.n_backwards:
        passes += f", {map.n_backwards:,} backwards"
    took = f"{map.seconds:.1f} s" if map.seconds < 90 else duration(map.seconds)
    parts = [METHOD_NAMES[map.method], passes, took]
    if map.residual is not None:
        word = "good" if map.residual < FAIR else "fair" if map.residual < POOR else "poor, do not rely on it"
        parts.append(f"scores miss {map.residual:.0%} of their sum ({word})")
    return " · ".join(parts)


def checked_text(found: CheckedMap | None) -> str:
    """Return what the check of a map found, in one line; None for a map that was not checked."""
    if found is None:
        return "not checked"
    curve, tau = found.deletion, found.kendall_tau
    return (
        f"checked: {VERDICTS[found.verdict]} · deletion at {len(curve.n_deleted) - 1} cut points "
        f"{signed(curve.area_minus_random)} logits against {len(curve.random_margins)} random orders · "
        f"Kendall tau {'not defined' if tau is None else signed(tau, 2)} with "
        f"{METHOD_NAMES[found.second.method]}"
    )
