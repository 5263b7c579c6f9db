"""A model without numbers to learn from: the answer is arithmetic on the row, so it is known."""

from __future__ import annotations

import threading
import time

from lorabench.models.rows import RowLogits, TokenRow


def row(*ids, labels=((1,), (2, 3)), tail=0):
    return TokenRow(ids=ids, labels=labels, tail=tail)


def rows(n, start=0):
    return [row(7, 8, start + i) for i in range(n)]


def answer(question, adapter_id):
    shift = float(len(adapter_id or ""))
    return RowLogits(
        label_logits=tuple(sum(question.ids) + sum(label) + shift for label in question.labels),
        logsumexp=float(sum(question.ids)) + 0.1,
    )


class FakeModel:
    name = "fake"
    fingerprint = "f" * 8
    dtype = "fp32"
    device = "cpu"

    def __init__(self, *, batch_rows=4, seconds=0.003):
        self.batch_rows = batch_rows
        self.seconds = seconds
        self.calls = []
        self.n_computed = 0
        self.threads = set()
        self.inside = 0
        self.closed = False
        self.break_on = None

    def score_rows(self, rows, adapter_id, token_budget):
        self.calls.append((len(rows), adapter_id, token_budget))
        for start in range(0, len(rows), self.batch_rows):
            part = rows[start : start + self.batch_rows]
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
            yield [(start + i, answer(r, adapter_id)) for i, r in enumerate(part)]

    def close(self):
        self.closed = True
