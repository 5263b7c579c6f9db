from __future__ import annotations

import threading
import time

import pytest
from engine_fakes import FakeModel, answer, hold, rows

from lorabench.engine import Engine, Priority, Progress
from lorabench.errors import BaseModelError, CancelledError, StorageError
from lorabench.models.rows import Portion


def steps_of(n, name, trail, seconds=0.0):
    """Return a request of n steps that writes its name into `trail` at each."""

    def make(model):
        for i in range(n):
            time.sleep(seconds)
            trail.append(name)
            yield Progress(done=i, total=n, computed=i)
        return name

    return make


def test_scores_come_back_in_the_order_of_the_rows(engine):
    wanted = rows(10, adapter_id="ab")[::-1]
    got = engine.score(wanted).result(5)
    assert got == [answer(r) for r in wanted]


def test_no_rows_is_an_answer(engine):
    ticket = engine.score([])
    assert ticket.result(5) == []
    assert ticket.progress.computed == 0


def test_an_interactive_prompt_overtakes_a_running_sweep(engine):
    sweep = engine.score(rows(2_000), priority=Priority.HEATMAP, session="a", label="sweep")
    while sweep.progress is None:
        time.sleep(0.001)
    prompt = engine.score(rows(1, start=10_000), session="b")
    assert prompt.result(1)
    assert not sweep.done
    assert 0 < sweep.progress.done < sweep.progress.total
    assert sweep.eta_seconds > 0
    sweep.cancel()


def test_sessions_of_one_priority_take_turns(engine):
    trail = []
    release = hold(engine)
    tickets = [engine.steps(steps_of(3, name, trail), session=name) for name in "abc"]
    release.set()
    assert [t.result(5) for t in tickets] == ["a", "b", "c"]
    assert "".join(trail) == "abcabcabc"


def test_a_session_with_many_requests_does_not_hold_up_another(engine):
    trail = []
    release = hold(engine)
    many = [engine.steps(steps_of(1, "a", trail), session="a") for _ in range(5)]
    one = engine.steps(steps_of(1, "b", trail), session="b")
    assert [t.position for t in many] == [0 + 1, 3, 4, 5, 6]  # the holder still runs
    assert one.position == 2
    release.set()
    for ticket in [*many, one]:
        ticket.result(5)
    assert trail[:2] == ["a", "b"]
    assert one.position == 0


def test_requests_of_one_session_keep_their_order(engine):
    trail = []
    release = hold(engine)
    first = engine.steps(steps_of(2, "1", trail), session="a")
    second = engine.steps(steps_of(2, "2", trail), session="a")
    release.set()
    first.result(5)
    second.result(5)
    assert trail == ["1", "1", "2", "2"]


def test_priorities_are_served_in_order(engine):
    trail = []
    release = hold(engine)
    tickets = [
        engine.steps(steps_of(1, p.name, trail), priority=p, session=p.name) for p in reversed(Priority)
    ]
    assert [t.position for t in tickets] == [5, 4, 3, 2, 1]
    release.set()
    for ticket in tickets:
        ticket.result(5)
    assert trail == [p.name for p in Priority]


def test_cancelling_a_running_request_takes_less_than_a_second(engine, model):
    cleaned = threading.Event()

    def make(m):
        try:
            while True:
                time.sleep(0.01)
                yield None
        finally:
            cleaned.set()

    ticket = engine.steps(make)
    time.sleep(0.05)
    began = time.monotonic()
    ticket.cancel()
    with pytest.raises(CancelledError):
        ticket.result(1)
    assert time.monotonic() - began < 1
    assert cleaned.is_set()
    assert ticket.cancelled
    assert engine.run(lambda m: m.name).result(5) == "fake"


def test_the_callers_own_event_cancels(engine):
    event = threading.Event()
    ticket = engine.score(rows(5_000), cancel=event)
    time.sleep(0.05)
    event.set()
    with pytest.raises(CancelledError):
        ticket.result(1)


def test_cancelling_a_waiting_request_is_immediate(engine):
    release = hold(engine)
    ticket = engine.run(lambda m: 1)
    ticket.cancel()
    assert ticket.done
    with pytest.raises(CancelledError):
        ticket.result(0)
    release.set()


def test_cancelling_after_the_end_changes_nothing(engine):
    ticket = engine.run(lambda m: 1)
    assert ticket.result(5) == 1
    ticket.cancel()
    assert ticket.result(0) == 1
    assert not ticket.cancelled


def test_an_error_reaches_only_its_own_ticket(engine, model):
    model.break_on = 3
    broken = engine.score(rows(10), session="a")
    fine = engine.score(rows(10, start=100), session="b")
    with pytest.raises(ZeroDivisionError, match="broken row"):
        broken.result(5)
    assert isinstance(broken.error, ZeroDivisionError)
    assert len(fine.result(5)) == 10
    assert engine.run(lambda m: m.inside).result(5) == 0
    assert engine.status().state == "ready"


@pytest.mark.parametrize("error", [SystemExit(1), StopIteration(), GeneratorExit()])
def test_even_strange_errors_leave_the_thread_alive(engine, error):
    def fail(progress):
        raise error

    ticket = engine.score(rows(2), on_progress=fail)
    with pytest.raises(type(error)):
        ticket.result(5)
    assert engine.run(lambda m: 1).result(5) == 1


def test_two_threads_at_once_get_their_own_answers(engine, model):
    got = {}

    def ask(adapter_id):
        tickets = [
            engine.score(rows(3, start=i, adapter_id=adapter_id), session=adapter_id) for i in range(20)
        ]
        got[adapter_id] = [t.result(10) for t in tickets]

    threads = [threading.Thread(target=ask, args=(a,)) for a in ("x", "yyy", "zzzzz")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    for adapter_id in ("x", "yyy", "zzzzz"):
        expected = [[answer(r) for r in rows(3, start=i, adapter_id=adapter_id)] for i in range(20)]
        assert got[adapter_id] == expected
    assert len(model.threads) == 1


def test_progress_is_reported(engine):
    seen = []
    ticket = engine.score(rows(12), on_progress=seen.append)
    ticket.result(5)
    assert [p.done for p in seen] == [0, 4, 8, 12]
    assert seen[-1] == ticket.progress
    assert ticket.progress.computed == ticket.progress.total == 12
    assert ticket.progress.seconds > 0
    assert ticket.eta_seconds == 0


def test_a_late_answer_is_a_timeout(engine):
    release = hold(engine)
    ticket = engine.run(lambda m: 1)
    with pytest.raises(TimeoutError):
        ticket.result(0.01)
    release.set()
    assert ticket.result(5) == 1


def test_a_step_that_waits_for_the_engine_is_told_so(engine):
    ticket = engine.run(lambda m: engine.run(lambda m: 1).result())
    with pytest.raises(RuntimeError, match="same thread"):
        ticket.result(5)


def test_status_tells_what_runs(engine):
    release = hold(engine)
    engine.run(lambda m: 1)
    status = engine.status()
    assert (status.state, status.model, status.device, status.dtype) == ("ready", "fake", "cpu", "fp32")
    assert (status.running, status.queue_length) == ("holding", 1)
    release.set()
    engine.score(rows(1)).result(5)
    status = engine.status()
    assert (status.running, status.queue_length) == (None, 0)
    assert status.tokens_per_second > 0


def test_a_model_that_cannot_be_opened_fails_every_request_until_a_restart():
    ready = threading.Event()

    def open_model():
        if not ready.is_set():
            raise StorageError("disk-full", "The disk is full.", "Free some space.")
        return FakeModel()

    engine = Engine(open_model)
    for _ in range(2):
        with pytest.raises(StorageError, match="disk is full"):
            engine.score(rows(1)).result(5)
    assert engine.status().state == "failed"
    assert engine.status().error == "The disk is full. Free some space."
    ready.set()
    engine.restart()
    assert engine.score(rows(1)).result(5)
    assert engine.status().error is None
    engine.restart()  # nothing to do
    engine.close()


def test_an_unexpected_opening_error_becomes_a_sentence():
    def open_model():
        raise KeyError("layers")

    engine = Engine(open_model)
    with pytest.raises(BaseModelError, match="KeyError"):
        engine.run(lambda m: 1).result(5)
    engine.close()


def test_a_waiting_request_can_be_cancelled_while_the_model_opens():
    release = threading.Event()

    def open_model():
        release.wait(5)
        return FakeModel()

    engine = Engine(open_model)
    assert engine.status().state == "starting"
    ticket = engine.run(lambda m: 1)
    ticket.cancel()
    assert ticket.done
    release.set()
    engine.close()


def test_closing_cancels_closes_the_model_and_refuses_more(model):
    engine = Engine(lambda: model)
    running = engine.score(rows(5_000))
    waiting = engine.score(rows(5_000))
    while running.progress is None:
        time.sleep(0.001)
    engine.close()
    for ticket in (running, waiting):
        with pytest.raises(CancelledError, match="closed"):
            ticket.result(1)
    assert model.closed
    assert engine.status().state == "closed"
    with pytest.raises(BaseModelError, match="engine is closed"):
        engine.run(lambda m: 1)
    with pytest.raises(BaseModelError, match="engine is closed"):
        engine.restart()
    engine.close()  # twice is fine


def test_a_model_that_skips_a_row_is_caught(engine, model):
    model.run = lambda plan, budget, is_known: iter([Portion([(0, answer(plan.rows[0]))], 3)])
    with pytest.raises(RuntimeError, match="left 1 of 2 rows"):
        engine.score(rows(2)).result(5)


def test_thirty_sessions_at_once_are_all_served(engine):
    tickets = [engine.score(rows(2, start=1000 * i), session=str(i)) for i in range(30)]
    assert all(len(t.result(5)) == 2 for t in tickets)
