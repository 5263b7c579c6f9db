"""What a command says: one JSON document or text on stdout, progress and remarks on stderr."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lorabench import __version__
from lorabench.results import to_dict

_REWRITE_SECONDS = 0.1
_LINE_SECONDS = 2.0


def json_text(value: Any, *, kind: str | None = None) -> str:
    """Return a result as one JSON document, headed by lorabench's version and the result's type.

    Everything outside ASCII is escaped, so no text from an adapter can steer a terminal.
    """
    head = {"lorabench": __version__, "type": kind or type(value).__name__}
    fields = to_dict(value)
    body = {**head, **fields} if isinstance(fields, dict) else {**head, "items": fields}
    return json.dumps(body, indent=2, allow_nan=False) + "\n"


def visible(text: str) -> str:
    """Return text whose control, bidi and zero-width characters are shown instead of obeyed."""
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in _OBEYED else _escaped(c) for c in text)


_OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a left-aligned table without trailing spaces."""
    cells = [[visible(cell).replace("\n", " ") for cell in row] for row in (heads, *rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join(lines) + "\n"


def megabytes(n_bytes: int | None) -> str:
    """Return a size for people; "-" if unknown."""
    return "-" if n_bytes is None else f"{n_bytes / 1e6:,.1f} MB"


class Terminal:
    """The two streams of one command."""

    def __init__(self, *, as_json: bool, progress: bool | None = None) -> None:
        """Choose how much to say.

        Args:
            as_json: One JSON document on stdout instead of text.
            progress: Whether to show progress; None shows it when stderr is a terminal.
        """
        self.as_json = as_json
        self._out = sys.stdout  # the server's own messages are sent elsewhere later
        self._rewrites = sys.stderr.isatty()
        self._shows = self._rewrites if progress is None else progress
        self._last = 0.0
        self._width = 0

    def result(self, value: Any, text: str | Callable[[], str], *, kind: str | None = None) -> None:
        """Print the one result of the command, as JSON or as text."""
        self._clear()
        if self.as_json:
            self._out.write(json_text(value, kind=kind))
        else:
            self._out.write(visible(text if isinstance(text, str) else text()))
        self._out.flush()

    def note(self, text: str) -> None:
        """Print a remark on stderr, in both modes."""
        self._clear()
        sys.stderr.write(visible(text) + "\n")

    def progress(self, done: int, total: int, text: str, *, now: bool = False) -> None:
        """Say how far the work is; shown at most ten times a second, or every two seconds in a log.

        Args:
            done: Units finished.
            total: Units in all; 0 if unknown.
            text: What is being done.
            now: Show it even if another line was shown a moment ago.
        """
        if not self._shows:
            return
        moment = time.monotonic()
        pause = _REWRITE_SECONDS if self._rewrites else _LINE_SECONDS
        if not now and self._last and moment - self._last < pause and not 0 < total <= done:
            return
        self._last = moment
        line = visible(f"{text} {done:,}/{total:,} ({done / total:.0%})" if total else text).replace(
            "\n", " "
        )
        if not self._rewrites:
            sys.stderr.write(line + "\n")
            return
        line = line[: max(shutil.get_terminal_size().columns - 1, 20)]
        sys.stderr.write("\r" + line.ljust(self._width))
        sys.stderr.flush()
        self._width = len(line)

    def _clear(self) -> None:
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
            self._width = 0


@contextmanager
def stoppable(terminal: Terminal, remark: str = "stopping after this step") -> Iterator[Callable[[], bool]]:
    """Give a function that says whether Ctrl-C was pressed; a second Ctrl-C stops at once.

    Outside the main thread, where signals do not arrive, it always says no.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    pressed = threading.Event()

    def on_signal(number: int, frame: object) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()
        terminal.note(f"{remark}; press Ctrl-C again to stop at once")

    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)
