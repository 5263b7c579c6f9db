from __future__ import annotations

import itertools
import threading
from dataclasses import replace

import pytest
from engine_fakes import FakeModel, answer, row, rows
from hypothesis import given
from hypothesis import strategies as st

from lorabench.engine import Engine, ScoreStore, score_key
from lorabench.models.rows import RowLogits, TokenRow

BASE = {"fingerprint": "base", "dtype": "fp32"}


def key(i):
    return score_key(row(i), **BASE)


def value(x):
    return RowLogits(label_logits=(x, -x), logsumexp=x + 0.1)


def test_equal_rows_are_computed_once(engine, model):
    wanted = rows(3) * 4
    ticket = engine.score(wanted)
    assert ticket.result(5) == [answer(r) for r in wanted]
    assert model.n_computed == ticket.progress.computed == ticket.progress.total == 3


def test_remembered_rows_are_not_computed_again(store):
    model = FakeModel()
    engine = Engine(lambda: model, store=store)
    first = engine.score(rows(10, adapter_id="a")).result(5)
    again = engine.score(rows(12, adapter_id="a"))
    assert again.result(5)[:10] == first
    assert again.progress.computed == 2
    engine.score(rows(10, adapter_id="b")).result(5)
    assert model.n_computed == 22
    engine.close()


def test_remembered_rows_survive_a_restart(tmp_path):
    results, computed = [], []
    for _ in range(2):
        store = ScoreStore(tmp_path / "deep" / "scores.sqlite")
        engine = Engine(FakeModel, store=store)
        ticket = engine.score(rows(5))
        results.append(ticket.result(5))
        computed.append(ticket.progress.computed)
        engine.close()
        store.close()
    assert results[0] == results[1]
    assert computed == [5, 0]


def test_sessions_that_run_the_same_grid_share_the_work(engine, model):
    tickets = [engine.score(rows(400), session=str(i)) for i in range(10)]
    assert len({tuple(t.result(10)) for t in tickets}) == 1
    assert model.n_computed < 2 * 400
    assert sum(t.progress.computed for t in tickets) == model.n_computed


def test_a_cancelled_request_keeps_what_it_finished(store):
    model = FakeModel()
    engine = Engine(lambda: model, store=store)
    event = threading.Event()
    ticket = engine.score(rows(2_000), cancel=event, on_progress=lambda p: p.done >= 20 and event.set())
    with pytest.raises(Exception, match="cancelled"):
        ticket.result(5)
    assert len(store) == model.n_computed >= 20
    engine.close()


def test_numbers_are_exact(store):
    exact = RowLogits(label_logits=(0.1 + 0.2, -1e-300, 3.0), logsumexp=1 / 3, tail_logprob=-2.5)
    store.put_many({key(1): exact})
    assert store.get_many([key(1), key(2)]) == {key(1): exact}


@pytest.mark.parametrize("x", [float("nan"), float("inf")])
def test_what_is_not_a_number_is_not_remembered(store, x):
    store.put_many({key(1): value(x)})
    assert store.get_many([key(1)]) == {}


def test_a_damaged_value_is_no_answer(store):
    store.put_many({key(1): value(1.0)})
    store._database.run(lambda c: c.execute("UPDATE scores SET value = '[1'"))
    assert store.get_many([key(1)]) == {}


def test_everything_that_matters_is_in_the_key():
    question = TokenRow(ids=(1, 2), labels=((3,), (4,)))
    keys = {
        score_key(question, **BASE),
        score_key(question, **{**BASE, "fingerprint": "other"}),
        score_key(replace(question, adapter_id="a"), **BASE),
        score_key(question, **{**BASE, "dtype": "bf16"}),
        score_key(TokenRow(ids=(1, 2), labels=((3, 4),)), **BASE),
        score_key(TokenRow(ids=(1, 2, 3), labels=((4,),)), **BASE),
        score_key(TokenRow(ids=(1, 2), tail=1), **BASE),
        score_key(TokenRow(ids=(1, 2)), **BASE),
    }
    assert len(keys) == 8


labels = st.lists(st.lists(st.integers(0, 3), max_size=3).map(tuple), max_size=3).map(tuple)
questions = st.builds(
    TokenRow, ids=st.lists(st.integers(0, 3), max_size=4).map(tuple), labels=labels, tail=st.integers(0, 2)
)


@given(questions, questions)
def test_two_keys_are_equal_only_for_equal_rows(a, b):
    assert (score_key(a, **BASE) == score_key(b, **BASE)) == (a == b)


def test_more_keys_than_one_query_takes(store):
    store.put_many({key(i): value(float(i)) for i in range(1_234)})
    assert len(store.get_many([key(i) for i in range(2_000)])) == 1_234


def test_the_least_recently_used_rows_are_dropped(tmp_path):
    store = ScoreStore(tmp_path / "s.sqlite", max_rows=10, clock=itertools.count().__next__)
    for i in range(10):
        store.put_many({key(i): value(1.0)})
    store.get_many([key(0)])  # used again, so it is not the oldest any more
    store.put_many({key(10): value(1.0)})
    assert len(store) == 9
    kept = store.get_many([key(i) for i in range(11)])
    assert {i for i in range(11) if key(i) in kept} == {0, 3, 4, 5, 6, 7, 8, 9, 10}
    store.close()


def test_a_corrupt_store_is_set_aside_and_begun_afresh(tmp_path, caplog):
    path = tmp_path / "s.sqlite"
    path.write_bytes(b"this is no database " * 1_000)
    store = ScoreStore(path)
    assert "set aside as s.sqlite.corrupt-1" in store.message
    assert "set aside" in caplog.text
    store.put_many({key(1): value(1.0)})
    assert store.get_many([key(1)]) == {key(1): value(1.0)}
    store.wipe()
    assert not list(tmp_path.glob("*.corrupt-*"))
    assert len(store) == 0
    store.close()


def test_a_store_that_breaks_while_it_is_open_is_begun_afresh(tmp_path):
    path = tmp_path / "s.sqlite"
    store = ScoreStore(path)
    store.put_many({key(i): value(1.0) for i in range(2_000)})
    store.close()
    broken = bytearray(path.read_bytes())
    broken[4096:] = b"\xff" * (len(broken) - 4096)
    path.write_bytes(broken)
    store = ScoreStore(path)
    assert store.get_many([key(i) for i in range(2_000)]) == {}
    store.put_many({key(1): value(1.0)})
    assert store.get_many([key(1)]) == {key(1): value(1.0)}
    assert "corrupt-1" in store.message
    store.close()


def test_a_folder_that_cannot_be_used_costs_only_the_memory(tmp_path):
    (tmp_path / "file").write_text("in the way")
    store = ScoreStore(tmp_path / "file" / "s.sqlite")
    assert "cannot be written" in store.message
    engine = Engine(FakeModel, store=store)
    assert len(engine.score(rows(3)).result(5)) == 3
    assert "cannot be written" in engine.status().store_message
    engine.close()
    store.close()


def test_a_disk_that_fills_up_does_not_stop_the_scoring(tmp_path):
    store = ScoreStore(tmp_path / "s.sqlite")
    store.put_many({key(0): value(1.0)})
    pages = store._database.run(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    store._database._connection.execute(f"PRAGMA max_page_count={pages}")
    store.put_many({key(i): value(1.0) for i in range(1, 3_000)})
    assert "cannot be written" in store.message
    assert len(store.get_many([key(i) for i in range(3_000)])) == 3_000
    store.close()


def test_many_threads_may_use_one_store(store):
    def work(n):
        for i in range(20):
            store.put_many({key(100 * n + i): value(float(i))})
            assert store.get_many([key(100 * n + i)])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(store) == 100
    assert store.message is None


def test_two_stores_on_one_file_see_each_other(tmp_path):
    one, two = (ScoreStore(tmp_path / "s.sqlite") for _ in range(2))
    one.put_many({key(1): value(1.0)})
    assert two.get_many([key(1)]) == {key(1): value(1.0)}
    one.close()
    two.close()


@pytest.mark.parametrize(("other", "seconds"), [(None, 0.9), ("somebody", 0.5)])
def test_steps_are_short_while_others_are_there(other, seconds):
    """The first step is small, the next as large as the measured speed and the company allow."""
    model = FakeModel(batch_rows=20, seconds=0.1)
    engine = Engine(lambda: model, token_budget=100_000)
    wide = [row(*[i] * 50) for i in range(40)]
    engine.score(wide[:20], session="me").result(5)  # 1,000 tokens in 0.1 s
    if other is not None:
        engine.run(lambda m: None, session=other).result(5)
    engine.score(wide[20:], session="me").result(5)
    first, second = model.budgets[0], model.budgets[-1]
    assert first == 256
    assert 10_000 * seconds * 0.4 <= second <= 10_000 * seconds
    engine.close()


def test_small_requests_that_wait_together_go_through_together(model):
    engine = Engine(lambda: model)
    release = threading.Event()
    engine.run(lambda m: release.wait(5), session="holder")
    model.batch_rows = 100
    tickets = [
        engine.score(rows(2, start=10 * i, adapter_id="a" * (i % 3) or None), session=str(i))
        for i in range(6)
    ]
    release.set()
    for i, ticket in enumerate(tickets):
        wanted = rows(2, start=10 * i, adapter_id="a" * (i % 3) or None)
        assert ticket.result(5) == [answer(r) for r in wanted]
    assert [n for n, _ in model.calls] == [12]
    engine.close()


def test_a_broken_row_of_one_small_request_does_not_break_its_company(model):
    engine = Engine(lambda: model)
    release = threading.Event()
    engine.run(lambda m: release.wait(5), session="holder")
    model.batch_rows, model.break_on = 100, 21
    tickets = [engine.score(rows(2, start=10 * i), session=str(i)) for i in range(4)]
    release.set()
    for i, ticket in enumerate(tickets):
        if i == 2:
            with pytest.raises(ZeroDivisionError):
                ticket.result(5)
        else:
            assert len(ticket.result(5)) == 2
    engine.close()


def test_answers_are_handed_over_as_they_come_each_place_once(engine):
    seen = []
    wanted = rows(9) + rows(3)
    ticket = engine.score(wanted, on_rows=seen.append)
    assert ticket.result(5) == [answer(r) for r in wanted]
    assert len(seen) > 1
    assert sorted(i for part in seen for i, _ in part) == list(range(12))
    assert all(logits == answer(wanted[i]) for part in seen for i, logits in part)


def test_remembered_answers_reach_every_place_however_far_apart(store, model):
    engine = Engine(lambda: model, store=store)
    wanted = rows(700) + rows(3)
    for _ in range(2):  # computed, then remembered: looked up in several parts
        seen = []
        engine.score(wanted, on_rows=seen.append).result(20)
        assert sorted(i for part in seen for i, _ in part) == list(range(703))
    assert model.n_computed == 700
    engine.close()


def test_progress_says_what_the_plan_costs(engine):
    stem = tuple(range(50))
    wanted = [row(*stem, 100 + i) for i in range(8)]
    ticket = engine.score(wanted)
    ticket.result(5)
    assert (ticket.progress.n_unique, ticket.progress.n_naive) == (58, 408)
