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
from pathlib import Path
from typing import Any, Self, TypeVar

from lorabench.engine.job_context import PROGRESS_SECONDS, JobContext, LiveJob
from lorabench.engine.job_list import JobList
from lorabench.engine.job_table import Job, JobStatus, params_sha
from lorabench.errors import CancelledError, JobError, LorabenchError, StorageError, unknown_name
from lorabench.results import to_dict

T = TypeVar("T")
Runner = Callable[[dict[str, Any], JobContext], dict[str, Any]]

MAX_RUNNING = 4
MAX_PARTIAL_CHARS = 8_000_000
"""Larger partial results stay in memory: the table is no place to rewrite them every few seconds."""

_PARTIALS_KEPT = 20
_ERRORS_KEPT = 4

log = logging.getLogger(__name__)


class JobManager(JobList):
    """The job list of one data folder, and the threads of the jobs that run here."""

    def __init__(self, path: Path, runners: Mapping[str, Runner], *, max_running: int = MAX_RUNNING) -> None:
        """Open the list; jobs whose process has died become "interrupted".

        Args:
            path: The SQLite file.
            runners: For each kind of job the function that does it: parameters and context in,
                a JSON-like result out.
            max_running: Most jobs at once; further ones wait in order.
        """
        super().__init__(path)
        self._runners = dict(runners)
        self._max_running = max_running
        self._queue: deque[str] = deque()
        self._n_running = 0
        self._closed = False

    def submit(
        self,
        kind: str,
        params: dict[str, Any],
        *,
        session: str,
        key: dict[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        reuses_done: bool = True,
    ) -> Job:
        """Start a job, or attach to an equal one that waits, runs or is done, in any process.

        An equal one whose process has died goes on under its name, as a job of this session.

        Args:
            kind: Name of a runner.
            params: What the runner is given; JSON values only.
            session: Who asks.
            key: What makes two jobs equal, beside the kind; None means the parameters. Whatever can
                change the result belongs here (digests of files, versions), because a finished
                job is not repeated.
            options: How to run it, for the runner; kept in memory only.
            reuses_done: Whether a finished job is an answer; it is not if its result can be lost.

        Raises:
            InputError: If there is no such kind of job.
            JobError: If the manager is closed.
            TypeError: If the parameters are not JSON values.
        """
        if kind not in self._runners:
            raise unknown_name("kind of job", kind, list(self._runners))
        params_json = _canonical(params)
        sha = params_sha(kind, params_json if key is None else _canonical(key))
        statuses: list[JobStatus] = ["queued", "running", "interrupted"]
        if reuses_done:
            statuses.append("done")
        with self._changed:
            self._refuse_if_closed()
            self._table.mark_interrupted()
            new_id = secrets.token_hex(8)
            job_id = self._table.insert(new_id, kind, params_json, session, sha=sha, unless=statuses)
            if job_id == new_id or (
                self.get(job_id).status == "interrupted" and self._table.requeue(job_id, session)
            ):
                self._enqueue(job_id, options)
            return self.get(job_id)

    def resume(self, job_id: str, options: Mapping[str, Any] | None = None) -> Job:
        """Run an interrupted, failed or cancelled job again under its name; one under way is left alone.

        What it had computed is in the score store, so it goes on about where it stopped.

        Args:
            job_id: The job.
            options: As in `submit`.

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
            if self._table.requeue(job_id):
                self._enqueue(job_id, options)
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

    def wipe(self) -> None:
        """Cancel what runs here and forget all jobs, results and files that were set aside."""
        with self._changed:
            self._stop_all()
            self._partials.clear()
            self._errors.clear()
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # What runs in a job's own thread.

    def _run(self, job: Job, live: LiveJob) -> None:
        context = JobContext(self, job.id, job.session, live)
        try:
            result = self._runners[job.kind](job.params, context)
            text = json.dumps(to_dict(result), ensure_ascii=False)
        except CancelledError as error:
            if live.cancel.is_set():
                self._leave(job.id, live, "cancelled")
            else:  # stopped by nobody who meant this job: the engine was closed under it
                self._leave(job.id, live, "interrupted", error=str(error))
        except LorabenchError as error:
            self._leave(job.id, live, "failed", raised=error.with_traceback(None), error=str(error))
        except BaseException as error:  # a job's bug must not look like a running job
            log.exception("job %s (%s) failed", job.id, job.kind)
            text = f"Unexpected {type(error).__name__}: {error}"
            self._leave(job.id, live, "failed", raised=error, error=text)
        else:
            self._leave(job.id, live, "done", result_json=text)

    def _leave(
        self,
        job_id: str,
        live: LiveJob,
        status: JobStatus,
        raised: BaseException | None = None,
        **values: str,
    ) -> None:
        with self._changed:
            self._n_running -= 1
            if raised is not None:
                self._keep(self._errors, job_id, raised, _ERRORS_KEPT)
            try:
                if self._live.get(job_id) is live:  # else closed or wiped meanwhile
                    self._end(job_id, status, **values)
            finally:
                if not self._closed:
                    self._start_waiting()
                self._changed.notify_all()

    def take_report(
        self, job_id: str, done: int, total: int, message: str, partial: dict[str, Any] | None
    ) -> None:
        """Take what a runner reports, see `JobContext.report`."""
        with self._changed:
            live = self._live.get(job_id)
            if live is None:
                return
            live.done, live.total, live.message = done, total, message
            if partial is not None:
                self._keep(self._partials, job_id, partial, _PARTIALS_KEPT + self._max_running)
            if time.monotonic() - live.written >= PROGRESS_SECONDS:
                live.written = time.monotonic()
                self._try_update(job_id, progress_done=done, progress_total=total, message=message)
                if self._table.cancel_requested(job_id):
                    live.cancel.set()
        if partial is not None and time.monotonic() >= live.partial_due:
            began = time.monotonic()
            text = _canonical(partial)
            if len(text) <= MAX_PARTIAL_CHARS:
                self._try_update(job_id, partial_json=text)
            live.put_off_partial(began)

    def _try_update(self, job_id: str, **values: object) -> None:
        try:
            self._table.update(job_id, **values)
        except StorageError as error:
            log.warning("%s", error)  # the next report tries again

    # What is called with the lock held.

    def _enqueue(self, job_id: str, options: Mapping[str, Any] | None) -> None:
        self._live[job_id] = LiveJob(options=dict(options or {}))
        self._errors.pop(job_id, None)
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
        changed: dict[str, object] = {
            "status": status,
            "finished": time.time(),
            "progress_done": live.done,
            "progress_total": live.total,
            "message": live.message,
            **values,
        }
        if status == "done":
            self._partials.pop(job_id, None)
            changed["partial_json"] = None
        elif job_id in self._partials:
            text = _canonical(self._partials[job_id])
            changed |= {"partial_json": text} if len(text) <= MAX_PARTIAL_CHARS else {}
        self._table.update(job_id, **changed)
        self._changed.notify_all()

    @staticmethod
    def _keep(kept: OrderedDict[str, T], job_id: str, value: T, most: int) -> None:
        kept[job_id] = value
        kept.move_to_end(job_id)
        while len(kept) > most:
            kept.popitem(last=False)

    def _stop_all(self) -> None:
        self._queue.clear()
        for live in self._live.values():
            live.cancel.set()
        self._live.clear()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise JobError("jobs-closed", "lorabench is shutting down.", "Start it again, then repeat this.")


def _canonical(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
