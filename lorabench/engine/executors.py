"""Where pieces of long work are done: in threads here, in processes of their own, or on a Ray cluster.

    executor.map("module:function", payloads) -> (index, result), as they come

A function is named, not handed over, and takes and gives JSON values only, so that the same
one runs everywhere. It must give the same result when it is run again: a piece whose worker
was lost is done elsewhere.
"""

from __future__ import annotations

import importlib
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self, get_args

from lorabench.errors import CancelledError, InputError, JobError, LorabenchError, unknown_name

Kind = Literal["thread", "process", "ray"]
KINDS: tuple[str, ...] = get_args(Kind)
MAX_ATTEMPTS = 3
MAX_WORKERS = 1_024

OnReport = Callable[[int, Any], None]
Cancelled = Callable[[], bool]


class Link(Protocol):
    """What a function on a worker may use.

    Attributes:
        context: What `Executor.map` was given for all pieces.
        attempt: 1, and more when a worker was lost with this piece.
    """

    @property
    def context(self) -> Any: ...  # noqa: D102

    @property
    def attempt(self) -> int: ...  # noqa: D102

    def report(self, value: Any) -> None:
        """Tell the caller something while it goes on, such as how far it is; JSON values only."""
        ...

    def cancelled(self) -> bool:
        """Return whether to stop: save what is worth it and raise `CancelledError`."""
        ...


class Executor(Protocol):
    """Runs named functions on workers.

    Attributes:
        n_workers: Pieces done at the same time.
        shares_disk: Whether workers see this machine's folders.
    """

    @property
    def n_workers(self) -> int: ...  # noqa: D102

    @property
    def shares_disk(self) -> bool: ...  # noqa: D102

    def map(
        self,
        function: str,
        payloads: Sequence[Any],
        *,
        context: Any = None,
        cancelled: Cancelled | None = None,
        on_report: OnReport | None = None,
    ) -> Iterator[tuple[int, Any]]:
        """Yield (index, result) of every payload, in the order in which they are done.

        Args:
            function: "module:function"; it is called with (payload, link).
            payloads: One JSON value per piece.
            context: A JSON value for all pieces, sent once per worker where that saves something.
            cancelled: Polled a few times a second; True stops all pieces.
            on_report: Called on the caller's thread with (index, value) for what functions report.

        Raises:
            CancelledError: If cancelled.
            LorabenchError: What a function raised.
            JobError: "worker-lost" if workers were lost with the same piece three times;
                "worker-failed" for a bug in the function.
        """
        ...

    def close(self) -> None:
        """Stop the workers."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorChoice:
    """Which executor to use; never part of what a job's result depends on.

    Attributes:
        kind: "thread", "process" or "ray".
        workers: Pieces at the same time; None for two, or as many as a Ray cluster has room for.
        ray_address: "auto" (the cluster this machine belongs to), "host:port", or "local": a
            cluster of this machine's own, which ends with the work.
        cpus: CPU threads of each worker; None shares this machine's among them.
        uses_gpu: Whether each Ray task takes a GPU, if the cluster has any.
    """

    kind: str = "thread"
    workers: int | None = None
    ray_address: str = "auto"
    cpus: int | None = None
    uses_gpu: bool = True

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown_name("executor", self.kind, KINDS)
        for name, value in (("workers", self.workers), ("cpus", self.cpus)):
            if value is not None and not 1 <= value <= MAX_WORKERS:
                raise InputError(
                    "out-of-range",
                    f"The number of {name} is {value}.",
                    f"Choose between 1 and {MAX_WORKERS:,}.",
                )

    def open(self) -> Executor:
        """Start the executor; close it after use.

        Raises:
            JobError: If Ray is not installed, or there is no cluster at the address.
        """
        n_workers = self.workers or 2
        if self.kind == "thread":
            return ThreadExecutor(n_workers)
        if self.kind == "process":
            from lorabench.engine.process_executor import ProcessExecutor

            return ProcessExecutor(n_workers, threads=self.cpus or threads_for(n_workers))
        from lorabench.engine.ray_executor import RayExecutor

        return RayExecutor(self.ray_address, n_workers=self.workers, cpus=self.cpus, uses_gpu=self.uses_gpu)


def threads_for(n_workers: int) -> int:
    """Return the CPU threads of each of some workers on this machine."""
    return max((os.cpu_count() or 1) // n_workers, 1)


def resolve(function: str) -> Callable[[Any, Link], Any]:
    """Return the function behind "module:function".

    Raises:
        ImportError: If there is no such module.
        AttributeError: If it has no such function.
    """
    module, _, name = function.partition(":")
    found: Callable[[Any, Link], Any] = getattr(importlib.import_module(module), name)
    return found


def error_to_json(error: BaseException) -> dict[str, str]:
    """Return an error as JSON, for the way from a worker to its caller."""
    if isinstance(error, LorabenchError):
        fields = {"rule": error.rule, "problem": error.problem, "remedy": error.remedy}
        return {"class": type(error).__name__, **fields}
    return {"class": "", "problem": f"{type(error).__name__}: {error}"}


def error_from_json(data: dict[str, str]) -> LorabenchError:
    """Return the error that `error_to_json` wrote; a bug becomes a `JobError`."""
    import lorabench.errors

    kind = getattr(lorabench.errors, data["class"], None) if data["class"] else None
    if not (isinstance(kind, type) and issubclass(kind, LorabenchError)):
        return JobError(
            "worker-failed",
            f"A worker stopped with an unexpected error ({data['problem']}).",
            "This is a bug worth reporting.",
        )
    error: LorabenchError = kind(data["rule"], data["problem"], data["remedy"])
    return error


def worker_lost(attempts: int, detail: str) -> JobError:
    """Return the error for a piece that no worker survived."""
    return JobError(
        "worker-lost",
        f"A worker was lost {attempts} times with the same piece of work ({detail}).",
        "It may need more memory than there is: use fewer workers. What was finished is kept.",
    )


@dataclass(slots=True)
class _ThreadLink:
    context: Any
    stop: threading.Event
    send: Callable[[Any], None]
    attempt: int = 1

    def report(self, value: Any) -> None:
        self.send(value)

    def cancelled(self) -> bool:
        return self.stop.is_set()


class ThreadExecutor:
    """Threads of this process: for work that waits more than it computes, and for tests."""

    shares_disk = True

    def __init__(self, n_workers: int = 2) -> None:
        self.n_workers = n_workers

    def map(
        self,
        function: str,
        payloads: Sequence[Any],
        *,
        context: Any = None,
        cancelled: Cancelled | None = None,
        on_report: OnReport | None = None,
    ) -> Iterator[tuple[int, Any]]:
        """Run pieces in threads; see `Executor.map`."""
        call = resolve(function)
        todo = deque(enumerate(payloads))
        events: queue.Queue[tuple[str, int, Any]] = queue.Queue()
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                try:
                    index, payload = todo.popleft()
                except IndexError:
                    return
                link = _ThreadLink(context, stop, lambda value, i=index: events.put(("report", i, value)))  # type: ignore[misc]
                try:
                    events.put(("done", index, call(payload, link)))
                except BaseException as error:  # noqa: BLE001 - it belongs to the caller
                    events.put(("error", index, error))

        threads = [threading.Thread(target=work, daemon=True) for _ in range(self.n_workers)]
        for thread in threads:
            thread.start()
        left = len(payloads)
        try:
            while left:
                if cancelled is not None and cancelled():
                    raise CancelledError()
                try:
                    what, index, value = events.get(timeout=0.1)
                except queue.Empty:
                    continue
                if isinstance(value, LorabenchError) and what == "error":
                    raise value
                if what == "error":
                    raise error_from_json(error_to_json(value)) from value
                if what == "done":
                    left -= 1
                    yield index, value
                elif on_report is not None:
                    on_report(index, value)
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def close(self) -> None:
        """Do nothing: the threads end with `map`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
