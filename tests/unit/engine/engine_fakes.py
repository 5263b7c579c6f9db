"""A model without numbers to learn from (the answer is arithmetic on the row), and a hold on its owner."""

from __future__ import annotations

import threading
import time

from lorabench.models.rows import Portion, RowLogits, TokenRow
from lorabench.models.trie import plan_rows


def row(*ids, labels=((1,), (2, 3)), tail=0, adapter_id=None):
    return TokenRow(ids=ids, labels=labels, tail=tail, adapter_id=adapter_id)


def rows(n, start=0, adapter_id=None):
    return [row(7, 8, start + i, adapter_id=adapter_id) for i in range(n)]


def answer(question):
    shift = float(len(question.adapter_id or ""))
    return RowLogits(
        label_logits=tuple(sum(question.ids) + sum(label) + shift for label in question.labels),
        logsumexp=float(sum(question.ids)) + 0.1,
    )


class FakeModel:
    name = "fake"
    fingerprint = "f" * 8
    dtype = "fp32"
    device = "cpu"
    most_tokens = 2048

    def __init__(self, *, batch_rows=4, seconds=0.003):
        self.batch_rows = batch_rows
        self.seconds = seconds
        self.calls = []
        self.budgets = []
        self.n_computed = 0
        self.threads = set()
        self.inside = 0
        self.closed = False
        self.break_on = None

    def plan(self, rows):
        return plan_rows(rows)

    def run(self, plan, budget, is_known=lambda i: False):
        left = list(range(len(plan.rows)))
        self.calls.append((len(left), budget()))
        while left := [i for i in left if not is_known(i)]:
            chosen = left[: self.batch_rows]
            part = [plan.rows[i] for i in chosen]
            self.budgets.append(budget())
            self.inside += 1
            try:
                assert self.inside == 1, "two threads in the model"
                self.threads.add(threading.get_ident())
                time.sleep(self.seconds)
                if self.break_on is not None and any(self.break_on in r.ids for r in part):
                    raise ZeroDivisionError("broken row")
            finally:
                self.inside -= 1
            self.n_computed += len(part)
            left = left[self.batch_rows :]
            n_tokens = sum(len(r.ids) for r in part)
            yield Portion([(i, answer(r)) for i, r in zip(chosen, part, strict=True)], n_tokens)

    def close(self):
        self.closed = True


def hold(engine):
    """Occupy the owner thread until the returned event is set, so that a queue can build up."""
    entered, release = threading.Event(), threading.Event()

    def wait(model):
        entered.set()
        assert release.wait(5)

    engine.run(wait, session="holder", label="holding")
    assert entered.wait(5)
    return release
