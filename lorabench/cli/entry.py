"""The way in and the way out: arguments, exit codes, and how errors read."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

import typer

from lorabench.cli.terminal import json_text, visible
from lorabench.errors import CancelledError, InputError, LorabenchError

DONE, BAD_INPUT, UNEXPECTED, STOPPED = 0, 2, 3, 130


def main() -> None:
    """Run the command line of this process, and exit."""
    sys.exit(run())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; what it raises becomes a sentence on stderr.

    Args:
        arguments: Without the program's name; None for those of this process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    _prepare(is_debug := "--debug" in given or bool(os.environ.get("LORABENCH_DEBUG")))
    try:
        _check_encoding(given)
        from lorabench.cli.app import app

        code = app(given, prog_name="lorabench", standalone_mode=False)
        sys.stdout.flush()
        if code == STOPPED:  # newer typers turn Ctrl-C into this by themselves
            _say("cancelled")
        return code if isinstance(code, int) else DONE
    except BrokenPipeError:
        return _reader_left()
    except SystemExit as left:  # typer and Streamlit leave this way, the former from a closed pipe
        if isinstance(left.__context__, BrokenPipeError):
            return _reader_left()
        return BAD_INPUT if left.code else DONE
    except (KeyboardInterrupt, typer.Abort):
        _say("cancelled")
        return STOPPED
    except CancelledError as error:
        _say("cancelled: " + str(error))
        return STOPPED
    except Exception as error:  # noqa: BLE001 - the last line of defence; --debug shows the traceback
        return _explain(error, as_json="--json" in given, is_debug=is_debug)


def _reader_left() -> int:
    """End quietly when the reader, such as `head`, has seen enough."""
    with suppress(OSError, ValueError):  # or Python would complain once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return DONE


def _explain(error: Exception, *, as_json: bool, is_debug: bool) -> int:
    """Say what went wrong, and return the exit code that says whose fault it is."""
    if is_debug:
        traceback.print_exception(error)
    if isinstance(error, LorabenchError):
        code, fields = BAD_INPUT, {"rule": error.rule, "problem": error.problem, "remedy": error.remedy}
        _say(f"error: {error}")
    elif hasattr(error, "format_message") and hasattr(error, "show"):  # the parser's complaint about usage
        code, fields = BAD_INPUT, {"rule": "usage", "problem": error.format_message(), "remedy": ""}
        error.show(file=sys.stderr)
    else:
        problem = f"An unexpected error: {type(error).__name__}: {error}"
        remedy = "Run it again with --debug for the traceback; this is a bug worth reporting."
        code, fields = UNEXPECTED, {"rule": "unexpected", "problem": problem, "remedy": remedy}
        _say(problem if is_debug else f"{problem}\n{remedy}")
    if as_json:
        sys.stdout.write(json_text({"exit_code": code, **fields}, kind="Error"))
    return code


def _say(text: str) -> None:
    sys.stderr.write(visible(text) + "\n")


def _check_encoding(arguments: list[str]) -> None:
    for text in arguments:
        if any("\ud800" <= c <= "\udfff" for c in text):
            raise InputError(
                "not-utf8",
                f"The argument {text[:40]!a} is not valid UTF-8.",
                "Type it again, or put the text into a UTF-8 file and use --prompts-file.",
            )


def _prepare(is_debug: bool) -> None:
    """Keep other libraries' bars and remarks off the terminal, and let no character break a print."""
    for name in (
        "HF_HUB_DISABLE_PROGRESS_BARS",
        "HF_HUB_DISABLE_TELEMETRY",
        "DISABLE_SAFETENSORS_CONVERSION",
    ):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "warning" if is_debug else "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    logging.basicConfig(level=logging.INFO if is_debug else logging.ERROR, format="%(name)s: %(message)s")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIO) or hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
