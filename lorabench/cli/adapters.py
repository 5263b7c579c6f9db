"""`lorabench adapters`: the bundled zoo and adapters of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lorabench.cli import options
from lorabench.cli.terminal import Terminal, columns, megabytes
from lorabench.config import Config
from lorabench.errors import AdapterRefusedError

if TYPE_CHECKING:
    from lorabench.results import InstalledAdapter

app = typer.Typer(help="Adapters on this machine.", no_args_is_help=True)


@app.command("list")
def list_command(as_json: options.Json = False, debug: options.Debug = False) -> None:
    """List the bundled zoo and the adapters you added."""
    from lorabench.workflows.adapters import list_adapters

    found = list_adapters(Config.from_environment())
    Terminal(as_json=as_json).result(found, lambda: _table(found), kind="InstalledAdapters")


def _table(found: tuple[InstalledAdapter, ...]) -> str:
    rows = []
    for a in found:
        if a.facts is None:
            rows.append([a.name, a.origin, "-", "-", "", f"refused: {a.refusal}"])
        else:
            facts = a.facts
            rows.append(
                [
                    a.name,
                    a.origin,
                    str(facts.rank),
                    megabytes(facts.n_bytes),
                    facts.adapter_id[:12],
                    facts.claims.base_model or "",
                ]
            )
    heads = ["name", "origin", "rank", "size", "id", "claims base"]
    return (
        columns(heads, rows) if rows else "No adapter is installed. Add one with `lorabench adapters add`.\n"
    )


@app.command()
def inspect(
    name_or_path: Annotated[str, typer.Argument(help="Installed name, folder, or .zip file.")],
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show what is measured of an adapter, and what it claims; exits with 2 if it is refused."""
    from lorabench.results import to_dict
    from lorabench.workflows.adapters import claimed_base, inspect_adapter

    config = Config.from_environment()
    found = inspect_adapter(config, name_or_path)
    base = claimed_base(config, found)
    Terminal(as_json=as_json).result(
        to_dict(found) | {"claimed_base_here": base}, lambda: _inspected(found, base), kind="InstalledAdapter"
    )
    if found.facts is None:
        raise typer.Exit(code=2)


def _inspected(found: InstalledAdapter, base: str | None) -> str:
    from lorabench.report import adapter_text

    text = adapter_text(found)
    if base is not None:
        text += f"  base     its claimed fingerprint is that of {base!r} on this machine; binding proves it\n"
    elif found.facts is not None and found.facts.claims.base_fingerprint:
        text += "  base     its claimed fingerprint is of no base on this machine\n"
    return text


@app.command()
def add(
    source: Annotated[str, typer.Argument(help="Folder, .zip file, or hub id owner/name[@revision].")],
    name: Annotated[str | None, typer.Option(help="Its name here; by default that of the source.")] = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Check an adapter and copy it into your collection, whole or not at all."""
    from lorabench.workflows.adapters import add_adapter

    added = add_adapter(Config.from_environment(), source, name=name)
    if added.facts is None:  # it changed between the check and now
        raise AdapterRefusedError("refused", added.refusal or "The adapter was refused.", "")
    Terminal(as_json=as_json).result(added, f"Added {added.name} at {added.path}\n")


@app.command("rm")
@app.command("remove", hidden=True)
def remove(
    name: Annotated[str, typer.Argument(help="Name of an adapter that you added.")],
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Delete an adapter that you added; the bundled zoo stays."""
    from lorabench.workflows.adapters import remove_adapter

    removed = remove_adapter(Config.from_environment(), name)
    Terminal(as_json=as_json).result(removed, f"Removed {removed.name}.\n")
