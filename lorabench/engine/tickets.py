"""What a caller holds while the owner thread works: how urgent, how far, and the answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar, cast

from lorabench.errors import CancelledError

T = TypeVar("T")


class Priority(IntEnum):
    """Who goes first; the lowest number wins at every step."""

    INTERACTIVE = 0
    MAP = 1
    HEATMAP = 2
    SEARCH = 3
    TRAINING = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a request is.

    Attributes:
        done: Units finished; for `Engine.score`, distinct rows.
        total: Units in all.
        computed: Finished units that this request put through the model itself; the others
            were remembered, or computed by another request that wanted the same rows.
        seconds: Time since the request's first step; filled in by the engine.
        n_unique: Tokens that the plan puts through the model; 0 while there is no plan.
        n_naive: Tokens of the same rows, each whole.
        expected_seconds: What is left of the plan at the speed measured last, if it were alone.
    """

    done: int
    total: int
    computed: int
    seconds: float = 0.0
    n_unique: int = 0
    n_naive: int = 0
    expected_seconds: float | None = None

    @property
    def rate(self) -> float | None:
        """Finished units per second, remembered ones aside; None before the first."""
        return self.computed / self.seconds if self.computed and self.seconds > 0 else None

    @property
    def eta_seconds(self) -> float | None:
        """Seconds until all is done: at the rate so far, else by the plan; None if neither is known."""
        left = max(self.total - self.done, 0)
        if not left:
            return 0.0
        return left / self.rate if self.rate else self.expected_seconds


class Ticket(Generic[T]):
    """A place in the engine's queue, and later the answer; safe to use from any thread.

    Attributes:
        label: What the request is, for people.
        session: Who asked.
        priority: How urgent it is.
    """

    def __init__(
        self,
        *,
        label: str,
        session: str,
        priority: Priority,
        owner: threading.Thread,
        on_cancel: Callable[[Ticket[T]], None],
        position: Callable[[Ticket[T]], int],
    ) -> None:
        self.label = label
        self.session = session
        self.priority = priority
        self._owner = owner
        self._on_cancel = on_cancel
        self._position = position
        self._finished = threading.Event()
        self._result: T | None = None
        self._error: BaseException | None = None
        self._progress: Progress | None = None

    def __repr__(self) -> str:
        state = "done" if self.done else f"position {self.position}"
        return f"<Ticket {self.label!r} of {self.session!r}, {self.priority.name}, {state}>"

    @property
    def done(self) -> bool:
        """Whether there is an answer, an error, or a cancellation."""
        return self._finished.is_set()

    @property
    def cancelled(self) -> bool:
        """Whether it ended by cancellation."""
        return isinstance(self._error, CancelledError)

    @property
    def error(self) -> BaseException | None:
        """Why it failed; None while it is under way or when it succeeded."""
        return self._error

    @property
    def progress(self) -> Progress | None:
        """The latest progress; None before the first report."""
        return self._progress

    @property
    def position(self) -> int:
        """How many requests have a step before this one's next step; 0: it is next, running or done."""
        return 0 if self.done else self._position(self)

    @property
    def eta_seconds(self) -> float | None:
        """Seconds until the answer at the present rate; None while nothing is computed yet."""
        if self.done:
            return 0.0
        return self._progress.eta_seconds if self._progress else None

    def cancel(self) -> None:
        """Ask to stop: at once if it has not begun, else after the step that is running."""
        self._on_cancel(self)

    def result(self, timeout: float | None = None) -> T:
        """Wait for the answer.

        Args:
            timeout: Most seconds to wait; None waits for as long as it takes.

        Raises:
            TimeoutError: If there is no answer yet; ask again later.
            CancelledError: If it was cancelled, or the engine was closed.
            RuntimeError: If the owner thread itself would wait: that could never end.
        """
        if not self.done and threading.current_thread() is self._owner:
            raise RuntimeError(f"a step of the engine waits for {self.label!r}, which needs the same thread")
        if not self._finished.wait(timeout):
            raise TimeoutError(f"no answer to {self.label!r} after {timeout:g} s")
        if self._error is not None:
            raise self._error
        return cast(T, self._result)

    # The engine alone calls these two, the second once only (it holds its lock).

    def _report(self, progress: Progress) -> None:
        self._progress = progress

    def _finish(self, result: T | None = None, error: BaseException | None = None) -> None:
        self._result, self._error = result, error
        self._finished.set()
