"""`lorabench data`: look at training data before a training, and remove what lorabench remembers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorabench.cli import options
from lorabench.cli.saving import check_save, save
from lorabench.cli.terminal import Terminal, json_text, megabytes
from lorabench.config import Config
from lorabench.errors import InputError

if TYPE_CHECKING:
    from lorabench.results.data_inspection import DataInspection
    from lorabench.workflows.wipe import WipeReport

data_app = typer.Typer(help="Training data, and what lorabench remembers of you.", no_args_is_help=True)


@data_app.command("inspect")
def inspect(
    data: Annotated[
        str,
        typer.Argument(
            help="A .jsonl, .csv, .tsv or .parquet file; or guardrail, reviews, deepset, imdb, financial, "
            "commonsense_qa, bias_in_bios."
        ),
    ],
    reference: Annotated[
        str | None, typer.Option(help="Trusted data to compare with, with the same columns.")
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the texts.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the labels.")] = None,
    response_column: Annotated[str | None, typer.Option(help="Column of responses, without labels.")] = None,
    floor: Annotated[int | None, typer.Option(help="Fewest texts of a token or phrase.")] = None,
    limit: Annotated[int, typer.Option(help="Most rows; of more, a random sample.")] = 20_000,
    top: Annotated[int, typer.Option(help="Most findings of a kind and class.")] = 10,
    seed: options.Seed = 0,
    save_to: Annotated[
        Path | None, typer.Option("--save", help="Save as .json, or the entropy histogram as .html.")
    ] = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Look for planted words in labelled texts: no model is needed, and no verdict is given.

    Shown are texts that stand in the data with two labels, phrases of one class, tokens of low
    conditional entropy, and what changed against a reference.
    """
    from lorabench.report.inspection import inspection_text
    from lorabench.workflows.data_inspection import InspectRequest, inspect_data

    terminal = Terminal(as_json=as_json)
    check_save(save_to, (".html", ".json"))
    request = InspectRequest(
        data=data,
        text_column=text_column,
        label_column=label_column,
        response_column=response_column,
        reference=reference,
        floor=floor,
        limit=limit,
        top=top,
        seed=seed,
    )
    found = inspect_data(request)
    if save_to is not None:
        save(save_to, {".html": lambda: _histogram_html(found), ".json": lambda: json_text(found)})
        terminal.note(f"saved {save_to}")
    terminal.result(found, lambda: inspection_text(found))


def _histogram_html(found: DataInspection) -> str:
    from lorabench.figures.entropy import entropy_figure

    html: str = entropy_figure(found).to_html(include_plotlyjs=True)
    return html


@data_app.command("wipe")
def wipe(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    adapters: Annotated[bool, typer.Option("--adapters", help="Also the adapters you added.")] = False,
    cases: Annotated[
        bool, typer.Option("--cases", help="Also the case book: all cases, scans, notes and decisions.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Even while a dashboard runs.")] = False,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Remove prompts, jobs and the score store; base models, added adapters and the case book stay.

    A case book that LORABENCH_CASES_URL names is never touched.
    """
    from lorabench.workflows.wipe import plan_wipe
    from lorabench.workflows.wipe import wipe as remove

    config = Config.from_environment()
    terminal = Terminal(as_json=as_json)
    planned = plan_wipe(config, adapters=adapters, cases=cases)
    if planned.parts and not yes:
        if as_json or not sys.stdin.isatty():
            raise InputError("not-confirmed", "Nothing was removed: nobody can be asked here.", "Add --yes.")
        terminal.note("This will be removed:\n" + _parts(planned))
        typer.confirm("Remove it?", abort=True, err=True)
    report = remove(config, adapters=adapters, cases=cases, force=force)
    terminal.result(report, lambda: _wiped(report))
    if cases and config.cases_url:
        terminal.note("the case book that LORABENCH_CASES_URL names was left as it is")


def _wiped(report: WipeReport) -> str:
    text = f"There was nothing to remove in {report.data_dir}.\n"
    if report.parts:
        text = f"Removed {megabytes(report.n_bytes)} from {report.data_dir}:\n{_parts(report)}\n"
        text += f"Kept the adapters {', '.join(report.kept)}.\n" if report.kept else ""
    if report.n_cases_kept != 0:
        n = "an unknown number of" if report.n_cases_kept is None else f"{report.n_cases_kept:,}"
        text += f"Kept the case book ({n} cases); --cases removes it, too.\n"
    return text


def _parts(report: WipeReport) -> str:
    return "\n".join(
        f"  {p.title}: {'an unknown number of' if p.n_items is None else f'{p.n_items:,}'} entries, "
        f"{megabytes(p.n_bytes)}"
        for p in report.parts
    )
