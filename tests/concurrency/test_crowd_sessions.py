"""Many sessions at one engine: right answers for everybody, nobody lost, nobody kept waiting."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import pytest
from crowd import assert_idle, assert_near, assert_store_is_right, at_once, keys_of, prompt, wait_for
from engine_fakes import hold

from lorabench.engine import Priority
from lorabench.errors import BindingError, CancelledError

SESSIONS, ROUNDS = 30, 3


def test_thirty_sessions_get_the_answers_of_a_run_without_company(engine, store, ids, alone):
    models = [None, *ids[:2]]

    def sit(seat):
        draw = random.Random(seat)
        served, given_up = [], []
        for turn in range(ROUNDS):
            number = 100 * seat + turn
            rows = [prompt(number, adapter_id=m) for m in models]
            ticket = engine.score(rows, session=f"seat {seat}", label="prompt")
            if draw.random() < 0.5:  # a second request that is thought better of, at some moment
                other = [prompt(number + 50, adapter_id=m) for m in models]
                second = engine.score(other, session=f"seat {seat}", label="given up")
                time.sleep(draw.choice([0, 0.001, 0.02]))
                second.cancel()
                given_up.append((other, second))
            served.append((rows, ticket.result(15)))
        return served, given_up

    found = at_once(SESSIONS, sit)
    asked = [pair for served, _ in found for pair in served]
    assert len(asked) == SESSIONS * ROUNDS
    n_cancelled = 0
    for _, given_up in found:
        for rows, ticket in given_up:
            try:
                asked.append((rows, ticket.result(5)))
            except CancelledError:
                n_cancelled += 1
    assert n_cancelled > 0, "no cancel came in time: this test has shown nothing about them"
    for rows, answers in asked:
        for row, answer in zip(rows, answers, strict=True):
            assert_near(answer, alone(row))
    assert_idle(engine)
    served_rows = [row for rows, _ in asked for row in rows]
    assert assert_store_is_right(store, served_rows, alone) == len(keys_of(served_rows))


def test_prompts_overtake_a_sweep_and_the_sweep_still_ends_complete(engine, store, ids, alone):
    sweep_rows = [prompt(10_000 + k, adapter_id=ids[k % 2]) for k in range(2_500)]
    sweep = engine.score(sweep_rows, priority=Priority.HEATMAP, session="sweeper", label="sweep")
    wait_for(sweep, lambda p: p.computed > 0)

    def ask(seat):
        rows = [prompt(40_000 + seat, adapter_id=m) for m in (None, *ids[:2])]
        began = time.monotonic()
        answers = engine.score(rows, session=f"seat {seat}").result(5)
        return rows, answers, time.monotonic() - began, sweep.progress.done

    found = at_once(10, ask)
    assert max(done for _, _, _, done in found) < 0.8 * len(sweep_rows)
    assert max(seconds for _, _, seconds, _ in found) < 1.0
    for rows, answers, _, _ in found:
        for row, answer in zip(rows, answers, strict=True):
            assert_near(answer, alone(row))
    answers = sweep.result(15)
    assert len(answers) == len(sweep_rows)
    for k in random.Random(0).sample(range(len(sweep_rows)), 100):
        assert_near(answers[k], alone(sweep_rows[k]))
    assert len(store.get_many(keys_of(sweep_rows))) == len(sweep_rows)
    assert_idle(engine)


def test_equal_sweeps_of_ten_sessions_compute_every_row_once(engine, opened, ids, alone):
    rows = [prompt(k, adapter_id=m) for k in range(200) for m in (None, ids[0])]

    def sweep(seat):
        wanted = random.Random(seat).sample(rows, len(rows))  # the same rows, each in an order of their own
        ticket = engine.score(wanted, priority=Priority.HEATMAP, session=f"seat {seat}", label="sweep")
        return dict(zip(wanted, ticket.result(15), strict=True)), ticket.progress

    before = opened[0].n_computed
    found = at_once(10, sweep)
    assert opened[0].n_computed - before == len(rows)
    assert sum(progress.computed for _, progress in found) == len(rows)
    first, _ = found[0]
    assert all(answers == first for answers, _ in found)
    for row in rows[::7]:
        assert_near(first[row], alone(row))


def test_a_cancel_ends_a_sweep_within_a_second_at_any_moment(engine, alone):
    draw = random.Random(1)
    for moment in (0, 0.01, 0.1, 0.3):
        rows = [prompt(draw.randrange(10**6)) for _ in range(4_000)]
        sweep = engine.score(rows, priority=Priority.HEATMAP, session="sweeper", label="sweep")
        time.sleep(moment)
        began = time.monotonic()
        sweep.cancel()
        with pytest.raises(CancelledError):
            sweep.result(5)
        assert time.monotonic() - began < 1.0
    [answer] = engine.score([prompt(1)]).result(5)
    assert_near(answer, alone(prompt(1)))
    assert_idle(engine)


def test_a_bad_row_fails_its_own_request_and_nobody_elses(engine, ids, alone):
    """Small requests go through the model together; one of them asks what the model cannot do."""
    release = hold(engine)
    good = [[prompt(500 + k, adapter_id=m) for m in (None, *ids[:2])] for k in range(9)]
    tickets = [engine.score(rows, session=f"seat {k}") for k, rows in enumerate(good)]
    outside = engine.score([prompt(1)], session="outside")  # a token that the vocabulary does not have
    bad = engine.score([_with_token(prompt(2), 10_000)], session="bad")
    unbound = engine.score([prompt(3, adapter_id="0" * 64)], session="unbound")
    release.set()
    with pytest.raises(IndexError):
        bad.result(5)
    with pytest.raises(BindingError) as caught:
        unbound.result(5)
    assert caught.value.rule == "not-bound"
    for rows, ticket in zip([*good, [prompt(1)]], [*tickets, outside], strict=True):
        for row, answer in zip(rows, ticket.result(5), strict=True):
            assert_near(answer, alone(row))
    assert_idle(engine)


def test_an_exception_in_the_middle_of_a_forward_pass_leaves_no_adapter_acting(engine, ids, alone):
    """It comes in a pass where both adapters act, in a layer between two that they change."""
    rows = [prompt(800 + k, adapter_id=m) for k in range(3) for m in (None, *ids[:2])]

    def plain(model):
        return model.runner.through_plain([prompt(7)])[0]

    def broken_while_acting(model):
        with model.acting(ids[0]):
            raise ZeroDivisionError

    def fail(*_):
        raise ZeroDivisionError

    before = engine.run(plain).result(5)
    hook = engine.run(lambda m: m._model.model.layers[1].register_forward_pre_hook(fail)).result(5)
    tickets = [engine.score(rows, session="a"), engine.run(broken_while_acting, session="b")]
    for ticket in tickets:
        with pytest.raises(ZeroDivisionError):
            ticket.result(5)
    hook.remove()
    assert engine.run(plain).result(5) == before
    for row, answer in zip(rows, engine.score(rows).result(5), strict=True):
        assert_near(answer, alone(row))
    assert_idle(engine)


def test_a_listener_that_raises_fails_its_own_request_alone(engine, alone):
    """Two sessions want the same rows; what one makes of them is no concern of the other."""
    rows = [prompt(900 + k) for k in range(60)]

    def listen(part):
        raise ZeroDivisionError

    release = hold(engine)
    careful = engine.score(rows, priority=Priority.HEATMAP, session="careful", label="sweep")
    careless = engine.score(
        rows, priority=Priority.HEATMAP, session="careless", label="sweep", on_rows=listen
    )
    release.set()
    for row, answer in zip(rows, careful.result(10), strict=True):
        assert_near(answer, alone(row))
    with pytest.raises(ZeroDivisionError):
        careless.result(5)
    assert_idle(engine)


def _with_token(row, token):
    return replace(row, ids=(*row.ids[:-1], token))
