"""What anybody may know of the jobs of a data folder: how they stand, and what they found."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

from lorabench.engine.job_context import LiveJob
from lorabench.engine.job_table import Job, JobTable
from lorabench.errors import CancelledError, JobError

_FOREIGN_POLL_SECONDS = 0.5


class JobList:
    """The jobs of one data folder, of this process and of others; `JobManager` also runs them."""

    def __init__(self, path: Path) -> None:
        """Open the list; jobs whose process has died become "interrupted".

        Args:
            path: The SQLite file.
        """
        self._table = JobTable(path)
        self._changed = threading.Condition()
        self._live: dict[str, LiveJob] = {}
        self._partials: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._errors: OrderedDict[str, BaseException] = OrderedDict()
        self._table.mark_interrupted()

    @property
    def message(self) -> str | None:
        """What went wrong with the file, as a sentence for people; None if nothing did."""
        return self._table.database.message

    def get(self, job_id: str) -> Job:
        """Return the job as it stands now.

        Raises:
            JobError: If there is no such job.
        """
        with self._changed:
            job, live = self._table.find(job_id), self._live.get(job_id)
            if job is not None and job.is_active and live is None:
                self._table.mark_interrupted()
                job = self._table.find(job_id)
        if job is None:
            raise _unknown(job_id)
        return self._with_live(job, live)

    def find(self, prefix: str) -> Job:
        """Return the one job whose id begins with a text.

        Raises:
            JobError: If there is none, or more than one.
        """
        with self._changed:
            self._table.mark_interrupted()
            found = self._table.starting_with(prefix) if prefix else []
        if not found:
            raise _unknown(prefix)
        if len(found) > 1:
            ids = ", ".join(job.id for job in found[:5])
            raise JobError(
                "ambiguous-job",
                f"{len(found)} jobs have an id that begins with {prefix!r}: {ids}.",
                "Give more of it.",
            )
        return self.get(found[0].id)

    def list(self, session: str | None = None) -> tuple[Job, ...]:
        """Return all jobs, or one session's, the newest first."""
        with self._changed:
            self._table.mark_interrupted()
            return tuple(self._with_live(j, self._live.get(j.id)) for j in self._table.of_session(session))

    def partial(self, job_id: str) -> dict[str, Any] | None:
        """Return the latest partial result of a job that is not done, or None.

        Of a job of another process, living or dead, it is the one of a few seconds before.
        """
        with self._changed:
            if job_id in self._partials:
                return self._partials[job_id]
            text = self._table.partial_json(job_id)
        partial: dict[str, Any] | None = None if text is None else json.loads(text)
        return partial

    def runs_here(self, job_id: str) -> bool:
        """Return whether this process has the job in its hands, waiting or running."""
        with self._changed:
            return job_id in self._live

    def error(self, job_id: str) -> BaseException | None:
        """Return what a job that lately failed in this process raised, or None."""
        with self._changed:
            return self._errors.get(job_id)

    def result(self, job_id: str) -> dict[str, Any]:
        """Return the result of a finished job.

        Raises:
            JobError: If there is no such job, or it is not done; the sentence says why.
            CancelledError: If it was cancelled.
        """
        job = self.get(job_id)
        if job.status == "cancelled":
            raise CancelledError()
        if job.status == "failed":
            raise JobError("job-failed", job.error or "The job failed.", "")
        if job.status == "interrupted":
            raise JobError("job-interrupted", "The job was interrupted: its process ended.", "Resume it.")
        if job.status != "done":
            raise JobError("job-not-done", f"The job is {job.status}.", "Wait until it is done.")
        result: dict[str, Any] = json.loads(self._table.result_json(job_id))
        return result

    def wait(self, job_id: str, timeout: float | None = None) -> Job:
        """Wait until the job is neither queued nor running, and return it.

        Raises:
            JobError: If there is no such job, or time runs out.
        """
        job = self.poll(job_id, timeout)
        if job.is_active:
            raise JobError(
                "job-timeout", f"The job is still {job.status} after {timeout:g} s.", "Wait longer."
            )
        return job

    def poll(self, job_id: str, seconds: float | None) -> Job:
        """Wait until the job ends, at most `seconds` (None: without end), and return it as it stands.

        Raises:
            JobError: If there is no such job.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        with self._changed:
            while (job := self.get(job_id)).is_active:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    break
                if job_id not in self._live:  # nobody will wake us for a job of another process
                    left = min(left or _FOREIGN_POLL_SECONDS, _FOREIGN_POLL_SECONDS)
                self._changed.wait(left)
        return job

    @staticmethod
    def _with_live(job: Job, live: LiveJob | None) -> Job:
        if live is None:
            return job
        return replace(job, progress_done=live.done, progress_total=live.total, message=live.message)


def _unknown(job_id: str) -> JobError:
    return JobError("unknown-job", f"There is no job {job_id!r}.", "It may have been wiped; start it again.")
