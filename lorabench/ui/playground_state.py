"""What the Playground remembers in a browser tab between reruns."""

from __future__ import annotations

from dataclasses import dataclass, field

from lorabench.errors import LorabenchError
from lorabench.results import CheckedMap, Quad, ScoreReport
from lorabench.ui.state import session
from lorabench.workflows.scoring import AttributeRequest, ScoreRequest

_MOST_QUADS = 24
MOST_PINS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One pinned row: a prompt with at most one trigger, and how it was asked.

    Attributes:
        id: Counts up in this tab.
        request: One prompt, one trigger or none, the models and the task.
        note: What was changed, in words.
    """

    id: int
    request: ScoreRequest
    note: str

    @property
    def prompt(self) -> str:
        """The prompt without trigger."""
        return self.request.prompts[0]

    @property
    def trigger(self) -> str | None:
        """The trigger, or None."""
        return self.request.triggers[0] if self.request.triggers else None


@dataclass
class Desk:
    """Everything on the Playground's desk in one tab.

    Attributes:
        rows: Ids of the trigger fields, in order.
        next_row: Id of the next trigger field.
        pins: Pinned rows, oldest first.
        next_pin: Id of the next pinned row.
        replies: Answers to pinned rows by request, or why there is none.
        quads: Finished word maps.
        checks: Finished checks of maps, by request and name of the map.
        notes: Sentences about a link that could not be followed to the letter.
        draft: What the form says now; None while it makes no request.
        demo: Whether a recorded result may be shown until the live one is there.
    """

    rows: list[int] = field(default_factory=list)
    next_row: int = 0
    pins: list[Pin] = field(default_factory=list)
    next_pin: int = 1
    replies: dict[ScoreRequest, ScoreReport | LorabenchError] = field(default_factory=dict)
    quads: dict[AttributeRequest, Quad] = field(default_factory=dict)
    checks: dict[tuple[AttributeRequest, str], CheckedMap] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    draft: ScoreRequest | None = None
    demo: bool = False

    def remember(self, request: AttributeRequest, quad: Quad) -> None:
        """Keep a finished 2x2 of word maps, the latest ones only."""
        self.quads[request] = quad
        while len(self.quads) > _MOST_QUADS:
            del self.quads[next(iter(self.quads))]

    def forget_maps(self) -> None:
        """Drop maps and checks, so that the next ones are made anew."""
        self.quads.clear()
        self.checks.clear()

    def pin(self, request: ScoreRequest, note: str, *, after: int | None = None) -> Pin:
        """Add a pinned row at the end, or right behind another; the oldest goes when there are too many."""
        new = Pin(id=self.next_pin, request=request, note=note)
        self.next_pin += 1
        at = next((i + 1 for i, p in enumerate(self.pins) if p.id == after), len(self.pins))
        self.pins.insert(at, new)
        del self.pins[: max(len(self.pins) - MOST_PINS, 0)]
        return new

    def change(self, pin_id: int, request: ScoreRequest, note: str) -> None:
        """Give a pinned row another text."""
        self.pins = [Pin(id=p.id, request=request, note=note) if p.id == pin_id else p for p in self.pins]

    def unpin(self, pin_id: int) -> None:
        """Remove a pinned row."""
        self.pins = [p for p in self.pins if p.id != pin_id]


def desk() -> Desk:
    """Return this tab's desk, made on first use."""
    found: Desk = session().notes.setdefault("playground.desk", Desk())
    return found
