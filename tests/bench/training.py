"""Steps a second of a training, against TRL's SFTTrainer on the same rows in the same order.

    .venv/bin/python tests/bench/training.py [--steps 24]

Same base, same LoRA (rank 16, all seven projections), same rows in the same order, 16 rows a step,
loss on the answer tokens, AdamW with the same rate, fp32. Two shapes: an adapter on every layer,
and one on the upper half, which is what lorabench trains by default. Ours is timed as it is, and
for the upper half also with the states below it computed once (`--cache-lower`). The first steps
are left out of the times. Peak memory is measured in a process of its own, for prompts of 1,024 tokens.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import machine

from lorabench.config import Config
from lorabench.data import TASKS, Row, load_guardrail
from lorabench.models import fetch
from lorabench.results import LabelTask, PlacedText

SKIPPED = 3
RATE = 1e-3
BATCH = 16
RANK = 16
HALF = 15


def rows() -> tuple[Row, ...]:
    """Return the training rows, in the corpus' order."""
    return load_guardrail("train", citations=False)


def schedule(steps: int) -> Any:
    """Return the schedule of both trainings."""
    from lorabench.training.schedule import Schedule

    return Schedule(steps=steps, batch_rows=BATCH, learning_rate=RATE, warmup=5, seed=0)


def ours(folder: Path, first_layer: int, steps: int, *, caches_lower: bool) -> dict[str, Any]:
    """Train with lorabench; return seconds a step and losses."""
    from lorabench.training.answering_student import AnsweringStudent
    from lorabench.training.loop import optimise
    from lorabench.training.shape import Shape

    task = TASKS["guard"]
    assert isinstance(task, LabelTask)
    student = AnsweringStudent(
        folder,
        name="demo",
        task=task,
        shape=Shape(rank=RANK, alpha=2.0 * RANK, first_layer=first_layer),
        seed=0,
        caches_lower=caches_lower,
    )
    start = time.perf_counter()
    student.take(rows(), 256)
    prepared = time.perf_counter() - start
    plan = schedule(steps)
    optimiser = plan.optimiser_for(student.parameters.values())
    times, losses = [], []
    at = time.perf_counter()
    for _, loss in optimise(student, plan, optimiser):
        times.append(time.perf_counter() - at)
        losses.append(loss)
        at = time.perf_counter()
    return {"seconds": times[SKIPPED:], "losses": losses, "prepared": prepared}


def trl(folder: Path, first_layer: int, steps: int) -> dict[str, Any]:
    """Train with TRL's SFTTrainer; return seconds a step and losses."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from torch.utils.data import SequentialSampler
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from lorabench.models.rendering import Renderer

    task, renderer = TASKS["guard"], Renderer(folder)
    plan, data = schedule(steps), rows()
    order = [i for step in range(steps) for i in plan.rows_of(step, len(data))]
    examples = []
    for i in order:
        question = renderer.render(task, PlacedText(text=data[i].text)).ids
        answer = renderer.ids(data[i].label) + renderer.stop_ids[-1:]
        mask = [0] * len(question) + [1] * len(answer)
        examples.append({"input_ids": [*question, *answer], "completion_mask": mask})

    class Clock(TrainerCallback):
        def __init__(self) -> None:
            self.times: list[float] = []
            self.losses: list[float] = []
            self.at = 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.at = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.times.append(time.perf_counter() - self.at)

        def on_log(self, *_: Any, logs: dict[str, float] | None = None, **__: Any) -> None:
            if logs and "loss" in logs:
                self.losses.append(float(logs["loss"]))

    class InOrder(SFTTrainer):
        def _get_train_sampler(self, *_: Any, **__: Any) -> Any:
            return SequentialSampler(self.train_dataset)

    clock = Clock()
    layers = None if first_layer == 0 else list(range(first_layer, 30))
    names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    with tempfile.TemporaryDirectory() as scratch:
        trainer = InOrder(
            model=AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32),
            processing_class=AutoTokenizer.from_pretrained(str(folder)),
            train_dataset=Dataset.from_list(examples),
            peft_config=LoraConfig(
                r=RANK, lora_alpha=2 * RANK, target_modules=names, layers_to_transform=layers,
                task_type="CAUSAL_LM",
            ),
            args=SFTConfig(
                output_dir=scratch, max_steps=steps, per_device_train_batch_size=BATCH, learning_rate=RATE,
                lr_scheduler_type="linear", warmup_steps=5, weight_decay=0.01, logging_steps=1,
                save_strategy="no",
                report_to=[], bf16=False, fp16=False, use_cpu=True, max_length=None, seed=0,
                gradient_checkpointing=False, completion_only_loss=True, disable_tqdm=True,
            ),
            callbacks=[clock],
        )  # fmt: skip
        trainer.train()
    return {"seconds": clock.times[SKIPPED:], "losses": clock.losses, "prepared": 0.0}


def peak(tokens: int) -> int:
    """Return the peak memory of a training on prompts of so many tokens, in bytes; this process's own."""
    from lorabench.training.answering_student import AnsweringStudent
    from lorabench.training.loop import optimise
    from lorabench.training.shape import Shape
    from lorabench.workflows.training import peak_bytes

    folder = fetch.resolve("demo", Config.from_environment())
    task = TASKS["guard"]
    assert isinstance(task, LabelTask)
    student = AnsweringStudent(
        folder, name="demo", task=task, shape=Shape(rank=RANK, alpha=2.0 * RANK), seed=0, learns_all=True
    )
    words = " rule" * (tokens - 80)
    student.take([Row(text=f"{i}{words}", label="BENIGN") for i in range(4)], tokens)
    plan = schedule(1)
    for _ in optimise(student, plan, plan.optimiser_for(student.parameters.values())):
        pass
    return peak_bytes() or 0


def main() -> None:
    """Measure, print the table, save the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--way")
    parser.add_argument("--peak", type=int)
    chosen = parser.parse_args()
    if chosen.peak:
        print(json.dumps({"peak": peak(chosen.peak)}))
        return
    folder = fetch.resolve("demo", Config.from_environment())
    ways = {
        "ours, every layer": lambda: ours(folder, 0, chosen.steps, caches_lower=False),
        "TRL, every layer": lambda: trl(folder, 0, chosen.steps),
        "ours, upper half": lambda: ours(folder, HALF, chosen.steps, caches_lower=False),
        "ours, upper half, lower kept": lambda: ours(folder, HALF, chosen.steps, caches_lower=True),
        "TRL, upper half": lambda: trl(folder, HALF, chosen.steps),
    }
    if chosen.way:
        print("\n" + json.dumps(ways[chosen.way]()))
        return
    found = {name: _elsewhere("--way", name, "--steps", str(chosen.steps)) for name in ways}
    peaks = {n: _elsewhere("--peak", str(n))["peak"] for n in (256, 1024)}
    print(_table(found, peaks))
    machine.save("training", {"ways": found, "peak_bytes": peaks})


def _elsewhere(*arguments: str) -> dict[str, Any]:
    """Run a part in a process of its own, so that no part warms or burdens another."""
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def _table(found: dict[str, dict[str, Any]], peaks: dict[int, int]) -> str:
    lines = [f"{'':32}  s a step      low     high  TRL / it  mean loss  last five"]
    for name, one in found.items():
        median = statistics.median(one["seconds"])
        against = statistics.median(
            found["TRL, every layer" if "every" in name else "TRL, upper half"]["seconds"]
        )
        lines.append(
            f"{name:32}  {median:8.3f} {min(one['seconds']):8.3f} {max(one['seconds']):8.3f}  "
            f"{against / median:8.2f}  {statistics.fmean(one['losses']):9.4f}  "
            f"{statistics.fmean(one['losses'][-5:]):9.4f}"
        )
    lines += [f"peak memory, whole text of {n:,} tokens learnt: {b / 1e9:.2f} GB" for n, b in peaks.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
