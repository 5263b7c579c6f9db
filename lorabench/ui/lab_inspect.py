"""Look at a data set before anybody trains on it."""

from __future__ import annotations


def draw_inspection() -> None:
    """Placeholder until the workflow is here."""
