"""A worker process of `ProcessExecutor`: one JSON message a line, in and out.

    in    {"function", "context"} first, then {"run", "payload", "attempt"}, {"cancel"}
    out   {"report": [index, value]}, {"done": [index, result]}, {"error": [index, error]}

It ends when its input does, so that it never outlives the process that started it.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO

from lorabench.engine.executors import error_to_json, resolve


@dataclass(slots=True)
class _Link:
    context: Any
    attempt: int
    stop: threading.Event
    send: Callable[[Any], None]

    def report(self, value: Any) -> None:
        self.send(value)

    def cancelled(self) -> bool:
        return self.stop.is_set()


def main(nice: int) -> None:
    """Do pieces of work until the input ends."""
    if nice and hasattr(os, "nice"):
        with contextlib.suppress(OSError):
            os.nice(nice)
    messages = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no message
    todo: queue.Queue[dict[str, Any]] = queue.Queue()
    stop = threading.Event()
    threading.Thread(target=_read, args=(sys.stdin, todo, stop), daemon=True).start()
    lock = threading.Lock()

    def send(what: str, index: int, value: Any) -> None:
        with lock:
            messages.write(json.dumps({what: [index, value]}) + "\n")
            messages.flush()

    function, context = "", None
    while True:
        message = todo.get()
        if "function" in message:
            function, context = message["function"], message["context"]
            continue
        index = message["run"]
        link = _Link(
            context,
            message["attempt"],
            stop,
            lambda value, i=index: send("report", i, value),  # type: ignore[misc]
        )
        try:
            send("done", index, resolve(function)(message["payload"], link))
        except Exception as error:  # noqa: BLE001 - it belongs to the caller
            send("error", index, error_to_json(error))


def _read(source: TextIO, todo: queue.Queue[dict[str, Any]], stop: threading.Event) -> None:
    for line in source:
        message = json.loads(line)
        if "cancel" in message:
            stop.set()
        else:
            todo.put(message)
    os._exit(0)  # the caller is gone; nobody wants what is being computed


if __name__ == "__main__":
    main(int(sys.argv[1]))
