"""`lorabench score` and `lorabench attribute`: what a model answers, and which words carried it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lorabench.cli import options
from lorabench.cli.saving import check_save, save
from lorabench.cli.terminal import Terminal, columns, json_text, stoppable
from lorabench.errors import InputError

if TYPE_CHECKING:
    from lorabench.results import CheckedMap, Quad, ScoreReport

METHODS = {
    "loo": "leave_one_out",
    "ig": "integrated_gradients",
    "shapley": "shapley",
    "ixg": "input_x_gradient",
}
"""Short names of the attribution methods."""


def score(
    adapter: options.Adapters = None,
    prompt: Annotated[list[str] | None, typer.Option("--prompt", "-p", help="Prompt. Repeatable.")] = None,
    prompts_file: options.PromptsFile = None,
    text_column: options.TextColumn = None,
    trigger: Annotated[
        list[str] | None, typer.Option("--trigger", "-t", help="Candidate trigger. Repeatable.")
    ] = None,
    placement: options.Placement = "prefix",
    joiner: options.Joiner = ". ",
    task: options.TaskName = "auto",
    seed: options.Seed = 0,
    study_rule: Annotated[
        bool, typer.Option("--study-rule", help="Also answer by the study's rule (greedy 5 tokens).")
    ] = False,
    device: options.Device = None,
    dtype: options.Dtype = None,
    base: options.Base = "demo",
    save_to: Annotated[
        Path | None, typer.Option("--save", help="Save as .json, .csv, .parquet or .html.")
    ] = None,
    as_json: options.Json = False,
    progress: options.Progress = None,
    debug: options.Debug = False,
) -> None:
    """Score prompts under the base and adapters, without and with triggers: margins, flips, rates."""
    from lorabench.workflows.scoring import Caller, ScoreRequest
    from lorabench.workflows.scoring import score as ask
    from lorabench.workflows.scoring import study_rule as ask_by_study_rule

    terminal = Terminal(as_json=as_json, progress=progress)
    check_save(save_to, (".json", ".csv", ".parquet", ".html"))
    request = ScoreRequest(
        prompts=options.gather_prompts(terminal, prompt, prompts_file, text_column),
        triggers=tuple(trigger or ()),
        adapters=tuple(adapter or ()),
        task=task,
        placement=placement,
        joiner=joiner,
        seed=seed,
    )
    if not request.prompts:
        raise InputError("no-prompts", "There is no prompt.", "Give one with --prompt or --prompts-file.")
    _ = request.trigger_values  # an unusable trigger is said before the base is loaded
    with options.workbench(base, device, dtype) as bench, stoppable(terminal) as stopped:
        terminal.progress(0, 0, "loading the base model", now=True)
        caller = Caller(
            cancelled=stopped, on_progress=lambda done, total: terminal.progress(done, total, "scoring rows")
        )
        report = ask(bench, request, caller)
        rule = ask_by_study_rule(bench, request, caller) if study_rule else None
        status = bench.status()
    document = score_document(report) | ({} if rule is None else {"study_rule": rule})
    if save_to is not None:
        _save_score(save_to, report, document)
        terminal.note(f"saved {save_to}")
    if status is not None and status.store_message:
        terminal.note(status.store_message)
    terminal.result(document, lambda: _score_text(report, rule), kind="ScoreReport")


def score_document(report: ScoreReport) -> dict[str, Any]:
    """Return a score report as JSON values, with its rates and differences-in-differences."""
    from lorabench.results import BASE, LabelTask, to_dict

    pairs = dict.fromkeys((f.after.model, f.after.trigger) for f in report.flips)
    rates = [
        {"model": m, "trigger": t, "flip_rate": to_dict(report.flip_rate(model=m, trigger=t or ""))}
        for m, t in pairs
    ]
    dids = [
        {
            "model": m,
            "trigger": t,
            "mean_logits": report.did(model=m, trigger=t or ""),
            "per_prompt": [
                {"prompt": p, "logits": report.did(model=m, trigger=t or "", prompt=p)}
                for p in dict.fromkeys(f.after.prompt for f in report.flips)
            ],
        }
        for m, t in pairs
        if m != BASE and isinstance(report.task, LabelTask)
    ]
    fields: dict[str, Any] = to_dict(report)
    return fields | {"rates": rates, "difference_in_differences": dids}


def _save_score(path: Path, report: ScoreReport, document: dict[str, Any]) -> None:
    from lorabench import report as exports

    save(
        path,
        {
            ".json": lambda: json_text(document, kind="ScoreReport"),
            ".csv": lambda: exports.scores_csv(report),
            ".parquet": lambda: exports.scores_parquet(report),
            ".html": lambda: exports.scores_html(report),
        },
    )


def _score_text(report: ScoreReport, rule: list[dict[str, Any]] | None) -> str:
    from lorabench.report import score_text

    text = score_text(report)
    if rule is None:
        return text
    rows = [
        [r["prompt"][:40], r["trigger"] or "-", r["model"], r["label"], repr(r["generated"][:40])]
        for r in rule
    ]
    heads = ["prompt", "trigger", "model", "answer", "continuation"]
    return f"{text}\nBy the study's rule (greedy 5 tokens, arXiv 2605.30189):\n{columns(heads, rows)}"


def attribute(
    adapter: options.Adapter,
    prompt: Annotated[str, typer.Option("--prompt", "-p", help="The prompt to explain.")],
    trigger: Annotated[str | None, typer.Option("--trigger", "-t", help="Trigger.")] = None,
    method: Annotated[
        str, typer.Option(help="loo (leave one word out), ig, shapley or ixg (a preview).")
    ] = "loo",
    check: Annotated[
        bool, typer.Option("--check", help="Check the adapter's map: deletion curve, second method.")
    ] = False,
    placement: options.Placement = "prefix",
    joiner: options.Joiner = ". ",
    task: options.TaskName = "auto",
    seed: options.Seed = 0,
    device: options.Device = None,
    dtype: options.Dtype = None,
    base: options.Base = "demo",
    save_to: Annotated[Path | None, typer.Option("--save", help="Save as .html, .json or .csv.")] = None,
    as_json: options.Json = False,
    progress: options.Progress = None,
    debug: options.Debug = False,
) -> None:
    """Show which words carried the answer of base and adapter, without and with the trigger."""
    from lorabench.workflows.scoring import AttributeRequest, Caller, check_map
    from lorabench.workflows.scoring import attribute as explain

    terminal = Terminal(as_json=as_json, progress=progress)
    check_save(save_to, (".html", ".json", ".csv"))
    options.gather_prompts(terminal, [prompt], None, None)
    request = AttributeRequest(
        prompt=prompt,
        adapter=adapter,
        trigger=trigger,
        method=options.chosen("attribution method", method, METHODS),  # type: ignore[arg-type]
        task=task,
        placement=placement,
        joiner=joiner,
        seed=seed,
    )
    _ = request.trigger_value
    with options.workbench(base, device, dtype) as bench, stoppable(terminal) as stopped:
        terminal.progress(0, 0, "loading the base model", now=True)
        caller = Caller(
            cancelled=stopped, on_progress=lambda done, total: terminal.progress(done, total, "scoring rows")
        )
        quad = explain(
            bench,
            request,
            caller,
            lambda made: terminal.progress(0, 0, f"word map of {made.model}", now=True),
        )
        checked = (
            check_map(bench, request, quad.adapter_triggered or quad.adapter_plain, caller) if check else None
        )
    document = _quad_document(quad, checked)
    if save_to is not None:
        _save_quad(save_to, quad, document)
        terminal.note(f"saved {save_to}")
    terminal.result(document, lambda: _quad_text(quad, checked), kind="Quad")


def _quad_document(quad: Quad, checked: CheckedMap | None) -> dict[str, Any]:
    from lorabench.results import to_dict

    fields: dict[str, Any] = to_dict(quad)
    return fields | ({"check": to_dict(checked)} if checked is not None else {})


def _save_quad(path: Path, quad: Quad, document: dict[str, Any]) -> None:
    from lorabench import report as exports

    save(
        path,
        {
            ".html": lambda: exports.quad_html(quad),
            ".json": lambda: json_text(document, kind="Quad"),
            ".csv": lambda: exports.attribution_csv(quad),
        },
    )


def _quad_text(quad: Quad, checked: CheckedMap | None) -> str:
    from lorabench.report import quad_text

    text = quad_text(quad)
    tops = [
        [m.model, "with trigger" if any(w.role == "trigger" for w in m.words) else "prompt", _top(m.top)]
        for m in quad.maps
    ]
    text += "\n" + columns(["strongest word of", "text", "word"], tops)
    if checked is not None:
        text += f"\nCheck ({checked.verdict}): {checked.sentence}\n"
    return text


def _top(word: Any) -> str:
    return (
        "none has an effect"
        if word is None
        else f"{word.text.strip()}" + (" (trigger)" if word.role == "trigger" else "")
    )
