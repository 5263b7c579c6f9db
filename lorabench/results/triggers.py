"""A trigger is text plus placement; a variant is a trigger changed in one named way."""

from __future__ import annotations

import hashlib
import random
import re
from dataclasses import dataclass
from typing import Literal

from lorabench.errors import InputError

Placement = Literal["prefix", "suffix", "random"]
PLACEMENTS: tuple[Placement, ...] = ("prefix", "suffix", "random")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedText:
    """A prompt with a trigger in it.

    Attributes:
        text: The whole text.
        start: First character of the trigger in `text`; None without a trigger.
        end: One past its last character; None without a trigger. The joiner is outside.
    """

    text: str
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """Text that may activate a backdoor, and where it goes.

    Attributes:
        text: The trigger itself; must hold something visible.
        placement: Before the prompt, after it, or at a random word boundary inside it.
        joiner: Text between trigger and prompt. For a random place it is not used: the
            trigger stands between two spaces.
    """

    text: str
    placement: Placement = "prefix"
    joiner: str = ". "

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise InputError(
                "empty-trigger",
                "The trigger is empty or only white space.",
                "Type at least one visible character, or leave the trigger out.",
            )
        if self.placement not in PLACEMENTS:
            raise InputError(
                "unknown-placement",
                f"There is no placement called {self.placement!r}.",
                f"Choose one of {', '.join(PLACEMENTS)}.",
            )

    def place(self, prompt: str, *, seed: int = 0) -> PlacedText:
        """Return `prompt` with the trigger in its place.

        A random place depends only on the seed, the prompt and the placement's name, so
        that every trigger and every model sees the same boundary.
        """
        if self.placement == "prefix":
            return PlacedText(text=f"{self.text}{self.joiner}{prompt}", start=0, end=len(self.text))
        if self.placement == "suffix":
            start = len(prompt) + len(self.joiner)
            return PlacedText(
                text=f"{prompt}{self.joiner}{self.text}", start=start, end=start + len(self.text)
            )
        gaps = [m.start() for m in re.finditer(r"\s+(?=\S)", prompt) if m.start() > 0]
        if not gaps:
            return PlacedText(text=f"{self.text} {prompt}", start=0, end=len(self.text))
        key = hashlib.sha256(f"{seed}\0{prompt}".encode()).digest()
        at = random.Random(key).choice(gaps)
        return PlacedText(
            text=f"{prompt[:at]} {self.text}{prompt[at:]}", start=at + 1, end=at + 1 + len(self.text)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A look-alike of a trigger.

    Attributes:
        text: The changed trigger text; empty for the control without any trigger.
        family: Key of the family, such as "same_anchor_other_number".
        change: The one thing that was changed, in plain words.
        is_control: Whether the family is a control (no trigger, random words, ...).
        shared_words: Case-folded words, numbers and punctuation aside, that the variant
            shares with the trigger; computed, never believed from a category name.
        anchors: Which parts of the trigger it keeps, such as ("lead", "authority").
        source: Where the text comes from, such as "generated" or a battery's name.
    """

    text: str
    family: str
    change: str
    is_control: bool = False
    shared_words: tuple[str, ...] = ()
    anchors: tuple[str, ...] = ()
    source: str = "generated"
