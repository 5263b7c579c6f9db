"""Rows of a grid on a GPU: the token trie with an adapter bank, against padded batches of PEFT.

    .venv/bin/python tests/bench/gpu.py [--shapes SmolLM2-135M] [--dtypes bf16] [--device cpu --tiny]

Nothing is downloaded: models of three known shapes with random weights, made on the device, and a
random adapter of the study's rank, on all seven projections or on attention alone. The grid is 41
triggers x 60 prompts in one chat frame, the trigger before the prompt or behind it: 2,460 rows. Speed does
not depend on the numbers in a model, and a largest difference of margins says whether both ways agree.

Ours runs the whole grid, three times, with stacked factors and with merged weights, where those have
room. The others run a random sample of it, three times, at the best of several batch sizes. All
rows are equally long, so their batches hold no padding: their best case. `--tiny` is a small model and a
small grid, which runs every line in seconds, anywhere.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gpu_models
import machine
import torch
from gpu_models import ADAPTERS, DTYPES, FULL, SHAPES, TINY, TINY_SHAPE, Ids, Shape, Size
from machine import Summary
from torch import nn

from lorabench.adapters import CheckedAdapter
from lorabench.errors import InputError
from lorabench.models.bank import Bank
from lorabench.models.opening import choose_device
from lorabench.models.row_runner import MERGED_BYTES, RowRunner, is_out_of_memory
from lorabench.models.rows import TokenRow
from lorabench.scoring.labels import margin

PLACEMENTS = ("prefix", "suffix")
LABELS = ((5, 6), (7,))
REPEATS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How one way did.

    Attributes:
        way: Its name.
        seconds: Seconds a row.
        tokens: Tokens a row that went through the model.
        flops: Achieved FLOP/s in matrix products: twice what multiplies a token, attention's own aside.
        memory: Most GPU memory that torch had in use, in bytes; None on a CPU.
        margins: Margin of every row it ran.
        note: How it was set up.
    """

    way: str
    seconds: Summary
    tokens: float
    flops: float
    memory: int | None
    margins: dict[int, float]
    note: str = ""


def peak(dtype: torch.dtype, device: torch.device, size: int) -> float:
    """Return the best product of two square matrices in FLOP/s; fp32 is not shortened to TF32."""
    assert torch.get_float32_matmul_precision() == "highest"
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    torch.mm(a, b)
    return 2 * size**3 / min(seconds_of(lambda: torch.mm(a, b), device)[0] for _ in range(5))


def seconds_of(work: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    """Return the seconds that a call took, until the device was done, and its result."""
    finish(device)
    started = time.perf_counter()
    result = work()
    finish(device)
    return time.perf_counter() - started, result


def finish(device: torch.device) -> None:
    """Wait until a GPU has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measured(
    way: str,
    work: Callable[[], tuple[dict[int, float], int]],
    flops: Callable[[int, int], int],
    note: str,
    device: torch.device,
) -> Timing:
    """Run a way three times.

    Args:
        way: Its name.
        work: Returns the margins by row, and the tokens that went through the model.
        flops: What that many tokens and rows take.
        note: How it was set up.
        device: Where it runs.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    runs = [seconds_of(work, device) for _ in range(REPEATS)]
    margins, n_tokens = runs[0][1]
    seconds = machine.summary([s / len(margins) for s, _ in runs])
    return Timing(
        way=way,
        seconds=seconds,
        tokens=n_tokens / len(margins),
        flops=flops(n_tokens, len(margins)) / (seconds.median * len(margins)),
        memory=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
        margins=margins,
        note=note,
    )


class Bench:
    """One random model on one device in one number type, one adapter, and what is asked of them."""

    def __init__(self, shape: Shape, dtype: str, targets: Sequence[str], options: Options) -> None:
        """Make the model and write the adapter."""
        self.model = gpu_models.open_random(shape, DTYPES[dtype], options.device)
        self.dtype, self.device, self.size = dtype, options.device, options.size
        self.folder = options.scratch / f"{dtype}-{len(targets)}-{shape[1]['hidden_size']}"
        self.adapter = gpu_models.random_adapter(self.model, targets, self.folder)
        self._head = self.model.get_output_embeddings().weight.numel()
        layers = [m for m in self.model.modules() if isinstance(m, nn.Linear)]
        self._body = sum(m.weight.numel() for m in layers) - self._head

    def flops(self, adapter: CheckedAdapter | None = None) -> Callable[[int, int], int]:
        """Return what so many tokens (all but the head) and rows (the head) take.

        Args:
            adapter: Whose factors are multiplied; None for the base, and for merged weights.
        """
        extra = sum(m.a.size + m.b.size for m in adapter.modules) if adapter else 0
        return lambda n_tokens, n_rows: 2 * ((self._body + extra) * n_tokens + self._head * n_rows)

    def instead(self, grids: Sequence[Sequence[Ids]], rows: Sequence[int]) -> list[list[Timing]]:
        """Return how padded batches do on a sample of each grid: the base, then PEFT, which is taken off."""
        from peft import PeftModel

        found = [[self._best("batches, base", self.model, g, rows, self.flops())] for g in grids]
        wrapped: Any = PeftModel.from_pretrained(self.model, self.folder, autocast_adapter_dtype=False)
        wrapped.to(DTYPES[self.dtype]).eval()
        for questions, timings in zip(grids, found, strict=True):
            timings.append(self._best("batches, PEFT", wrapped, questions, rows, self.flops(self.adapter)))
        wrapped.unload()
        return found

    def _best(
        self,
        way: str,
        model: Any,
        questions: Sequence[Ids],
        rows: Sequence[int],
        flops: Callable[[int, int], int],
    ) -> Timing:
        """Measure padded batches at the best of the budgets that fit."""
        tried = dict(self._tried(model, questions, rows))
        if not tried:
            raise InputError("no-memory", "Not even the smallest batch fits.", "Free memory on the device.")
        best = min(tried, key=lambda budget: tried[budget])
        return measured(
            way,
            lambda: self._in_batches(model, questions, rows, best),
            flops,
            f"fastest of {', '.join(f'{b:,}' for b in tried)} tokens a batch: {best:,}",
            self.device,
        )

    def _tried(
        self, model: Any, questions: Sequence[Ids], rows: Sequence[int]
    ) -> Iterator[tuple[int, float]]:
        """Yield the seconds of every budget that fits, each the second time it is run."""
        for budget in self.size.budgets:
            try:
                for _ in range(2):
                    took, _ = seconds_of(
                        lambda b=budget: self._in_batches(model, questions, rows, b), self.device
                    )
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                continue
            yield budget, took

    @torch.inference_mode()
    def _in_batches(
        self, model: Any, questions: Sequence[Ids], rows: Sequence[int], budget: int
    ) -> tuple[dict[int, float], int]:
        margins: dict[int, float] = {}
        width = len(questions[0])
        n = max(budget // width, 1)
        for part in (rows[k : k + n] for k in range(0, len(rows), n)):
            ids = torch.tensor([questions[i] for i in part], device=self.device)
            last = model(input_ids=ids, logits_to_keep=1, use_cache=False).logits[:, -1].float()
            found = torch.stack([last[:, list(x)].logsumexp(dim=1) for x in LABELS], dim=1).tolist()
            margins.update((i, margin(values, 0)) for i, values in zip(part, found, strict=True))
        return margins, width * len(rows)

    def ours(self, grids: Sequence[Sequence[Ids]]) -> list[list[Timing]]:
        """Return how the whole of each grid goes: the base, then the adapter, stacked and merged."""
        bank = Bank(self.model)
        bank.add(self.adapter)
        fields = {"device": self.device, "dtype": self.dtype, "pad_id": 0, "checks": {}}
        runner = RowRunner(self.model, bank, fingerprint="random", **fields)
        adapter_id = self.adapter.facts.adapter_id
        for check in (runner.sharing(), runner.sharing(adapter_id)):
            print(f"  sharing, {check.kind} rows: {check.sentence}")
        base, stacked, merged = (None, False), (adapter_id, False), (adapter_id, True)
        found = [[self._through(runner, g, *base), self._through(runner, g, *stacked)] for g in grids]
        if said := gpu_models.room_for(bank.merged_bytes(adapter_id), self.device):
            print(f"  merged weights {said}")
            return found
        bank.merge(adapter_id)
        if bank.merged_bytes(adapter_id) > MERGED_BYTES:
            print("  merged weights are larger than the runner would make by itself")
        for questions, timings in zip(grids, found, strict=True):
            timings.append(self._through(runner, questions, *merged))
        return found

    def _through(
        self, runner: RowRunner, questions: Sequence[Ids], adapter_id: str | None, merged: bool
    ) -> Timing:
        rows = [TokenRow(ids=ids, labels=LABELS, adapter_id=adapter_id) for ids in questions]
        with_merged = frozenset({adapter_id} if merged and adapter_id else ())

        def work() -> tuple[dict[int, float], int]:
            runner.forget(adapter_id)  # type: ignore[arg-type]  # every run begins without a known header
            plan = runner.plan(rows)
            if not plan.nodes:
                raise InputError("no-sharing", "Sharing is off for this model.", "See the self-check above.")
            portions = runner._run_trie(plan, lambda: runner.most_tokens, lambda row: False, with_merged)
            found = dict(x for portion in portions for x in portion.rows)
            return {i: margin(answer.label_logits, 0) for i, answer in found.items()}, plan.n_unique

        work()
        way = "ours, base" if adapter_id is None else "ours, merged" if merged else "ours, stacked"
        flops = self.flops(self.adapter if adapter_id and not merged else None)
        return measured(way, work, flops, f"{runner.most_tokens:,} tokens a pass at most", self.device)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for on the command line.

    Attributes:
        device: Where to run.
        size: How much.
        seed: Draws the grid and the sample.
        scratch: A folder for adapters.
    """

    device: torch.device
    size: Size
    seed: int
    scratch: Path


def compare(name: str, dtype: str, adapter: str, options: Options) -> list[dict[str, Any]]:
    """Measure one shape, number type and adapter in both placements, and print the tables."""
    shape = SHAPES.get(name, TINY_SHAPE)
    print(f"\n{name}, {dtype}, {adapter} adapter of rank {gpu_models.RANK}")
    if said := gpu_models.room_for(gpu_models.n_parameters(shape) * DTYPES[dtype].itemsize, options.device):
        print(f"  {said}")
        return [{"shape": name, "dtype": dtype, "adapter": adapter, "skipped": said}]
    best = peak(DTYPES[dtype], options.device, options.size.matrix)
    bench = Bench(shape, dtype, ADAPTERS[adapter], options)
    grids = [gpu_models.grid(options.size, p, shape[1]["vocab_size"], options.seed) for p in PLACEMENTS]
    rows = random.Random(options.seed).sample(range(len(grids[0])), options.size.sample)
    instead = bench.instead(grids, rows)  # first: PEFT is to find the layers of transformers, not ours
    ours = bench.ours(grids)
    return [
        {"shape": name, "dtype": dtype, "adapter": adapter}
        | shown(placement, len(grids[0][0]), len(grids[0]), mine, others, best)
        for placement, mine, others in zip(PLACEMENTS, ours, instead, strict=True)
    ]


def shown(
    placement: str, width: int, n_rows: int, ours: Sequence[Timing], others: Sequence[Timing], best: float
) -> dict[str, Any]:
    """Print one grid's table, and return it as JSON values."""
    base, adapted = others
    lines = []
    for t in (*others, *ours):
        other = base if t.way.endswith("base") else adapted
        lines.append(
            {
                "way": t.way,
                "seconds a row": t.seconds,
                "rows/s": 1 / t.seconds.median,
                "tokens/s": width / t.seconds.median,
                "computed tokens/s": t.tokens / t.seconds.median,
                "unique/naive": t.tokens / width,
                "times as fast": other.seconds.median / t.seconds.median,
                "largest difference": max(abs(m - t.margins[i]) for i, m in other.margins.items()),
                "TFLOP/s": t.flops / 1e12,
                "share of peak": t.flops / best,
                "memory (GB)": None if t.memory is None else t.memory / 1e9,
                "note": t.note,
            }
        )
    heads = [h for h in lines[0] if h not in ("way", "note", "seconds a row")]
    machine.columns(
        f"{placement}: {n_rows:,} rows of {width} tokens; matrix-product peak {best / 1e12:.2f} TFLOP/s",
        ["", "ms a row", "low", "high", *heads],
        [
            (line["way"], *(1e3 * x for x in _bounds(line["seconds a row"])), *(line[h] for h in heads))
            for line in lines
        ],
    )
    for line in lines:
        print(f"  {line['way']}: {line['note']}")
    moved = max(abs(m - ours[1].margins[i]) for i, m in ours[0].margins.items())
    print(f"  the adapter moves margins by up to {moved:.3g}")
    return {
        "placement": placement,
        "rows": n_rows,
        "tokens a row": width,
        "peak (FLOP/s)": best,
        "largest move by the adapter": moved,
        "ways": lines,
    }


def _bounds(seconds: Summary) -> tuple[float, float, float]:
    return seconds.median, seconds.low, seconds.high


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--dtypes", nargs="+", choices=list(DTYPES), default=list(DTYPES))
    parser.add_argument("--adapters", nargs="+", choices=list(ADAPTERS), default=list(ADAPTERS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="a small model and a small grid")
    parser.add_argument("--seed", type=int, default=0, help="of the grid and of the sample")
    chosen = parser.parse_args()
    device = torch.device(choose_device(chosen.device))
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        size = TINY if chosen.tiny else FULL
        options = Options(device=device, size=size, seed=chosen.seed, scratch=Path(scratch))
        found = [
            line
            for name in (["tiny"] if chosen.tiny else chosen.shapes)
            for dtype in chosen.dtypes
            for adapter in chosen.adapters
            for line in compare(name, dtype, adapter, options)
        ]
    result = {
        "device": device.type,
        "seed": chosen.seed,
        "repeats": REPEATS,
        "size": options.size,
        "grids": found,
    }
    minutes = (time.monotonic() - started) / 60
    machine.save("bench-gpu-tiny" if chosen.tiny else "bench-gpu", {"minutes": minutes, **result})


if __name__ == "__main__":
    machine.run(main)
