"""What a session remembers, and what a link carries.

Query parameters are app-wide, so each name means one thing on every page:

    prompt      the prompt                               (text)
    trigger     a candidate trigger, repeated            (texts)
    adapter     an adapter: "name@id" or a blind letter, repeated; see `names`
    task        name of a ready-made task, "auto", or "own" with `task_toml`
    task_toml   a task of one's own, as TOML text
    placement   "prefix", "suffix" or "random"
    joiner      text between trigger and prompt
    seed        whole number
    mode        how much a hunt may do: "instant", "quick", "standard", "deep"
    method      attribution method
    columns     columns of a heatmap: "models", "placements", "prompts"
    variants    number of look-alikes of a heatmap
    prompts     number of bundled prompts of a heatmap
    job         id of a job
    tab         part of the Lab: "train", "sweep", "inspect"
    cell        selected heatmap cell, "variant,column"
    blind       "1": adapters under letters
    demo        name of a demo whose recorded result may be shown first
    run         "1": run at once; taken out of the address when it is read
    key         presenter key; taken out of the address when it is read

Everything that comes from an address is checked here, since a browser may send anything.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode, urlsplit

import streamlit as st

from lorabench.config import Limits

if TYPE_CHECKING:
    from lorabench.ui.progress import Work

T = TypeVar("T", bound=str)
ParamValue = str | int | bool | Sequence[str] | None

_STATE_KEY = "lorabench.session"
_SEEN = "state.address"
_PAGE = "state.page"
_OWN = "state.own_addresses"
_LATE_SECONDS = 30.0
_MAX_LINK = 8_000


@dataclass
class Session:
    """What one browser tab remembers between reruns.

    Attributes:
        id: Random; tells the engine and the job list whose work it is.
        is_presenter: Whether the presenter key was given.
        wrong_keys: How many wrong keys were given.
        blind: This tab's choice of blind names; None follows the presenter.
        jobs: Jobs this tab submitted or attached to.
        works: Running and finished calls by key; see `progress`.
        notes: Scratch values of pages, by "page.name".
    """

    id: str = field(default_factory=lambda: secrets.token_hex(8))
    is_presenter: bool = False
    wrong_keys: int = 0
    blind: bool | None = None
    jobs: set[str] = field(default_factory=set)
    works: dict[str, Work[Any]] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)


def session() -> Session:
    """Return this tab's memory, made on first use."""
    if _STATE_KEY not in st.session_state:
        st.session_state[_STATE_KEY] = Session()
    found: Session = st.session_state[_STATE_KEY]
    return found


def text_param(name: str, default: str = "", *, max_chars: int | None = None) -> str:
    """Return a text from the address, cut at `max_chars` (the prompt limit by default)."""
    value = st.query_params.get(name)
    return default if value is None else value[: max_chars or Limits().prompt_chars]


def texts_param(name: str, default: Sequence[str] = (), *, max_items: int = 16) -> tuple[str, ...]:
    """Return a repeated text from the address: each non-empty value once, the first `max_items`."""
    if name not in st.query_params:
        return tuple(default)
    cut = (v[: Limits().prompt_chars] for v in st.query_params.get_all(name))
    return tuple(dict.fromkeys(v for v in cut if v.strip()))[:max_items]


def choice_param(name: str, allowed: Iterable[T], default: T) -> T:
    """Return one of the allowed values from the address, else the default."""
    value = st.query_params.get(name)
    return next((a for a in allowed if a == value), default)


def int_param(name: str, default: int, *, low: int, high: int) -> int:
    """Return a whole number from the address if it lies in [low, high], else the default."""
    value = st.query_params.get(name, "")
    if len(value) <= 12 and value.isascii() and value.isdecimal() and low <= int(value) <= high:
        return int(value)
    return default


def flag_param(name: str) -> bool:
    """Return whether the address says `name=1`."""
    return st.query_params.get(name) == "1"


def take_flag(name: str) -> bool:
    """Return whether the address says `name=1`, and take it out: it counts once."""
    if name not in st.query_params:
        return False
    found = flag_param(name) and not _is_late()
    was_seen = _address() == session().notes.get(_SEEN, "")
    del st.query_params[name]
    if was_seen:  # else `arrived` has yet to say that something came
        _note_address()
    return found


def arrived(page: str) -> bool:
    """Return True once when the address brought values that this tab did not write itself.

    A page then puts them into its widgets, before it draws them:

        if ui.arrived("playground"):
            st.session_state["playground.prompt"] = ui.text_param("prompt", EXAMPLE)

    A request of the browser carries the address it knew when it was sent, which may be one or two
    behind. Such a late address is one this tab wrote moments ago on the same page; it brings
    nothing, and above all must not replace what the person has typed since.
    """
    notes, found = session().notes, _address()
    if notes.get(_PAGE) != page:
        notes[_PAGE], notes[_SEEN], notes[_OWN] = page, "", {}
    if found in ("", notes[_SEEN]) or _is_late():
        return False
    _note_address()
    return True


def write_params(values: Mapping[str, ParamValue]) -> None:
    """Write values into the address; None, "", False and empty lists take a name out."""
    for name, texts in ((n, _texts(v)) for n, v in values.items()):
        now = st.query_params.get_all(name) if name in st.query_params else []
        if texts == now:
            continue
        if not texts:
            del st.query_params[name]
        else:
            st.query_params[name] = texts if len(texts) > 1 else texts[0]
    _note_address()


def clean_params(values: Mapping[str, ParamValue]) -> dict[str, str | list[str]]:
    """Return values as `st.switch_page(query_params=...)` wants them, empty ones left out."""
    texts = {n: _texts(v) for n, v in values.items()}
    return {n: t if len(t) > 1 else t[0] for n, t in texts.items() if t}


def build_link(page: str, values: Mapping[str, ParamValue]) -> str | None:
    """Return the full address of a page with these values, or None if browsers might cut it.

    Args:
        page: URL path such as "playground"; "" for Home.
        values: As for `write_params`; never put the presenter key in.
    """
    query = urlencode(clean_params({n: v for n, v in values.items() if n != "key"}), doseq=True)
    link = f"{_app_url()}/{page}" + (f"?{query}" if query else "")
    return link if len(link) <= _MAX_LINK else None


def copy_link(page: str, values: Mapping[str, ParamValue], *, key: str) -> None:
    """Draw a "Copy link" popover whose address restores the screen; also write it to the address bar."""
    write_params(values)
    with st.popover("Copy link", icon=":material/link:", key=key):
        link = build_link(page, values)
        if link is None:
            st.warning("This prompt is too long for a link. Download the result instead.")
        else:
            st.caption("This address opens the same screen with the same values.")
            st.code(link, language=None, wrap_lines=True)


def _address() -> str:
    return urlencode({n: st.query_params.get_all(n) for n in sorted(st.query_params)}, doseq=True)


def _note_address() -> None:
    """Remember the address as this tab's own, beside those of the last moments."""
    notes, now = session().notes, time.monotonic()
    kept = {a: at for a, at in notes.get(_OWN, {}).items() if now - at < _LATE_SECONDS}
    notes[_SEEN] = found = _address()
    notes[_OWN] = kept | {found: now}


def _is_late() -> bool:
    """Return whether the address is an earlier one of the last moments."""
    notes, found = session().notes, _address()
    left = notes.get(_OWN, {}).get(found)
    return found != notes.get(_SEEN, "") and left is not None and time.monotonic() - left < _LATE_SECONDS


def _texts(value: ParamValue) -> list[str]:
    if value is None or value is False or value == "":
        return []
    if isinstance(value, bool):
        return ["1"]
    if isinstance(value, str | int):
        return [str(value)]
    return [v for v in value if v]


def _app_url() -> str:
    parts = urlsplit(st.context.url or "http://127.0.0.1:8501/")
    folder = (st.get_option("server.baseUrlPath") or "").strip("/")
    return f"{parts.scheme}://{parts.netloc}" + (f"/{folder}" if folder else "")


def put_if_new(key: str, value: object) -> None:
    """Put a value into a widget, before it is drawn, unless it is there already.

    A value written in every run is sent to the browser in every run, and there replaces what the
    person typed since the run began.
    """
    if key not in st.session_state or st.session_state[key] != value:
        st.session_state[key] = value
