"""The one workbench that all tabs of a server share."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import streamlit as st

from lorabench.config import Config
from lorabench.engine import EngineStatus
from lorabench.errors import LorabenchError, StorageError
from lorabench.ui.state import session
from lorabench.workflows.server import registered
from lorabench.workflows.workbench import Workbench


@dataclass
class Shared:
    """What the presenter sets for every tab of this server.

    Attributes:
        blind: Whether adapters are shown under letters, unless a tab chose otherwise.
    """

    blind: bool = False


@st.cache_resource(max_entries=1, show_spinner=False, on_release=lambda opened: opened[1].close())
def _opened(base: str, config: Config) -> tuple[Workbench, ExitStack]:
    """Return the workbench, and what ends it.

    Like `lorabench ui`, which was there first, `streamlit run app.py` leaves a note for `data wipe`.
    """
    ending = ExitStack()
    with suppress(StorageError):  # said by whatever first needs the data folder
        address = st.get_option("server.address") or "localhost"
        ending.enter_context(registered(config, f"http://{address}:{st.get_option('server.port')}"))
    return ending.enter_context(Workbench(config, base=base)), ending


@st.cache_resource(max_entries=1, show_spinner=False)
def _shared(base: str) -> Shared:
    return Shared()


def base_id() -> str:
    """Return the base this server was started with (LORABENCH_BASE; the demo base by default)."""
    return os.environ.get("LORABENCH_BASE") or "demo"


def bench() -> Workbench:
    """Return the workbench; making it loads nothing. Never keep its engine's model anywhere."""
    return _opened(base_id(), Config.from_environment())[0]


def shared() -> Shared:
    """Return what the presenter sets for everybody."""
    return _shared(base_id())


def session_id() -> str:
    """Return whose work it is, for the queue and the job list: random, one per tab."""
    return session().id


_starting = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseState:
    """How far the base model is.

    Attributes:
        state: "missing" (cannot even begin to load), "loading", "ready" or "failed".
        status: The engine's own words; None when missing.
        error: Why it is missing or failed, as problem and remedy; else None.
    """

    state: str
    status: EngineStatus | None = None
    error: LorabenchError | None = None

    @property
    def is_ready(self) -> bool:
        """Whether questions are answered now (while it loads they wait in the queue)."""
        return self.state == "ready"


def base_state() -> BaseState:
    """Begin to load the base if nobody did, and say how far it is; never waits for it."""
    try:
        with _starting:
            status = bench().engine.status()
    except LorabenchError as error:
        return BaseState(state="missing", error=error)
    if status.state == "failed":
        sentence = status.error or "The base model could not be opened."
        return BaseState(
            state="failed", status=status, error=LorabenchError("model-not-opened", sentence, "")
        )
    return BaseState(state="ready" if status.state == "ready" else "loading", status=status)


def retry_base() -> None:
    """Try again to open a base that could not be opened."""
    bench().engine.restart()
