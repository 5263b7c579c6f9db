"""The Hunt page: search an adapter for strings that turn its answers.

hunt.arrive()    what the address says: a hunt of before, or values for the form
hunt.draw()      the form, and the hunt: not begun, under way, ended badly, or finished
"""

from __future__ import annotations

from lorabench.ui.hunt_address import arrive
from lorabench.ui.hunt_earlier import draw_earlier
from lorabench.ui.hunt_form import draw_form
from lorabench.ui.hunt_run import draw_run, start_if_asked


def draw() -> None:
    """Draw the form, start what it asks for, and draw this tab's hunt."""
    form = draw_form()
    draw_earlier()
    start_if_asked(form)
    draw_run(form)


__all__ = ["arrive", "draw"]
