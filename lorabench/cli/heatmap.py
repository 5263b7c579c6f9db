"""`lorabench heatmap`: which look-alikes of a trigger fire, for whom."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorabench.cli import executor_options, options
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
    executor: executor_options.Executor = None,
    workers: executor_options.Workers = None,
    ray_address: executor_options.RayAddress = "auto",
    as_json: options.Json = False,
    progress: options.Progress = None,
    debug: options.Debug = False,
) -> None:
    """Vary a trigger in named ways and show which look-alikes fire, and which word carries it.

    The same question is answered once: a second one attaches to the job that runs, here, in another
    process or in the dashboard. Ctrl-C stops it; `lorabench jobs resume` goes on.
    """
    from lorabench.engine import Job
    from lorabench.results import Heatmap, from_dict
    from lorabench.workflows.heatmaps import HeatmapRequest
    from lorabench.workflows.jobs import follow, submit_heatmap

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

    def show(job: Job) -> None:
        terminal.progress(job.progress_done, job.progress_total, job.message or "waiting for other jobs")

    with options.workbench(base, device, dtype) as bench, stoppable(terminal) as stopped:
        choice = executor_options.chosen_executor(executor, workers, ray_address, bench.config)
        terminal.progress(0, 0, "loading the base model", now=True)
        job_id = submit_heatmap(bench, request, session="local", executor=choice)
        found = from_dict(Heatmap, follow(bench.jobs, job_id, show, stopped))
    if save_to is not None:
        save_heatmap(save_to, found)
        terminal.note(f"saved {save_to}")
    terminal.result(found, lambda: heatmap_text(found, variants))


def _titles() -> dict[str, str]:
    from lorabench.data import FAMILY_TITLES

    return {key: family.title for key, family in FAMILY_TITLES.items()}


def heatmap_text(found: Heatmap, variants: bool) -> str:
    """Return a heatmap as text, one line per family and, if asked, one per look-alike."""
    from lorabench import report

    return report.heatmap_text(found, titles=_titles(), variants=variants)


def save_heatmap(path: Path, found: Heatmap) -> None:
    """Write a heatmap in the format of the file's ending, one of `ENDINGS`."""
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
