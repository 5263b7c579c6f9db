"""The order of requests: urgency first, then sessions in turn, then first come, first served."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from lorabench.engine.protocol import Model
from lorabench.engine.tickets import Priority, Progress, Ticket

M = TypeVar("M", bound=Model)
OnProgress = Callable[[Progress], None]


@dataclass(eq=False, slots=True, kw_only=True)
class Request(Generic[M]):
    """What a ticket stands for; the engine's lock guards `has_begun`, its thread has the rest.

    Attributes:
        make: Begins the work.
        ticket: What the caller holds.
        stop: Set by the ticket's `cancel`, or when the engine closes.
        cancel: The caller's own event, if any.
        on_progress: The caller's own listener, if any.
        has_begun: Whether the owner thread has taken it up.
        generator: The work, once begun.
        began: Monotonic time of the first step.
    """

    make: Callable[[M], Generator[Progress | None, None, Any]]
    ticket: Ticket[Any]
    stop: threading.Event
    cancel: threading.Event | None
    on_progress: OnProgress | None
    has_begun: bool = False
    generator: Generator[Progress | None, None, Any] | None = None
    began: float = 0.0

    @property
    def is_cancelled(self) -> bool:
        """Whether it should stop before its next step."""
        return self.stop.is_set() or (self.cancel is not None and self.cancel.is_set())


class Waiting(Generic[M]):
    """All unfinished requests, the running one included. Not thread-safe: the engine locks."""

    def __init__(self) -> None:
        self._requests: dict[Ticket[Any], Request[M]] = {}
        self._lines: dict[Priority, OrderedDict[str, deque[Request[M]]]] = {
            p: OrderedDict() for p in Priority
        }

    def __len__(self) -> int:
        return len(self._requests)

    def all(self) -> tuple[Request[M], ...]:
        """Return all requests in the order they came."""
        return tuple(self._requests.values())

    def find(self, ticket: Ticket[Any]) -> Request[M] | None:
        """Return the request of a ticket, or None when it is finished."""
        return self._requests.get(ticket)

    def add(self, request: Request[M]) -> None:
        """Put a request at the end of its session's line."""
        ticket = request.ticket
        self._requests[ticket] = request
        self._lines[ticket.priority].setdefault(ticket.session, deque()).append(request)

    def choose(self) -> Request[M] | None:
        """Return the request that has the next step; a cancelled one goes first, to be gone."""
        for request in self._requests.values():
            if request.is_cancelled:
                return request
        for sessions in self._lines.values():
            for line in sessions.values():
                return line[0]
        return None

    def rotate(self, request: Request[M]) -> None:
        """Let the other sessions of its priority go before the next step of this request."""
        if request.ticket in self._requests:
            self._lines[request.ticket.priority].move_to_end(request.ticket.session)

    def remove(self, request: Request[M]) -> bool:
        """Take a finished request out; return False if it was out already."""
        ticket = request.ticket
        if self._requests.pop(ticket, None) is None:
            return False
        sessions = self._lines[ticket.priority]
        sessions[ticket.session].remove(request)
        if sessions[ticket.session]:
            sessions.move_to_end(ticket.session)
        else:
            del sessions[ticket.session]
        return True

    def position(self, request: Request[M]) -> int:
        """Return how many requests have a step before this one's next step."""
        ticket = request.ticket
        more_urgent = sum(other.priority < ticket.priority for other in self._requests)
        sessions = self._lines[ticket.priority]
        in_line = sessions[ticket.session].index(request)
        ahead, mine_passed = in_line, False
        for session, line in sessions.items():
            if session == ticket.session:
                mine_passed = True
            else:
                ahead += min(len(line), in_line + (not mine_passed))
        return more_urgent + ahead
