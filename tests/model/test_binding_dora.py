"""DoRA adapters that PEFT itself saved, against PEFT."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from peft import PeftModel
from tiny import D, save_adapter, save_base, save_dora
from transformers import AutoModelForCausalLM

from lorabench.adapters import write_adapter
from lorabench.errors import BindingError
from lorabench.models import binding
from lorabench.models.language_model import LanguageModel
from lorabench.models.rows import TokenRow

IDS = (5, 9, 11, 40, 41, 30)
LABELS = ((5,), (7,))
Q = "model.layers.0.self_attn.q_proj"


@pytest.fixture(params=[False, True], ids=["no biases", "biases"])
def base(tmp_path, request):
    return save_base(tmp_path / "base", attention_bias=request.param, mlp_bias=request.param)


@pytest.fixture
def model(base):
    return opened(base)


def opened(base, dtype="fp32"):
    return LanguageModel(base, name="tiny", fingerprint="f", device="cpu", dtype=dtype)


def peft(base, folder=None):
    model = AutoModelForCausalLM.from_pretrained(base)
    return (model if folder is None else PeftModel.from_pretrained(model, folder)).eval()


@torch.inference_mode()
def last_logits(by, ids=IDS):
    return by(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0, -1]


def adapted_logits(model, adapter_id):
    with model.acting(adapter_id):
        return last_logits(model._model)


@pytest.mark.parametrize(("rank", "alpha", "use_rslora"), [(2, 4, False), (5, 3, True)])
def test_a_bound_dora_adapter_equals_peft(base, model, tmp_path, rank, alpha, use_rslora):
    folder = tmp_path / "dora"
    adapter = save_dora(folder, base, rank=rank, alpha=alpha, use_rslora=use_rslora)
    proof = model.bind(adapter)
    found = adapted_logits(model, adapter.facts.adapter_id)
    torch.testing.assert_close(found, last_logits(peft(base, folder)), atol=2e-5, rtol=0)
    assert proof.n_bound == proof.n_expected == 27
    assert proof.base_logit_drift == 0


def test_dora_plain_and_base_rows_in_one_pass_equal_peft(base, model, tmp_path):
    adapters = {
        "dora": save_dora(tmp_path / "dora", base),
        "plain": save_adapter(tmp_path / "plain"),
        "other dora": save_dora(tmp_path / "other dora", base, seed=2, rank=3),
    }
    for adapter in adapters.values():
        model.bind(adapter)
    owners = {None: None} | {a.facts.adapter_id: tmp_path / name for name, a in adapters.items()}
    ids = [IDS, (5, 9, 11, 77), (5, 9, 11, 40, 12, 13, 14)]
    rows = [TokenRow(ids=i, labels=LABELS, adapter_id=o) for i in ids for o in owners]
    plan = model.plan(rows)
    assert plan.nodes, "sharing is on"
    portions = list(model.run(plan, lambda: 1000))
    assert len(portions) == 1, "all of them went through together"
    found = dict(portions[0].rows)
    for owner, folder in owners.items():
        reference = peft(base, folder)
        for k, row in enumerate(rows):
            if row.adapter_id == owner:
                want = last_logits(reference, row.ids)[[5, 7]]
                torch.testing.assert_close(torch.tensor(found[k].label_logits), want, atol=2e-5, rtol=0)


def test_merged_weights_equal_pefts(base, model, tmp_path):
    adapter = save_dora(tmp_path / "dora", base)
    adapter_id = adapter.facts.adapter_id
    model.bind(adapter)
    model.runner.merge(adapter_id)
    reference = peft(base, tmp_path / "dora")
    row = TokenRow(ids=IDS, labels=LABELS, adapter_id=adapter_id)
    [answer] = model.runner.through_trie([row], merged=frozenset({adapter_id}))
    want = last_logits(reference)[[5, 7]]
    torch.testing.assert_close(torch.tensor(answer.label_logits), want, atol=1e-4, rtol=0)
    merged = reference.merge_and_unload()
    for name in (m.name for m in adapter.modules):
        own = model._model.get_submodule(name).merged[adapter_id]
        torch.testing.assert_close(own, merged.get_submodule(name).weight, atol=1e-5, rtol=0)


def test_input_gradients_equal_pefts_alone_and_beside_the_base(base, model, tmp_path):
    adapter = save_dora(tmp_path / "dora", base)
    adapter_id = adapter.facts.adapter_id
    model.bind(adapter)
    embedded = model.embed(IDS)[None]

    def gradient(forward, x):
        x = x.clone().requires_grad_()
        forward(inputs_embeds=x).logits[:, -1, 5].sum().backward()
        return x.grad

    want = gradient(peft(base, tmp_path / "dora"), embedded)
    plain = gradient(peft(base), embedded)
    assert not torch.allclose(want, plain, atol=1e-3)
    with model.acting(adapter_id):
        torch.testing.assert_close(gradient(model._model, embedded), want, atol=2e-5, rtol=1e-4)
    with model.acting_by_row([adapter_id, None], len(IDS)):
        both = gradient(model._model, embedded.repeat(2, 1, 1))
    torch.testing.assert_close(both, torch.cat([want, plain]), atol=2e-5, rtol=1e-4)


def write_q(folder, b, magnitude):
    """Write a DoRA adapter of rank 1 for one layer."""
    return write_adapter(
        folder,
        modules={Q: (np.ones((1, D)), b)},
        magnitudes={Q: magnitude},
        rank=1,
        alpha=1,
        use_rslora=False,
        target_modules=["q_proj"],
        layers_to_transform=[0],
        base_model_name="tiny",
        lorabench_json={},
        card="",
        dtype="F32",
    )


def test_magnitudes_act_where_the_low_rank_change_is_zero(base, model, tmp_path):
    norms = model._model.get_submodule(Q).weight.norm(dim=1).numpy()
    adapter = write_q(tmp_path / "half", np.zeros((D, 1)), norms / 2)
    assert adapter.facts.modules[0].delta_norm == 0
    model.bind(adapter)
    found = adapted_logits(model, adapter.facts.adapter_id)
    halved = peft(base)
    halved.get_submodule(Q).weight.data /= 2
    torch.testing.assert_close(found, last_logits(halved), atol=2e-5, rtol=0)
    torch.testing.assert_close(found, last_logits(peft(base, tmp_path / "half")), atol=2e-5, rtol=0)


def test_unbinding_restores_the_base(base, model, tmp_path):
    before, digest = adapted_logits(model, None), binding.sample_digest(model._model)
    adapter = save_dora(tmp_path / "dora", base)
    adapter_id = adapter.facts.adapter_id
    model.bind(adapter)
    model.runner.merge(adapter_id)
    assert not torch.allclose(adapted_logits(model, adapter_id), before, atol=1e-2)
    torch.testing.assert_close(adapted_logits(model, None), before, atol=0, rtol=0)
    model.unbind(adapter_id)
    torch.testing.assert_close(adapted_logits(model, None), before, atol=0, rtol=0)
    assert binding.sample_digest(model._model) == digest
    assert not model._model.get_submodule(Q).factors
    assert not model._model.get_submodule(Q).merged


@pytest.mark.parametrize(("row", "magnitude"), [(0.0, 1.0), (0.0, 0.0), (1e-3, 3e38)])
def test_a_row_without_a_finite_gain_is_refused_and_leaves_nothing(model, tmp_path, row, magnitude):
    with torch.no_grad():
        model._model.get_submodule(Q).weight[3] = row
    b, magnitudes = np.ones((D, 1)), np.ones(D)
    b[3], magnitudes[3] = 0, magnitude
    adapter = write_q(tmp_path / "a", b, magnitudes)
    before = adapted_logits(model, None)
    with pytest.raises(BindingError) as caught:
        model.bind(adapter)
    assert caught.value.rule == "gain-not-finite"
    assert Q in str(caught.value)
    assert model.proofs == {}
    assert model._bank.ids == set()
    assert not model._model.get_submodule(Q).factors
    torch.testing.assert_close(adapted_logits(model, None), before, atol=0, rtol=0)


def test_gains_are_fp32_in_the_fast_mode_too(base, tmp_path):
    model = opened(base, "bf16")
    adapter = save_dora(tmp_path / "dora", base)
    adapter_id = adapter.facts.adapter_id
    model.bind(adapter)
    want = last_logits(peft(base, tmp_path / "dora"))
    found = adapted_logits(model, adapter_id)
    assert found.dtype == torch.bfloat16
    assert torch.corrcoef(torch.stack([found.float(), want]))[0, 1] > 0.99
    assert model._model.get_submodule(Q).factors[adapter_id].gain.factor.dtype == torch.float32
    with model.acting_by_row([None, adapter_id], len(IDS)), torch.inference_mode():
        both = model._model(input_ids=torch.tensor([list(IDS)] * 2)).logits[:, -1]
    assert torch.corrcoef(torch.stack([both[1].float(), want]))[0, 1] > 0.99
    model.runner.merge(adapter_id)
    assert model._model.get_submodule(Q).merged[adapter_id].dtype == torch.bfloat16
