"""The same numbers on a GPU as on the CPU, and what its memory allows; run where there is one.

With LORABENCH_GPU_TESTS=cpu they compare the CPU with itself, which tests the tests; what needs
a GPU's memory stays out.
"""

from __future__ import annotations

import gc
import os
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from tiny import save_adapter, save_base, save_dora

from lorabench.models.language_model import LanguageModel
from lorabench.models.row_runner import CPU_TOKENS, GPU_TOKENS
from lorabench.models.rows import TokenRow
from lorabench.models.trie import Plan

DEVICE = os.environ.get("LORABENCH_GPU_TESTS", "cuda")
LABELS = ((5, 6), (7,))
NEAR = 1e-3
"""Logits that fp32 on two devices may differ by; products of the first bits alone would differ by more."""

pytestmark = pytest.mark.gpu
_HAS_CUDA, _WHY = torch.cuda.is_available(), "no CUDA device on this machine"
on_device = pytest.mark.skipif(DEVICE == "cuda" and not _HAS_CUDA, reason=_WHY)
in_gpu_memory = pytest.mark.skipif(DEVICE != "cuda" or not _HAS_CUDA, reason=_WHY)


def open_model(folder, device=DEVICE, dtype="fp32"):
    return LanguageModel(folder, name="tiny", fingerprint="f", device=device, dtype=dtype)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Return the base's folder, two LoRA adapters and a DoRA one, and the model on both devices."""
    place = tmp_path_factory.mktemp("gpu")
    folder = save_base(place / "base")
    adapters = [save_adapter(place / f"a{k}", seed=k, rank=k + 1) for k in (1, 2)]
    adapters.append(save_dora(place / "dora", folder))
    models = [open_model(folder, device) for device in ("cpu", DEVICE)]
    for model in models:
        for adapter in adapters:
            model.bind(adapter)
    ids = [a.facts.adapter_id for a in adapters]
    return SimpleNamespace(folder=folder, adapters=adapters, ids=ids, cpu=models[0], gpu=models[1])


def questions(adapter_ids):
    """Return rows with beginnings shared at two depths, equal ones, ends of several lengths, and tails."""
    rows = []
    for k, adapter_id in enumerate(adapter_ids):
        for n in range(6):
            ids = (*range(10, 34), *(range(60, 72) if n % 2 else ()), 3 + n, *range(100, 101 + n % 3 + k))
            rows.append(TokenRow(ids=ids, labels=LABELS, adapter_id=adapter_id))
        rows.append(rows[-1])
        rows += [TokenRow(ids=(*range(10, 40), 9, 44 + n), tail=2, adapter_id=adapter_id) for n in range(2)]
        rows.append(TokenRow(ids=(5, 6 + k), labels=LABELS, adapter_id=adapter_id))
    return rows


def numbers(answer):
    return [x for x in (*answer.label_logits, answer.logsumexp, answer.tail_logprob) if x is not None]


def check(tiny, rows, answers, near=NEAR):
    """Compare answers with whole rows, one by one, on the CPU."""
    assert len(answers) == len(rows)
    for answer, want in zip(answers, tiny.cpu.runner.through_plain(rows), strict=True):
        assert numbers(answer) == pytest.approx(numbers(want), abs=near)


def answers_of(portions, n):
    found = dict(x for portion in portions for x in portion.rows)
    return [found[i] for i in range(n)]


@on_device
@pytest.mark.parametrize("budget", [1, 48, 1_000])
def test_rows_of_base_and_adapters_through_the_trie_equal_the_cpu(tiny, budget):
    rows = questions([None, *tiny.ids])
    plan = tiny.gpu.plan(rows)
    assert plan.n_unique < plan.n_naive, tiny.gpu.sharing()[0].sentence
    check(tiny, rows, answers_of(tiny.gpu.run(plan, lambda: budget), len(rows)))


@on_device
@pytest.mark.parametrize("budget", [1, 200])
def test_plain_rows_equal_the_cpu(tiny, budget):
    rows = questions([None, *tiny.ids])
    whole = Plan(rows=tuple(rows), nodes=(), known={}, n_unique=0, n_naive=0)
    check(tiny, rows, answers_of(tiny.gpu.runner.run(whole, lambda: budget), len(rows)))


@on_device
def test_merged_weights_equal_the_cpu_and_leave_the_base_alone(tiny):
    base = questions([None])
    for adapter_id in tiny.ids:
        rows = questions([adapter_id])
        tiny.gpu.runner.merge(adapter_id)
        assert tiny.gpu.runner.sharing(adapter_id, merged=True).passed
        check(tiny, rows, tiny.gpu.runner.through_trie(rows, merged=frozenset({adapter_id})))
        tiny.gpu._bank.unmerge(adapter_id)
    check(tiny, base, tiny.gpu.runner.through_trie(base))


@on_device
def test_a_continuation_is_the_cpu_s(tiny):
    for adapter_id in (None, *tiny.ids):
        prompt = list(range(20, 40))
        here, there = (list(m.generate(prompt, adapter_id, 12)) for m in (tiny.cpu, tiny.gpu))
        same = next((k for k, pair in enumerate(zip(here, there, strict=False)) if len({*pair}) > 1), None)
        if same is None:
            assert here == there
            continue
        with torch.inference_mode(), tiny.cpu.acting(adapter_id):  # they may part at a tie alone
            logits = tiny.cpu._model(torch.tensor([prompt + here[:same]]), use_cache=False).logits[0, -1]
        assert float(logits[here[same]] - logits[there[same]]) < NEAR


@on_device
def test_gradients_of_the_input_equal_the_cpu(tiny):
    for adapter_id in (None, *tiny.ids):
        found = []
        for model in (tiny.cpu, tiny.gpu):
            embedded = model.embed(range(30, 50)).requires_grad_()
            with model.acting(adapter_id):
                margin = model.margins_from_embeddings(embedded[None], LABELS, 0)
            [gradient] = torch.autograd.grad(margin.sum(), embedded)
            found.append((margin.detach().cpu(), gradient.cpu()))
        (margin, gradient), (other_margin, other_gradient) = found
        scale = float(gradient.abs().max())
        assert scale > 0
        torch.testing.assert_close(other_margin, margin, atol=NEAR, rtol=0)
        torch.testing.assert_close(other_gradient, gradient, atol=NEAR * scale, rtol=0)


@on_device
def test_binding_is_proved_on_the_device_too(tiny):
    for adapter_id in tiny.ids:
        here, there = (m.proofs[adapter_id] for m in (tiny.cpu, tiny.gpu))
        assert there.base_logit_drift == 0.0
        assert there.base_sample_digest == here.base_sample_digest
        assert there.max_logit_change == pytest.approx(here.max_logit_change, abs=NEAR)


@on_device
def test_bf16_is_as_near_to_fp32_as_it_says(tiny):
    """Its agreement is measured on some rows, on this device; others must not be much worse."""
    fast = open_model(tiny.folder, dtype="bf16")
    for adapter in tiny.adapters[:2]:
        fast.bind(adapter)
    rows = [r for r in questions([None, *tiny.ids[:2]]) if r.labels]

    def margins(answers):
        return [a.label_logits[0] - a.label_logits[1] for a in answers]

    fast_sample, exact_sample = map(margins, fast.beside_fp32(rows))
    far = max(abs(a - b) for a, b in zip(fast_sample, exact_sample, strict=True))
    assert 0 < far < 1.0
    others = [replace(r, ids=(*r.ids, 8)) for r in rows]
    answers = answers_of(fast.run(fast.plan(others), lambda: 64), len(others))
    exact = margins(tiny.cpu.runner.through_plain(others))
    assert all(abs(a - b) < 3 * far for a, b in zip(margins(answers), exact, strict=True))
    clear = [(a, b) for a, b in zip(margins(answers), exact, strict=True) if abs(b) > 3 * far]
    assert clear
    assert all((a > 0) == (b > 0) for a, b in clear)


@on_device
def test_products_in_fp32_are_not_shortened(tiny):
    """TF32 has the first 10 bits of each factor: an error of about 1e-3, and no evidence."""
    assert torch.get_float32_matmul_precision() == "highest"
    for layer in tiny.gpu._model.modules():
        if isinstance(layer, torch.nn.Linear):
            x = torch.randn(64, layer.in_features, device=layer.weight.device)
            with torch.inference_mode():
                exact = torch.nn.functional.linear(
                    x.double(), layer.weight.double(), None if layer.bias is None else layer.bias.double()
                )
                error = (layer(x).double() - exact).abs().max() / exact.abs().max()
            assert float(error) < 1e-5


@pytest.mark.parametrize(("hidden", "layers"), [(32, 3), (3584, 28)])
def test_a_forward_pass_is_as_large_as_free_memory_allows(tmp_path, monkeypatch, hidden, layers):
    """Arithmetic on what the driver says, so it runs anywhere."""
    runner = open_model(save_base(tmp_path), "cpu").runner
    size = SimpleNamespace(hidden_size=hidden, intermediate_size=5 * hidden, num_hidden_layers=layers)
    found = []
    for gigabytes in (80, 8, 4, 2, 0.5, 0.001):
        with monkeypatch.context() as patch:
            patch.setattr(torch.cuda, "mem_get_info", lambda _, g=gigabytes: (int(g * 2**30), 80 * 2**30))
            patch.setattr(runner, "_device", torch.device("cuda"))
            patch.setattr(
                runner, "_model", SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: size))
            )
            found.append(runner.most_tokens)
    assert found == sorted(found, reverse=True)
    assert (found[0], found[-1]) == (GPU_TOKENS, CPU_TOKENS)
    assert hidden == 32 or len({*found}) > 2  # a small model is at the bounds, a large one between
    assert runner.most_tokens == CPU_TOKENS


@in_gpu_memory
def test_a_full_gpu_halves_the_portion_and_goes_on(tmp_path):
    """A wide layer and a cap on what torch may take: the whole portion does not fit, a part of it does."""
    folder = save_base(tmp_path, intermediate_size=4096)
    cpu, gpu = open_model(folder, "cpu"), open_model(folder, "cuda")
    rows = [TokenRow(ids=(3 + k, *range(10, 265)), labels=LABELS) for k in range(64)]
    plan = gpu.plan(rows)
    sizes = []
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    cap = torch.cuda.memory_reserved() + 200 * 2**20  # the whole portion needs three times 256 MiB
    torch.cuda.set_per_process_memory_fraction(cap / total)
    try:
        found = {}
        for portion in gpu.run(plan, lambda: plan.n_unique):
            sizes.append(portion.n_tokens)
            found.update(portion.rows)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert len(sizes) > 1
    assert sum(sizes) == plan.n_unique
    assert sorted(found) == list(range(len(rows)))
    for k in range(0, len(rows), 9):
        [want] = cpu.runner.through_plain([rows[k]])
        assert numbers(found[k]) == pytest.approx(numbers(want), abs=NEAR)


@in_gpu_memory
def test_an_adapter_that_goes_gives_its_memory_back(tiny, tmp_path):
    adapter = save_adapter(tmp_path / "a", seed=9, rank=8)
    adapter_id = adapter.facts.adapter_id
    list(tiny.gpu.score_rows(questions([None]), 64))  # what is made once and kept is there now
    gc.collect()
    before = torch.cuda.memory_allocated()
    tiny.gpu.bind(adapter)
    tiny.gpu.runner.merge(adapter_id)
    list(tiny.gpu.score_rows(questions([adapter_id]), 64))
    assert torch.cuda.memory_allocated() > before
    tiny.gpu.unbind(adapter_id)
    gc.collect()
    assert torch.cuda.memory_allocated() <= before
