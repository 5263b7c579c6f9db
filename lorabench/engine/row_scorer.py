"""Rows to logits in steps of about half a second, each distinct row computed once.

All of this runs on the owner thread, inside the generators that the engine advances in
turn, so nothing here needs a lock.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from itertools import islice

from lorabench.engine.protocol import Model
from lorabench.engine.store import ScoreStore, score_key
from lorabench.engine.tickets import Progress
from lorabench.models.rows import RowLogits, TokenRow

STEP_SECONDS = 0.5
_FIRST_SLICE_TOKENS = 256  # before any speed is known: 0.35 s on the 2-core demo machine
_MOST_SLICE_TOKENS = 1 << 16
_LOOKUP_ROWS = 500


class RowScorer:
    """Scores rows for every request of one engine.

    Requests that run at the same time share what they compute: thirty people who start the
    same grid take turns, and each turn's rows are handed to all who still want them.
    """

    def __init__(self, store: ScoreStore | None, token_budget: int) -> None:
        self._store = store
        self._token_budget = token_budget
        self._runs: list[_Run] = []
        self._tokens_per_second: float | None = None

    @property
    def tokens_per_second(self) -> float | None:
        """Measured speed, recent batches weighing most; None before the first batch."""
        return self._tokens_per_second

    def steps(
        self, model: Model, rows: Sequence[TokenRow], adapter_id: str | None
    ) -> Generator[Progress, None, list[RowLogits]]:
        """Yield progress after every batch and return one answer per row, in order."""
        run = _Run(rows)
        self._runs.append(run)
        try:
            yield from self._look_up(run, model, adapter_id)
            while part := run.next_part(self._slice_tokens()):
                yield from self._compute(run, part, model, adapter_id)
        finally:
            self._runs.remove(run)
        return [run.found[run.key_of[row]] for row in rows]

    def _look_up(self, run: _Run, model: Model, adapter_id: str | None) -> Iterator[Progress]:
        fingerprint, dtype = model.fingerprint, model.dtype
        began = time.monotonic()
        for start in range(0, len(run.rows), _LOOKUP_ROWS):
            keys = []
            for row in run.rows[start : start + _LOOKUP_ROWS]:
                key = score_key(row, fingerprint=fingerprint, adapter_id=adapter_id, dtype=dtype)
                run.name(row, key)
                keys.append(key)
            if self._store is not None:
                run.found.update(self._store.get_many(keys))
            if time.monotonic() - began > STEP_SECONDS / 2:
                yield run.progress()
                began = time.monotonic()
        if len(run.found) == len(run.rows):
            yield run.progress()

    def _compute(
        self, run: _Run, part: list[TokenRow], model: Model, adapter_id: str | None
    ) -> Iterator[Progress]:
        batches = model.score_rows(part, adapter_id, min(self._token_budget, self._slice_tokens()))
        try:
            began = time.monotonic()
            for batch in batches:
                self._learn_speed(sum(len(part[i].ids) for i, _ in batch), time.monotonic() - began)
                scored = {run.key_of[part[i]]: logits for i, logits in batch}
                if self._store is not None:
                    self._store.put_many(scored)
                run.computed += len(scored)
                for each in self._runs:
                    each.offer(scored)
                known = len(run.found)
                yield run.progress()
                if len(run.found) > known:
                    return  # another request has computed rows of this one: choose the part anew
                began = time.monotonic()
        finally:
            if isinstance(batches, Generator):
                batches.close()  # a cancelled request leaves nothing half done in the model
        missing = sum(run.key_of[row] not in run.found for row in part)
        if missing:
            raise RuntimeError(f"{model.name} left {missing} of {len(part)} rows without an answer")

    def _slice_tokens(self) -> int:
        """Tokens of one step: a power of two, so that batches hardly vary from run to run."""
        if self._tokens_per_second is None:
            return _FIRST_SLICE_TOKENS
        wanted = int(self._tokens_per_second * STEP_SECONDS)
        return min(1 << max(wanted.bit_length() - 1, 0), _MOST_SLICE_TOKENS)

    def _learn_speed(self, n_tokens: int, seconds: float) -> None:
        speed = n_tokens / max(seconds, 1e-6)
        known = self._tokens_per_second
        self._tokens_per_second = speed if known is None else (known + speed) / 2


class _Run:
    """The distinct rows of one request, and what is known of them."""

    def __init__(self, rows: Sequence[TokenRow]) -> None:
        # Equal lengths stand together (little padding), and so do shared beginnings.
        self.rows = sorted(dict.fromkeys(rows), key=lambda row: (len(row.ids), row.ids))
        self.key_of: dict[TokenRow, bytes] = {}
        self.found: dict[bytes, RowLogits] = {}
        self.computed = 0
        self._wanted: set[bytes] = set()
        self._at = 0

    def name(self, row: TokenRow, key: bytes) -> None:
        """Set the key of one row."""
        self.key_of[row] = key
        self._wanted.add(key)

    def next_part(self, n_tokens: int) -> list[TokenRow]:
        """Return the next unknown rows, at least one, up to `n_tokens` when padded; [] at the end."""
        while self._at < len(self.rows) and self.key_of[self.rows[self._at]] in self.found:
            self._at += 1
        part: list[TokenRow] = []
        for row in islice(self.rows, self._at, None):
            if part and len(row.ids) * (len(part) + 1) > n_tokens:
                break
            if self.key_of[row] not in self.found:
                part.append(row)
        return part

    def offer(self, scored: Mapping[bytes, RowLogits]) -> None:
        """Take the answers to rows of this request, whoever computed them."""
        self.found.update({key: logits for key, logits in scored.items() if key in self._wanted})

    def progress(self) -> Progress:
        return Progress(done=len(self.found), total=len(self.rows), computed=self.computed)
