"""Workers in processes of their own: the model of this one is never touched, and never waits.

Not `multiprocessing`: its children import the main module of this process again, which may be
a page of the dashboard or a notebook, and its pool does not outlive a worker that was killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import lorabench
from lorabench.engine.executors import (
    MAX_ATTEMPTS,
    Cancelled,
    OnReport,
    error_from_json,
    threads_for,
    worker_lost,
)
from lorabench.errors import CancelledError

NICE = 10
CANCEL_SECONDS = 60.0
"""How long a cancelled function may take to save what is worth it, before its worker is ended."""

_Events = queue.Queue[tuple["_Worker", dict[str, Any] | None]]


class ProcessExecutor:
    """Worker processes at low priority, each started when there is work for it, and kept until `close`."""

    shares_disk = True

    def __init__(self, n_workers: int = 2, *, threads: int | None = None, nice: int = NICE) -> None:
        """Start nothing yet.

        Args:
            n_workers: Processes.
            threads: CPU threads of each; None shares this machine's among them.
            nice: How much lower their priority is.
        """
        self.n_workers = n_workers
        self._threads = threads or threads_for(n_workers)
        self._nice = nice
        self._events: _Events = queue.Queue()
        self._workers: list[_Worker] = []

    @property
    def pids(self) -> list[int]:
        """Process numbers of the workers that are alive."""
        return [w.process.pid for w in self._workers]

    def map(
        self,
        function: str,
        payloads: Sequence[Any],
        *,
        context: Any = None,
        cancelled: Cancelled | None = None,
        on_report: OnReport | None = None,
    ) -> Iterator[tuple[int, Any]]:
        """Run pieces in worker processes; see `Executor.map`."""
        begin = {"function": function, "context": context}
        for worker in self._workers:
            worker.send(begin)
        todo = deque((index, 1) for index in range(len(payloads)))
        is_whole = False
        try:
            while todo or any(w.running for w in self._workers):
                if cancelled is not None and cancelled():
                    self._stop_running()
                    raise CancelledError()
                self._assign(todo, payloads, begin)
                try:
                    worker, message = self._events.get(timeout=0.1)
                except queue.Empty:
                    continue
                if message is None:
                    self._replace(worker, todo)
                elif "report" in message:
                    if on_report is not None:
                        on_report(*message["report"])
                else:
                    worker.running = None
                    if "error" in message:
                        raise error_from_json(message["error"][1])
                    yield message["done"][0], message["done"][1]
            is_whole = True
        finally:
            if not is_whole:  # workers may be busy with what nobody wants any more
                self.close()

    def close(self) -> None:
        """End the workers at once."""
        for worker in self._workers:
            worker.end()
        self._workers = []
        self._events = queue.Queue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _assign(self, todo: deque[tuple[int, int]], payloads: Sequence[Any], begin: dict[str, Any]) -> None:
        while todo:
            worker = next((w for w in self._workers if w.running is None), None)
            if worker is None:
                if len(self._workers) >= self.n_workers:
                    return
                worker = _Worker(self._events, threads=self._threads, nice=self._nice)
                self._workers.append(worker)
                worker.send(begin)
            index, attempt = worker.running = todo.popleft()
            worker.send({"run": index, "payload": payloads[index], "attempt": attempt})

    def _replace(self, lost: _Worker, todo: deque[tuple[int, int]]) -> None:
        """Forget a worker that has ended, and let another do its piece."""
        if lost not in self._workers:
            return
        self._workers.remove(lost)
        detail = lost.last_words()
        lost.end()
        if lost.running is not None:
            index, attempt = lost.running
            if attempt >= MAX_ATTEMPTS:
                raise worker_lost(attempt, detail)
            todo.appendleft((index, attempt + 1))

    def _stop_running(self) -> None:
        """Ask the functions to stop, and give them time to save what they want to keep."""
        busy = [w for w in self._workers if w.running is not None]
        for worker in busy:
            worker.send({"cancel": True})
        deadline = time.monotonic() + CANCEL_SECONDS
        while any(w.running is not None for w in busy) and time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                worker, message = self._events.get(timeout=0.1)
                if message is None or "report" not in message:
                    worker.running = None


class _Worker:
    """One process, and the thread that reads what it says."""

    def __init__(self, events: _Events, *, threads: int, nice: int) -> None:
        root = str(Path(lorabench.__file__).resolve().parent.parent)
        paths = [root, os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "OMP_NUM_THREADS": str(threads),
        }
        self.running: tuple[int, int] | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        self.process = subprocess.Popen(
            # -P: what lies in the present folder is no module
            [sys.executable, "-P", "-m", "lorabench.engine.worker", str(nice)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            text=True,
            encoding="utf-8",
            start_new_session=os.name == "posix",  # Ctrl-C is for the caller, who then asks it to stop
        )
        threading.Thread(target=self._read, args=(events,), daemon=True).start()

    def send(self, message: dict[str, Any]) -> None:
        """Send one message; to a worker that has ended, nothing: its reader tells."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()

    def last_words(self) -> str:
        """Return how the process ended, for people."""
        code = self.process.wait()
        self._log.seek(0)
        lines = self._log.read()[-2_000:].decode(errors="replace").strip().splitlines()
        return f"exit code {code}" + (f": {lines[-1][:200]}" if lines else "")

    def end(self) -> None:
        """End the process at once."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self._log):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _read(self, events: _Events) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                with contextlib.suppress(ValueError):  # half a line: it was killed while it spoke
                    events.put((self, json.loads(line)))
        events.put((self, None))
