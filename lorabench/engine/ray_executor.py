"""Workers of a Ray cluster, for work that outgrows one machine; needs the optional part `lorabench[ray]`.

Plain Ray Core tasks. Ray is imported when an executor is opened, never before, and nothing of
it starts by itself. Lost workers are counted here, not by Ray, so that every executor gives up
in the same way.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

from lorabench.engine.executors import (
    MAX_ATTEMPTS,
    Cancelled,
    OnReport,
    error_from_json,
    error_to_json,
    resolve,
    threads_for,
    worker_lost,
)
from lorabench.errors import CancelledError, JobError

CANCEL_SECONDS = 60.0
_POLL_SECONDS = 0.2
_MAIL_SECONDS = 0.5
_OBJECT_STORE_BYTES = 256 * 1024**2
_TASK_CPUS = 1
_KNOCK_SECONDS = 5.0


class RayExecutor:
    """Tasks on a Ray cluster; each worker process of it keeps the model that its first task loads."""

    shares_disk = False

    def __init__(
        self,
        address: str = "auto",
        *,
        n_workers: int | None = None,
        cpus: int | None = None,
        uses_gpu: bool = True,
    ) -> None:
        """Connect to a cluster, or start one of this machine's own.

        Args:
            address: "auto", "host:port" or "local", as in `ExecutorChoice`.
            n_workers: Tasks at the same time; None for as many as there is room for.
            cpus: CPU threads of each task. Ray sets OMP_NUM_THREADS from it, so it is always said.
            uses_gpu: Whether each task takes a GPU, if the cluster has any.

        Raises:
            JobError: "no-ray" if Ray is not installed, "no-ray-cluster" if there is none.
        """
        self._ray = ray = _import_ray(address)
        wanted = n_workers or 2
        self._cpus = cpus or (threads_for(wanted) if address == "local" else _TASK_CPUS)
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            self._connect(address, wanted * self._cpus)
        has = ray.cluster_resources()
        self._gpus = 1 if uses_gpu and has.get("GPU") else 0
        room = int(has["GPU"]) if self._gpus else int(has.get("CPU", 0)) // self._cpus
        self.n_workers = n_workers or max(room, 1)

    def map(
        self,
        function: str,
        payloads: Sequence[Any],
        *,
        context: Any = None,
        cancelled: Cancelled | None = None,
        on_report: OnReport | None = None,
    ) -> Iterator[tuple[int, Any]]:
        """Run pieces as Ray tasks; see `Executor.map`."""
        ray = self._ray
        task = ray.remote(run_piece).options(num_cpus=self._cpus, num_gpus=self._gpus, max_retries=0)
        shared = ray.put(json.dumps(context))
        mail = self._mailbox()
        todo = deque((index, 1) for index in range(len(payloads)))
        running: dict[Any, tuple[int, int]] = {}
        read = time.monotonic()
        try:
            while todo or running:
                if cancelled is not None and cancelled():
                    raise CancelledError()
                while todo and len(running) < self.n_workers:
                    index, attempt = todo.popleft()
                    text = json.dumps(payloads[index])
                    running[task.remote(function, text, shared, index, attempt, mail)] = (index, attempt)
                finished, _ = ray.wait(list(running), num_returns=1, timeout=_POLL_SECONDS)
                if on_report is not None and (finished or time.monotonic() - read >= _MAIL_SECONDS):
                    for index, text in ray.get(mail.take.remote()):
                        on_report(index, json.loads(text))
                    read = time.monotonic()
                for ref in finished:
                    index, attempt = running.pop(ref)
                    try:
                        answer = json.loads(ray.get(ref))
                    except ray.exceptions.RayError as error:
                        if attempt >= MAX_ATTEMPTS:
                            raise worker_lost(attempt, type(error).__name__) from error
                        todo.appendleft((index, attempt + 1))
                        continue
                    if "error" in answer:
                        raise error_from_json(answer["error"])
                    yield index, answer["done"]
        finally:
            self._stop(list(running), mail)

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._is_ours:
            self._ray.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _stop(self, running: list[Any], mail: Any) -> None:
        """Ask the functions to stop, give them time to save what they want to keep, then end them."""
        ray = self._ray
        if running:
            ray.get(mail.cancel.remote())
            # Only what still runs is ended: Ray 2.60 crashes when a task ends by itself just then.
            _, running = ray.wait(running, num_returns=len(running), timeout=CANCEL_SECONDS)
        for ref in running:
            ray.cancel(ref, force=True)
        ray.kill(mail)

    def _connect(self, address: str, cpus: int) -> None:
        options: dict[str, Any] = {"address": address}
        if address == "local":
            options |= {"num_cpus": cpus, "include_dashboard": False}
            options |= {"object_store_memory": _OBJECT_STORE_BYTES}
        try:
            _knock(address)
            self._ray.init(**options, logging_level="ERROR", log_to_driver=False)
        except (RuntimeError, ValueError, OSError, OverflowError) as error:
            raise JobError(
                "no-ray-cluster",
                f"There is no Ray cluster at {address!r} ({str(error).splitlines()[0][:200]}).",
                "Start one with `ray start --head`, or choose --ray-address local.",
            ) from error

    def _mailbox(self) -> Any:
        """Return an actor for reports and for the wish to stop, on this machine: it is lost with us only."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(self._ray.get_runtime_context().get_node_id(), soft=True)
        return self._ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=here).remote()


class Mailbox:
    """What workers and the caller tell one another while a task runs; lives in a process of Ray."""

    def __init__(self) -> None:
        self._reports: list[tuple[int, str]] = []
        self._is_cancelled = False

    def post(self, index: int, text: str) -> None:
        """Take a worker's report."""
        self._reports.append((index, text))

    def take(self) -> list[tuple[int, str]]:
        """Hand over the reports, each once."""
        taken, self._reports = self._reports, []
        return taken

    def cancel(self) -> None:
        """Ask all tasks to stop."""
        self._is_cancelled = True

    def is_cancelled(self) -> bool:
        """Return whether tasks should stop."""
        return self._is_cancelled


@dataclass(slots=True)
class _Link:
    context: Any
    attempt: int
    index: int
    mail: Any
    get: Callable[[Any], Any]
    asked: float = 0.0
    is_cancelled: bool = False
    posted: Any = None

    def report(self, value: Any) -> None:
        self.posted = self.mail.post.remote(self.index, json.dumps(value))

    def flush(self) -> None:
        if self.posted is not None:  # posts of one worker arrive in order
            self.get(self.posted)

    def cancelled(self) -> bool:
        if not self.is_cancelled and time.monotonic() - self.asked >= _MAIL_SECONDS:
            self.is_cancelled = bool(self.get(self.mail.is_cancelled.remote()))
            self.asked = time.monotonic()
        return self.is_cancelled


def run_piece(function: str, payload: str, context: str, index: int, attempt: int, mail: Any) -> str:
    """Do one piece of work inside a Ray worker; what the function raises is part of the answer."""
    import ray

    link = _Link(json.loads(context), attempt, index, mail, ray.get)
    try:
        answer = {"done": resolve(function)(json.loads(payload), link)}
    except Exception as error:  # noqa: BLE001 - it belongs to the caller
        answer = {"error": error_to_json(error)}
    link.flush()
    return json.dumps(answer)


def _knock(address: str) -> None:
    """Raise `OSError` if nothing listens at "host:port": Ray itself would try for more than a minute."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=_KNOCK_SECONDS).close()


def _import_ray(address: str) -> Any:
    if address == "local" and "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        # Ray listens on every network of the machine, and whoever reaches it can run code: ask for a
        # token that only we know. It is read once, when Ray is imported.
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or it warns of a coming change
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise JobError(
            "no-ray",
            "Ray is not installed.",
            "Run `pip install lorabench[ray]`, or choose --executor process.",
        ) from error
    import ray._private.worker as driver

    if hasattr(driver, "_worker_logs_enabled"):
        # Ray prints remarks on lost workers to stdout, where our one document belongs, and has no option.
        driver._worker_logs_enabled = False
    return ray
