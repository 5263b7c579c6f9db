"""What the first layer's change says of every token: held against the model that really runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import save_adapter, save_base

from lorabench.models.opening import open_causal
from lorabench.models.sweep import MergedCopy
from lorabench.models.vocabulary_response import first_layer_response

READS = ("q_proj", "k_proj", "v_proj")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_base(tmp_path_factory.mktemp("response") / "base")


def outputs(copy, token):
    """Return what each of the first layer's q, k and v makes of a text of one token, by hooks."""
    found, attention = {}, copy._model.model.layers[0].self_attn
    hooks = [
        getattr(attention, n).register_forward_hook(
            lambda m, i, out, n=n: found.update({n: out[0, 0].clone()})
        )
        for n in READS
    ]
    with torch.inference_mode():
        copy._model(input_ids=torch.tensor([[token]]), use_cache=False)
    for hook in hooks:
        hook.remove()
    return found


def test_the_response_is_what_a_forward_pass_shows(folder, tmp_path):
    adapter = save_adapter(tmp_path / "a", seed=3, rank=4)
    base, merged = (MergedCopy(folder, "tiny", a, dtype="fp32") for a in (None, adapter))
    response = base.first_layer_response(adapter)
    adapted = {m.name.rsplit(".", 1)[1] for m in adapter.modules if ".layers.0.self_attn." in m.name}
    assert adapted & set(READS)
    for token in (3, 17, 40):
        before, after = outputs(base, token), outputs(merged, token)
        wanted = sum(
            float((after[n] - before[n]).square().sum() / before[n].square().sum())
            for n in adapted & set(READS)
        )
        assert response[token] == pytest.approx(wanted, rel=1e-3)
    assert len(response) == len(base._model.get_input_embeddings().weight)
    assert np.ptp(response) > 0


def test_an_adapter_that_leaves_the_first_layer_alone_says_nothing(folder, tmp_path):
    adapter = save_adapter(tmp_path / "a", seed=3, rank=4)
    later = [m for m in adapter.modules if ".layers.0." not in m.name]
    assert later
    model = open_causal(folder, "tiny", "fp32")
    assert first_layer_response(model, later) is None
    assert first_layer_response(model, ()) is None
