from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import save_base

from lorabench.models.forward import PrefixCache, batches, common_prefix, score_rows
from lorabench.models.language_model import LanguageModel
from lorabench.models.rows import TokenRow

LABELS = ((5, 6), (7,))
ids = st.lists(st.integers(3, 399), min_size=1, max_size=20)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = save_base(tmp_path_factory.mktemp("base"))
    return LanguageModel(folder, name="tiny", fingerprint="f", device="cpu")


def plain(model, row):
    """Score one row alone, whole, without any cache: what every fast path must equal."""
    with torch.inference_mode():
        logits = model._model(input_ids=torch.tensor([list(row.ids)]), use_cache=False).logits[0].float()
    if row.tail:
        log_probs = torch.log_softmax(logits, dim=-1)
        at = range(len(row.ids) - row.tail, len(row.ids))
        return sum(float(log_probs[i - 1, row.ids[i]]) for i in at)
    return [float(torch.logsumexp(logits[-1, list(x)], 0)) for x in row.labels]


def run(model, rows, budget=64):
    found = {}
    for batch in model.score_rows(rows, None, budget):
        found.update(batch)
    return [found[i] for i in range(len(rows))]


@settings(max_examples=15, deadline=None)
@given(st.lists(ids, min_size=1, max_size=6), st.integers(0, 40))
def test_batched_shared_rows_equal_single_plain_ones(model, tails, n_shared):
    header = tuple((7 * i) % 397 + 3 for i in range(n_shared))
    rows = [TokenRow(ids=header + tuple(t), labels=LABELS) for t in tails]
    for row, found in zip(rows, run(model, rows), strict=True):
        assert found.label_logits == pytest.approx(plain(model, row), abs=1e-4)


def test_a_known_prefix_is_used_again_and_changes_nothing(model):
    header = tuple(range(10, 60))
    rows = [TokenRow(ids=(*header, 3 + i, 9), labels=LABELS) for i in range(4)]
    first = run(model, rows)
    again = run(model, rows[:1])  # one row alone: only the cache can share
    assert again[0].label_logits == pytest.approx(first[0].label_logits, abs=1e-5)
    assert again[0].label_logits == pytest.approx(plain(model, rows[0]), abs=1e-4)


def test_whole_labels_are_scored_as_summed_log_probabilities(model):
    rows = [TokenRow(ids=(5, 9, 11, 40, 41), tail=2), TokenRow(ids=(5, 9, 11, 50), tail=1)]
    for row, found in zip(rows, run(model, rows), strict=True):
        assert found.tail_logprob == pytest.approx(plain(model, row), abs=1e-4)


def test_sharing_off_gives_the_same_answer(model):
    header = tuple(range(10, 60))
    rows = [TokenRow(ids=(*header, 3 + i), labels=LABELS) for i in range(3)]
    device = torch.device("cpu")
    with torch.inference_mode():
        off = dict(x for b in score_rows(model._model, rows, budget=64, pad_id=0, device=device) for x in b)
        on = dict(
            x
            for b in score_rows(
                model._model, rows, budget=64, pad_id=0, device=device, prefixes=PrefixCache()
            )
            for x in b
        )
    for i in range(3):
        assert on[i].label_logits == pytest.approx(off[i].label_logits, abs=1e-5)


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=2, max_size=6))
def test_the_common_prefix_is_common_and_leaves_something(rows):
    n = common_prefix(rows)
    assert all(r[:n] == rows[0][:n] for r in rows)
    assert n < min(map(len, rows))


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30), st.integers(1, 200))
def test_batches_hold_every_row_once_within_the_budget(lengths, budget):
    groups = list(batches(lengths, budget))
    assert sorted(i for g in groups for i in g) == list(range(len(lengths)))
    assert all(len(g) == 1 or len(g) * max(lengths[i] for i in g) <= budget for g in groups)


def test_a_sliding_window_base_does_not_share(tmp_path):
    from transformers import MistralConfig, MistralForCausalLM

    save_base(tmp_path)
    config = MistralConfig(
        vocab_size=400, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, sliding_window=8,
    )  # fmt: skip
    MistralForCausalLM(config).save_pretrained(tmp_path)
    model = LanguageModel(tmp_path, name="sliding", fingerprint="f", device="cpu")
    assert not model.shares_prefix
    rows = [TokenRow(ids=(*range(10, 40), 3 + i), labels=LABELS) for i in range(3)]
    for row, found in zip(rows, run(model, rows), strict=True):
        assert found.label_logits == pytest.approx(plain(model, row), abs=1e-4)
