"""The table of jobs: what was asked, how far it is, how it ended."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

from lorabench.engine.database import Database
from lorabench.engine.processes import own_identity, process_identity
from lorabench.engine.store import ENGINE_VERSION
from lorabench.errors import StorageError

T = TypeVar("T")
JobStatus = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    params_json TEXT NOT NULL,
    params_sha TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'queued',
    progress_done INTEGER NOT NULL DEFAULT 0,
    progress_total INTEGER NOT NULL DEFAULT 0,
    message TEXT NOT NULL DEFAULT '',
    session TEXT NOT NULL,
    created REAL NOT NULL,
    started REAL,
    finished REAL,
    result_json TEXT,
    error TEXT,
    pid INTEGER NOT NULL,
    process TEXT NOT NULL,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    partial_json TEXT
);
CREATE INDEX IF NOT EXISTS jobs_by_params ON jobs (params_sha);
"""
_ADDED = {"partial_json": "TEXT"}  # columns that lists of earlier versions lack; those can still write to it


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job as it stood when it was asked for; the result is fetched apart.

    Attributes:
        id: Random name.
        kind: Which runner.
        params: What the runner is given.
        params_sha: sha256 over kind and parameters, or what stands for them: equal ones are the same work.
        status: "queued", "running", "done", "failed", "cancelled", or "interrupted" (its
            process ended; it can be resumed).
        progress_done: Units finished.
        progress_total: Units in all; 0 while unknown.
        message: What it is doing, for people.
        session: Who submitted it.
        created: Unix time of the submission.
        started: Unix time of the (latest) start, or None.
        finished: Unix time of the end, or None.
        error: Why it failed, as a sentence, or None.
        pid: Process that runs or ran it.
    """

    id: str
    kind: str
    params: dict[str, Any]
    params_sha: str
    status: JobStatus
    progress_done: int
    progress_total: int
    message: str
    session: str
    created: float
    started: float | None
    finished: float | None
    error: str | None
    pid: int

    @property
    def is_active(self) -> bool:
        """Whether it is queued or running."""
        return self.status in ("queued", "running")

    @property
    def fraction(self) -> float | None:
        """Finished share in [0, 1], or None while the total is unknown."""
        return min(self.progress_done / self.progress_total, 1.0) if self.progress_total else None

    @property
    def seconds(self) -> float | None:
        """Running time so far, or in all; None before it started."""
        if self.started is None:
            return None
        return max((self.finished or time.time()) - self.started, 0.0)

    @property
    def rate(self) -> float | None:
        """Finished units per second; None before the first."""
        return self.progress_done / self.seconds if self.progress_done and self.seconds else None

    @property
    def eta_seconds(self) -> float | None:
        """Seconds until it is done at the mean rate so far; None unless it runs and this is known."""
        if self.status != "running" or not self.rate or not self.progress_total:
            return None
        return max(self.progress_total - self.progress_done, 0) / self.rate


class JobTable:
    """The jobs of one data folder, of this process and of others; any thread may use it."""

    def __init__(self, path: Path) -> None:
        self.database = Database(path, _SCHEMA, version=1, what="job list")
        self._try(_add_columns)

    def insert(
        self,
        job_id: str,
        kind: str,
        params_json: str,
        session: str,
        *,
        sha: str | None = None,
        unless: Sequence[JobStatus] = (),
    ) -> str:
        """Add a queued job of this process, unless there is an equal one.

        One transaction, so that two processes that ask for the same at once get one job.

        Args:
            job_id: Its name.
            kind: Which runner.
            params_json: What the runner is given.
            session: Who asks.
            sha: What makes jobs equal; None takes it from kind and parameters.
            unless: Statuses of an equal job that make a new one needless.

        Returns:
            The id of the newest such job, or `job_id` when it was added.
        """
        sha = sha or params_sha(kind, params_json)
        values = {
            "id": job_id,
            "kind": kind,
            "params_json": params_json,
            "params_sha": sha,
            "session": session,
            "created": time.time(),
            "pid": os.getpid(),
            "process": own_identity(),
        }
        marks = ", ".join("?" * len(values))

        def work(connection: sqlite3.Connection) -> str:
            found = connection.execute(
                f"SELECT id FROM jobs WHERE params_sha = ? AND status IN ({', '.join('?' * len(unless))}) "
                "ORDER BY created DESC, rowid DESC",
                (sha, *unless),
            ).fetchone()
            if found is not None:
                return str(found[0])
            connection.execute(
                f"INSERT INTO jobs ({', '.join(values)}) VALUES ({marks})", tuple(values.values())
            )
            return job_id

        return self._try(work)

    def update(self, job_id: str, **values: object) -> None:
        """Set columns of one job."""
        self._write(
            f"UPDATE jobs SET {', '.join(f'{name} = ?' for name in values)} WHERE id = ?",
            (*values.values(), job_id),
        )

    def requeue(self, job_id: str, session: str | None = None) -> bool:
        """Make an ended job a queued one of this process; False if another process was quicker.

        Args:
            job_id: The job.
            session: Whose job it is from now on; None leaves it as it is.
        """
        values: dict[str, object] = {
            "status": "queued",
            "progress_done": 0,
            "progress_total": 0,
            "message": "",
            "started": None,
            "finished": None,
            "result_json": None,
            "error": None,
            "cancel_requested": 0,
            "pid": os.getpid(),
            "process": own_identity(),
        }
        if session is not None:
            values["session"] = session
        names = ", ".join(f"{name} = ?" for name in values)
        statement = f"UPDATE jobs SET {names} WHERE id = ? AND status NOT IN ('queued', 'running')"
        return self._try(lambda c: c.execute(statement, (*values.values(), job_id)).rowcount) == 1

    def find(self, job_id: str) -> Job | None:
        """Return one job."""
        return next(iter(self._select("id = ?", (job_id,))), None)

    def starting_with(self, prefix: str) -> list[Job]:
        """Return the jobs whose id begins with a text, the newest first."""
        return self._select("substr(id, 1, ?) = ?", (len(prefix), prefix))

    def of_session(self, session: str | None) -> list[Job]:
        """Return all jobs, or one session's, the newest first."""
        return self._select("session = ?", (session,)) if session is not None else self._select("1", ())

    def cancel_requested(self, job_id: str) -> bool:
        """Return whether another process wants the job to stop."""
        return bool(self._select("id = ? AND cancel_requested", (job_id,)))

    def result_json(self, job_id: str) -> str:
        """Return the result of a job that is done."""
        return str(self._read("SELECT result_json FROM jobs WHERE id = ?", (job_id,))[0][0])

    def partial_json(self, job_id: str) -> str | None:
        """Return what a job that is not done has found so far, if that was written."""
        found = self._read("SELECT partial_json FROM jobs WHERE id = ?", (job_id,))
        return None if not found or found[0][0] is None else str(found[0][0])

    def mark_interrupted(self) -> None:
        """Mark the active jobs whose process is gone, or whose number another process has now."""
        query = "SELECT id, pid, process FROM jobs WHERE status IN ('queued', 'running')"
        for job_id, pid, process in self._read(query, ()):
            if process != own_identity() and process_identity(pid) != process:
                self._write(
                    "UPDATE jobs SET status = 'interrupted', finished = ? "
                    "WHERE id = ? AND process = ? AND status IN ('queued', 'running')",
                    (time.time(), job_id, process),
                )

    def _select(self, where: str, values: Sequence[object]) -> list[Job]:
        columns = [field.name for field in fields(Job)]
        names = ", ".join("params_json" if name == "params" else name for name in columns)
        query = f"SELECT {names} FROM jobs WHERE {where} ORDER BY created DESC, rowid DESC"
        jobs = []
        for row in self._read(query, values):
            record = dict(zip(columns, row, strict=True))
            jobs.append(Job(**{**record, "params": json.loads(record["params"])}))
        return jobs

    def _read(self, query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        return self.database.run(lambda c: c.execute(query, values).fetchall(), write=False)

    def _write(self, statement: str, values: Sequence[object]) -> None:
        self._try(lambda c: c.execute(statement, values))

    def _try(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return self.database.run(work)
        except sqlite3.OperationalError as error:
            raise StorageError(
                "job-list-busy",
                f"The job list at {self.database.path} could not be written ({error}).",
                "Close other lorabench processes that use this folder, then try again.",
            ) from error


def _add_columns(connection: sqlite3.Connection) -> None:
    """Bring the list of an earlier version up to date; nothing in it changes."""
    known = {row[1] for row in connection.execute("PRAGMA table_info(jobs)")}
    for name, kind in _ADDED.items():
        if name not in known:
            connection.execute(f"ALTER TABLE jobs ADD COLUMN {name} {kind}")


def params_sha(kind: str, params_json: str) -> str:
    """Return the sha256 (hex) that names one piece of work."""
    return hashlib.sha256(f"{ENGINE_VERSION}\0{kind}\0{params_json}".encode()).hexdigest()
