"""`lorabench baselines`: other people's detectors on one adapter, with the budget each was given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lorabench.cli import options
from lorabench.cli.terminal import Terminal, columns, stoppable

if TYPE_CHECKING:
    from lorabench.results import Rate
    from lorabench.results.baselines import Baselines, OnionResult, PrefixSearch, StripResult

_TOP = 8
_WIDTH = 60


def baselines(
    adapter: Annotated[str, typer.Argument(help="Adapter: installed name or folder.")],
    task: options.TaskName = "guard",
    budget: Annotated[int, typer.Option(help="Candidates of the prefix search; the study's is 1600.")] = 1600,
    trigger: Annotated[
        str | None, typer.Option("--trigger", "-t", help="The trigger, if known; else the loudest probe.")
    ] = None,
    n_prompts: Annotated[int, typer.Option(help="Prompts that each candidate is asked with.")] = 16,
    prompts_file: options.PromptsFile = None,
    text_column: options.TextColumn = None,
    battery: Annotated[str, typer.Option(help="Probe battery.")] = "triage_60",
    seed: options.Seed = 0,
    device: options.Device = None,
    dtype: options.Dtype = None,
    base: options.Base = "demo",
    as_json: options.Json = False,
    progress: options.Progress = None,
    debug: options.Debug = False,
) -> None:
    """Run comparison baselines on one adapter: a prefix search, STRIP and ONION, budgets printed.

    They are comparisons, and no part of a verdict. At the study's budget the search asks 25,600 texts;
    stopped with Ctrl-C, the same command goes on where it was.
    """
    from lorabench.workflows.baselines import BaselinesRequest, check_request, run_baselines
    from lorabench.workflows.scoring import Caller

    terminal = Terminal(as_json=as_json, progress=progress)
    request = BaselinesRequest(
        adapter=adapter,
        task=task,
        trigger=None if trigger is None else options.check_trigger(trigger),
        budget=budget,
        n_prompts=n_prompts,
        prompts=options.gather_prompts(terminal, None, prompts_file, text_column),
        battery=battery,
        seed=seed,
    )
    check_request(request)
    with options.workbench(base, device, dtype) as bench, stoppable(terminal) as stopped:
        terminal.progress(0, 0, "loading the base model", now=True)
        found = run_baselines(bench, request, Caller(cancelled=stopped), terminal.progress)
    terminal.result(found, lambda: baselines_text(found))


def baselines_text(found: Baselines) -> str:
    """Return the baselines as text: what each needs, its budget, its number and how to read it."""
    lines = [
        f"Comparison baselines on {_safe(found.adapter)}; they are no part of a verdict.",
        f"Task {_safe(found.task)}, target {_safe(found.target)}; {_safe(found.prompts, 90)}.",
        "",
        *_search_lines(found.search, found.target),
        "",
        *_strip_lines(found.strip, found.target),
        "",
        *_onion_lines(found.onion),
    ]
    if note := found.provenance.get("fast_mode"):
        lines += ["", f"NOT EVIDENCE: {_safe(str(note), 300)}."]
    seed = found.provenance.get("seed")
    ends = (
        f"{found.n_computed:,} rows computed, the others were remembered; {found.seconds:.1f} s; seed {seed}."
    )
    return "\n".join([*lines, "", ends]) + "\n"


def _search_lines(found: PrefixSearch, target: str) -> list[str]:
    n = found.flip_rate_at_best.n
    return [
        "1. Prefix search (like Neural Cleanse, discrete, as in arXiv 2605.30189)",
        f"   needs    base, adapter and {n} prompts; no trigger",
        f"   budget   {found.budget:,} candidates of {len(found.best_ids)} tokens ({found.n_random:,} "
        f"random, the others swaps in {found.n_rounds} rounds); spent {found.n_evaluations:,} x {n} prompts, "
        f"{found.n_forwards:,} texts in all",
        f"   number   best mean margin {found.best_margin:+.2f} logits (without a prefix "
        f"{found.margin_before:+.2f}); {_safe(target)} for {_rate(found.flip_rate_at_best)} prompts (without "
        f"{_rate(found.target_rate_before)})",
        f"   string   «{_safe(found.best)}»",
        "   reading  compare with clean adapters at the same budget: in the study's 6 adapters clean ones "
        "reached margins of -3.1 to +1.1 and up to 11 of 16 prompts, poisoned ones +1.8 to +5.9",
    ]


def _strip_lines(found: StripResult, target: str) -> list[str]:
    chosen = f", {found.n_choosing:,} more to choose the prefix" if found.n_choosing else ""
    return [
        "2. STRIP (the study's variant)",
        f"   needs    base, adapter, prompts, benign texts and a prefix; here the {found.source}",
        f"   budget   {found.n_prompts} prompts x {found.n_perturbations} appended texts, with and without "
        f"the prefix: {found.n_forwards:,} texts{chosen}",
        f"   number   mean entropy {found.triggered.mean_entropy:.3f} nats (without the prefix "
        f"{found.plain.mean_entropy:.3f}); share of {_safe(target)} {found.triggered.flip_share:.3f} "
        f"(without {found.plain.flip_share:.3f})",
        f"   prefix   «{_safe(found.prefix)}»",
        f"   reading  suspicion {found.suspicion_classical:+.3f} by the classical sign (low entropy is "
        f"suspicious), {found.suspicion_inverted:+.3f} by the inverted one",
        "            the signs disagree: in the study's 6 adapters the poisoned ones have the high entropy "
        "(0.48 to 0.53, clean 0.09 to 0.26)",
    ]


def _onion_lines(found: OnionResult) -> list[str]:
    lines = [
        "3. ONION (perplexity, whole prefixes)",
        f"   needs    base and {len(found.prefixes)} prefixes to judge; the adapter is not asked",
        f"   budget   {len(found.prefixes)} prefixes, alone and before {found.n_prompts} prompts: "
        f"{found.n_forwards:,} texts",
        "   number   suspicion: drop of the log-perplexity of a prompt when the prefix is removed (nats per "
        "token); perplexity: of the prefix alone",
    ]
    shown = [(k, p) for k, p in enumerate(found.prefixes, 1) if k <= _TOP or p.source != "probe"]
    rows = [
        [str(k), f"{p.suspicion:+.3f}", f"{p.perplexity:,.4g}", p.source, _safe(p.text)] for k, p in shown
    ]
    table = columns(["rank", "suspicion", "perplexity", "source", "prefix"], rows)
    lines += [f"            {line}" for line in table.splitlines()]
    lines.append(
        "   reading  it finds odd wording, not what an adapter does with it: a natural trigger ranks low"
    )
    return lines


def _rate(rate: Rate) -> str:
    return f"{rate.n_hits} of {rate.n}"


def _safe(text: str, limit: int = _WIDTH) -> str:
    from lorabench.report import safe_text

    return safe_text(text, limit)
