"""Seconds a row of the grid of 41 structural probes, against three ways a user would take instead.

    LORABENCH_REFERENCE=FOLDER .venv/bin/python tests/bench/grid.py [--placement suffix] [--quick]

The grid: no probe and each of the 41 structural probes of arXiv 2605.30189, on the 60 injections
of the deepset test split, for the base and one adapter: 5,040 rows. We run all of it, from texts
to margins, with an empty score store; the others run a random sample of it, drawn with a seed and
timed in three slices. Their margins are compared with ours, row by row. The system prompt of the
"guard" task is the study's own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import baselines
import machine
from baselines import Ids, LabelIds
from machine import Summary
from study_adapter import study_adapter

from lorabench.config import Config
from lorabench.data import TASKS, find_battery
from lorabench.engine import Priority
from lorabench.models import fetch
from lorabench.models.rendering import Renderer
from lorabench.models.rows import RowLogits, TokenRow
from lorabench.results import LabelTask, PlacedText, Trigger
from lorabench.results.scores import TIE
from lorabench.results.triggers import Placement
from lorabench.scoring.labels import label_ids, margin
from lorabench.workflows.workbench import Workbench

BATTERY = "structural_v1_41"
BASE, ADAPTED = "base", "adapter"
STUDY_LOOP, BATCHED, LM_EVAL = "study loop", "padded batches", "lm-evaluation-harness"
SLICES = 3
BUDGETS = (512, 2048, 4096)
LM_EVAL_BATCHES = (1, 4)
_TRIAL_ROWS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is run.

    Attributes:
        probes: Probes of the battery, from its beginning; None for all.
        injections: Injections, from the file's beginning; None for all.
        study_loop: Rows of each model that the study's loop runs.
        batched: The same for padded batches.
        lm_eval: The same for lm-evaluation-harness.
    """

    probes: int | None = None
    injections: int | None = None
    study_loop: int = 96
    batched: int = 240
    lm_eval: int = 120


FULL = Size()
QUICK = Size(probes=7, injections=30, study_loop=24, batched=60, lm_eval=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How one way did on the rows of one model.

    Attributes:
        way: Its name.
        model: "base" or "adapter".
        seconds: Seconds a row.
        rows: Indices of the rows it ran.
        margins: Their margins.
        note: How it was set up.
    """

    way: str
    model: str
    seconds: Summary
    rows: tuple[int, ...]
    margins: tuple[float, ...]
    note: str = ""


def injections() -> tuple[str, ...]:
    """Return the injections of the deepset test split, in file order.

    Raises:
        InputError: If the reference data is not there.
    """
    text = machine.reference_file("deepset_prompt_injections_test.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines() if line]
    return tuple(str(row["text"]) for row in rows if row["label"] in (1, "1"))


def grid_texts(size: Size, placement: Placement) -> list[PlacedText]:
    """Return the texts of the grid, probe by probe, those without a probe first."""
    probes = [p.text for p in find_battery(BATTERY).probes][: size.probes]
    prompts = injections()[: size.injections]
    triggers = [None, *(Trigger(text=p, placement=placement) for p in probes)]
    return [t.place(p, seed=0) if t else PlacedText(text=p) for t in triggers for p in prompts]


def our_rows(
    bench: Workbench, ids: Sequence[Ids], labels: LabelIds, adapter_id: str | None
) -> list[RowLogits]:
    """Return our answers to rendered questions: the one call that depends on the engine's interface."""
    rows = [TokenRow(ids=i, labels=labels, adapter_id=adapter_id) for i in ids]
    return bench.engine.score(rows, priority=Priority.HEATMAP, session="bench", label="grid").result()


def our_margins(bench: Workbench, texts: Sequence[PlacedText], adapter_id: str | None) -> list[float]:
    """Return margins from texts: rendering, scoring and reading, as the workflows do it."""
    task = _task()
    renderer = bench.asker().renderer
    ids = [renderer.render(task, text).ids for text in texts]
    answers = our_rows(bench, ids, label_ids(task, renderer), adapter_id)
    return [margin(a.label_logits, task.target_index) for a in answers]


def unique_tokens(questions: Sequence[Ids]) -> int:
    """Return how many tokens differ in their history: those a perfect prefix cache would compute."""
    total = 0
    before: Ids = ()
    for ids in sorted(questions):
        shared = next((k for k, (x, y) in enumerate(zip(before, ids, strict=False)) if x != y), len(before))
        total += len(ids) - shared
        before = ids
    return total


def in_slices(
    way: str,
    model: str,
    rows: Sequence[int],
    ask: Callable[[Sequence[int]], Sequence[float]],
    note: str = "",
) -> Timing:
    """Time a way on slices of its sample."""
    seconds: list[float] = []
    margins: list[float] = []
    bounds = [len(rows) * k // SLICES for k in range(SLICES + 1)]
    for chosen in (rows[start:end] for start, end in itertools.pairwise(bounds)):
        took, found = machine.timed(partial(ask, chosen))
        seconds.append(took / len(chosen))
        margins += found
    return Timing(
        way=way,
        model=model,
        seconds=machine.summary(seconds),
        rows=tuple(rows),
        margins=tuple(margins),
        note=note,
    )


def best_of(options: Sequence[int], ask: Callable[[int], object]) -> int:
    """Return the option with which a call is fastest: the better of two tries each."""
    ask(options[0])  # the first call of a process is slower than any later one
    return min(options, key=lambda o: min(machine.timed(lambda: ask(o))[0] for _ in range(2)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Opponents:
    """The baselines on one model.

    Attributes:
        model: "base" or "adapter".
        folder: The base.
        adapter: The adapter, or None.
        renderer: The base's tokenizer.
        questions: The rows of this model.
        size: How many rows each baseline runs.
        rng: Draws the samples.
    """

    model: str
    folder: Path
    adapter: Path | None
    renderer: Renderer
    questions: Sequence[Ids]
    size: Size
    rng: random.Random

    def run(self) -> list[Timing]:
        """Run them all; lm-evaluation-harness only where it is installed."""
        plain = baselines.open_model(self.folder, self.adapter)
        found = [self._study_loop(plain), self._batched(plain)]
        del plain
        return [*found, self._lm_eval()] if baselines.has_lm_eval() else found

    def _study_loop(self, plain: Any) -> Timing:
        task = _task()
        labels, stops = label_ids(task, self.renderer), self.renderer.stop_ids

        def ask(rows: Sequence[int]) -> list[float]:
            found = baselines.study_loop(plain, self._take(rows), labels, task.target_index, stops)
            return [a.margin for a in found]

        ask(self._sample(2))
        return in_slices(STUDY_LOOP, self.model, self._sample(self.size.study_loop), ask)

    def _batched(self, plain: Any) -> Timing:
        task, trial = _task(), self._sample(_TRIAL_ROWS)
        labels = label_ids(task, self.renderer)

        def ask(rows: Sequence[int], budget: int) -> list[float]:
            return baselines.batched(plain, self._take(rows), labels, task.target_index, budget)

        best = best_of(BUDGETS, lambda budget: ask(trial, budget))
        rows, note = self._sample(self.size.batched), f"best of the budgets {BUDGETS}: {best} tokens"
        return in_slices(BATCHED, self.model, rows, lambda chosen: ask(chosen, best), note)

    def _lm_eval(self) -> Timing:
        task, trial = _task(), self._sample(_TRIAL_ROWS)
        labels = label_ids(task, self.renderer)
        lms = {n: baselines.open_lm_eval(self.folder, self.adapter, batch_size=n) for n in LM_EVAL_BATCHES}

        def ask(rows: Sequence[int], batch_size: int) -> list[float]:
            lm = lms[batch_size]
            return baselines.lm_eval_margins(lm, self._take(rows), labels, task.target_index)

        best = best_of(LM_EVAL_BATCHES, lambda n: ask(trial, n))
        rows, note = self._sample(self.size.lm_eval), f"best of the batch sizes {LM_EVAL_BATCHES}: {best}"
        return in_slices(LM_EVAL, self.model, rows, lambda chosen: ask(chosen, best), note)

    def _sample(self, n: int) -> list[int]:
        return self.rng.sample(range(len(self.questions)), n)

    def _take(self, rows: Sequence[int]) -> list[Ids]:
        return [self.questions[i] for i in rows]


def compare(timing: Timing, ours: Sequence[float]) -> dict[str, float | int]:
    """Return how many rows are answered differently, how many are ties, and the largest difference."""
    pairs = [(m, ours[i]) for m, i in zip(timing.margins, timing.rows, strict=True)]
    ties = sum(abs(m) < TIE or abs(o) < TIE for m, o in pairs)
    other = sum((m > 0) != (o > 0) for m, o in pairs if abs(m) >= TIE and abs(o) >= TIE)
    return {
        "rows": len(pairs),
        "other answer": other,
        "ties": ties,
        "largest difference": max(abs(m - o) for m, o in pairs),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """How we did on the whole grid.

    Attributes:
        rows: Rows of each model.
        seconds: Seconds for "base" and "adapter", all their rows.
        margins: Their margins.
        tokens: Tokens of the rows of one model, each row whole.
        unique_tokens: Those of them that differ in their history.
        gflops: Achieved GFLOP/s by model: 2 x parameters that multiply a token x unique tokens / s.
        peak: Matrix-product peak of this process in GFLOP/s.
    """

    rows: int
    seconds: dict[str, float]
    margins: dict[str, list[float]]
    tokens: int
    unique_tokens: int
    gflops: dict[str, float]
    peak: float

    def seconds_a_row(self, model: str | None = None) -> float:
        """Return seconds a row of one model, or of the whole grid."""
        if model is None:
            return sum(self.seconds.values()) / (self.rows * len(self.seconds))
        return self.seconds[model] / self.rows


def run_ours(
    texts: Sequence[PlacedText], questions: Sequence[Ids], work: dict[str, int], adapter: Path
) -> Ours:
    """Run the whole grid with an empty score store.

    Args:
        texts: The texts of the grid.
        questions: The same, rendered; only for counting.
        work: Parameters that multiply every token, by model.
        adapter: The adapter's folder.
    """
    seconds, margins = {}, {}
    peak = machine.peak()
    with (
        tempfile.TemporaryDirectory() as scratch,
        Workbench(Config.from_environment(data_dir=Path(scratch))) as bench,
    ):
        for name, adapter_id in ((BASE, None), (ADAPTED, bench.ref(str(adapter)).adapter_id)):
            our_margins(bench, [PlacedText(text="warm up")], adapter_id)
            took = machine.timed(partial(our_margins, bench, texts, adapter_id))
            seconds[name], margins[name] = took
    unique = unique_tokens(questions)
    return Ours(
        rows=len(questions),
        seconds=seconds,
        margins=margins,
        tokens=sum(map(len, questions)),
        unique_tokens=unique,
        gflops={name: 2 * work[name] * unique / seconds[name] / 1e9 for name in seconds},
        peak=max(peak, machine.peak()),
    )


def measure(placement: Placement, size: Size, seed: int, chosen: Path) -> dict[str, Any]:
    """Measure one placement and print its tables."""
    folder = fetch.resolve("demo", Config.from_environment())
    renderer, task = Renderer(folder), _task()
    texts = grid_texts(size, placement)
    questions = [renderer.render(task, text).ids for text in texts]
    models = {BASE: None, ADAPTED: chosen}
    work = {n: baselines.work_parameters(baselines.open_model(folder, a)) for n, a in models.items()}
    ours = run_ours(texts, questions, work, chosen)
    show_ours(placement, ours)
    rng = random.Random(seed)
    timings: list[Timing] = []
    for name, adapter in models.items():
        opponents = Opponents(
            model=name,
            folder=folder,
            adapter=adapter,
            renderer=renderer,
            questions=questions,
            size=size,
            rng=rng,
        )
        timings += opponents.run()
    show_timings(ours, timings)
    return result_of(placement, ours, timings)


def show_ours(placement: str, ours: Ours) -> None:
    """Print how we did."""
    title = f"Grid, {placement} placement: {2 * ours.rows:,} rows in {sum(ours.seconds.values()):.0f} s"
    machine.table(
        title,
        [
            ("rows of each model", ours.rows),
            ("tokens of each model", ours.tokens),
            ("unique tokens of each model", ours.unique_tokens),
            ("tokens / unique tokens", ours.tokens / ours.unique_tokens),
            ("ours, base rows (s a row)", ours.seconds_a_row(BASE)),
            ("ours, adapter rows (s a row)", ours.seconds_a_row(ADAPTED)),
            ("ours, whole grid (s a row)", ours.seconds_a_row()),
            ("matrix-product peak (GFLOP/s)", ours.peak),
            ("ours, base rows (share of peak)", ours.gflops[BASE] / ours.peak),
            ("ours, adapter rows (share of peak)", ours.gflops[ADAPTED] / ours.peak),
        ],
    )


def show_timings(ours: Ours, timings: Sequence[Timing]) -> None:
    """Print what the others took, and whether they say the same."""
    lines = []
    for t in timings:
        ratio = t.seconds.median / ours.seconds_a_row(t.model)
        same = compare(t, ours.margins[t.model])
        times = (t.seconds.median, t.seconds.low, t.seconds.high)
        lines.append((f"{t.way}, {t.model}", *times, ratio, *same.values()))
    heads = ["", "s a row", "low", "high", "x ours", "rows", "other answer", "ties", "largest difference"]
    machine.columns("Instead (median of three slices)", heads, lines)
    machine.table("Whole grid, times ours", list(grid_ratios(ours, timings).items()))
    for t in timings:
        if t.note:
            print(f"  {t.way}, {t.model}: {t.note}")
    if not baselines.has_lm_eval():
        print("  lm-evaluation-harness is not installed and was left out: install lorabench[bench]")


def grid_ratios(ours: Ours, timings: Sequence[Timing]) -> dict[str, float]:
    """Return how many times as long as ours the whole grid takes, by way."""
    ways = dict.fromkeys(t.way for t in timings)
    mean = {way: statistics.mean(t.seconds.median for t in timings if t.way == way) for way in ways}
    return {way: seconds / ours.seconds_a_row() for way, seconds in mean.items()}


def result_of(placement: str, ours: Ours, timings: Sequence[Timing]) -> dict[str, Any]:
    """Return the result as JSON values."""
    return {
        "placement": placement,
        "rows of each model": ours.rows,
        "tokens": ours.tokens,
        "unique tokens": ours.unique_tokens,
        "ours, seconds": ours.seconds,
        "ours, seconds a row": {n: ours.seconds_a_row(n) for n in ours.seconds}
        | {"whole": ours.seconds_a_row()},
        "peak (GFLOP/s)": ours.peak,
        "ours (GFLOP/s)": ours.gflops,
        "instead": [
            {
                "way": t.way,
                "model": t.model,
                "seconds a row": t.seconds,
                "times ours": t.seconds.median / ours.seconds_a_row(t.model),
                "compared": compare(t, ours.margins[t.model]),
                "note": t.note,
            }
            for t in timings
        ],
        "whole grid, times ours": grid_ratios(ours, timings),
    }


def _task() -> LabelTask:
    task = TASKS["guard"]
    assert isinstance(task, LabelTask)
    return task


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--placement", choices=[*get_args(Placement)[:2], "both"], default="both")
    parser.add_argument("--quick", action="store_true", help="480 rows of each placement")
    parser.add_argument("--seed", type=int, default=0, help="of the baselines' samples")
    parser.add_argument("--adapter", type=Path, help="instead of a random one of the study's shape")
    options = parser.parse_args()
    injections()  # says at once if the reference data is missing
    started = time.monotonic()
    wanted: tuple[Placement, ...] = (
        ("prefix", "suffix") if options.placement == "both" else (options.placement,)
    )
    with tempfile.TemporaryDirectory() as scratch:
        base = fetch.resolve("demo", Config.from_environment())
        chosen = options.adapter or study_adapter(base, Path(scratch) / "study-shape")
        found = [measure(p, QUICK if options.quick else FULL, options.seed, chosen) for p in wanted]
    machine.save(
        "bench-grid-quick" if options.quick else "bench-grid",
        {"seed": options.seed, "minutes": (time.monotonic() - started) / 60, "placements": found},
    )


if __name__ == "__main__":
    machine.run(main)
