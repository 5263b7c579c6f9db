"""Adapters come and go while others score: the right answer or a clear refusal, never a wrong number."""

from __future__ import annotations

import random

from crowd import (
    assert_idle,
    assert_near,
    assert_store_is_right,
    at_once,
    keys_of,
    prompt,
    unless_gone,
    wait_for,
)

from lorabench.engine import Priority
from lorabench.models import row_runner
from lorabench.models.language_model import MAX_BOUND
from lorabench.results.checks import MergeCheck


def test_more_adapters_than_fit_are_bound_while_everybody_scores(engine, store, adapters, ids, alone):
    assert len(adapters) > MAX_BOUND
    models = [None, *ids]

    def sit(seat):
        draw = random.Random(seat)
        answered, n_refused = [], 0
        for turn in range(10):
            if seat % 3 == 0:
                adapter = draw.choice(adapters)
                engine.run(lambda m, a=adapter: m.bind(a), session=f"seat {seat}").result(10)
            elif seat % 3 == 1 and turn % 3 == 0:
                gone = draw.choice(ids)
                engine.run(lambda m, i=gone: m.unbind(i), session=f"seat {seat}").result(10)
            rows = [prompt(1_000 * seat + 10 * turn + k, adapter_id=draw.choice(models)) for k in range(3)]
            answers = unless_gone(engine.score(rows, session=f"seat {seat}"))
            n_refused += answers is None
            answered += zip(rows, answers or [], strict=answers is not None)
        return answered, n_refused

    found = at_once(18, sit)
    answered = [pair for pairs, _ in found for pair in pairs]
    assert sum(n for _, n in found) > 0, "nobody met an adapter that had gone: nothing was shown"
    assert {row.adapter_id for row, _ in answered} >= {None, *ids[:2]}
    for row, answer in answered:
        assert_near(answer, alone(row))
    rows = [row for row, _ in answered]
    assert assert_store_is_right(store, rows, alone) == len(keys_of(rows))
    assert_idle(engine)


def test_an_adapter_pushed_out_in_the_middle_of_a_sweep_never_answers_as_the_base(
    engine, store, adapters, ids, alone
):
    """The sweep may end with all its answers or be refused, but what is remembered of it is right."""
    rows = [prompt(70_000 + k, adapter_id=ids[0]) for k in range(3_000)]
    sweep = engine.score(rows, priority=Priority.HEATMAP, session="sweeper", label="sweep")
    wait_for(sweep, lambda p: p.computed > 0)
    for adapter in adapters[1 : MAX_BOUND + 2]:
        engine.run(lambda m, a=adapter: m.bind(a), session="binder").result(5)
    assert not sweep.done, "the sweep was over too soon: nothing was shown"
    answers = unless_gone(sweep)
    for row, answer in list(zip(rows, answers or [], strict=answers is not None))[::50]:
        assert_near(answer, alone(row))
    assert assert_store_is_right(store, rows, alone, every=20) > 0
    assert_idle(engine)


def test_merged_weights_that_make_room_in_the_middle_of_a_sweep_leave_its_answers_right(
    engine, opened, ids, alone, monkeypatch
):
    """Two adapters are swept in turns with merged weights, and there is room for those of one only."""
    pays = MergeCheck(
        stacked_tokens_per_second=1.0, merged_tokens_per_second=1e9, build_seconds=0.1, max_difference=0.0
    )
    monkeypatch.setattr(row_runner, "MERGE_FROM", 50)
    monkeypatch.setattr(opened[0].runner, "_merging", lambda _: pays)
    monkeypatch.setattr(row_runner, "MERGED_BYTES", opened[0]._bank.merged_bytes(ids[0]))
    sweeps = []
    for k in range(2):
        rows = [prompt(80_000 + j, adapter_id=ids[k]) for j in range(600)]
        sweeps.append((rows, engine.score(rows, priority=Priority.HEATMAP, session=str(k), label="sweep")))
    for rows, sweep in sweeps:
        for row, answer in list(zip(rows, sweep.result(10), strict=True))[::10]:
            assert_near(answer, alone(row))
    assert_idle(engine)


def test_an_adapter_that_comes_back_is_itself_again(engine, adapters, ids, alone):
    """Its id names its numbers, so what was remembered of it before may be used; what others left may not."""
    rows = [prompt(90_000 + k, adapter_id=ids[0]) for k in range(40)]
    for turn in range(6):
        engine.run(lambda m: m.unbind(ids[0]), session="binder").result(5)
        engine.run(lambda m, a=adapters[2 + turn]: m.bind(a), session="binder").result(5)
        engine.run(lambda m: m.bind(adapters[0]), session="binder").result(5)
        part = rows[6 * turn : 6 * turn + 6]
        for row, answer in zip(part, engine.score(part).result(5), strict=True):
            assert_near(answer, alone(row))
    assert_idle(engine)
