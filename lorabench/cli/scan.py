"""`lorabench scan`: allow, review or block, with evidence that others can check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorabench.cli import options
from lorabench.cli.saving import save
from lorabench.cli.terminal import Terminal, stoppable
from lorabench.errors import InputError, unknown_name

if TYPE_CHECKING:
    from lorabench.config import Config
    from lorabench.report import Disclosure
    from lorabench.results import ScanResult
    from lorabench.workflows.scanning import ScanRequest, ScanSoFar
    from lorabench.workflows.workbench import Workbench

FAIL_ON = ("review", "block", "never")
FOUND, INCONCLUSIVE = 1, 2


def scan(
    targets: Annotated[
        list[str], typer.Argument(help="Adapters: folders, zip files, hub ids or installed names.")
    ],
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format", "-f", help="text, json, sarif, html, markdown, card, bom, csv, parquet. Repeatable."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File for one format, or a folder: one report each, and finished ones are kept."),
    ] = None,
    fail_on: Annotated[
        str, typer.Option(help="Exit with 1 from this decision on: review, block, never.")
    ] = "review",
    static: Annotated[
        bool, typer.Option("--static", help="Files and weights only; no base is loaded.")
    ] = False,
    task: options.TaskName = "auto",
    battery: Annotated[str, typer.Option(help="Probe battery.")] = "triage_60",
    n_prompts: Annotated[int, typer.Option(help="Bundled held-out prompts.")] = 40,
    prompts_file: options.PromptsFile = None,
    text_column: options.TextColumn = None,
    profile: Annotated[str, typer.Option(help="auto, none, or a profile's name or file.")] = "auto",
    hunt: Annotated[
        str | None, typer.Option(help="Also search for a trigger: instant, quick, standard, deep.")
    ] = None,
    disclosure: Annotated[
        str, typer.Option("--level", help="What a report gives away of triggers: full, hashed, family.")
    ] = "full",
    full_paths: Annotated[bool, typer.Option("--full-paths", help="Whole paths in reports.")] = False,
    case: Annotated[bool, typer.Option("--case", help="Also record each scan in the case book.")] = False,
    who: Annotated[str | None, typer.Option(help="Who records it; by default the user's name.")] = None,
    seed: options.Seed = 0,
    device: options.Device = None,
    dtype: options.Dtype = None,
    base: options.Base = "demo",
    progress: options.Progress = None,
    debug: options.Debug = False,
) -> None:
    """Scan adapters: files, weights, behaviour; then allow, review, block or inconclusive.

    Exit codes: 0 nothing at or above --fail-on, 1 something was, 2 bad input, could not run or inconclusive
    (1 wins over 2). "allow" means that no evidence was found with these checks, nothing more.
    """
    from lorabench import report
    from lorabench.workflows import scan_batch
    from lorabench.workflows.scan_behaviour import check_request
    from lorabench.workflows.scanning import ScanRequest

    wanted = list(dict.fromkeys(formats or ["text"]))
    for name in wanted:
        if name not in report.SCAN_FORMATS:
            raise unknown_name("format", name, tuple(report.SCAN_FORMATS))
    if fail_on not in FAIL_ON:
        raise unknown_name("--fail-on", fail_on, FAIL_ON)
    if disclosure not in report.DISCLOSURES:
        raise unknown_name("level", disclosure, report.DISCLOSURES)
    level: Disclosure = disclosure
    is_folder = out is not None and (out.is_dir() or len(wanted) > 1 or not out.suffix)
    terminal = Terminal(as_json=wanted == ["json"] and out is None, progress=progress)
    prompts = options.gather_prompts(terminal, None, prompts_file, text_column)
    requests = [
        ScanRequest(
            target=target,
            is_static=static,
            task=task,
            battery=battery,
            n_prompts=n_prompts,
            prompts=prompts,
            profile=profile,
            hunt=hunt,  # type: ignore[arg-type]  # checked by `check_request`
            seed=seed,
        )
        for target in scan_batch.expand_targets(targets)
    ]
    check_request(requests[0])
    run = _Batch(terminal, out if is_folder else None, wanted, level, full_paths, case, who)
    with options.workbench(base, device, dtype) as bench, stoppable(terminal) as stopped:
        results = run.scan_all(bench, requests, stopped)
    if not is_folder:
        _write(terminal, results, wanted[0], out, level, full_paths)
    raise typer.Exit(code=_exit_code(results, fail_on))


class _Batch:
    """Scans one adapter after the other, and saves each as soon as it is there."""

    def __init__(
        self,
        terminal: Terminal,
        folder: Path | None,
        formats: Sequence[str],
        disclosure: Disclosure,
        full_paths: bool,
        case: bool,
        who: str | None,
    ) -> None:
        self._terminal, self._folder, self._formats = terminal, folder, formats
        self._disclosure, self._full_paths, self._case, self._who = disclosure, full_paths, case, who
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def scan_all(
        self, bench: Workbench, requests: Sequence[ScanRequest], stopped: Callable[[], bool]
    ) -> list[ScanResult]:
        """Return the results, those that still hold from an earlier run included."""
        from lorabench.workflows.scan_batch import earlier_scan, request_digest
        from lorabench.workflows.scanning import scan as run
        from lorabench.workflows.scoring import Caller

        results = []
        names: dict[str, int] = {}
        for i, request in enumerate(requests):
            stem = self._stem(request.target, names)
            wanted = request_digest(bench.config, bench.base, request)
            found = None
            if self._folder is not None and self._disclosure == "full":
                found = earlier_scan(self._folder / f"{stem}.json", request.target, wanted)
            if found is not None:
                self._terminal.note(f"{stem}: unchanged, kept ({found.verdict.decision})")
            else:
                found = run(bench, request, Caller(cancelled=stopped), self._show(i, len(requests)))
                found.provenance["request"] = wanted
                self._keep(bench.config, stem, found)
            results.append(found)
        return results

    def _keep(self, config: Config, stem: str, found: ScanResult) -> None:
        from lorabench import report

        if self._folder is not None:
            for name in dict.fromkeys(["json", *self._formats]):
                suffix, _ = report.SCAN_FORMATS[name]
                content = report.render_scan(
                    [found],
                    name,
                    disclosure=self._disclosure,
                    full_paths=self._full_paths,
                )
                path = self._folder / f"{stem}{suffix}"
                save(path, {path.suffix: partial(bytes, content)})
            self._terminal.note(f"{stem}: {found.verdict.decision}")
        if self._case:
            from lorabench.workflows.cases import keep_scan

            kept = keep_scan(config, found, self._who)
            said = f"kept in case {kept.case.number}" if kept.case else f"not kept: {kept.problem}"
            self._terminal.note(f"{stem}: {said}")

    def _show(self, i: int, n: int) -> Callable[[ScanSoFar], None]:
        def show(so_far: ScanSoFar) -> None:
            where = f"{i + 1}/{n} " if n > 1 else ""
            self._terminal.progress(so_far.done, so_far.total, f"{where}{so_far.name}: {so_far.message}")

        return show

    def _stem(self, target: str, names: dict[str, int]) -> str:
        """Return a file name for a target that is safe and its own."""
        last = Path(target.rstrip("/")).name or "adapter"
        clean = "".join(c if c.isalnum() or c in "-_." else "-" for c in last)[:80].strip(".") or "adapter"
        names[clean] = names.get(clean, 0) + 1
        return clean if names[clean] == 1 else f"{clean}-{names[clean]}"


def _write(
    terminal: Terminal,
    results: Sequence[ScanResult],
    name: str,
    out: Path | None,
    disclosure: Disclosure,
    full_paths: bool,
) -> None:
    from lorabench import report

    content = report.render_scan(results, name, disclosure=disclosure, full_paths=full_paths)
    if out is not None:
        save(out, {out.suffix.lower(): lambda: content})
        terminal.note(f"saved {out}")
    elif name == "parquet":
        raise InputError("needs-out", "Parquet is no text.", "Say where with --out.")
    else:
        typer.echo(content.decode(), nl=False)


def _exit_code(results: Sequence[ScanResult], fail_on: str) -> int:
    decisions = {r.verdict.decision for r in results}
    failing = {"review": {"review", "block"}, "block": {"block"}, "never": set()}[fail_on]
    if decisions & failing:
        return FOUND
    return INCONCLUSIVE if "inconclusive" in decisions else 0
