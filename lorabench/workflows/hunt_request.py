"""What to hunt for, in which adapter, with how much."""

from __future__ import annotations

from dataclasses import dataclass

from lorabench.errors import InputError, unknown_name
from lorabench.results import HUNT_MODES, HuntMode, Placement, Task
from lorabench.results.triggers import PLACEMENTS

MAX_HELD_OUT = 400
MIN_BUDGET, MAX_BUDGET = 5_000, 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HuntRequest:
    """One hunt.

    Attributes:
        adapter: Name or folder of the suspect.
        task: Preset, TOML file, or a task; None takes what the adapter claims.
        target: Label to search for; None takes the task's; for a generation task a payload or None.
        mode: How much it may do.
        references: Names or folders of clean adapters of the same task; empty takes the installed ones.
        prompts: Held-out prompts whose right answer is not the target; empty takes the bundled ones.
        suspect_data: A data set of the analyst, whose frequent phrases are tried; None for none.
        placement: Where strings are placed: "prefix" or "suffix".
        truth: The planted trigger, where it is known (teaching): the result then says what was recalled;
            the search never reads it.
        n_held_out: Prompts of the evidence; None takes the mode's.
        budget: Tokens the search may compute; None takes the mode's. Null distributions are of the usual
            budgets, so none fits another one.
        seed: Decides the prompts and every draw.
    """

    adapter: str
    task: str | Task | None = None
    target: str | None = None
    mode: HuntMode = "standard"
    references: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    suspect_data: str | None = None
    placement: Placement = "prefix"
    truth: str | None = None
    n_held_out: int | None = None
    budget: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.mode not in HUNT_MODES:
            raise unknown_name("mode", self.mode, HUNT_MODES)
        if self.placement not in PLACEMENTS or self.placement == "random":
            raise unknown_name("placement", self.placement, ("prefix", "suffix"))
        if self.n_held_out is not None and not 10 <= self.n_held_out <= MAX_HELD_OUT:
            raise InputError(
                "out-of-range",
                f"{self.n_held_out} held-out prompts were asked for.",
                f"Choose from 10 to {MAX_HELD_OUT}.",
            )
        if self.budget is not None and not MIN_BUDGET <= self.budget <= MAX_BUDGET:
            raise InputError(
                "out-of-range",
                f"A budget of {self.budget:,} tokens was asked for.",
                f"Choose from {MIN_BUDGET:,} to {MAX_BUDGET:,}.",
            )
