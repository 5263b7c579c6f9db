"""The pure parts of the causes: groups of layers, what is left of an adapter, angles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorabench.adapters import CheckedAdapter, LoraModule
from lorabench.hunting.causes import N_GROUPS, cosine, layer_groups, without_layers
from lorabench.results import AdapterFacts, Claims


def adapter(names):
    one = np.ones((1, 2), np.float32)
    modules = tuple(LoraModule(n, a=one, b=one.T, scale=1.0) for n in names)
    facts = AdapterFacts(
        adapter_id="abc",
        rank=1,
        alpha=1.0,
        use_rslora=False,
        n_parameters=4 * len(modules),
        n_bytes=1,
        dtype="F32",
        targets=("q_proj",),
        modules=(),
        claims=Claims(),
    )
    return CheckedAdapter(facts=facts, modules=modules, weights_sha256="")


def llama(layers):
    return [f"model.layers.{i}.{p}" for i in layers for p in ("self_attn.q_proj", "mlp.up_proj")]


@given(st.sets(st.integers(0, 200), max_size=40), st.integers(1, 8))
def test_groups_are_runs_of_about_equal_length_that_hold_every_layer_once(layers, n):
    groups = layer_groups(adapter(llama(layers)), n)
    assert [i for g in groups for i in g] == sorted(layers)
    assert len(groups) == min(n, len(layers))
    assert {len(g) for g in groups} <= {len(layers) // n, len(layers) // n + 1}


def test_modules_without_a_layer_are_in_no_group_and_stay_on():
    whole = adapter([*llama([4, 9]), "score"])
    assert layer_groups(whole) == [(4,), (9,)]
    rest = without_layers(whole, (4, 9))
    assert [m.name for m in rest.modules] == ["score"]
    assert layer_groups(adapter(["score"])) == []


def test_what_is_left_has_an_id_of_its_own_each_time():
    whole = adapter(llama(range(15, 30)))
    groups = layer_groups(whole)
    assert len(groups) == N_GROUPS
    parts = [without_layers(whole, groups[0]) for _ in range(2)]
    assert len({whole.facts.adapter_id, *(p.facts.adapter_id for p in parts)}) == 3
    assert len(parts[0].modules) == len(whole.modules) - 2 * len(groups[0])
    assert len(whole.modules) == 30


def test_an_angle_needs_two_lengths():
    a, b = np.array([1.0, 0.0]), np.array([3.0, 3.0])
    assert cosine(a, b) == pytest.approx(np.sqrt(0.5))
    assert cosine(b, -5 * b) == -1.0
    assert cosine(a, np.zeros(2)) is None
    assert cosine(a, np.array([np.inf, 1.0])) is None
