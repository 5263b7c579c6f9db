"""What the executors' tests let workers do; named by module, so it must be importable in a worker."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from lorabench.errors import CancelledError, InputError


def square(payload, link):
    link.report({"pid": os.getpid(), "x": payload})
    return {"square": payload**2, "context": link.context, "attempt": link.attempt, "pid": os.getpid()}


def surroundings(payload, link):
    os.write(1, b"this is no message\n")
    return {"threads": os.environ.get("OMP_NUM_THREADS"), "nice": os.nice(0), "pid": os.getpid()}


def dies_once(payload, link):
    """Kill its own worker at the first attempt of the piece 1."""
    if payload == 1 and link.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return [payload, link.attempt]


def dies_always(payload, link):
    os.kill(os.getpid(), signal.SIGKILL)


def refuses(payload, link):
    raise InputError("odd-number", f"The number {payload} is odd.", "Give an even one.")


def broken(payload, link):
    return payload["missing"]


def waits(payload, link):
    """Wait to be cancelled, then leave a file behind: what was worth saving."""
    link.report({"pid": os.getpid()})
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if link.cancelled():
            Path(payload).write_text("saved")
            raise CancelledError()
        time.sleep(0.01)
    return None
