"""`lorabench cases`: the case book, in which every scan, note and decision is kept."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, cast

import typer

from lorabench.cli import options
from lorabench.cli.cases_text import (
    case_table,
    case_text,
    comparison_text,
    imported_text,
)
from lorabench.cli.saving import check_save, save
from lorabench.cli.terminal import Terminal, json_text
from lorabench.config import Config
from lorabench.results.cases import Case, CaseStatus, Ruling

app = typer.Typer(help="What was scanned, noted and decided.", no_args_is_help=True)

Number = Annotated[str, typer.Argument(help="The case's number, such as 0007.")]
Who = Annotated[str | None, typer.Option(help="Who does this; by default your user name.")]
Status = Annotated[str | None, typer.Option(help="Only open or closed ones.")]
Decided = Annotated[
    str | None, typer.Option("--decision", help="Only those decided so: allow, review or block.")
]

_STDIN_CHARS = 100_000


@app.command("list")
def list_command(
    status: Status = None,
    decision: Decided = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """List the cases, the newest first."""
    found = _found("", status, decision)
    empty = "There are no cases.\n" if status or decision else "There are no cases. A scan begins one.\n"
    Terminal(as_json=as_json).result(found, lambda: case_table(found) or empty, kind="Cases")


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="In names, sha256, notes, reasons or rules of findings.")],
    status: Status = None,
    decision: Decided = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """List the cases that hold a text, taken literally but for upper and lower case."""
    found = _found(text, status, decision)
    Terminal(as_json=as_json).result(found, lambda: case_table(found) or "No case holds it.\n", kind="Cases")


def _found(text: str, status: str | None, decision: str | None) -> tuple[Case, ...]:
    from lorabench.workflows.cases import open_cases

    with open_cases(Config.from_environment()) as book:  # which refuses other words than it knows
        return book.search(
            text, status=cast(CaseStatus | None, status), decision=cast(Ruling | None, decision)
        )


@app.command()
def show(number: Number, as_json: options.Json = False, debug: options.Debug = False) -> None:
    """Show one case: its scans, notes and decisions."""
    from lorabench.workflows.cases import open_cases

    with open_cases(Config.from_environment()) as book:
        case = book.get(number)
    Terminal(as_json=as_json).result(case, lambda: case_text(case))


@app.command()
def note(
    number: Number,
    text: Annotated[str, typer.Argument(help='At most 20,000 characters; "-" reads them from stdin.')],
    who: Who = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Add a note to a case; it stays as it is from then on."""
    from lorabench.workflows.cases import open_cases, user_name

    if text == "-":
        text = sys.stdin.read(_STDIN_CHARS)
    with open_cases(Config.from_environment()) as book:
        added = book.note(number, text, who or user_name())
        case = book.get(number)
    Terminal(as_json=as_json).result(added, f"Added to case {case.number}, as {added.who}.\n")


@app.command()
def decide(
    number: Number,
    decision: Annotated[str, typer.Argument(help="allow, review or block.")],
    reason: Annotated[str, typer.Option(help="Why; at most 20,000 characters.")],
    who: Who = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Decide a case: allow and block close it, review opens it; earlier decisions stay."""
    from lorabench.workflows.cases import open_cases, user_name

    with open_cases(Config.from_environment()) as book:
        added = book.decide(number, cast(Ruling, decision), reason, who or user_name())
        case = book.get(number)
    Terminal(as_json=as_json).result(
        added, f"Case {case.number}: {added.decision}, by {added.who}. It is {case.status}.\n"
    )


@app.command()
def reopen(
    number: Number,
    reason: Annotated[str, typer.Option(help="Why; at most 20,000 characters.")],
    who: Who = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Open a closed case again."""
    from lorabench.workflows.cases import open_cases, user_name

    with open_cases(Config.from_environment()) as book:
        case = book.reopen(number, reason, who or user_name())
    Terminal(as_json=as_json).result(case, f"Case {case.number} is open again.\n")


@app.command()
def compare(
    scan_a: Annotated[int, typer.Argument(help="Number of a scan, as `cases show` lists it.")],
    scan_b: Annotated[int, typer.Argument(help="Number of another.")],
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Put two scans side by side: verdict, findings, numbers, and what else was different."""
    from lorabench.workflows.cases import open_cases

    with open_cases(Config.from_environment()) as book:
        found = book.compare(scan_a, scan_b)
    Terminal(as_json=as_json).result(found, lambda: comparison_text(found))


@app.command()
def export(
    number: Number,
    save_to: Annotated[Path | None, typer.Option("--save", help="Write it to this .json file.")] = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Print a whole case as JSON, its scans included, for `cases import` elsewhere."""
    from lorabench.workflows.cases import open_cases

    terminal = Terminal(as_json=as_json)
    check_save(save_to, (".json",))
    with open_cases(Config.from_environment()) as book:
        exported = book.export(number)
    text = json_text(exported, kind="CaseExport")
    if save_to is not None:
        save(save_to, {".json": lambda: text})
        terminal.note(f"saved {save_to}")
        if not as_json:
            return
    terminal.result(exported, text, kind="CaseExport")


@app.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(help="A case as `cases export` writes it.")],
    who: Who = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Add what another case book exported; all of it stays marked as a claim."""
    from lorabench.workflows.cases import import_case, open_cases, user_name

    with open_cases(Config.from_environment()) as book:
        added = import_case(book, file, who or user_name())
    Terminal(as_json=as_json).result(added, lambda: imported_text(added))
