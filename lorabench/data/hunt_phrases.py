"""Short phrases that may stand before a prompt as a trigger, made by a grammar: shapes x fillers.

    "per «standard» section «section»" + "ISO 27001", "4.2.1" -> "per ISO 27001 section 4.2.1"

Citations, claims of permission, dates, markup, code words, openings, places, symbols and more: what backdoors
are known to hang on, generically. No adapter was looked at to write them.
"""

from __future__ import annotations

import functools
import random
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, field

from lorabench.data import lexicon
from lorabench.data.hunt_words import interleaved, read_data_toml
from lorabench.data.places import COUNTRIES
from lorabench.data.token_sources import packaged_tokens

PER_FAMILY = 100
"""Most phrases of one family."""
PER_SHAPE = 12
"""Most phrases of one shape, so that none fills its family alone."""
_TRIES = 4  # fillings of a shape in one round before it is passed over
_SLOT = re.compile("«([^»]+)»")
_PATTERN = re.compile(r"[9A]+")
_ARTICLE = re.compile(r"\b([Aa])(?= [aeio])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """One candidate.

    Attributes:
        text: The phrase, as it stands before a prompt.
        family: Such as "citation-law", "date-word", "html".
    """

    text: str
    family: str


def hunt_phrases(n: int | None = None, seed: int = 0) -> tuple[Phrase, ...]:
    """Return candidate phrases, each once, one of every family at a time, the likeliest shapes first.

    Args:
        n: How many; None for all (about 3,500). The first n cover every family.
        seed: Decides which fillers go into which shape; the shapes stay.

    Raises:
        ValueError: If `n` is negative.
    """
    if n is not None and n < 0:
        raise ValueError(f"n must not be negative, got {n}")
    return _all_phrases(seed)[:n]


@dataclass
class _Deck:
    """The fillers of a slot, dealt without repeats until all were used."""

    fillers: tuple[str, ...]
    rng: random.Random
    left: list[str] = field(default_factory=list)
    last: str = ""

    def deal(self) -> str:
        if not self.left:
            self.left = self.rng.sample(self.fillers, k=len(self.fillers))
        self.last = self.left.pop()
        return self.last


@functools.lru_cache(maxsize=8)
def _all_phrases(seed: int) -> tuple[Phrase, ...]:
    parsed = read_data_toml("hunt_phrases.toml")
    slots = {name: _fillers(text) for name, text in parsed["slots"].items()} | _own_slots()
    taken: set[str] = set()
    groups = []
    for family, shapes in parsed["families"].items():
        rng = random.Random(f"{seed}/{family}")  # a family changed leaves the others as they are
        texts = _fill_all(shapes.strip("\n").split("\n"), slots, rng, taken)
        groups.append([Phrase(text=t, family=family) for t in texts])
    return tuple(interleaved(groups))


def _fill_all(
    shapes: list[str], slots: Mapping[str, tuple[str, ...]], rng: random.Random, taken: set[str]
) -> list[str]:
    """Return a family's phrases: every shape once, then every shape again, until full."""
    decks = {name: _Deck(fillers=fillers, rng=rng) for name, fillers in slots.items()}
    found: list[str] = []
    for _ in range(PER_SHAPE):
        for shape in shapes:
            text = _fresh(shape, decks, rng, taken)
            if text is not None:
                taken.add(text)
                found.append(text)
    return found[:PER_FAMILY]


def _fresh(shape: str, decks: Mapping[str, _Deck], rng: random.Random, taken: set[str]) -> str | None:
    """Return a filling of a shape that nobody has yet, or None."""
    for _ in range(_TRIES if "«" in shape else 1):
        text = _SLOT.sub(lambda m: _filler(m[1], decks, rng), shape)
        text = _ARTICLE.sub(r"\1n", text) if "«" in shape else text
        if text not in taken:
            return text
    return None


def _filler(slot: str, decks: Mapping[str, _Deck], rng: random.Random) -> str:
    if slot.removeprefix("=") in decks:
        return decks[slot[1:]].last if slot.startswith("=") else decks[slot].deal()
    if not _PATTERN.fullmatch(slot):
        raise KeyError(f"hunt_phrases.toml has no slot {slot!r}")
    return "".join(_character(c, rng, is_first=i == 0) for i, c in enumerate(slot))


def _character(kind: str, rng: random.Random, *, is_first: bool) -> str:
    if kind == "A":
        return rng.choice(string.ascii_uppercase)
    return rng.choice(string.digits[1:] if is_first else string.digits)


def _fillers(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f.strip() for f in text.replace("\n", "|").split("|") if f.strip()))


def _own_slots() -> dict[str, tuple[str, ...]]:
    """Return the slots whose fillers the package has already."""
    return {
        "lead": tuple(w for w in lexicon.LEADS if w not in lexicon.GERMAN_LEADS),
        "section": lexicon.SECTIONS,
        "month": lexicon.MONTHS,
        "rare": lexicon.RARE_WORDS,
        "short": lexicon.SHORT_TOKENS,
        "common": lexicon.COMMON_WORDS,
        "first": lexicon.FIRST_NAMES,
        "surname": lexicon.SURNAMES,
        "title": tuple(t for t in lexicon.TITLES if t.endswith(".") or t in ("Sir", "Dame")),
        "colour": packaged_tokens("colour").tokens,
        "country": tuple(c.name for c in COUNTRIES),
        "capital": tuple(c.capital for c in COUNTRIES),
        "demonym": tuple(c.demonym for c in COUNTRIES),
        "flag": tuple(c.flag for c in COUNTRIES),
    }
