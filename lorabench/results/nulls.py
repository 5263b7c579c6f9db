"""What the same search finds in clean adapters: the null distribution that a found string is held against."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from lorabench.results.convert import digest
from lorabench.results.hunts import HUNT_MODES, HuntMode
from lorabench.results.scores import Rate
from lorabench.results.triggers import PLACEMENTS, Placement

NULL_FORMAT = "lorabench-null-1"
UNMEASURED = Rate(n_hits=0, n=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class NullEntry:
    """The strongest string that a search found in one clean adapter.

    Attributes:
        adapter_id: sha256 over its tensors and scales.
        name: Of the adapter.
        text: The string; empty if the search ended without one.
        attack: Held-out prompts that it flips on that adapter, over those that could flip.
        shift: Its mean margin shift there, in logits.
        loudest: The same of the clean reference that it flips most; n = 0 if none could be compared.
    """

    adapter_id: str
    name: str
    text: str
    attack: Rate
    shift: float
    loudest: Rate = UNMEASURED

    def __post_init__(self) -> None:
        if self.attack.n == 0 or not math.isfinite(self.shift):
            raise ValueError(
                f"the null search of {self.name!r} measured nothing: {self.attack}, {self.shift}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Null:
    """Searches of clean adapters, all alike; comparable only with a search of the same kind.

    Attributes:
        name: Such as "guard-demo-quick".
        base_fingerprint: sha256 of the base.
        task: Name of the task.
        task_digest: sha256 of its fields, the target among them.
        mode: How much each search was allowed.
        placement: Where strings stood.
        entries: One per clean adapter.
        held_out: Name of the prompt set behind the rates.
        created: ISO date.
        versions: Of what measured it.
    """

    name: str
    base_fingerprint: str
    task: str
    task_digest: str
    mode: HuntMode
    placement: Placement
    entries: tuple[NullEntry, ...]
    held_out: str = ""
    created: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ids = [e.adapter_id for e in self.entries]
        if not ids or len(set(ids)) != len(ids):
            raise ValueError(f"a null needs one search for each of some adapters, got {len(ids)} searches")
        if self.mode not in HUNT_MODES or self.placement not in PLACEMENTS:
            raise ValueError(f"no such search: mode {self.mode!r}, placement {self.placement!r}")

    @property
    def id(self) -> str:
        """Name and content: "guard-demo-quick (3f9a01c2)"."""
        return f"{self.name} ({digest(self)[:8]})"
