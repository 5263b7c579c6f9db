"""Long work with a name: it outlives a page, a browser and, as a record, the process.

A job is (kind, parameters); the runners come from above, so this module knows none of
them. Runners only submit to the engine and wait, so a thread each is cheap.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lorabench.engine.job_table import Job, JobStatus, JobTable
from lorabench.errors import CancelledError, JobError, LorabenchError, StorageError, unknown_name
from lorabench.results import to_dict

Runner = Callable[[dict[str, Any], "JobContext"], dict[str, Any]]

MAX_RUNNING = 4
_WRITE_SECONDS = 0.5
_FOREIGN_POLL_SECONDS = 0.5
_PARTIALS_KEPT = 20

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Live:
    """A job of this process, in memory: always the latest, while the table lags by half a second."""

    cancel: threading.Event = field(default_factory=threading.Event)
    done: int = 0
    total: int = 0
    message: str = ""
    written: float = 0.0


class JobContext:
    """What a runner may use while it runs.

    Attributes:
        job_id: The job.
        session: Who submitted it; hand it to the engine, so that sessions take turns.
        cancel_event: Set when the job should stop; hand it to the engine.
    """

    def __init__(self, manager: JobManager, job_id: str, session: str, cancel_event: threading.Event) -> None:
        self._manager = manager
        self.job_id = job_id
        self.session = session
        self.cancel_event = cancel_event

    def report(self, done: int, total: int, message: str = "", partial: dict[str, Any] | None = None) -> None:
        """Say how far the job is; call it as often as you like, the table is written twice a second.

        Args:
            done: Units finished.
            total: Units in all.
            message: What is being done, for people.
            partial: What is known so far, kept in memory for `JobManager.partial`; None keeps
                the one before.
        """
        self._manager._report(self.job_id, done, total, message, partial)

    def check(self) -> None:
        """Raise `CancelledError` if the job should stop."""
        if self.cancel_event.is_set():
            raise CancelledError()


class JobManager:
    """The job list of one data folder, and the threads of the jobs that run here."""

    def __init__(self, path: Path, runners: Mapping[str, Runner], *, max_running: int = MAX_RUNNING) -> None:
        """Open the list; jobs whose process has died become "interrupted".

        Args:
            path: The SQLite file.
            runners: For each kind of job the function that does it: parameters and context in,
                a JSON-like result out.
            max_running: Most jobs at once; further ones wait in order.
        """
        self._table = JobTable(path)
        self._runners = dict(runners)
        self._max_running = max_running
        self._changed = threading.Condition()
        self._queue: deque[str] = deque()
        self._live: dict[str, _Live] = {}
        self._n_running = 0
        self._partials: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._closed = False
        self._table.mark_interrupted()

    @property
    def message(self) -> str | None:
        """What went wrong with the file, as a sentence for people; None if nothing did."""
        return self._table.database.message

    def submit(self, kind: str, params: dict[str, Any], *, session: str) -> Job:
        """Start a job, or attach to one with the same kind and parameters that waits, runs or is done.

        Args:
            kind: Name of a runner.
            params: JSON values only. Whatever can change the result belongs here (digests
                of files, versions), because a finished job with equal parameters is not repeated.
            session: Who asks.

        Raises:
            InputError: If there is no such kind of job.
            JobError: If the manager is closed.
            TypeError: If the parameters are not JSON values.
        """
        if kind not in self._runners:
            raise unknown_name("kind of job", kind, list(self._runners))
        params_json = json.dumps(params, sort_keys=True, ensure_ascii=False)
        with self._changed:
            self._refuse_if_closed()
            self._table.mark_interrupted()
            if (known := self._table.find_equal(kind, params_json)) is not None:
                return self.get(known.id)
            job_id = secrets.token_hex(8)
            self._table.insert(job_id, kind, params_json, session)
            self._enqueue(job_id)
            return self.get(job_id)

    def resume(self, job_id: str) -> Job:
        """Run an interrupted, failed or cancelled job again under its name; one under way is left alone.

        What it had computed is in the score store, so it goes on about where it stopped.

        Raises:
            JobError: If there is no such job, or the manager is closed.
        """
        with self._changed:
            self._refuse_if_closed()
            job = self.get(job_id)
            if job.is_active or job.status == "done" or job_id in self._live:
                return job
            if job.kind not in self._runners:
                raise unknown_name("kind of job", job.kind, list(self._runners))
            self._table.requeue(job_id)
            self._enqueue(job_id)
            return self.get(job_id)

    def cancel(self, job_id: str, session: str | None = None) -> Job:
        """Ask a job to stop; a finished one stays as it is.

        Args:
            job_id: The job.
            session: Who asks; a session may cancel its own jobs only. None is the owner of
                the machine, who may cancel all.

        Raises:
            JobError: If there is no such job, or it is another session's.
        """
        with self._changed:
            job = self.get(job_id)
            if session is not None and session != job.session:
                raise JobError(
                    "not-your-job",
                    "This job was started by someone else.",
                    "Ask them, or the person who runs lorabench, to cancel it.",
                )
            live = self._live.get(job_id)
            if live is not None:
                live.cancel.set()
                if job_id in self._queue:
                    self._queue.remove(job_id)
                    self._end(job_id, "cancelled")
            elif job.is_active:  # another process runs it and sees this at its next report
                self._table.update(job_id, cancel_requested=1)
            return self.get(job_id)

    def get(self, job_id: str) -> Job:
        """Return the job as it stands now.

        Raises:
            JobError: If there is no such job.
        """
        with self._changed:
            job, live = self._table.find(job_id), self._live.get(job_id)
        if job is None:
            raise JobError(
                "unknown-job", f"There is no job {job_id!r}.", "It may have been wiped; start it again."
            )
        return self._with_live(job, live)

    def list(self, session: str | None = None) -> tuple[Job, ...]:
        """Return all jobs, or one session's, the newest first."""
        with self._changed:
            return tuple(self._with_live(j, self._live.get(j.id)) for j in self._table.of_session(session))

    def partial(self, job_id: str) -> dict[str, Any] | None:
        """Return the latest partial result of a job of this process that is not done, or None."""
        with self._changed:
            return self._partials.get(job_id)

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
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while (job := self.get(job_id)).is_active:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise JobError(
                        "job-timeout", f"The job is still {job.status} after {timeout:g} s.", "Wait longer."
                    )
                if job_id not in self._live:  # nobody will wake us for a job of another process
                    self._table.mark_interrupted()
                    left = min(left or _FOREIGN_POLL_SECONDS, _FOREIGN_POLL_SECONDS)
                self._changed.wait(left)
        return job

    def wipe(self) -> None:
        """Cancel what runs here and forget all jobs, results and files that were set aside."""
        with self._changed:
            self._stop_all()
            self._partials.clear()
            self._table.database.wipe(lambda c: c.execute("DELETE FROM jobs"))
            self._changed.notify_all()

    def close(self, timeout: float = 5.0) -> None:
        """Stop all jobs of this process (they become "interrupted") and refuse new ones.

        Args:
            timeout: Most seconds to wait for running jobs to notice.
        """
        with self._changed:
            self._closed = True
            for job_id, live in list(self._live.items()):
                live.cancel.set()
                self._end(job_id, "interrupted")
            self._queue.clear()
            self._changed.notify_all()
            if self._changed.wait_for(lambda: self._n_running == 0, timeout):
                self._table.database.close()

    # What runs in a job's own thread.

    def _run(self, job: Job, live: _Live) -> None:
        context = JobContext(self, job.id, job.session, live.cancel)
        try:
            result = self._runners[job.kind](job.params, context)
            text = json.dumps(to_dict(result), ensure_ascii=False)
        except CancelledError as error:
            if live.cancel.is_set():
                self._leave(job.id, live, "cancelled")
            else:  # stopped by nobody who meant this job: the engine was closed under it
                self._leave(job.id, live, "interrupted", error=str(error))
        except LorabenchError as error:
            self._leave(job.id, live, "failed", error=str(error))
        except BaseException as error:  # a job's bug must not look like a running job
            log.exception("job %s (%s) failed", job.id, job.kind)
            self._leave(job.id, live, "failed", error=f"Unexpected {type(error).__name__}: {error}")
        else:
            self._leave(job.id, live, "done", result_json=text)

    def _leave(self, job_id: str, live: _Live, status: JobStatus, **values: str) -> None:
        with self._changed:
            self._n_running -= 1
            try:
                if self._live.get(job_id) is live:  # else closed or wiped meanwhile
                    self._end(job_id, status, **values)
            finally:
                if not self._closed:
                    self._start_waiting()
                self._changed.notify_all()

    def _report(
        self, job_id: str, done: int, total: int, message: str, partial: dict[str, Any] | None
    ) -> None:
        with self._changed:
            live = self._live.get(job_id)
            if live is None:
                return
            live.done, live.total, live.message = done, total, message
            if partial is not None:
                self._keep_partial(job_id, partial)
            if time.monotonic() - live.written < _WRITE_SECONDS:
                return
            live.written = time.monotonic()
            try:
                self._table.update(job_id, progress_done=done, progress_total=total, message=message)
            except StorageError as error:
                log.warning("%s", error)  # the next report tries again
            if self._table.cancel_requested(job_id):
                live.cancel.set()

    # What is called with the lock held.

    def _enqueue(self, job_id: str) -> None:
        self._live[job_id] = _Live()
        self._partials.pop(job_id, None)
        self._queue.append(job_id)
        self._start_waiting()

    def _start_waiting(self) -> None:
        while self._queue and self._n_running < self._max_running:
            job_id = self._queue.popleft()
            self._table.update(job_id, status="running", started=time.time())
            self._n_running += 1
            threading.Thread(
                target=self._run,
                args=(self.get(job_id), self._live[job_id]),
                name=f"lorabench-job-{job_id}",
                daemon=True,
            ).start()

    def _end(self, job_id: str, status: JobStatus, **values: str) -> None:
        live = self._live.pop(job_id)
        self._table.update(
            job_id,
            status=status,
            finished=time.time(),
            progress_done=live.done,
            progress_total=live.total,
            message=live.message,
            **values,
        )
        if status == "done":
            self._partials.pop(job_id, None)
        self._changed.notify_all()

    def _keep_partial(self, job_id: str, partial: dict[str, Any]) -> None:
        self._partials[job_id] = partial
        self._partials.move_to_end(job_id)
        while len(self._partials) > _PARTIALS_KEPT + self._max_running:
            self._partials.popitem(last=False)

    def _stop_all(self) -> None:
        self._queue.clear()
        for live in self._live.values():
            live.cancel.set()
        self._live.clear()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise JobError("jobs-closed", "lorabench is shutting down.", "Start it again, then repeat this.")

    @staticmethod
    def _with_live(job: Job, live: _Live | None) -> Job:
        if live is None:
            return job
        return replace(job, progress_done=live.done, progress_total=live.total, message=live.message)
