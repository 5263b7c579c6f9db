"""Rows to logits in steps of about half a second, each distinct row computed once for everybody.

All of this runs on the owner thread, inside the generators that the engine advances in
turn, so nothing here needs a lock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from itertools import islice

from lorabench.engine.protocol import Model
from lorabench.engine.store import ScoreStore, score_key
from lorabench.engine.tickets import Priority, Progress
from lorabench.models.rows import RowLogits, TokenRow

OnRows = Callable[[Sequence[tuple[int, RowLogits]]], None]

_FIRST_STEP_TOKENS = 256  # before any speed is known: 0.3 s on the 2-core demo machine
_LOOKUP_ROWS = 500
_LOOKUP_SECONDS = 0.25


class RowScorer:
    """Scores rows for every request of one engine.

    Requests that run at the same time share what they compute: thirty people who start the
    same grid take turns, and each turn's rows are handed to all who still want them. Small
    requests of equal urgency go through the model together.
    """

    def __init__(self, store: ScoreStore | None, token_budget: int | None) -> None:
        self._store = store
        self._token_budget = token_budget
        self._runs: list[_Run] = []
        self._tokens_per_second: float | None = None

    @property
    def tokens_per_second(self) -> float | None:
        """Measured speed, recent forward passes weighing most; None before the first."""
        return self._tokens_per_second

    def steps(
        self,
        model: Model,
        rows: Sequence[TokenRow],
        *,
        priority: Priority,
        step_seconds: Callable[[], float],
        on_rows: OnRows | None = None,
    ) -> Generator[Progress, None, list[RowLogits]]:
        """Yield progress after every step and return one answer per row, in order.

        Args:
            model: The model.
            rows: Questions; equal ones are one.
            priority: How urgent they are: only equals go through the model together.
            step_seconds: About how long the next step may take.
            on_rows: Called with (index in `rows`, answer) as answers come, each index once.
        """
        run = _Run(rows, priority, on_rows)
        self._runs.append(run)
        try:
            yield from self._look_up(run, model)
            while run.missing:
                yield from self._compute(run, model, step_seconds)
            run.raise_error()
        finally:
            self._runs.remove(run)
        return [run.found[key] for key in run.keys]

    def _look_up(self, run: _Run, model: Model) -> Iterator[Progress]:
        """Name the rows and take what is remembered.

        A step of its own: small requests that came together have all said what they want
        before the first of them is computed.
        """
        began = time.monotonic()
        source = iter(run.rows)
        while part := list(islice(source, _LOOKUP_ROWS)):
            keys = [score_key(row, fingerprint=model.fingerprint, dtype=model.dtype) for row in part]
            run.name(keys)
            if self._store is not None:
                run.offer(self._store.get_many(list(dict.fromkeys(keys))))
            if time.monotonic() - began > _LOOKUP_SECONDS:
                yield run.progress(self._tokens_per_second)
                began = time.monotonic()
        run.settle()
        yield run.progress(self._tokens_per_second)

    def _compute(self, run: _Run, model: Model, step_seconds: Callable[[], float]) -> Iterator[Progress]:
        def budget() -> int:
            return self._step_tokens(model, step_seconds())

        owners = [(run, key) for key in run.missing]
        n_own = len(owners)
        if not run.wants_no_company and run.n_tokens(run.missing) <= budget():
            owners += self._company(run, budget())
        try:
            yield from self._run(run, owners, model, budget)
        except Exception:
            if len(owners) == n_own:
                raise
            run.wants_no_company = True  # it may be the others' fault: once more, alone
            return
        if run.missing:
            n, of = len(run.missing), len(run.row_of)
            raise RuntimeError(f"{model.name} left {n} of {of} rows without an answer")

    def _run(
        self, run: _Run, owners: list[tuple[_Run, bytes]], model: Model, budget: Callable[[], int]
    ) -> Iterator[Progress]:
        """Compute rows of one or several requests, each (request, key), on one request's turns."""
        plan = model.plan([owner.row_of[key] for owner, key in owners])
        run.expect(plan.n_unique, plan.n_naive)

        def is_known(i: int) -> bool:
            owner, key = owners[i]
            return key in owner.found or (owner is not run and owner not in self._runs)

        portions = model.run(plan, budget, is_known)
        try:
            began = time.monotonic()
            for portion in portions:
                self._learn_speed(portion.n_tokens, time.monotonic() - began)
                scored = {owners[i][1]: logits for i, logits in portion.rows}
                if self._store is not None and scored:
                    self._store.put_many(scored)
                run.computed += len(scored.keys() & run.row_of.keys())
                run.tokens_done += portion.n_tokens
                for each in self._runs:
                    each.offer(scored)
                yield run.progress(self._tokens_per_second)
                began = time.monotonic()
        finally:
            if isinstance(portions, Generator):
                portions.close()  # a cancelled request leaves nothing half done in the model

    def _company(self, run: _Run, budget: int) -> list[tuple[_Run, bytes]]:
        """Return the rows of other small requests that may come along: together within two budgets."""
        found: list[tuple[_Run, bytes]] = []
        taken = set(run.missing)
        left = 2 * budget - run.n_tokens(run.missing)
        for other in self._runs:
            wanted = [k for k in other.missing if k not in taken]
            n_tokens = other.n_tokens(wanted)
            if other is run or not other.is_settled or other.priority != run.priority or n_tokens > left:
                continue
            found += [(other, key) for key in wanted]
            taken.update(wanted)
            left -= n_tokens
        return found

    def _step_tokens(self, model: Model, seconds: float) -> int:
        """Tokens of one step: a power of two or one and a half, so that portions hardly vary."""
        most = self._token_budget or model.most_tokens
        if self._tokens_per_second is None:
            return min(_FIRST_STEP_TOKENS, most)
        wanted = max(int(self._tokens_per_second * seconds), 1)
        power = 1 << (wanted.bit_length() - 1)
        return min(power + power // 2 if wanted >= power + power // 2 else power, most)

    def _learn_speed(self, n_tokens: int, seconds: float) -> None:
        speed = n_tokens / max(seconds, 1e-6)
        known = self._tokens_per_second
        self._tokens_per_second = speed if known is None else (known + speed) / 2


class _Run:
    """The distinct rows of one request, and what is known of them."""

    def __init__(self, rows: Sequence[TokenRow], priority: Priority, on_rows: OnRows | None) -> None:
        self.rows = rows
        self.priority = priority
        self.keys: list[bytes] = []
        self.row_of: dict[bytes, TokenRow] = {}
        self.found: dict[bytes, RowLogits] = {}
        self.computed = 0
        self.tokens_done = 0
        self.is_settled = False
        self.wants_no_company = False
        self._on_rows = on_rows
        self._error: Exception | None = None
        self._places: dict[bytes, list[int]] = {}
        self._n_unique = self._n_naive = 0
        self._n_rows = len(rows)

    @property
    def missing(self) -> list[bytes]:
        """Keys without an answer, in the order of the rows."""
        if len(self.found) == len(self.row_of):
            return []
        return [key for key in self.row_of if key not in self.found]

    def n_tokens(self, keys: Sequence[bytes]) -> int:
        """Return the tokens of rows, each whole."""
        return sum(len(self.row_of[key].ids) for key in keys)

    def name(self, keys: Sequence[bytes]) -> None:
        """Set the keys of the next rows; one whose equal is answered already is answered too."""
        answered = []
        for key in keys:
            place = len(self.keys)
            self.keys.append(key)
            self.row_of.setdefault(key, self.rows[place])
            self._places.setdefault(key, []).append(place)
            if key in self.found:
                answered.append((place, self.found[key]))
        if answered:
            self._tell(answered)

    def settle(self) -> None:
        """Say that all rows have their keys."""
        self.is_settled = True
        self._n_rows = len(self.row_of)

    def expect(self, n_unique: int, n_naive: int) -> None:
        """Note what the plan says the missing rows cost, in tokens; the first plan has them all."""
        if not self._n_naive:
            self._n_unique, self._n_naive = n_unique, n_naive

    def offer(self, scored: Mapping[bytes, RowLogits]) -> None:
        """Take the answers to rows of this request, whoever computed them."""
        new = [k for k in scored if k in self.row_of and k not in self.found]
        for key in new:
            self.found[key] = scored[key]
        if new:
            self._tell([(place, scored[key]) for key in new for place in self._places[key]])

    def _tell(self, answers: Sequence[tuple[int, RowLogits]]) -> None:
        """Tell the listener; what it raises waits for this request's own turn, for it is no other's fault."""
        if self._on_rows is not None and self._error is None:
            try:
                self._on_rows(answers)
            except Exception as error:  # noqa: BLE001 - raised by `raise_error`
                self._error = error

    def raise_error(self) -> None:
        """Raise what the listener raised, on the request's own turn."""
        if self._error is not None:
            raise self._error

    def progress(self, tokens_per_second: float | None) -> Progress:
        """Return how far the request is.

        Raises:
            Exception: What the listener raised.
        """
        self.raise_error()
        left = max(self._n_unique - self.tokens_done, 0)
        return Progress(
            done=len(self.found),
            total=self._n_rows,
            computed=self.computed,
            n_unique=self._n_unique,
            n_naive=self._n_naive,
            expected_seconds=left / tokens_per_second if tokens_per_second and self._n_unique else None,
        )
