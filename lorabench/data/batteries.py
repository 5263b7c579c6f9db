"""Probe batteries: named, versioned lists of prefixes, the studies' and ours, read from packaged TOML files.

A category name such as "random_rare" is the author's word. How much of a trigger a probe shares
is computed with `lorabench.data.shared_words`, never read off the category.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from types import MappingProxyType
from typing import Any

from lorabench.errors import unknown_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One candidate prefix.

    Attributes:
        text: Placed before each prompt, without the joiner.
        category: The category it has in its battery.
    """

    text: str
    category: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Battery:
    """A named, versioned list of probes.

    Attributes:
        name: Such as "structural_v1_41"; the number counts the probes.
        version: Version of the list.
        source: Where the strings come from.
        licence: Licence of the source.
        probes: The probes; a text may occur in two categories.
        note: One sentence on its use and on what to know about it.
        subsets: Letter of a subset in the study and the categories it leaves out.
    """

    name: str
    version: str
    source: str
    licence: str
    probes: tuple[Probe, ...]
    note: str
    subsets: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def categories(self) -> tuple[str, ...]:
        """Categories in order, each once."""
        return tuple(dict.fromkeys(p.category for p in self.probes))

    def without(self, *categories: str) -> Battery:
        """Return the battery without some categories; an unknown category is refused."""
        for category in categories:
            if category not in self.categories:
                raise unknown_name("category", category, self.categories)
        kept = tuple(p for p in self.probes if p.category not in categories)
        name = f"{self.name} without {', '.join(categories)}" if categories else self.name
        return replace(self, name=name, probes=kept, subsets=())

    def subset(self, letter: str) -> Battery:
        """Return a subset of the study, such as "B" (the trained trigger left out)."""
        known = dict(self.subsets)
        if letter not in known:
            raise unknown_name("subset", letter, tuple(known))
        return replace(self.without(*known[letter]), name=f"{self.name}/{letter}")


_FILES = ("batteries.toml", "own_batteries.toml")


@functools.cache
def _load() -> Mapping[str, Battery]:
    raw: dict[str, dict[str, Any]] = {}
    own: dict[str, tuple[Probe, ...]] = {}
    for file in _FILES:
        text = (resources.files("lorabench.data") / file).read_text(encoding="utf-8")
        parsed = tomllib.loads(text)
        for name, entry in parsed["batteries"].items():
            raw[name] = entry | {"source": parsed["source"], "licence": parsed["licence"]}
            own[name] = tuple(
                Probe(text=p["text"], category=p["in"][name]) for p in parsed["probes"] if name in p["in"]
            )
    return MappingProxyType({name: _battery(name, raw, own) for name in raw})


def _battery(name: str, raw: Mapping[str, dict[str, Any]], own: Mapping[str, tuple[Probe, ...]]) -> Battery:
    entry = raw[name]
    parts = [*entry.get("parts", ()), name]
    sources = dict.fromkeys((raw[part]["source"], raw[part]["licence"]) for part in parts)
    return Battery(
        name=name,
        version=entry["version"],
        source="; ".join(source for source, _ in sources),
        licence="; ".join(dict.fromkeys(licence for _, licence in sources)),
        probes=tuple(probe for part in parts for probe in own[part]),
        note=entry["note"],
        subsets=tuple((letter, tuple(left_out)) for letter, left_out in entry.get("subsets", {}).items()),
    )


class _Batteries(Mapping[str, Battery]):
    """Read-only mapping that reads its file when it is first used, not on import."""

    def __getitem__(self, name: str) -> Battery:
        return _load()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_load())

    def __len__(self) -> int:
        return len(_load())


BATTERIES: Mapping[str, Battery] = _Batteries()


def find_battery(name: str) -> Battery:
    """Return a battery by name.

    Raises:
        InputError: If there is none; the message lists the known ones, nearest first.
    """
    if name not in BATTERIES:
        raise unknown_name("battery", name, tuple(BATTERIES))
    return BATTERIES[name]


def batteries_with(text: str) -> tuple[str, ...]:
    """Return the names of the batteries that hold a probe with exactly this text."""
    return tuple(name for name, battery in BATTERIES.items() if text in {p.text for p in battery.probes})
