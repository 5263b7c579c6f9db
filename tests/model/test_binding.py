from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from peft import PeftModel
from tiny import save_adapter, save_base
from transformers import AutoModelForCausalLM

from lorabench.adapters import read_adapter
from lorabench.errors import BindingError
from lorabench.models import binding
from lorabench.models.language_model import LanguageModel
from lorabench.models.rows import TokenRow

ROW = TokenRow(ids=(5, 9, 11, 40, 41, 30), labels=((5, 6), (7,)))


@pytest.fixture
def base(tmp_path):
    return save_base(tmp_path / "base")


@pytest.fixture
def model(base):
    return LanguageModel(base, name="tiny", fingerprint="f", device="cpu")


def logits(model, adapter_id):
    with torch.inference_mode(), model.acting(adapter_id):
        return model._model(input_ids=torch.tensor([list(ROW.ids)]), use_cache=False).logits[0, -1]


@pytest.mark.parametrize(("rank", "alpha", "use_rslora"), [(2, 4, False), (4, 4, True), (1, 8, False)])
def test_a_bound_adapter_equals_peft_loading_the_same_folder(base, model, tmp_path, rank, alpha, use_rslora):
    folder = tmp_path / "adapter"
    adapter = save_adapter(folder, rank=rank, alpha=alpha, use_rslora=use_rslora)
    proof = model.bind(adapter)
    by_peft = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder).eval()
    with torch.inference_mode():
        expected = by_peft(input_ids=torch.tensor([list(ROW.ids)])).logits[0, -1]
    torch.testing.assert_close(logits(model, adapter.facts.adapter_id), expected, atol=2e-5, rtol=0)
    assert proof.n_bound == proof.n_expected == 18
    assert proof.max_logit_change > 0


def test_rows_of_the_base_and_of_unlike_adapters_in_one_pass_equal_peft(base, model, tmp_path):
    """Mixed ranks, rsLoRA, an alpha of its own for one module, and base rows."""
    kinds = {
        "a": {"rank": 2, "alpha": 4},
        "b": {"rank": 5, "alpha": 3, "use_rslora": True, "seed": 2},
        "c": {"rank": 1, "alpha": 8, "seed": 3},
    }
    adapters = {name: save_adapter(tmp_path / name, **kind) for name, kind in kinds.items()}
    pattern = tmp_path / "c" / "adapter_config.json"
    config = json.loads(pattern.read_text())
    pattern.write_text(json.dumps(config | {"alpha_pattern": {"model.layers.1.self_attn.q_proj": 2}}))
    adapters["c"] = read_adapter(tmp_path / "c")
    for adapter in adapters.values():
        model.bind(adapter)
    owners = {"base": None} | {name: a.facts.adapter_id for name, a in adapters.items()}
    ids = [(5, 9, 11, 40, 41, 30), (5, 9, 11, 77), (5, 9, 11, 40, 12, 13, 14)]
    rows = [TokenRow(ids=i, labels=((5,), (7,)), adapter_id=o) for i in ids for o in owners.values()]
    portions = list(model.run(model.plan(rows), lambda: 1000))
    assert len(portions) == 1, "all of them went through together"
    found = dict(portions[0].rows)
    for name, owner in owners.items():
        peft = AutoModelForCausalLM.from_pretrained(base)
        if owner is not None:
            peft = PeftModel.from_pretrained(peft, tmp_path / name)
        peft.eval()
        for k, row in enumerate(rows):
            if row.adapter_id == owner:
                with torch.inference_mode():
                    want = peft(input_ids=torch.tensor([row.ids])).logits[0, -1, [5, 7]]
                torch.testing.assert_close(torch.tensor(found[k].label_logits), want, atol=2e-5, rtol=0)


def test_input_gradients_equal_pefts(base, model, tmp_path):
    adapter = save_adapter(tmp_path / "a")
    model.bind(adapter)
    peft = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), tmp_path / "a").eval()
    embedded = model.embed(ROW.ids)[None]
    grads = []
    for forward in (lambda x: peft(inputs_embeds=x), lambda x: model._model(inputs_embeds=x)):
        x = embedded.clone().requires_grad_()
        with model.acting(adapter.facts.adapter_id):
            forward(x).logits[0, -1, 5].backward()
        grads.append(x.grad)
    torch.testing.assert_close(grads[1], grads[0], atol=2e-5, rtol=1e-4)


def test_two_adapters_do_not_disturb_each_other_or_the_base(model, tmp_path):
    plain = logits(model, None)
    first = save_adapter(tmp_path / "a", seed=1)
    second = save_adapter(tmp_path / "b", seed=2, rank=3, layers=(1, 2))
    model.bind(first)
    alone = logits(model, first.facts.adapter_id)
    proof = model.bind(second)
    assert proof.base_logit_drift == 0
    torch.testing.assert_close(logits(model, first.facts.adapter_id), alone, atol=0, rtol=0)
    torch.testing.assert_close(logits(model, None), plain, atol=0, rtol=0)
    assert not torch.allclose(logits(model, second.facts.adapter_id), alone)


def test_an_exception_in_the_forward_leaves_no_adapter_on(model, tmp_path):
    adapter = save_adapter(tmp_path / "a")
    plain = logits(model, None)
    model.bind(adapter)
    with pytest.raises(RuntimeError, match="boom"), model.acting(adapter.facts.adapter_id):
        raise RuntimeError("boom")
    with torch.inference_mode():
        after = model._model(input_ids=torch.tensor([list(ROW.ids)])).logits[0, -1]
    torch.testing.assert_close(after, plain, atol=0, rtol=0)


def test_unbinding_restores_the_plain_model(model, tmp_path):
    adapter = save_adapter(tmp_path / "a")
    digest = binding.sample_digest(model._model)
    model.bind(adapter)
    model.unbind(adapter.facts.adapter_id)
    assert binding.sample_digest(model._model) == digest
    with pytest.raises(BindingError) as caught, model.acting(adapter.facts.adapter_id):
        pass
    assert caught.value.rule == "not-bound"


def test_an_adapter_for_another_base_is_refused_and_leaves_nothing(tmp_path, model):
    other = save_adapter(tmp_path / "deep", layers=(0, 5))
    with pytest.raises(BindingError) as caught:
        model.bind(other)
    assert caught.value.rule == "module-missing"
    assert "model.layers.5" in str(caught.value)
    assert model._bank.ids == set()
    assert model.proofs == {}


def test_a_wider_base_is_a_shape_mismatch(tmp_path):
    wide = LanguageModel(
        save_base(tmp_path / "wide", hidden_size=64), name="wide", fingerprint="g", device="cpu"
    )
    with pytest.raises(BindingError) as caught:
        wide.bind(save_adapter(tmp_path / "a"))
    assert caught.value.rule == "shape-mismatch"


def test_the_least_recently_used_adapter_goes_first(model, tmp_path, monkeypatch):
    import lorabench.models.language_model as module

    monkeypatch.setattr(module, "MAX_BOUND", 2)
    adapters = [save_adapter(tmp_path / str(i), seed=i) for i in range(3)]
    for a in (adapters[0], adapters[1], adapters[0], adapters[2]):
        model.bind(a)
    assert list(model.proofs) == [adapters[0].facts.adapter_id, adapters[2].facts.adapter_id]


def test_margin_gradients_agree_with_the_scored_margin(model, tmp_path):
    adapter = save_adapter(tmp_path / "a")
    model.bind(adapter)
    with model.acting(adapter.facts.adapter_id):
        embedded = model.embed(ROW.ids)[None].requires_grad_(True)
        margin = model.margins_from_embeddings(embedded, ROW.labels, target=0)
        margin.sum().backward()
    asked = replace(ROW, adapter_id=adapter.facts.adapter_id)
    [(_, scored)] = [x for b in model.score_rows([asked], 64) for x in b]
    assert margin.item() == pytest.approx(scored.label_logits[0] - scored.label_logits[1], abs=1e-4)
    assert embedded.grad is not None
    assert embedded.grad.abs().sum().item() > 0
