"""One thread owns the model; everybody else asks it, step by step, the most urgent first."""

from __future__ import annotations

import atexit
import copy
import itertools
import logging
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

from lorabench.engine.protocol import Model
from lorabench.engine.row_scorer import OnRows, RowScorer
from lorabench.engine.status import EngineStatus, State
from lorabench.engine.store import ScoreStore
from lorabench.engine.tickets import Priority, Progress, Ticket
from lorabench.engine.waiting import OnProgress, Request, Waiting
from lorabench.errors import BaseModelError, CancelledError, LorabenchError
from lorabench.models.rows import RowLogits, TokenRow

T = TypeVar("T")
M = TypeVar("M", bound=Model)

STEP_SECONDS = 0.5
"""About how long one step may take while another session has asked something in the last minute."""

LONGEST_STEP_SECONDS = 0.9
"""The same for a session that is alone; a cancel must still be noticed within a second."""

_COMPANY_SECONDS = 60.0
_SWITCH_SECONDS = 0.0001

log = logging.getLogger(__name__)
_engine_numbers = itertools.count(1)


class Engine(Generic[M]):
    """The only way to a model: requests go in, tickets come out.

    Each request is a generator. The owner thread advances one request by one step (aim at
    half a second at most), then chooses again: the lowest priority number first, sessions
    of equal priority in turn, and within a session first come, first served.
    """

    def __init__(
        self, open_model: Callable[[], M], *, store: ScoreStore | None = None, token_budget: int | None = None
    ) -> None:
        """Start the owner thread, which opens the model at once.

        Args:
            open_model: Loads the model; called on the owner thread.
            store: Where answers are remembered; None remembers nothing. The engine does not close it.
            token_budget: Most tokens in one forward pass; None leaves it to the model.
        """
        self._open_model = open_model
        self._store = store
        self._scorer = RowScorer(store, token_budget)
        self._wake = threading.Condition()
        self._waiting: Waiting[M] = Waiting()
        self._state: State = "starting"
        self._error: LorabenchError | None = None
        self._facts: dict[str, str] = {}
        self._running: Request[M] | None = None
        self._last_asked: dict[str, float] = {}
        self._thread = threading.Thread(
            target=self._main, name=f"lorabench-engine-{next(_engine_numbers)}", daemon=True
        )
        self._thread.start()
        atexit.register(self.close)

    # What callers use, from any thread.

    def steps(
        self,
        make: Callable[[M], Generator[Progress | None, None, T]],
        *,
        priority: Priority = Priority.INTERACTIVE,
        session: str = "",
        label: str = "work",
        cancel: threading.Event | None = None,
        on_progress: OnProgress | None = None,
    ) -> Ticket[T]:
        """Queue a request of many steps.

        Args:
            make: Begins the work; its generator yields after each step and returns the
                answer. Other requests use the model between two steps, so a step must
                leave nothing switched on, and the answer must not hold the model.
            priority: How urgent it is.
            session: Who asks; sessions take turns.
            label: What people read while it runs.
            cancel: Stops the request when set, between two steps. While the model is still
                opening only `Ticket.cancel` acts at once.
            on_progress: Called on the owner thread after each step that yields progress; must
                be quick. If it raises, the request fails.

        Raises:
            BaseModelError: If the engine is closed. When the model could not be opened,
                the ticket has that error instead.
        """
        ticket: Ticket[T] = Ticket(
            label=label,
            session=session,
            priority=priority,
            owner=self._thread,
            on_cancel=self._cancel,
            position=self._position,
        )
        request = Request[M](
            make=make, ticket=ticket, stop=threading.Event(), cancel=cancel, on_progress=on_progress
        )
        with self._wake:
            if self._state == "closed":
                raise BaseModelError(
                    "engine-closed",
                    f"The engine is closed and cannot do {label!r}.",
                    "Start lorabench again, or open a new engine.",
                )
            if self._state == "failed":
                ticket._finish(error=copy.copy(self._error))
            else:
                self._last_asked[session] = time.monotonic()
                self._waiting.add(request)
                self._wake.notify()
        return ticket

    def run(
        self,
        fn: Callable[[M], T],
        *,
        priority: Priority = Priority.INTERACTIVE,
        session: str = "",
        label: str = "work",
        cancel: threading.Event | None = None,
    ) -> Ticket[T]:
        """Queue a request of one step; see `steps`."""

        def make(model: M) -> Generator[Progress | None, None, T]:
            yield from ()
            return fn(model)

        return self.steps(make, priority=priority, session=session, label=label, cancel=cancel)

    def score(
        self,
        rows: Sequence[TokenRow],
        *,
        priority: Priority = Priority.INTERACTIVE,
        session: str = "",
        label: str = "scoring",
        cancel: threading.Event | None = None,
        on_progress: OnProgress | None = None,
        on_rows: OnRows | None = None,
    ) -> Ticket[list[RowLogits]]:
        """Queue rows to be scored; see `steps`. The answers come in the order of `rows`.

        Equal rows are computed once, remembered rows not at all; the ticket's last progress
        says how many were computed, and how many tokens that took.

        Args:
            rows: Questions, to the base and to any bound adapters.
            priority: How urgent they are.
            session: Who asks.
            label: What people read.
            cancel: Stops the request when set.
            on_progress: Called on the owner thread after each step; must be quick.
            on_rows: Called on the owner thread with (index in `rows`, answer) as answers
                come, each index once; must be quick.
        """
        wanted = tuple(rows)
        return self.steps(
            lambda model: self._scorer.steps(
                model,
                wanted,
                priority=priority,
                step_seconds=lambda: self._step_seconds(session),
                on_rows=on_rows,
            ),
            priority=priority,
            session=session,
            label=label,
            cancel=cancel,
            on_progress=on_progress,
        )

    def status(self) -> EngineStatus:
        """Return what the engine is doing now."""
        with self._wake:
            return EngineStatus(
                state=self._state,
                model=self._facts.get("name"),
                fingerprint=self._facts.get("fingerprint"),
                device=self._facts.get("device"),
                dtype=self._facts.get("dtype"),
                queue_length=len(self._waiting) - (self._running is not None),
                running=self._running.ticket.label if self._running else None,
                tokens_per_second=self._scorer.tokens_per_second,
                error=str(self._error) if self._error else None,
                store_message=self._store.message if self._store else None,
            )

    def restart(self) -> None:
        """Try once more to open a model that could not be opened; else do nothing.

        Raises:
            BaseModelError: If the engine is closed.
        """
        with self._wake:
            if self._state == "closed":
                raise BaseModelError("engine-closed", "The engine is closed.", "Open a new engine.")
            if self._state == "failed":
                self._state, self._error = "starting", None
                self._wake.notify()

    def close(self, timeout: float = 5.0) -> None:
        """Cancel all requests, close the model, and refuse further work.

        Args:
            timeout: Most seconds to wait for the step that is running, or for a model that
                is opening; the thread then finishes it alone.
        """
        atexit.unregister(self.close)
        with self._wake:
            self._state = "closed"
            for request in self._waiting.all():
                request.stop.set()
                if not request.has_begun:
                    self._finish(request, error=_closed_under(request.ticket))
            self._wake.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    # What tickets call.

    def _cancel(self, ticket: Ticket[Any]) -> None:
        with self._wake:
            if (request := self._waiting.find(ticket)) is None:
                return
            request.stop.set()
            if not request.has_begun:
                self._finish(request, error=CancelledError())
            self._wake.notify()

    def _position(self, ticket: Ticket[Any]) -> int:
        with self._wake:
            request = self._waiting.find(ticket)
            return 0 if request is None or request is self._running else self._waiting.position(request)

    # What the owner thread does.

    def _step_seconds(self, session: str) -> float:
        """Return how long a step of this session may take: short while others have asked of late."""
        with self._wake:
            since = time.monotonic() - _COMPANY_SECONDS
            self._last_asked = {s: t for s, t in self._last_asked.items() if t > since}
            return STEP_SECONDS if self._last_asked.keys() - {session} else LONGEST_STEP_SECONDS

    def _main(self) -> None:
        while self._wait_to_open():
            if (model := self._try_to_open()) is not None:
                self._serve(model)

    def _wait_to_open(self) -> bool:
        with self._wake:
            self._wake.wait_for(lambda: self._state != "failed")
            return self._state != "closed"

    def _try_to_open(self) -> M | None:
        try:
            model = self._open_model()
            facts = {name: str(getattr(model, name)) for name in ("name", "fingerprint", "device", "dtype")}
        except BaseException as error:  # whatever it is, it must reach those who wait
            if not isinstance(error, LorabenchError):
                log.exception("the model could not be opened")
            self._fail(_as_sentence(error))
            return None
        with self._wake:
            self._facts = facts
            if self._state == "starting":
                self._state = "ready"
        return model

    def _fail(self, error: LorabenchError) -> None:
        with self._wake:
            if self._state == "starting":
                self._state, self._error = "failed", error
            for request in self._waiting.all():
                self._finish(request, error=copy.copy(error))

    def _serve(self, model: M) -> None:
        # A forward pass takes the interpreter's lock back after each of its thousands of operations,
        # and waits this long for it whenever another thread computes in Python (measured on two busy
        # cores: 12 tokens a second at the usual 5 ms with two such threads, 42 at 0.5 ms; with one such
        # thread 24 at 0.5 ms and 97 at 0.1 ms).
        sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH_SECONDS))
        try:
            while (request := self._next()) is not None:
                self._advance(model, request)
                del request  # nothing of a finished request is kept while waiting for the next
        finally:
            try:
                model.close()
            except Exception:
                log.exception("the model could not be closed")

    def _next(self) -> Request[M] | None:
        """Wait for the request that has the next step; None when the engine is closed and empty."""
        with self._wake:
            while True:
                if (request := self._waiting.choose()) is not None:
                    request.has_begun = True
                    self._running = request
                    return request
                self._running = None
                if self._state == "closed":
                    return None
                self._wake.wait()

    def _advance(self, model: M, request: Request[M]) -> None:
        try:
            if request.is_cancelled:
                raise _closed_under(request.ticket) if self._state == "closed" else CancelledError()
            if request.generator is None:
                request.began = time.monotonic()
                request.generator = request.make(model)
            if self._step(request):  # all is done: fetch the answer without another turn
                self._step(request)
        except BaseException as error:  # noqa: BLE001 - the error belongs to this request alone
            _close(request.generator)
            self._finish(request, error=error)
        with self._wake:
            self._waiting.rotate(request)

    def _step(self, request: Request[M]) -> bool:
        """Advance by one step; return whether it says that all is done and only the answer is due."""
        assert request.generator is not None
        try:
            progress = next(request.generator)
        except StopIteration as answer:
            self._finish(request, result=answer.value)
            return False
        if progress is None:
            return False
        progress = replace(progress, seconds=time.monotonic() - request.began)
        request.ticket._report(progress)
        if request.on_progress is not None:
            request.on_progress(progress)
        return progress.done >= progress.total

    def _finish(
        self, request: Request[M], *, result: object = None, error: BaseException | None = None
    ) -> None:
        with self._wake:
            if not self._waiting.remove(request):
                return
            if self._running is request:
                self._running = None
            request.ticket._finish(result, error)


def _close(generator: Iterator[object] | None) -> None:
    if isinstance(generator, Generator):
        try:
            generator.close()
        except Exception:
            log.exception("a request could not be cleaned up")


def _as_sentence(error: BaseException) -> LorabenchError:
    if isinstance(error, LorabenchError):
        return error
    return BaseModelError(
        "model-not-opened",
        f"The model could not be opened ({type(error).__name__}: {error}).",
        "See the log for details, then try again.",
    )


def _closed_under(ticket: Ticket[Any]) -> CancelledError:
    return CancelledError(
        "engine-closed",
        f"The engine was closed before {ticket.label!r} was done.",
        "Run it again: finished rows are kept and not computed twice.",
    )
