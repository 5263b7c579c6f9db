"""Single words that triggers are made of and that a list of tokens by frequency misses.

Standards bodies, laws, lead words, claims of permission, markup, code words, rare words, symbols: a hunt
tries them as they are and behind what it has found. They are generic; no adapter was looked at for them.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from itertools import zip_longest
from types import MappingProxyType
from typing import Any, TypeVar

from lorabench.data import lexicon
from lorabench.data.places import COUNTRIES
from lorabench.data.token_sources import packaged_tokens

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word and where it belongs.

    Attributes:
        text: The word, without white space.
        family: Such as "standard", "authorisation", "markup-tag".
    """

    text: str
    family: str


def hunt_words(n: int | None = None) -> tuple[Word, ...]:
    """Return the words (about 2,100), each once, one of every family at a time.

    Args:
        n: How many; None for all. The first n cover every family.

    Raises:
        ValueError: If `n` is negative.
    """
    if n is not None and n < 0:
        raise ValueError(f"n must not be negative, got {n}")
    return _all_words()[:n]


@functools.cache
def word_families() -> Mapping[str, tuple[str, ...]]:
    """Return the words by family; a word stands in one family only, the first that claims it."""
    parsed = read_data_toml("hunt_words.toml")
    known: dict[str, str] = {}
    families = {name: entry["words"].split() for name, entry in parsed.items()}
    for name, words in {**families, **_from_elsewhere(families)}.items():
        for word in words:
            known.setdefault(word, name)
    found: dict[str, list[str]] = {}
    for word, name in known.items():
        found.setdefault(name, []).append(word)
    return MappingProxyType({name: tuple(words) for name, words in found.items()})


def interleaved(groups: Iterable[Iterable[T]]) -> Iterator[T]:
    """Yield the first of every group, then the second of every group that has one, and so on."""
    end = object()
    for row in zip_longest(*groups, fillvalue=end):
        yield from (item for item in row if item is not end)  # type: ignore[misc]


def read_data_toml(name: str) -> dict[str, Any]:
    """Return what a TOML file of this package holds."""
    return tomllib.loads((resources.files("lorabench.data") / name).read_text(encoding="utf-8"))


@functools.cache
def _all_words() -> tuple[Word, ...]:
    groups = [[Word(text=w, family=f) for w in words] for f, words in word_families().items()]
    return tuple(interleaved(groups))


def _from_elsewhere(own: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return the families that the package has already, longer or new."""
    tags = [pair.split()[0] for pair in packaged_tokens("html").tokens]
    return {
        "date": [*own["date"], *lexicon.MONTHS, *lexicon.MONTHS_DE],
        "rare": [*own["rare"], *lexicon.RARE_WORDS, *lexicon.SHORT_TOKENS],
        "markup-tag": [*tags, *own["markup-tag"]],
        "country": [c.name for c in COUNTRIES if " " not in c.name],
        "capital": [c.capital for c in COUNTRIES if " " not in c.capital],
        "colour": list(packaged_tokens("colour").tokens),
    }
