"""The command tree. Heavy imports stay inside the commands, so that `--help` is instant."""

from __future__ import annotations

from typing import Annotated

import typer

from lorabench import __version__
from lorabench.cli import adapters, cases, jobs, models, zoo
from lorabench.cli.baselines import baselines
from lorabench.cli.calibrate import calibrate, cohort_app
from lorabench.cli.data import data_app
from lorabench.cli.heatmap import heatmap
from lorabench.cli.hunt import hunt
from lorabench.cli.nulls import nulls_app
from lorabench.cli.options import Debug
from lorabench.cli.scan import scan
from lorabench.cli.score import attribute, score
from lorabench.cli.sweep import sweep
from lorabench.cli.system import doctor, ui
from lorabench.cli.train import train

app = typer.Typer(
    name="lorabench",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lorabench {__version__}")
        raise typer.Exit()


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Debug = False,
) -> None:
    """See, measure and find backdoors in LoRA adapters.

    Exit codes: 0 done, 1 `scan` or `hunt` found something, 2 bad input or could not run, 3 unexpected
    error, 130 stopped with Ctrl-C.
    """


app.command()(ui)
app.command()(score)
app.command()(attribute)
app.command()(heatmap)
app.command()(scan)
app.command()(hunt)
app.command()(calibrate)
app.command()(baselines)
app.command()(train)
app.command()(sweep)
app.add_typer(cohort_app, name="cohort")
app.add_typer(nulls_app, name="nulls")
app.add_typer(jobs.app, name="jobs")
app.add_typer(zoo.app, name="zoo")
app.add_typer(models.app, name="models")
app.add_typer(adapters.app, name="adapters")
app.add_typer(cases.app, name="cases")
app.add_typer(data_app, name="data")
app.command()(doctor)
