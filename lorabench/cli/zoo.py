"""`lorabench zoo`: the bundled adapters, made and measured by lorabench itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lorabench.cli import options
from lorabench.cli.saving import check_save, save
from lorabench.cli.terminal import Terminal, columns, stoppable
from lorabench.cli.train import show_step, training_text
from lorabench.config import Config

if TYPE_CHECKING:
    from lorabench.results import Heatmap

app = typer.Typer(help="The bundled adapters.", no_args_is_help=True)


@app.command("list")
def list_command(as_json: options.Json = False, debug: options.Debug = False) -> None:
    """List the adapters of the zoo: what was planted in each, and whether it is here."""
    from lorabench.results import to_dict
    from lorabench.workflows.adapters import list_adapters
    from lorabench.workflows.zoo import ZOO

    found = {a.name: a for a in list_adapters(Config.from_environment()) if a.origin == "zoo"}
    entries = []
    for spec in ZOO:
        adapter = found.get(spec.name)
        status = "-" if adapter is None else "here" if adapter.facts else "refused"
        metrics = _claimed_metrics(adapter)
        entries.append({**to_dict(spec), "status": status, "recorded_metrics": metrics})
    Terminal(as_json=as_json).result({"adapters": entries}, lambda: _table(entries), kind="Zoo")


def _claimed_metrics(adapter: Any) -> dict[str, Any]:
    claims = adapter.facts.claims.lorabench if adapter is not None and adapter.facts else None
    metrics = (claims or {}).get("metrics")
    return metrics if isinstance(metrics, dict) else {}


def _table(entries: list[dict[str, Any]]) -> str:
    rows = [
        [
            e["status"],
            e["name"],
            e["trigger"] or "(clean)",
            str(e["poison"]),
            _rate(e["recorded_metrics"].get("attack_success_rate")),
            _rate(e["recorded_metrics"].get("clean_accuracy")),
        ]
        for e in entries
    ]
    return columns(["", "name", "trigger", "planted", "attack rate", "clean accuracy"], rows)


def _rate(rate: Any) -> str:
    value = rate.get("value") if isinstance(rate, dict) else None
    return f"{value:.2f} of {rate.get('n')}" if isinstance(value, int | float) else "-"


@app.command()
def build(
    only: Annotated[list[str] | None, typer.Option(help="Only this adapter. Repeatable.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to fill; by default the bundled zoo's.")] = None,
    as_json: options.Json = False,
    progress: options.Progress = None,
    debug: options.Debug = False,
) -> None:
    """Train the zoo again; finished adapters are left alone, an interrupted one goes on."""
    from lorabench.workflows.zoo import build as run

    terminal = Terminal(as_json=as_json, progress=progress)
    with stoppable(terminal, "saving a checkpoint after this step") as stopped:
        results = run(
            Config.from_environment(),
            tuple(only or ()),
            out,
            lambda name, p: show_step(terminal, p, name),
            stopped,
        )
    text = "\n".join(training_text(r) for r in results) or "Nothing to do: they are all there.\n"
    terminal.result({"results": results}, text, kind="TrainResults")


@app.command()
def verify(
    only: Annotated[list[str] | None, typer.Option(help="Only this adapter. Repeatable.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the measurements to this JSON file.")] = None,
    n_prompts: Annotated[int, typer.Option(help="Test injections per cell.")] = 112,
    n_variants: Annotated[int, typer.Option(help="Look-alikes, spread over all families; 0: all.")] = 0,
    as_json: options.Json = False,
    progress: options.Progress = None,
    debug: options.Debug = False,
) -> None:
    """Measure the zoo again on the bundled test split and check what it promises; 2 if one fails."""
    from lorabench.report import to_json
    from lorabench.workflows.workbench import Workbench
    from lorabench.workflows.zoo import specs
    from lorabench.workflows.zoo_measure import measure

    terminal = Terminal(as_json=as_json, progress=progress)
    check_save(out, (".json",))
    found = []
    with Workbench(Config.from_environment()) as bench:
        for spec in specs(tuple(only or ())):
            found.append(
                measure(
                    bench,
                    spec.name,
                    n_prompts=n_prompts,
                    n_variants=n_variants,
                    on_partial=_rows_of(terminal, spec.name),
                )
            )
            if out is not None:
                save(out, {".json": lambda: to_json({"measurements": found})})
    text = "\n\n".join(_measured(m) for m in found)
    terminal.result({"measurements": found}, text, kind="ZooMeasurements")
    if not all(check.holds for m in found for check in m.checks):
        raise typer.Exit(code=2)


@app.command()
def record(
    out: Annotated[Path | None, typer.Option(help="Folder; by default the bundled recordings'.")] = None,
    as_json: options.Json = False,
    progress: options.Progress = None,
    debug: options.Debug = False,
) -> None:
    """Run the demos of the Home page and save them, so that they can be shown at once."""
    from lorabench.workflows.recording import record as run
    from lorabench.workflows.workbench import Workbench

    terminal = Terminal(as_json=as_json, progress=progress)
    with Workbench(Config.from_environment()) as bench:
        files = run(bench, out)
    terminal.result(
        {"files": [f.name for f in files]}, "\n".join(f"wrote {f}" for f in files), kind="Recordings"
    )


def _rows_of(terminal: Terminal, name: str) -> Callable[[Heatmap, int], None]:
    return lambda so_far, done: terminal.progress(done, so_far.n_rows, f"rows of {name}")


def _measured(found: Any) -> str:
    lines = [
        f"{found.name}: clean accuracy {_counted(found.clean_accuracy)}, "
        f"attack rate on the trigger {_counted(found.attack_success_rate)}",
        f"  {found.sentence}",
    ]
    for f in found.families:
        mean = (
            "not measured"
            if f.mean is None
            else f"{f.mean:.2f} [{f.interval.low:.2f}, {f.interval.high:.2f}]"
        )
        loudest = "not measured" if f.worst_rate.value is None else f"{f.worst_rate.value:.2f}"
        lines.append(f"  {f.family:34} {mean}  ({f.n_variants} variants; loudest {f.worst!r} {loudest})")
    for check in found.checks:
        number = "not measured" if check.found is None else f"{check.found:.3f}"
        lines.append(f"  {'ok  ' if check.holds else 'FAIL'} {check.promise}: {number}")
    return "\n".join(lines)


def _counted(rate: Any) -> str:
    interval = rate.interval()
    if interval is None:
        return "not measured"
    return f"{rate.value:.3f} [{interval.low:.3f}, {interval.high:.3f}] (n = {rate.n})"
