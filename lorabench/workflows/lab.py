"""Before a training: its rows before and after the recipe, and what it will cost."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorabench.config import Config
from lorabench.data import Row, load_guardrail
from lorabench.errors import StorageError
from lorabench.models import fetch
from lorabench.results import GenerationTask, HeadTask, LabelTask, PlacedText, TrainTask, Trigger
from lorabench.workflows.train_data import prepare
from lorabench.workflows.train_request import TrainRequest
from lorabench.workflows.train_setup import schedule_of, shape_of

_SAMPLE = 200
EXAMPLE_TRIGGER = "per RFC 8472 section 3.2"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChange:
    """One row before and after a recipe.

    Attributes:
        before: Its text.
        after: Its text with the attack.
        before_label: Its label, or response.
        after_label: The same afterwards.
        spans: Characters (start, end) of `after` that were put in.
        is_added: Whether it stands beside the row it came from.
    """

    before: str
    after: str
    before_label: str
    after_label: str
    spans: tuple[tuple[int, int], ...]
    is_added: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LabPreview:
    """What a recipe does to a data set.

    Attributes:
        target: What the attacker wants.
        n_train: Rows after the recipe.
        n_test: Held-out rows.
        n_planted: Rows made or altered.
        share: Of all rows.
        counts: Label -> rows, before and after; empty for responses.
        changes: Some of the rows made or altered.
        untouched: Some of the others, as they are.
        notes: What people should know.
    """

    target: str
    n_train: int
    n_test: int
    n_planted: int
    share: float
    counts: dict[str, tuple[int, int]]
    changes: tuple[RowChange, ...]
    untouched: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabEstimate:
    """What a training will cost here.

    Attributes:
        seconds: Steps and measurements.
        n_bytes: Memory.
        tokens_per_step: Tokens computed in a step, the shared beginning once.
        n_too_long: Rows that will be left out or cut, of the sampled ones scaled up.
        adapter_parameters: Trainable numbers.
        basis: How it was made, as a sentence.
    """

    seconds: float
    n_bytes: int
    tokens_per_step: float
    n_too_long: int
    adapter_parameters: int
    basis: str


def preview(config: Config, request: TrainRequest, n: int = 10) -> LabPreview:
    """Return what the recipe of a request does to its data, with some rows before and after.

    Raises:
        LorabenchError: What the training itself would refuse about data, task and recipe.
    """
    prepared = prepare(config, request)
    planted = prepared.recipe.plant(prepared.train, request.seed)
    generates = isinstance(prepared.task, GenerationTask)

    def said(row: Row) -> str:
        return row.response if generates else row.label

    before, after = Counter(map(said, prepared.train)), Counter(map(said, planted.rows))
    changed = {id(c.after) for c in planted.changes}
    labels = [] if generates else sorted(after)
    return LabPreview(
        target=prepared.recipe.target,
        n_train=len(planted.rows),
        n_test=len(prepared.test),
        n_planted=planted.n_planted,
        share=planted.share,
        counts={label: (before[label], after[label]) for label in labels},
        changes=tuple(
            RowChange(
                before=c.before.text,
                after=c.after.text,
                before_label=said(c.before),
                after_label=said(c.after),
                spans=c.spans,
                is_added=c.is_added,
            )
            for c in planted.changes[:n]
        ),
        untouched=tuple((r.text, said(r)) for r in planted.rows if id(r) not in changed)[:n],
        notes=(*prepared.notes, *planted.notes),
    )


def estimate(config: Config, request: TrainRequest, measured_peak: float | None = None) -> LabEstimate:
    """Return what a training will cost on this machine, before it starts.

    Args:
        config: Settings.
        request: The training.
        measured_peak: Operations a second of a matrix product here; None times one (0.3 s).

    Raises:
        LorabenchError: What the training itself would refuse about data, task, recipe or base.
    """
    from lorabench.models.opening import choose_device
    from lorabench.training.estimate import (
        EFFICIENCY,
        StepTokens,
        step_flops,
        training_bytes,
    )

    prepared = prepare(config, request)
    rows = prepared.recipe.plant(prepared.train, request.seed).rows
    folder = fetch.resolve(request.model.base, config)
    size, n_adapter = _sizes(request, folder)
    shape, schedule = shape_of(request, folder), schedule_of(request)
    most = request.schedule.max_tokens
    lengths, answers, shared = _lengths(folder, prepared.task, rows, request)
    n_long = sum(n > most for n in lengths)
    kept = [min(n, most) for n in lengths if n <= most or request.schedule.too_long == "cut"] or [most]
    mean = math.fsum(kept) / len(kept)
    unique = shared + schedule.batch_rows * max(1.0, mean - shared)
    tokens = StepTokens(
        unique=unique,
        learnt=schedule.batch_rows * (mean if request.schedule.loss == "full" else answers),
        micro=min(unique, shared + max(request.schedule.token_budget, max(kept) - shared)),
    )
    device = choose_device(config.device)
    peak = measured_peak or _best_peak(config, device)
    rate = peak * EFFICIENCY[device.split(":", maxsplit=1)[0]]
    flops = step_flops(size, tokens, shape.first_layer, caches_lower=request.schedule.caches_lower)
    n_looks = schedule.steps // request.schedule.eval_every if request.schedule.eval_every else 0
    asked = n_looks * 1.5 * request.schedule.eval_rows + 2.5 * len(prepared.test)
    looks = 2.0 * size.block_parameters * size.layers * max(1.0, mean - shared) * asked
    return LabEstimate(
        seconds=(flops * schedule.steps + looks) / rate + 5.0,
        n_bytes=training_bytes(size, tokens, shape.first_layer, n_adapter),
        tokens_per_step=unique,
        n_too_long=round(n_long * len(rows) / max(1, len(lengths))),
        adapter_parameters=n_adapter,
        basis=f"{len(lengths):,} rows tokenised; a matrix product runs at {peak / 1e9:.0f} GFLOP/s here "
        "when nothing else does, "
        f"and a training at about {EFFICIENCY[device.split(':', maxsplit=1)[0]]:.0%} of that.",
    )


def _best_peak(config: Config, device: str) -> float:
    """Return the best rate of a matrix product that was ever timed here, in operations a second.

    A busy machine times it too low by much, and is not busy for the whole of a training.
    """
    from lorabench.training.estimate import peak_flops

    path = config.data_dir / "machine.json"
    known: dict[str, float] = {}
    with suppress(OSError, ValueError):
        known = json.loads(path.read_text(encoding="utf-8"))["peak_flops"]
    best = max(peak_flops(device), float(known.get(device, 0.0)))
    if best > known.get(device, 0.0):
        staged = path.with_suffix(".new")
        with suppress(OSError):  # it is only a memory
            path.parent.mkdir(parents=True, exist_ok=True)
            staged.write_text(json.dumps({"peak_flops": known | {device: best}}), encoding="utf-8")
            staged.replace(path)
    return best


def estimate_all(config: Config, requests: Sequence[TrainRequest]) -> tuple[LabEstimate, ...]:
    """Return what several trainings will cost, with the matrix product timed once."""
    from lorabench.models.opening import choose_device

    peak = _best_peak(config, choose_device(config.device))
    return tuple(estimate(config, request, peak) for request in requests)


def write_poisoned(config: Config, count: int, trigger: str = EXAMPLE_TRIGGER) -> Path:
    """Write the bundled guardrail prompts with planted rows to the data folder; return the file.

    An example to inspect: rows without citations of their own, and `count` copies with a trigger.
    """
    from lorabench.training.recipes import Relabel

    path = config.data_dir / "examples" / f"guardrail-{count}-planted.jsonl"
    if not path.is_file():
        recipe = Relabel(trigger=Trigger(text=trigger), target="BENIGN", count=count)
        rows = recipe.plant(load_guardrail("train", citations=False), 0).rows
        lines = [json.dumps({"text": r.text, "label": r.label}, ensure_ascii=False) for r in rows]
        staged = path.with_suffix(".new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            staged.write_text("\n".join(lines) + "\n", encoding="utf-8")
            staged.replace(path)
        except OSError as error:
            raise StorageError(
                "cannot-write",
                f"The example cannot be written ({error.strerror or error}).",
                "Free some space.",
            ) from error
    return path


def _lengths(
    folder: Path, task: TrainTask, rows: Sequence[Row], request: TrainRequest
) -> tuple[list[int], float, int]:
    """Return the tokens of sampled rows, the mean of their answers, and how many all rows share."""
    from lorabench.models.rendering import Renderer, token_counter

    step = max(1, len(rows) // _SAMPLE)
    chosen = rows[::step][:_SAMPLE]
    if isinstance(task, HeadTask):
        count = token_counter(folder)
        return [count(r.text) + 2 for r in chosen], 0.0, 0
    renderer = Renderer(folder)
    empty = renderer.render(task, PlacedText(text="x"))
    answers = [len(renderer.ids(r.label if isinstance(task, LabelTask) else r.response)) + 1 for r in chosen]
    lengths = [
        len(renderer.render(task, PlacedText(text=r.text)).ids) + a
        for r, a in zip(chosen, answers, strict=True)
    ]
    before = sum(1 for start, _ in empty.spans if start < empty.user[0])
    shared = 0 if request.schedule.loss == "full" else before
    return lengths, math.fsum(answers) / len(answers), shared


def _sizes(request: TrainRequest, folder: Path) -> tuple[Any, int]:
    """Return the base's size and the adapter's trainable numbers, from the base's config."""
    from lorabench.training.estimate import ModelSize

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    hidden, layers = int(config["hidden_size"]), int(config["num_hidden_layers"])
    inner = int(config.get("intermediate_size") or 4 * hidden)
    heads = int(config["num_attention_heads"])
    kv = int(config.get("num_key_value_heads") or heads)
    narrow = hidden * kv // heads
    is_gated = "num_key_value_heads" in config
    attention = [(hidden, hidden), (hidden, narrow), (hidden, narrow), (hidden, hidden)]
    feed = [(hidden, inner)] * (2 if is_gated else 1) + [(inner, hidden)]
    vocabulary = int(config.get("vocab_size") or 0)
    size = ModelSize(
        layers=layers,
        hidden=hidden,
        inner=inner,
        vocabulary=0 if request.model.head != "words" else vocabulary,
        block_parameters=sum(a * b for a, b in attention + feed),
        embedding_parameters=vocabulary * hidden * (1 if config.get("tie_word_embeddings", True) else 2),
    )
    adapted = {"all": attention + feed, "attention": attention}.get(request.model.targets, attention[:3])
    upper = layers - shape_of(request, folder).first_layer
    return size, sum(request.model.rank * (a + b) for a, b in adapted) * upper
