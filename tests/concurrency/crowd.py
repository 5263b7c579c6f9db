"""What the tests of this folder share: rows, a model that counts, a crowd of threads, comparisons."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lorabench.engine import Engine, Progress, ScoreStore, Ticket, score_key
from lorabench.errors import BindingError
from lorabench.models.language_model import LanguageModel
from lorabench.models.rows import Portion, RowLogits, TokenRow

LABELS = ((5, 6), (7,))
FINGERPRINT = "tiny"
N_OWN = 16
TOKEN_BUDGET = 256
"""Tokens of one forward pass: few, so that a sweep has many."""

NEAR = 1e-4
"""Most that an answer may differ from the one of a run without company, in logits."""


def prompt(number: int, *, adapter_id: str | None = None) -> TokenRow:
    """Return question `number`: 8 tokens that all share, then `N_OWN` of its own, its number first."""
    own = (number % 390 + 5, number // 390 % 390 + 5, number // 390**2 + 5)
    end = tuple((number * 7 + 11 * k) % 390 + 5 for k in range(N_OWN - 3))
    return TokenRow(ids=(*range(10, 18), *own, *end), labels=LABELS, adapter_id=adapter_id)


class CountingModel(LanguageModel):
    """The real model, which also notes how many rows it has computed."""

    n_computed = 0

    def run(self, *args: Any, **options: Any) -> Iterator[Portion]:
        return self._counted(super().run(*args, **options))

    def _counted(self, portions: Iterator[Portion]) -> Iterator[Portion]:
        for portion in portions:
            self.n_computed += len(portion.rows)
            yield portion


def open_tiny(folder: Any) -> CountingModel:
    """Open the tiny base for an engine's thread."""
    return CountingModel(folder, name="tiny", fingerprint=FINGERPRINT, device="cpu", threads=1)


def keys_of(rows: Sequence[TokenRow]) -> dict[bytes, TokenRow]:
    """Return what the store calls these rows."""
    return {score_key(row, fingerprint=FINGERPRINT, dtype="fp32"): row for row in rows}


def assert_near(got: RowLogits, want: RowLogits) -> None:
    """Fail if two answers to one row differ."""
    assert got.label_logits == pytest.approx(want.label_logits, abs=NEAR)
    assert got.logsumexp == pytest.approx(want.logsumexp, abs=NEAR)


def assert_idle(engine: Engine[CountingModel]) -> None:
    """Fail if anything waits, runs or is remembered as running."""
    engine.run(lambda model: None, session="last").result(5)
    status = engine.status()
    assert (status.state, status.queue_length, status.running) == ("ready", 0, None)
    assert engine._scorer._runs == []


def assert_store_is_right(
    store: ScoreStore, rows: Sequence[TokenRow], alone: Callable[[TokenRow], RowLogits], *, every: int = 1
) -> int:
    """Look at every so many of the remembered answers, fail if one is wrong; return how many there are."""
    named = keys_of(rows)
    remembered = store.get_many(named)
    for key in [*remembered][::every]:
        assert_near(remembered[key], alone(named[key]))
    return len(remembered)


def unless_gone(ticket: Ticket[list[RowLogits]]) -> list[RowLogits] | None:
    """Return the answers, or None if an adapter was not bound (any more); raise whatever else went wrong."""
    try:
        return ticket.result(15)
    except BindingError as error:
        if error.rule != "not-bound":
            raise
        return None


def at_once(n: int, work: Callable[[int], Any], seconds: float = 20) -> list[Any]:
    """Call `work(0)` to `work(n - 1)` in threads that start together; return what they return."""
    start = threading.Barrier(n)

    def one(number: int) -> Any:
        start.wait(5)
        return work(number)

    with ThreadPoolExecutor(n) as pool:
        futures = [pool.submit(one, number) for number in range(n)]
        return [future.result(seconds) for future in futures]


def wait_for(ticket: Ticket[Any], reached: Callable[[Progress], bool], seconds: float = 5) -> None:
    """Wait until a request's progress has reached something; fail if it ends before, or takes too long."""
    end = time.monotonic() + seconds
    while ticket.progress is None or not reached(ticket.progress):
        assert not ticket.done, f"it ended too early: {ticket.error!r}"
        assert time.monotonic() < end, f"it stands at {ticket.progress}"
        time.sleep(0.001)
