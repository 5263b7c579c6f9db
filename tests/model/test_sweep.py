"""The copies a search asks: equal to the models they copy, and what a strength and a gradient mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tiny import save_adapter, save_base, save_dora

from lorabench.adapters import CheckedAdapter
from lorabench.models.language_model import LanguageModel
from lorabench.models.rows import TokenRow
from lorabench.models.sweep import MergedCopy
from lorabench.scoring.labels import margin

LABELS, TARGET = ((5, 6), (7,), (9, 11)), 1
SHARED = tuple(range(10, 30))
ROWS = [SHARED + tail for tail in ((40,), (41, 42, 43), (44, 45), (41, 42, 43, 46, 47, 48))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_base(tmp_path_factory.mktemp("sweep") / "base")


@pytest.fixture(scope="module")
def adapter(tmp_path_factory) -> CheckedAdapter:
    return save_adapter(tmp_path_factory.mktemp("sweep") / "a", seed=3, rank=4)


def finish(work):
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def expected(folder, adapter, rows=ROWS):
    model = LanguageModel(folder, name="tiny", fingerprint="f", device="cpu")
    adapter_id = None
    if adapter is not None:
        model.bind(adapter)
        adapter_id = adapter.facts.adapter_id
    asked = [TokenRow(ids=r, labels=LABELS, adapter_id=adapter_id) for r in rows]
    found = dict(x for part in model.score_rows(asked, 512) for x in part)
    return np.array([margin(found[i].label_logits, TARGET) for i in range(len(rows))])


def copy_of(folder, adapter, **options):
    return MergedCopy(folder, "tiny", adapter, **{"dtype": "fp32", **options})


@pytest.mark.parametrize("budget", [8, 4096])
@pytest.mark.parametrize("kind", ["base", "lora", "dora"])
def test_a_copy_answers_as_the_model_it_copies(folder, adapter, tmp_path, kind, budget):
    chosen = {"base": None, "lora": adapter, "dora": None}[kind]
    if kind == "dora":
        chosen = save_dora(tmp_path / "dora", folder)
    found = finish(copy_of(folder, chosen).margins(ROWS, LABELS, TARGET, budget))
    assert found == pytest.approx(expected(folder, chosen), abs=2e-4)


def test_strength_multiplies_the_change(folder, adapter):
    doubled = replace(adapter, modules=tuple(replace(m, b=2 * m.b) for m in adapter.modules))
    strong = finish(copy_of(folder, adapter, strength=2.0).margins(ROWS, LABELS, TARGET, 4096))
    assert strong == pytest.approx(
        finish(copy_of(folder, doubled).margins(ROWS, LABELS, TARGET, 4096)), abs=2e-4
    )
    none = finish(copy_of(folder, adapter, strength=0.0).margins(ROWS, LABELS, TARGET, 4096))
    assert none == pytest.approx(expected(folder, None), abs=2e-4)
    assert np.abs(strong - none).max() > 0.01


def test_bf16_is_near(folder, adapter):
    exact = finish(copy_of(folder, adapter).margins(ROWS, LABELS, TARGET, 4096))
    fast = finish(copy_of(folder, adapter, dtype="bf16").margins(ROWS, LABELS, TARGET, 4096))
    assert fast == pytest.approx(exact, abs=0.15 * max(1.0, float(np.abs(exact).max())))


def test_rows_without_a_shared_beginning_and_a_changed_one(folder, adapter):
    copy = copy_of(folder, adapter)
    for rows in (ROWS, [(50, 51), (60, 61, 62)], [(70, 71, 72), (70, 71, 73)]):
        found = finish(copy.margins(rows, LABELS, TARGET, 4096))
        assert found == pytest.approx(expected(folder, adapter, rows), abs=2e-4)


def test_what_comes_next_is_a_distribution_that_agrees_with_the_margin(folder, adapter):
    copy = copy_of(folder, adapter)
    log_p = finish(copy.next_tokens(ROWS, 4096))
    assert np.exp(log_p).sum(axis=1) == pytest.approx(np.ones(len(ROWS)), abs=1e-4)
    per_label = np.stack([np.logaddexp.reduce(log_p[:, list(ids)], axis=1) for ids in LABELS], axis=1)
    others = np.delete(per_label, TARGET, axis=1).max(axis=1)
    found = finish(copy.margins(ROWS, LABELS, TARGET, 4096))
    assert per_label[:, TARGET] - others == pytest.approx(found, abs=1e-3)


def test_a_slots_gradient_is_the_slope_of_the_margin(folder, adapter):
    """Along the line from the filler's embedding to another token's, by a small step."""
    copy, slot = copy_of(folder, adapter), 22
    row = ROWS[3]
    effect = copy.slot_gradients([row], [range(slot, slot + 1)], LABELS, TARGET)
    model = LanguageModel(folder, name="tiny", fingerprint="f", device="cpu")
    model.bind(adapter)
    embedded, step = model.embed(row), 1e-2
    with model.acting(adapter.facts.adapter_id):
        for token in (33, 77, 201):
            moved = embedded.clone()
            moved[slot] += step * (model.embed([token])[0] - embedded[slot])
            both = [model.margins_from_embeddings(e[None], LABELS, TARGET) for e in (embedded, moved)]
            slope = float(both[1] - both[0]) / step
            linear = effect[0, token] - effect[0, row[slot]]
            assert linear == pytest.approx(slope, rel=0.1, abs=0.02)


def test_tokens_are_counted_without_padding(folder):
    copy = copy_of(folder, None)
    finish(copy.margins(ROWS, LABELS, TARGET, 4096))
    assert copy.n_tokens == len(SHARED) + sum(len(r) - len(SHARED) for r in ROWS)
