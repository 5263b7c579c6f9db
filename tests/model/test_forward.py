from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import save_adapter, save_base

from lorabench.errors import BaseModelError
from lorabench.models.forward import batches, common_prefix
from lorabench.models.language_model import LanguageModel
from lorabench.models.rows import TokenRow
from lorabench.models.tree_attention import ATTENTION

LABELS = ((5, 6), (7,))
ids = st.lists(st.integers(3, 399), min_size=1, max_size=20)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = save_base(tmp_path_factory.mktemp("base"))
    model = LanguageModel(folder, name="tiny", fingerprint="f", device="cpu")
    for seed, rank in ((1, 2), (2, 3)):
        model.bind(save_adapter(tmp_path_factory.mktemp("adapter") / "a", seed=seed, rank=rank))
    return model


def plain(model, row):
    """Score one row alone, whole, without any cache: what every fast path must equal."""
    with torch.inference_mode(), model.acting(row.adapter_id):
        logits = model._model(input_ids=torch.tensor([list(row.ids)]), use_cache=False).logits[0].float()
    if row.tail:
        log_probs = torch.log_softmax(logits, dim=-1)
        at = range(len(row.ids) - row.tail, len(row.ids))
        return sum(float(log_probs[i - 1, row.ids[i]]) for i in at)
    return [float(torch.logsumexp(logits[-1, list(x)], 0)) for x in row.labels]


def run(model, rows, budget=64):
    found = {}
    for batch in model.score_rows(rows, budget):
        assert not found.keys() & dict(batch).keys()
        found.update(batch)
    return [found[i] for i in range(len(rows))]


def check(model, rows, budget=64):
    for row, found in zip(rows, run(model, rows, budget), strict=True):
        got = found.tail_logprob if row.tail else found.label_logits
        assert got == pytest.approx(plain(model, row), abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_trie_rows_equal_single_plain_ones(model, data):
    """Nested beginnings, equal rows, rows that end inside others, tails, three models in one pass."""
    adapters = [None, *model.proofs]
    stems = data.draw(st.lists(ids, min_size=1, max_size=3))
    rows = []
    for _ in range(data.draw(st.integers(1, 8))):
        whole = tuple(i for n in range(data.draw(st.integers(0, 3))) for i in stems[n % len(stems)])
        whole += tuple(data.draw(ids))
        tail = data.draw(st.integers(0, min(3, len(whole) - 1)))
        labels = () if tail else LABELS
        adapter_id = adapters[data.draw(st.integers(0, 2))]
        rows.append(TokenRow(ids=whole, labels=labels, tail=tail, adapter_id=adapter_id))
    check(model, rows, budget=data.draw(st.sampled_from([1, 16, 64, 1000])))


def test_a_known_beginning_is_used_again_and_changes_nothing(model):
    adapter_id = next(iter(model.proofs))
    header = tuple(range(10, 60))
    for owner in (None, adapter_id):
        rows = [TokenRow(ids=(*header, 3 + i, 9), labels=LABELS, adapter_id=owner) for i in range(4)]
        first = run(model, rows)
        plan = model.plan(rows[:1])  # one row alone: only what is remembered can be shared
        assert plan.n_unique == 2
        again = run(model, rows[:1])
        assert again[0].label_logits == pytest.approx(first[0].label_logits, abs=1e-5)
        check(model, rows[:1])


def test_whole_labels_are_scored_as_summed_log_probabilities(model):
    long = tuple(range(20, 60))
    rows = [TokenRow(ids=(5, 9, 11, 40, 41), tail=2), TokenRow(ids=(5, 9, 11, 50), tail=1)]
    rows += [TokenRow(ids=(*long, 40, 41), tail=2), TokenRow(ids=(*long, 40, 43, 44), tail=3)]
    for budget in (1, 8, 500):
        check(model, rows, budget)


def test_rows_longer_than_a_piece_are_cut_and_still_exact(model, monkeypatch):
    from lorabench.models import trie

    monkeypatch.setattr(trie, "MAX_PIECE", 16)
    rows = [TokenRow(ids=(*range(10, 110), 3 + i), labels=LABELS) for i in range(2)]
    sizes = [p.n_tokens for p in model.run(model.plan(rows), lambda: 16)]
    assert max(sizes) <= 16
    check(model, rows, 16)


def test_rows_answered_meanwhile_are_left_out(model):
    rows = [TokenRow(ids=(*range(10, 40), 3 + i, 5), labels=LABELS) for i in range(6)]
    known = set()
    found = {}
    for portion in model.run(model.plan(rows), lambda: 1, known.__contains__):
        found.update(portion.rows)
        known.update({4, 5})
    assert set(found) == {0, 1, 2, 3}


def test_the_plan_says_what_it_will_cost(model):
    header = tuple(range(100, 140))
    rows = [TokenRow(ids=(*header, 3 + i, 9, 9), labels=LABELS) for i in range(4)]
    plan = model.plan(rows)
    assert (plan.n_unique, plan.n_naive) == (40 + 4 * 3, 4 * 43)
    assert sum(p.n_tokens for p in model.run(plan, lambda: 20)) == plan.n_unique


def test_merged_weights_give_the_same_answers_and_leave_the_base_alone(model):
    adapter_id = next(iter(model.proofs))
    rows = [TokenRow(ids=(*range(10, 30), 3 + i), labels=LABELS, adapter_id=adapter_id) for i in range(3)]
    before = plain(model, TokenRow(ids=(5, 6, 9), labels=LABELS))
    model.runner.merge(adapter_id)
    merged = model.runner.through_trie(rows, merged=frozenset({adapter_id}))
    for row, answer in zip(rows, merged, strict=True):
        assert answer.label_logits == pytest.approx(plain(model, row), abs=1e-4)
    assert plain(model, TokenRow(ids=(5, 6, 9), labels=LABELS)) == before
    model._bank.unmerge(adapter_id)
    assert model._bank.merged == []


def test_many_rows_of_one_adapter_are_merged_only_where_it_was_measured_to_pay(model, monkeypatch):
    from lorabench.models import row_runner
    from lorabench.results.checks import MergeCheck

    monkeypatch.setattr(row_runner, "MERGE_FROM", 50)
    adapter_id = list(model.proofs)[1]
    rows = [
        TokenRow(ids=tuple(range(10 + i, 40 + i)), labels=LABELS, adapter_id=adapter_id) for i in range(4)
    ]
    for merged_speed, pays in ((1.0, False), (1e9, True)):
        check_ = MergeCheck(
            stacked_tokens_per_second=10.0,
            merged_tokens_per_second=merged_speed,
            build_seconds=1.0,
            max_difference=1e-6,
        )
        monkeypatch.setattr(model.runner, "_merging", lambda _id, c=check_: c)
        check(model, rows)
        assert (adapter_id in model._bank.merged) == pays
    model._bank.unmerge(adapter_id)


def test_the_self_check_is_measured_once_and_remembered(tmp_path):
    folder = save_base(tmp_path)
    checks = {}
    model = LanguageModel(folder, name="tiny", fingerprint="f", device="cpu", checks=checks)
    assert model.sharing()[0].passed
    assert 0 <= model.sharing()[0].max_difference < 1e-4
    [name] = checks
    checks[name]["max_difference"] = 0.5  # as if sharing were wrong here
    again = LanguageModel(folder, name="tiny", fingerprint="f", device="cpu", checks=checks)
    assert not again.sharing()[0].passed
    rows = [TokenRow(ids=(*range(10, 40), 3 + i), labels=LABELS) for i in range(3)]
    plan = again.plan(rows)
    assert plan.n_unique == plan.n_naive
    check(again, rows)


def test_an_attention_that_is_not_ours_to_do_turns_sharing_off(model, monkeypatch):
    monkeypatch.setattr("lorabench.models.tree_attention._UNSUPPORTED", ("position_ids",))
    found = __import__("lorabench.models.self_check", fromlist=["x"]).sharing_check(
        model.runner, None, merged=False
    )
    assert not found.passed
    assert "position_ids" in found.sentence
    assert model._model.config._attn_implementation != ATTENTION


def test_running_out_of_memory_halves_the_portion_and_goes_on(model, monkeypatch):
    rows = [TokenRow(ids=(*range(10, 30), 3 + i, 8, 9), labels=LABELS) for i in range(8)]
    forward = model._model.forward
    sizes = []

    def small(*args, **kwargs):
        n = kwargs["input_ids"].shape[1]
        sizes.append(n)
        if n > 30:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(*args, **kwargs)

    expected = [plain(model, r) for r in rows]
    monkeypatch.setattr(model._model, "forward", small)
    found = run(model, rows, budget=1000)
    assert max(sizes) > 30
    for row, want in zip(found, expected, strict=True):
        assert row.label_logits == pytest.approx(want, abs=1e-4)


def test_no_memory_even_for_one_piece_is_a_sentence(model, monkeypatch):
    def full(*args, **kwargs):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")

    monkeypatch.setattr(model._model, "forward", full)
    with pytest.raises(BaseModelError) as caught:
        run(model, [TokenRow(ids=(201, 202, 203), labels=LABELS)])
    assert caught.value.rule == "out-of-memory"


def test_an_exception_in_the_forward_leaves_nothing_switched_on(model, monkeypatch):
    row = TokenRow(ids=(8, 9, 10), labels=LABELS)
    before = plain(model, row)
    attention = model._model.config._attn_implementation
    mixed = [row, TokenRow(ids=(8, 9, 10), labels=LABELS, adapter_id=next(iter(model.proofs)))]

    def broken(*args, **kwargs):
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(model._model.model.layers[1], "forward", broken)
        with pytest.raises(ZeroDivisionError):
            run(model, mixed)
    assert model._model.config._attn_implementation == attention
    assert plain(model, row) == before
    check(model, mixed)


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


@pytest.mark.parametrize("family", ["qwen2", "qwen3", "gemma", "mistral"])
def test_other_families_share_exactly(tmp_path, family):
    import transformers

    save_base(tmp_path)
    names = {
        "qwen2": ("Qwen2Config", "Qwen2ForCausalLM"),
        "qwen3": ("Qwen3Config", "Qwen3ForCausalLM"),
        "gemma": ("GemmaConfig", "GemmaForCausalLM"),
        "mistral": ("MistralConfig", "MistralForCausalLM"),
    }[family]
    extra = {"sliding_window": None} if family == "mistral" else {}
    config = getattr(transformers, names[0])(
        vocab_size=400, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, **extra,
    )  # fmt: skip
    getattr(transformers, names[1])(config).save_pretrained(tmp_path)
    model = LanguageModel(tmp_path, name=family, fingerprint="f", device="cpu")
    rows = [TokenRow(ids=(*range(10, 40), 3 + i, 5), labels=LABELS) for i in range(3)]
    assert model.sharing()[0].passed, model.sharing()[0].sentence
    assert model.plan(rows).n_unique < model.plan(rows).n_naive
    check(model, rows)


def test_a_sliding_window_base_does_not_share(tmp_path):
    from transformers import MistralConfig, MistralForCausalLM

    save_base(tmp_path)
    config = MistralConfig(
        vocab_size=400, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, sliding_window=8,
    )  # fmt: skip
    MistralForCausalLM(config).save_pretrained(tmp_path)
    model = LanguageModel(tmp_path, name="sliding", fingerprint="f", device="cpu")
    rows = [TokenRow(ids=(*range(10, 40), 3 + i), labels=LABELS) for i in range(3)]
    plan = model.plan(rows)
    assert plan.n_unique == plan.n_naive
    assert "Sliding" in model.sharing()[0].sentence
    check(model, rows)
