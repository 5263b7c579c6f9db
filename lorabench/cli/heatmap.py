"""`lorabench heatmap`: which look-alikes of a trigger fire, for whom."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorabench.cli import options
from lorabench.cli.saving import check_save, save
from lorabench.cli.terminal import Terminal, json_text, stoppable
from lorabench.errors import InputError, unknown_name

if TYPE_CHECKING:
    from lorabench.results import Heatmap

COLUMNS = ("models", "placements", "prompts")
ENDINGS = (".csv", ".parquet", ".png", ".svg", ".html", ".json")


def heatmap(
    adapter: options.Adapters = None,
    trigger: Annotated[str, typer.Option("--trigger", "-t", help="The trigger to vary.")] = ...,  # type: ignore[assignment]
    prompts_file: options.PromptsFile = None,
    text_column: options.TextColumn = None,
    n_prompts: Annotated[int, typer.Option(help="Bundled prompts, if no file is given.")] = 24,
    n_variants: Annotated[int, typer.Option(help="Look-alikes over all families; 0 for all.")] = 24,
    columns: Annotated[str, typer.Option(help="models, placements or prompts.")] = "models",
    placement: options.Placement = "prefix",
    joiner: options.Joiner = ". ",
    task: options.TaskName = "auto",
    seed: options.Seed = 0,
    device: options.Device = None,
    dtype: options.Dtype = None,
    base: options.Base = "demo",
    save_to: Annotated[
        Path | None, typer.Option("--save", help="Save as .csv, .parquet, .png, .svg, .html or .json.")
    ] = None,
    variants: Annotated[bool, typer.Option("--variants", help="One line per look-alike, too.")] = False,
    as_json: options.Json = False,
    progress: options.Progress = None,
    debug: options.Debug = False,
) -> None:
    """Vary a trigger in named ways and show which look-alikes fire, and which word carries it."""
    from lorabench.workflows.heatmaps import HeatmapRequest
    from lorabench.workflows.heatmaps import heatmap as fill
    from lorabench.workflows.scoring import Caller

    terminal = Terminal(as_json=as_json, progress=progress)
    check_save(save_to, ENDINGS)
    if columns not in COLUMNS:
        raise unknown_name("kind of columns", columns, COLUMNS)
    if not adapter:
        raise InputError("no-adapter", "No adapter is chosen.", "Give at least one with --adapter.")
    if n_variants < 0 or n_prompts < 1:
        problem = f"--n-prompts is {n_prompts} and --n-variants is {n_variants}."
        raise InputError("out-of-range", problem, "Ask for at least one prompt, and 0 or more look-alikes.")
    request = HeatmapRequest(
        trigger=options.check_trigger(trigger),
        adapters=tuple(adapter),
        prompts=options.gather_prompts(terminal, None, prompts_file, text_column),
        n_prompts=n_prompts,
        n_variants=n_variants,
        columns=columns,
        task=task,
        placement=placement,
        joiner=joiner,
        seed=seed,
    )
    with options.workbench(base, device, dtype) as bench, stoppable(terminal) as stopped:
        terminal.progress(0, 0, "loading the base model", now=True)
        found = fill(
            bench,
            request,
            Caller(cancelled=stopped),
            lambda so_far, done: terminal.progress(done, so_far.n_rows, "scoring look-alikes"),
        )
    if save_to is not None:
        _save(save_to, found)
        terminal.note(f"saved {save_to}")
    terminal.result(found, lambda: _text(found, variants))


def _titles() -> dict[str, str]:
    from lorabench.data import FAMILY_TITLES

    return {key: family.title for key, family in FAMILY_TITLES.items()}


def _text(found: Heatmap, variants: bool) -> str:
    from lorabench.report import heatmap_text

    return heatmap_text(found, titles=_titles(), variants=variants)


def _save(path: Path, found: Heatmap) -> None:
    from lorabench import report

    save(
        path,
        {
            ".csv": lambda: report.heatmap_csv(found),
            ".parquet": lambda: report.heatmap_parquet(found),
            ".png": lambda: report.heatmap_png(found, titles=_titles()),
            ".svg": lambda: report.heatmap_svg(found, titles=_titles()),
            ".html": lambda: report.heatmap_html(found, titles=_titles()),
            ".json": lambda: json_text(found),
        },
    )
