"""Is the process that wrote this row still alive, or has its number gone to another?"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path


def process_identity(pid: int) -> str | None:
    """Return a text that names one process for good, or None when no such process is alive.

    A process number alone is used again, after a restart of the machine often at once.
    """
    if sys.platform.startswith("linux"):
        return _linux(pid)
    if os.name == "posix":
        return _ps(pid)
    return None  # Windows: a process knows only itself, others count as gone


def own_identity() -> str:
    """Return the identity of this process."""
    return _identity(os.getpid())


@cache
def _identity(own_pid: int) -> str:
    return (process_identity(own_pid) if os.name == "posix" else None) or f"process {own_pid}"


def _linux(pid: int) -> str | None:
    try:
        # The name in parentheses may hold anything, so count fields from its end.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    state, started = fields[0].decode(), fields[19].decode()
    return None if state in "ZX" else f"{boot} {started}"


def _ps(pid: int) -> str | None:
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None
