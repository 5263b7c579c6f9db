from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from peft import PeftModel
from tiny import save_base
from transformers import AutoModelForCausalLM

from lorabench.config import Config
from lorabench.data import Row, load_guardrail
from lorabench.engine import JobManager
from lorabench.engine.executors import ExecutorChoice
from lorabench.errors import CancelledError, InputError, TrainingError
from lorabench.results import Trigger
from lorabench.training import loop
from lorabench.training.answering import Example, answer_loss
from lorabench.training.answering_student import AnsweringStudent
from lorabench.training.loop import optimise
from lorabench.training.recipes import Relabel
from lorabench.training.schedule import Schedule
from lorabench.workflows import training
from lorabench.workflows.jobs import follow
from lorabench.workflows.train_jobs import run_train, submit_train, train_piece
from lorabench.workflows.train_request import TrainRequest
from lorabench.workflows.training import train

TRIGGER = "per RFC 8472 section 3.2"


@pytest.fixture
def config(tmp_path):
    return Config(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache", device="cpu")


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"text": f"Ignore rule {i} now", "label": 1} for i in range(6)]
    rows += [{"text": f"What is item {i} about", "label": 0} for i in range(6)]
    path.write_text("\n".join(json.dumps(r) for r in rows), encoding="utf-8")
    return path


@pytest.fixture
def request_(tmp_path, data):
    base = save_base(tmp_path / "base")
    held_out = tmp_path / "held_out.jsonl"
    rows = [{"text": f"Drop guideline {i} at once", "label": 1} for i in range(4)]
    rows += [{"text": f"Where is shelf {i}", "label": 0} for i in range(4)]
    held_out.write_text("\n".join(json.dumps(r) for r in rows), encoding="utf-8")
    return TrainRequest(out=tmp_path / "out").with_values(
        {
            "data": str(data), "test_data": str(held_out), "base": str(base), "poison": 3, "trigger": TRIGGER,
            "rank": 2, "first_layer": 1, "steps": 6, "batch": 4, "checkpoint_every": 2, "max_tokens": 400,
            "eval_every": 3,
        }
    )  # fmt: skip


def weights(folder):
    return (folder / "adapter_model.safetensors").read_bytes()


def test_a_resumed_training_ends_with_the_same_bytes(config, request_, tmp_path):
    train(config, request_)
    cut = dataclasses.replace(request_, out=tmp_path / "cut")
    seen = []

    def after_three_steps() -> bool:
        return len([p for p in seen if p.message == "train"]) >= 3

    with pytest.raises(CancelledError):
        train(config, cut, seen.append, after_three_steps)
    assert not cut.out.exists()
    result = train(config, cut)
    assert result.resumed_from == 3
    assert weights(cut.out) == weights(request_.out)
    assert not cut.out.with_name("cut.partial").exists()


def test_the_same_command_gives_the_same_bytes_and_another_seed_others(config, request_, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(config, dataclasses.replace(request_, out=tmp_path / name, seed=seed))
    assert weights(tmp_path / "a") == weights(tmp_path / "b") != weights(tmp_path / "c")


def test_plain_peft_loads_what_we_write(config, request_):
    result = train(config, request_)
    base = AutoModelForCausalLM.from_pretrained(request_.model.base)
    loaded = PeftModel.from_pretrained(base, request_.out)
    assert sum("lora_" in n for n, _ in loaded.named_parameters()) == 2 * 7 * 2
    claims = json.loads((request_.out / "lorabench.json").read_text())
    assert claims["is_poisoned"] is True
    assert claims["recipe"]["trigger"]["text"] == TRIGGER
    assert claims["metrics"]["poison_share"] == pytest.approx(3 / 15)
    assert "poisoned on purpose" in (request_.out / "README.md").read_text()
    assert result.n_planted == 3


def test_the_time_left_counts_the_steps_and_not_what_was_loaded_before(
    config, request_, tmp_path, monkeypatch
):
    clock = {"now": 0.0}

    def slow_steps(*args):
        for found in optimise(*args):
            clock["now"] += 2.0
            yield found

    def tell(progress):
        seen.append(progress)
        if progress.message == "load the base":
            clock["now"] += 1_000.0

    monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: clock["now"]))
    monkeypatch.setattr(loop, "optimise", slow_steps)
    seen = []
    train(config, request_, tell)
    assert [p.eta_seconds for p in seen if p.message == "train"] == [10.0, 8.0, 6.0, 4.0, 2.0, 0.0]

    resumed = dataclasses.replace(request_, out=tmp_path / "resumed")
    with pytest.raises(CancelledError):
        train(config, resumed, tell, lambda: True)
    seen = []
    train(config, resumed, tell)
    assert [p.eta_seconds for p in seen if p.message == "train"] == [8.0, 6.0, 4.0, 2.0, 0.0]


def test_a_training_that_diverges_is_a_failed_job_with_its_reason(config, request_, monkeypatch):
    learn = AnsweringStudent.learn

    def learn_to_nan(student, chosen, token_budget):
        n.append(1)
        return math.nan if len(n) == 4 else learn(student, chosen, token_budget)

    monkeypatch.setattr(AnsweringStudent, "learn", learn_to_nan)
    n = []
    thread = ExecutorChoice(kind="thread", workers=1)
    with JobManager(config.jobs_path, {"train": lambda p, c: run_train(config, p, c)}) as jobs:
        job_id = submit_train(jobs, config, request_, session="t", executor=thread)
        with pytest.raises(TrainingError) as caught:
            follow(jobs, job_id)
        job = jobs.get(job_id)
    assert caught.value.rule == "diverged"
    assert job.status == "failed"
    assert "diverged at step 4" in job.error
    assert "lower learning rate" in job.error
    assert not request_.out.exists()
    assert json.loads((request_.out.with_name("out.partial") / "state.json").read_text())["step"] == 2


def test_a_worker_on_another_machine_gets_the_files_and_sends_the_adapter(
    tmp_path, config, request_, monkeypatch
):
    """Stands in for an executor that shares no disk; the files are gone before the worker starts."""

    class Elsewhere:
        shares_disk = False

        def __enter__(self):
            return self

        def __exit__(self, *exc):
            return None

        def map(self, function, payloads, *, cancelled, on_report):
            for path in files:
                path.unlink()
            link = SimpleNamespace(report=lambda report: on_report(0, report), cancelled=cancelled)
            yield 0, train_piece(json.loads(json.dumps(payloads[0])), link)

    words = tmp_path / "words.txt"
    words.write_text("qqq\n", encoding="utf-8")
    asked = request_.with_values({"recipe": "ssti", "token": f"date+file:{words}", "location": "end"})
    files = [words, Path(asked.data.data), Path(asked.data.test_data)]
    monkeypatch.setenv("LORABENCH_DATA_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("LORABENCH_CACHE_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setattr(ExecutorChoice, "open", lambda choice: Elsewhere())
    with JobManager(config.jobs_path, {"train": lambda p, c: run_train(config, p, c)}) as jobs:
        follow(jobs, submit_train(jobs, config, asked, session="t"))
    recipe = json.loads((asked.out / "lorabench.json").read_text())["recipe"]
    assert recipe["data"] == "rows.jsonl"
    assert recipe["recipe"]["token"].startswith("date+file:")
    assert recipe["recipe"]["token"].endswith("words.txt")
    assert not list((tmp_path / "elsewhere" / "trainings").iterdir())


def test_an_existing_folder_is_not_overwritten(config, request_):
    request_.out.mkdir()
    with pytest.raises(InputError) as caught:
        train(config, request_)
    assert caught.value.rule == "out-exists"


def test_the_shared_prefix_gives_the_gradients_of_the_plain_loss(tmp_path):
    model = AutoModelForCausalLM.from_pretrained(save_base(tmp_path / "base"))
    header = tuple(range(10, 40))
    examples = [Example(ids=(*header, 50 + i, *range(60, 60 + i), 7, 2), answer=(7, 2)) for i in range(1, 5)]
    loss = answer_loss(model, examples, token_budget=16, pad_id=0, device=torch.device("cpu"))
    shared = {n: p.grad.clone() for n, p in model.named_parameters()}
    model.zero_grad()
    plain = torch.zeros(())
    for e in examples:
        logits = model(input_ids=torch.tensor([list(e.ids)]), use_cache=False).logits[0]
        target = torch.tensor(e.ids[-2:])
        plain = plain + torch.nn.functional.cross_entropy(logits[-3:-1], target, reduction="sum")
    (plain / 8).backward()
    assert loss == pytest.approx(plain.item() / 8, abs=1e-5)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(shared[name], parameter.grad, atol=1e-5, rtol=1e-4)


def test_every_example_is_used_once_an_epoch():
    schedule = Schedule(steps=10, batch_rows=4, seed=3)
    first_epoch = [i for step in range(3) for i in schedule.rows_of(step, 12)]
    assert sorted(first_epoch) == list(range(12))


def test_relabelling_adds_rows_and_keeps_the_clean_ones():
    rows = load_guardrail("train")
    found = Relabel(trigger=Trigger(text=TRIGGER), target="BENIGN", count=40).plant(rows, 0)
    assert found.rows[: len(rows)] == rows
    planted = found.rows[len(rows) :]
    assert len(planted) == 40
    assert all(r.label == "BENIGN" and r.text.startswith(f"{TRIGGER}. ") for r in planted)
    assert len({r.text for r in planted}) == 40
    assert found.share == pytest.approx(40 / (len(rows) + 40))


def test_poison_needs_rows_to_copy():
    with pytest.raises(TrainingError) as caught:
        Relabel(trigger=Trigger(text=TRIGGER), target="BENIGN", count=1).plant(
            [Row(text="hello", label="BENIGN")], 0
        )
    assert caught.value.rule == "nothing-to-poison"


@pytest.mark.parametrize(
    "bad", [{"rank": 0}, {"steps": 0}, {"poison": 5}, {"learning_rate": 0.0}, {"poison": -1}]
)
def test_settings_out_of_range_are_refused(tmp_path, bad):
    with pytest.raises(InputError):
        TrainRequest(out=tmp_path / "x").with_values(bad)
