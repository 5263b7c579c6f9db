"""What a job's runner sees of the manager, and what the manager remembers of a running job."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from lorabench.errors import CancelledError

PROGRESS_SECONDS = 0.5
PARTIAL_SECONDS = 3.0
PARTIAL_SHARE = 0.05
"""Most of a job's time that writing partial results may take."""


@dataclass(eq=False, slots=True)
class LiveJob:
    """A job of this process, in memory: always the latest, while the table lags by half a second."""

    options: Mapping[str, Any]
    cancel: threading.Event = field(default_factory=threading.Event)
    done: int = 0
    total: int = 0
    message: str = ""
    written: float = 0.0
    partial_due: float = 0.0

    def put_off_partial(self, began: float) -> None:
        """Choose when the next partial result is written, from how long this one took."""
        now = time.monotonic()
        self.partial_due = now + max(PARTIAL_SECONDS, (now - began) / PARTIAL_SHARE)


class Reports(Protocol):
    """Where a context sends what its runner reports."""

    def take_report(
        self, job_id: str, done: int, total: int, message: str, partial: dict[str, Any] | None
    ) -> None:
        """Take one report of a job."""
        ...


class JobContext:
    """What a runner may use while it runs.

    Attributes:
        job_id: The job.
        session: Who submitted it; hand it to the engine, so that sessions take turns.
        cancel_event: Set when the job should stop; hand it to the engine.
        options: How it should be run, such as by which executor; never what its result is.
    """

    def __init__(self, reports: Reports, job_id: str, session: str, live: LiveJob) -> None:
        self._reports = reports
        self.job_id = job_id
        self.session = session
        self.cancel_event = live.cancel
        self.options = live.options

    def report(self, done: int, total: int, message: str = "", partial: dict[str, Any] | None = None) -> None:
        """Say how far the job is; call it as often as you like, the table is written twice a second.

        Args:
            done: Units finished.
            total: Units in all.
            message: What is being done, for people.
            partial: What is known so far, as JSON values, for `JobManager.partial`; None keeps
                the one before. Other processes see one every few seconds.
        """
        self._reports.take_report(self.job_id, done, total, message, partial)

    def check(self) -> None:
        """Raise `CancelledError` if the job should stop."""
        if self.cancel_event.is_set():
            raise CancelledError()
