from __future__ import annotations

import pytest
import torch
from peft import PeftModel
from tiny import save_adapter, save_base
from transformers import AutoModelForCausalLM

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
    assert binding.lora_layers(model._model) == []


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
    [(_, scored)] = [x for b in model.score_rows([ROW], adapter.facts.adapter_id, 64) for x in b]
    assert margin.item() == pytest.approx(scored.label_logits[0] - scored.label_logits[1], abs=1e-4)
    assert embedded.grad is not None
    assert embedded.grad.abs().sum().item() > 0
