"""What adapters are called on screen and in links: by name, or blind, under letters.

Blind names let a room judge adapters without reading "clean" in their names. The order of the
letters follows from the adapters' contents alone, so that a link means the same tomorrow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import streamlit as st

from lorabench.results import BASE, InstalledAdapter
from lorabench.ui.bench import bench, shared
from lorabench.ui.guard import is_guest
from lorabench.ui.state import session, texts_param
from lorabench.ui.text import plain
from lorabench.workflows import adapters as workflow

_ID_CHARS = 8


def installed_adapters() -> tuple[InstalledAdapter, ...]:
    """Return all adapters the workbench knows, refused ones too."""
    return workflow.list_adapters(bench().config)


def usable_adapters() -> tuple[InstalledAdapter, ...]:
    """Return the adapters that were not refused, in the order in which they are offered."""
    found = [a for a in installed_adapters() if a.facts is not None]
    return tuple(sorted(found, key=_blind_order)) if is_blind() else tuple(found)


def is_blind() -> bool:
    """Return whether this tab shows letters: its own choice, else the presenter's.

    A guest cannot lift what the presenter has covered.
    """
    mine, everybody = session().blind, shared().blind
    if is_guest() and everybody:
        return True
    return everybody if mine is None else mine


def set_blind(value: bool, *, for_everybody: bool = False) -> None:
    """Switch blind names on or off, for this tab or (not for guests) for every tab without a choice."""
    session().blind = value
    if for_everybody and not is_guest():
        shared().blind = value


def letters() -> dict[str, str]:
    """Return the letter of every usable adapter, by name."""
    ordered = sorted((a for a in installed_adapters() if a.facts), key=_blind_order)
    return {a.name: _letter(i) for i, a in enumerate(ordered)}


def display_name(name: str) -> str:
    """Return what a model is called on this screen, as plain text: "base", its name, or "Adapter A"."""
    if name == BASE or not is_blind():
        return plain(name, 80)
    letter = letters().get(name)
    return f"Adapter {letter}" if letter else plain(name, 80)


def titles(names: Sequence[str] = ()) -> Mapping[str, str]:
    """Return name -> what it is called on this screen, for figures; all usable adapters and the base."""
    wanted = names or [BASE, *(a.name for a in usable_adapters())]
    return {n: display_name(n) for n in wanted}


def adapter_tokens(names: Sequence[str]) -> list[str]:
    """Return how adapters are written in a link: "name@1a2b3c4d" (the id's first digits), or a letter."""
    if is_blind():
        found = letters()
        return [found[n] for n in names if n in found]
    ids = {a.name: a.facts.adapter_id for a in installed_adapters() if a.facts}
    return [f"{n}@{ids[n][:_ID_CHARS]}" for n in names if n in ids]


def adapters_param(default: Sequence[str] = ()) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the adapters that the address names, and sentences about those that are not as it says.

    Never a folder: only installed adapters count. A letter counts in blind mode only.
    """
    tokens = texts_param("adapter", (), max_items=12)
    if not tokens:
        return tuple(default), ()
    names: list[str] = []
    notes: list[str] = []
    for token in tokens:
        name, note = _resolve(token)
        names += [name] if name is not None and name not in names else []
        notes += [note] if note else []
    return tuple(names), tuple(notes)


def apply_blind_from_address() -> None:
    """Switch this tab to blind names when the address says `blind=1`."""
    if st.query_params.get("blind") == "1" and session().blind is None:
        session().blind = True


def _resolve(token: str) -> tuple[str | None, str | None]:
    known = {a.name: a for a in installed_adapters() if a.facts is not None}
    if is_blind():
        found = next((n for n, letter in letters().items() if letter == token), None)
        if found:
            return found, None
    name, _, short = token.rpartition("@") if "@" in token else (token, "", "")
    by_id = {n for n, a in known.items() if short and a.facts and a.facts.adapter_id.startswith(short)}
    if name in known:
        changed = bool(short) and name not in by_id
        return (
            name,
            f"The adapter {plain(name, 80)} is not the one the link was made with." if changed else None,
        )
    if len(by_id) == 1 and len(short) == _ID_CHARS:
        return by_id.pop(), None
    return None, f"The link names the adapter {plain(name, 80)}, which is not installed here."


def _blind_order(adapter: InstalledAdapter) -> str:
    identity = adapter.facts.adapter_id if adapter.facts else adapter.name
    return hashlib.sha256(f"lorabench blind names\0{identity}".encode()).hexdigest()


def _letter(index: int) -> str:
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
