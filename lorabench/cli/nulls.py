"""`lorabench nulls`: what a hunt finds in clean adapters, which found strings are held against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lorabench.cli import options
from lorabench.cli.terminal import Terminal, columns, stoppable

if TYPE_CHECKING:
    from lorabench.results.nulls import Null

nulls_app = typer.Typer(
    help="Hunts of clean adapters, which a found string is held against.", no_args_is_help=True
)


@nulls_app.command("build")
def build(
    name: Annotated[str, typer.Argument(help="Name of the null distribution.")],
    adapters: Annotated[list[str], typer.Argument(help="Clean adapters of one task: names or folders.")],
    task: Annotated[str, typer.Option(help="Their label task.")] = "guard",
    mode: Annotated[str, typer.Option(help="instant, quick, standard, deep.")] = "standard",
    reference: Annotated[
        list[str] | None, typer.Option(help="Clean adapter that every hunt compares with. Repeatable.")
    ] = None,
    seed: options.Seed = 0,
    device: options.Device = None,
    base: options.Base = "demo",
    as_json: options.Json = False,
    progress: options.Progress = None,
    debug: options.Debug = False,
) -> None:
    """Hunt in clean adapters and keep the strongest string of each; that they are clean is your word.

    Stopped with Ctrl-C, the same command goes on where it was. 19 adapters are the fewest with which p can
    reach 0.05.
    """
    from lorabench.workflows.null_build import build_null
    from lorabench.workflows.scoring import Caller

    terminal = Terminal(as_json=as_json, progress=progress)
    with options.workbench(base, device, None) as bench, stoppable(terminal) as stopped:
        made = build_null(
            bench,
            name,
            adapters,
            task=task,
            mode=mode,  # type: ignore[arg-type]  # refused by the request if it is none
            references=tuple(reference or ()),
            seed=seed,
            caller=Caller(cancelled=stopped),
            tell=terminal.progress,
        )
    terminal.result(made, lambda: null_text(made))


@nulls_app.command("list")
def show(as_json: options.Json = False, debug: options.Debug = False) -> None:
    """List the null distributions, those that ship and your own."""
    from lorabench.config import Config
    from lorabench.workflows.nulls import list_nulls

    found = list_nulls(Config.from_environment())
    rows = [[n.name, n.task, n.mode, n.placement, f"{len(n.entries)}"] for n in found]
    text = columns(("name", "task", "mode", "placement", "hunts"), rows) if rows else "none yet\n"
    Terminal(as_json=as_json).result({"items": list(found)}, text)


def null_text(null: Null) -> str:
    """Return what every hunt ended with, the strongest first."""
    from lorabench.figures.numbers import interval_text, signed

    entries = sorted(null.entries, key=lambda e: (-(e.attack.value or 0.0), -e.shift))
    rows = [
        [
            e.name,
            f"{e.attack.n_hits} of {e.attack.n}",
            interval_text(e.attack.interval()),
            signed(e.shift, 2),
            e.text,
        ]
        for e in entries
    ]
    head = f"{null.name}: {len(entries)} hunts of mode {null.mode}, task {null.task}, {null.held_out}.\n\n"
    return head + columns(("adapter", "flipped", "95 %", "shift", "string"), rows)
