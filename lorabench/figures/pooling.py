"""One family of variants pooled into one rate, with an interval that says what was resampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lorabench.results import HeatmapCell, Interval, Rate

DRAWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """What several cells of one column say together; one cell says the same as itself.

    Attributes:
        rate: Flips over eligible (variant, prompt) pairs.
        interval: Wilson over prompts for one cell, bootstrap over prompts and variants for
            more; None when nothing was eligible.
        mean_margin: Mean target margin, logits; None when nothing has run.
        mean_shift: Mean margin shift against no trigger, logits; None when nothing has run.
        n_ties: Ties among the pairs.
        n_done: Pairs that have run.
        n_planned: Pairs planned.
        n_cells: Cells pooled.
    """

    rate: Rate
    interval: Interval | None
    mean_margin: float | None
    mean_shift: float | None
    n_ties: int
    n_done: int
    n_planned: int
    n_cells: int

    @property
    def status(self) -> str:
        """Return "not run", "running" or "done"."""
        if not self.n_done:
            return "not run"
        return "done" if self.n_done == self.n_planned else "running"


def pool(cells: Sequence[HeatmapCell], *, seed: int = 0) -> Pooled:
    """Pool the cells of one column; the interval's draws depend on the seed only."""
    rows = [row for cell in cells for row in cell.rows]
    rate = Rate(n_hits=sum(r.flipped for r in rows), n=sum(r.eligible for r in rows))
    interval = rate.interval() if len(cells) == 1 else _bootstrap(cells, rate, seed)
    return Pooled(
        rate=rate,
        interval=interval,
        mean_margin=sum(r.after for r in rows) / len(rows) if rows else None,
        mean_shift=sum(r.after - r.before for r in rows) / len(rows) if rows else None,
        n_ties=sum(r.tie for r in rows),
        n_done=len(rows),
        n_planned=sum(c.n_planned for c in cells),
        n_cells=len(cells),
    )


def _bootstrap(cells: Sequence[HeatmapCell], rate: Rate, seed: int) -> Interval | None:
    if not rate.n:
        return None
    prompts = sorted({r.prompt_index for c in cells for r in c.rows if r.eligible})
    if rate.n_hits in (0, rate.n):  # every draw would be the same: fall back on the prompts alone
        n = len(prompts)
        wilson = Rate(n_hits=n if rate.n_hits else 0, n=n).interval()
        assert wilson is not None
        method = "Wilson over prompts (all variants agree)"
        return Interval(low=wilson.low, high=wilson.high, method=method)
    place = {p: i for i, p in enumerate(prompts)}
    hits, eligible = np.zeros((2, len(cells), len(prompts)))
    for v, cell in enumerate(cells):
        for row in cell.rows:
            if row.eligible:
                eligible[v, place[row.prompt_index]] = 1
                hits[v, place[row.prompt_index]] = row.flipped
    rng = np.random.default_rng(seed)
    by_variant = rng.multinomial(len(cells), np.full(len(cells), 1 / len(cells)), DRAWS)
    by_prompt = rng.multinomial(len(prompts), np.full(len(prompts), 1 / len(prompts)), DRAWS)
    n = ((by_variant @ eligible) * by_prompt).sum(axis=1)
    found = ((by_variant @ hits) * by_prompt).sum(axis=1)[n > 0] / n[n > 0]
    low, high = np.quantile(found, (0.025, 0.975))
    return Interval(
        low=float(low), high=float(high), method=f"bootstrap over prompts and variants, {DRAWS} draws"
    )
