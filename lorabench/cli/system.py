"""`lorabench ui` and `doctor`: the dashboard, and the machine."""

from __future__ import annotations

import logging
import os
import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from lorabench.cli import options
from lorabench.cli.terminal import Terminal, columns, megabytes
from lorabench.config import Config

if TYPE_CHECKING:
    from lorabench.workflows.server import ServerPlan


def ui(
    port: Annotated[int, typer.Option(help="Port of the dashboard.")] = 8501,
    address: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    lan: Annotated[bool, typer.Option("--lan", help="Let other machines connect, for a workshop.")] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")] = False,
    base: Annotated[
        str, typer.Option(envvar="LORABENCH_BASE", help="Base model: demo, a hub id, or a folder.")
    ] = "demo",
    device: options.Device = None,
    dtype: options.Dtype = None,
    pull: Annotated[bool, typer.Option("--pull", help="Fetch the base first if it is missing.")] = False,
    as_json: options.Json = False,
    progress: options.Progress = None,
    debug: options.Debug = False,
) -> None:
    """Start the dashboard; Ctrl-C stops it."""
    from lorabench.workflows.server import ServerRequest, plan_server, registered

    terminal = Terminal(as_json=as_json, progress=progress)
    config = Config.from_environment()
    plan = plan_server(ServerRequest(port=port, address=address, lan=lan))
    _look_for_base(terminal, config, base, pulls=pull)
    chosen = {"LORABENCH_BASE": base, "LORABENCH_DEVICE": device, "LORABENCH_DTYPE": dtype}
    os.environ.update({name: value for name, value in chosen.items() if value})  # the pages read them
    if plan.presenter_key is not None:
        os.environ["LORABENCH_LAN"] = "1"  # read by lorabench.ui.guard in this same process
        os.environ["LORABENCH_PRESENTER_KEY"] = plan.presenter_key
        terminal.note(
            "Everyone who reaches this machine can use the dashboard as a guest. "
            "There is no encryption: keep private prompts off it."
        )
    logging.disable(logging.WARNING)  # Streamlit remarks that pages' helpers are imported before it runs
    from lorabench.ui.launch import serve

    logging.disable(logging.NOTSET)
    with registered(config, plan.url):
        serve(plan, on_ready=lambda: _ready(terminal, plan), opens_browser=not no_browser)


def _look_for_base(terminal: Terminal, config: Config, base: str, *, pulls: bool) -> None:
    """Fetch a missing base, or say how to: the dashboard starts without it as well."""
    from lorabench.workflows.models import describe_base

    found = describe_base(config, base)
    if found.is_present:
        return
    if pulls:
        from lorabench.cli.models import pull_shown

        pull_shown(terminal, base)
        return
    command = f"lorabench models pull {shlex.quote(base)}"
    size = f" ({megabytes(found.n_bytes)})" if found.n_bytes else ""
    terminal.note(f"The base model {base} is not on this machine. Run `{command}`{size}.")


def _ready(terminal: Terminal, plan: ServerPlan) -> None:
    lines = [f"Dashboard: {plan.url}"]
    lines += [f"For the room: {url}" for url in plan.lan_urls]
    if plan.presenter_key is not None:
        lines.append(f"Presenter key: {plan.presenter_key} (or open {plan.presenter_url})")
    terminal.result(plan, "\n".join([*lines, "Press Ctrl-C to stop."]) + "\n")


def doctor(
    measure: Annotated[
        bool, typer.Option("--measure", help="Compare the fast ways of asking with the plain one now.")
    ] = False,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Check versions, device, memory, folders, base model and zoo; exits with 2 if something is missing."""
    from lorabench.workflows import doctor as examination

    config = Config.from_environment()
    if measure:
        examination.measure(config)
    report = examination.examine(config)
    marks = {"ok": "ok", "note": "note", "missing": "MISSING"}
    rows = [[marks[c.status], c.name, c.value] for c in report.checks]
    todo = [f"{c.name}: {c.remedy}" for c in report.checks if c.remedy]
    text = columns(["", "what", "found"], rows)
    text += (
        "\n" + ("\n".join(["To do:", *(f"  {line}" for line in todo)]) if todo else "Nothing to do.") + "\n"
    )
    fields = {"is_ready": report.is_ready, "checks": report.checks}
    Terminal(as_json=as_json).result(fields, text, kind="DoctorReport")
    if not report.is_ready:
        raise typer.Exit(code=2)
