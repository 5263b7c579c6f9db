"""`lorabench hunt`: search an adapter for strings that flip it, and prove what is found."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorabench.cli import options
from lorabench.cli.saving import check_save, save
from lorabench.cli.terminal import Terminal, stoppable
from lorabench.errors import InputError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabench.config import Config
    from lorabench.engine import Job, JobManager
    from lorabench.results import HuntResult, HuntSoFar, Task
    from lorabench.workflows.hunt_request import HuntRequest
    from lorabench.workflows.workbench import Workbench

FAIL_ON = ("found", "never")
FOUND = 1
_SHORT_ID = 8
_BEST_SECONDS = 1.0
_SHOWN = 36
"""Characters of the best string in a progress line, so that the rest of the line fits beside it."""


def hunt(
    adapter: Annotated[str, typer.Argument(help="The suspect: an installed name or a folder.")],
    task: options.TaskName = "auto",
    target: Annotated[
        str | None, typer.Option(help="Label that a trigger would produce; by default the task's.")
    ] = None,
    mode: Annotated[
        str,
        typer.Option(
            help="instant (under a minute on two cores), quick (2 min), standard (10 min) or deep (hours)."
        ),
    ] = "standard",
    reference: Annotated[
        list[str] | None,
        typer.Option(
            "--reference", help="Clean adapter of the same task; by default the installed ones. Repeatable."
        ),
    ] = None,
    prompts_file: Annotated[
        Path | None,
        typer.Option(
            "--prompts",
            "--prompts-file",
            help="Own prompts (.csv, .jsonl, .txt) whose right answer is not the target; some are searched "
            "with, the others prove.",
        ),
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the prompts in --prompts.")] = None,
    n_held_out: Annotated[
        int | None, typer.Option(help="Prompts of the proof, which the search never sees; default by mode.")
    ] = None,
    budget: Annotated[
        int | None, typer.Option(help="Tokens that the search may compute; default by mode.")
    ] = None,
    suspect_data: Annotated[
        Path | None, typer.Option(help="Data that may be poisoned (a file); its frequent phrases are tried.")
    ] = None,
    placement: Annotated[str, typer.Option(help="Where strings go: prefix or suffix.")] = "prefix",
    truth: Annotated[
        str | None,
        typer.Option(help="The planted trigger, if known: the result is compared with it, never the search."),
    ] = None,
    fmt: Annotated[
        str | None, typer.Option("--format", "-f", help="text, json, html, markdown or csv.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the report here: .txt, .json, .html, .md or .csv.")
    ] = None,
    fail_on: Annotated[
        str, typer.Option(help="found: exit with 1 if a string meets the evidence rule. Or never.")
    ] = "never",
    again: Annotated[bool, typer.Option("--again", help="Hunt anew, though an equal hunt is done.")] = False,
    seed: options.Seed = 0,
    device: options.Device = None,
    dtype: options.Dtype = None,
    base: options.Base = "demo",
    as_json: options.Json = False,
    progress: options.Progress = None,
    debug: options.Debug = False,
) -> None:
    """Search an adapter for strings that flip its answers, and prove them on held-out prompts.

    The same hunt is done once: its result is shown again, and a running one is waited for. Ctrl-C stops
    it; the same command goes on where it was. Finding nothing is no evidence that there is no trigger.

    Exit codes: 0 done, 1 a string met the evidence rule (with --fail-on found), 2 bad input or could not run.
    """
    from lorabench.config import Config
    from lorabench.results import to_dict
    from lorabench.workflows.hunt_request import HuntRequest

    terminal = Terminal(as_json=as_json, progress=progress)
    form = _format(fmt, out, as_json)
    if fail_on not in FAIL_ON:
        raise unknown_name("--fail-on", fail_on, FAIL_ON)
    config = Config.from_environment(device=device, dtype=dtype)
    request = HuntRequest(
        adapter=_place(adapter, config),
        task=_whole(task),
        target=target,
        mode=mode,  # type: ignore[arg-type]  # refused by the request if it is none
        references=tuple(_place(name, config) for name in dict.fromkeys(reference or ())),
        prompts=options.gather_prompts(terminal, None, prompts_file, text_column),
        suspect_data=_existing(suspect_data),
        placement=placement,  # type: ignore[arg-type]
        truth=None if truth is None else options.check_trigger(truth),
        n_held_out=n_held_out,
        budget=budget,
        seed=seed,
    )
    _check_target(request.task, target)
    with options.workbench(base, device, dtype) as bench, stoppable(terminal) as stopped:
        found = _run(terminal, bench, request, again, stopped)
    typed = {"adapter": adapter, "references": reference, "task": request.task and task, "base": base}
    found.provenance["command"] = command_of(to_dict(request) | typed, prompts_file)
    _say(terminal, found, form, out)
    if request.truth is not None:
        _say_truth(terminal, found, request.truth)
    if fail_on == "found" and found.found is not None:
        raise typer.Exit(code=FOUND)


def show_hunt(terminal: Terminal, jobs: JobManager) -> Callable[[Job], None]:
    """Return a function that shows how far a hunt's job is: stage, best string, its score, tokens."""
    read, best = [0.0], [""]

    def show(job: Job) -> None:
        if time.monotonic() - read[0] >= _BEST_SECONDS:
            read[0], best[0] = time.monotonic(), _best(jobs, job.id)
        stage = job.message or ("waiting for other jobs" if job.status == "queued" else "starting")
        spent = ""
        if job.progress_total:  # a share in words: the last step and the proofs go beyond the budget
            share = job.progress_done / job.progress_total
            spent = f", {job.progress_done:,} of {job.progress_total:,} tokens ({share:.0%})"
        terminal.progress(0, 0, f"{stage}{best[0]}{spent}")

    return show


def hunted_text(found: HuntResult | HuntSoFar) -> str:
    """Return a hunt as text, finished or as far as it is."""
    from lorabench import report
    from lorabench.results import HuntResult

    return report.hunt_text(found) if isinstance(found, HuntResult) else report.hunt_so_far_text(found)


def command_of(params: dict[str, object], prompts_file: Path | None = None) -> str:
    """Return the command that repeats a hunt; what has its usual value is left out.

    Args:
        params: A request's values by name.
        prompts_file: Where own prompts came from.
    """
    parts = ["lorabench", "hunt", str(params["adapter"]), "--mode", str(params["mode"])]
    names = {"task": None, "target": None, "n_held_out": None, "budget": None, "suspect_data": None,
             "placement": "prefix", "truth": None, "base": "demo"}  # fmt: skip
    for name, usual in names.items():
        if params.get(name, usual) != usual:
            parts += [f"--{name.replace('_', '-')}", str(params[name])]
    references = params.get("references") or ()
    for reference in references if isinstance(references, list | tuple) else ():
        parts += ["--reference", str(reference)]
    if prompts_file is not None:
        parts += ["--prompts", str(prompts_file)]
    return shlex.join([*parts, "--seed", str(params.get("seed", 0))])


def _run(
    terminal: Terminal, bench: Workbench, request: HuntRequest, again: bool, stopped: Callable[[], bool]
) -> HuntResult:
    from lorabench.results import HuntResult, from_dict
    from lorabench.workflows.hunt_jobs import submit_hunt
    from lorabench.workflows.jobs import follow

    job = bench.jobs.get(submit_hunt(bench, request, session="local", again=again))
    name = job.id[:_SHORT_ID]
    if job.status == "done" and not again:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.finished or job.created))
        terminal.note(f"an equal hunt was done on {when} (job {name}): its result; --again hunts anew")
    elif not bench.jobs.runs_here(job.id):
        terminal.note(f"the same hunt runs in process {job.pid} (job {name}); waiting for it")
    terminal.progress(0, 0, "loading the base model", now=True)
    return from_dict(HuntResult, follow(bench.jobs, job.id, show_hunt(terminal, bench.jobs), stopped))


def _best(jobs: JobManager, job_id: str) -> str:
    from lorabench.figures import safe_text, signed
    from lorabench.workflows.hunt_jobs import hunt_so_far

    so_far = hunt_so_far(jobs, job_id)
    if so_far is None or not so_far.candidates:
        return ""
    best = so_far.candidates[0]
    return f", best «{safe_text(best.text, _SHOWN)}» {signed(best.score)}"


def _say(terminal: Terminal, found: HuntResult, form: str, out: Path | None) -> None:
    """Write the report where it was asked for: a file, or stdout."""
    from lorabench import report

    if out is not None:
        content = report.render_hunt(found, form)
        save(out, {out.suffix.lower(): lambda: content})
        terminal.note(f"saved {out}")
    if terminal.as_json:
        terminal.result(found, "")
    elif out is None and form == "text":
        terminal.result(found, lambda: hunted_text(found))
    elif out is None:
        terminal.note(f"{found.tokens:,} tokens in {found.seconds:.1f} s")
        typer.echo(report.render_hunt(found, form).decode(), nl=False)


def _say_truth(terminal: Terminal, found: HuntResult, planted: str) -> None:
    """Say beside the report how near the strongest string comes to the known one."""
    from lorabench.hunting.truth import recall

    if not found.evidence:
        terminal.note("no string was proved, so there is nothing to hold against the known trigger")
        return
    near = recall(found.evidence[0].text, planted)
    terminal.note(
        f"known trigger: a word of it is {'' if near.shares_word else 'not '}in the strongest string; "
        f"{near.word_recall:.0%} of its pieces, fuzzy F1 {near.token_f1:.2f}"
    )


def _format(fmt: str | None, out: Path | None, as_json: bool) -> str:
    """Return the report's format: named, or by the file's ending.

    Raises:
        InputError: If there is no such format, or two are asked for at once.
    """
    from lorabench.report import HUNT_FORMATS

    endings = {suffix: name for name, (suffix, _) in HUNT_FORMATS.items()}
    check_save(out, tuple(endings))
    if fmt is not None and fmt not in HUNT_FORMATS:
        raise unknown_name("format", fmt, tuple(HUNT_FORMATS))
    if as_json and out is None and fmt not in (None, "json"):
        problem = f"--json and --format {fmt} are both asked for."
        raise InputError("two-formats", problem, "Choose one, or write the other with --out.")
    return fmt or (endings[out.suffix.lower()] if out is not None else "text")


def _place(name: str, config: Config) -> str:
    """Return an adapter's name, or the whole path of its folder: a job may go on from another folder.

    Raises:
        InputError: If there is no such adapter.
    """
    from lorabench.adapters import find_adapter

    found = find_adapter(name, config)
    return str(found.path) if found.origin == "path" else found.name


def _whole(task: str) -> str | None:
    """Return a task's name, or the whole path of its file; None for what the adapter claims."""
    if task == "auto":
        return None
    return str(Path(task).absolute()) if task.casefold().endswith(".toml") else task


def _existing(file: Path | None) -> str | None:
    if file is None:
        return None
    if not file.is_file():
        raise InputError("no-such-file", f"There is no file {str(file)!r}.", "Check --suspect-data.")
    return str(file.absolute())


def _check_target(task: str | Task | None, target: str | None) -> None:
    """Refuse a task or target that does not exist before the base is loaded.

    Raises:
        LorabenchError: If there is no such task, or it has no such label.
    """
    from lorabench.data import find_task
    from lorabench.results import LabelTask

    if isinstance(task, str):
        task = find_task(task)
    if isinstance(task, LabelTask) and target is not None:
        labels = tuple(label.name for label in task.labels)
        if target not in labels:
            raise unknown_name("label", target, labels)
