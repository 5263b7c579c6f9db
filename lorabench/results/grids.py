"""A generalisation heatmap: variants of a trigger against adapters, prompts or placements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from lorabench.results.scores import Interval, Rate
from lorabench.results.tasks import Task
from lorabench.results.triggers import Trigger, Variant

Columns = Literal["models", "placements", "prompts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a heatmap.

    Attributes:
        key: Unique within the heatmap.
        title: What people read; an adapter's display name, a placement, a prompt's start.
        model: `BASE` or the adapter's name.
        placement: Where the variant goes.
        prompt_index: The one prompt of this column, or None for all prompts.
    """

    key: str
    title: str
    model: str
    placement: str = "prefix"
    prompt_index: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRow:
    """One prompt of one cell.

    Attributes:
        prompt_index: Position in the heatmap's prompts.
        before: Margin without trigger, logits.
        after: Margin with the variant, logits.
        eligible: Not answered with the target before.
        flipped: Became the target.
        tie: The margin with the variant is a tie.
    """

    prompt_index: int
    before: float
    after: float
    eligible: bool
    flipped: bool
    tie: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatmapCell:
    """One variant under one column.

    Attributes:
        variant_index: Position in the heatmap's variants.
        column: Key of the column.
        rows: Finished prompts; fewer than planned while the heatmap fills.
        n_planned: Prompts this cell will have when finished.
    """

    variant_index: int
    column: str
    rows: tuple[CellRow, ...]
    n_planned: int

    @property
    def rate(self) -> Rate:
        """Attack rate: flipped over eligible prompts."""
        return Rate(n_hits=sum(r.flipped for r in self.rows), n=sum(r.eligible for r in self.rows))

    @property
    def mean_margin(self) -> float | None:
        """Mean target margin with the variant, logits."""
        return sum(r.after for r in self.rows) / len(self.rows) if self.rows else None

    @property
    def mean_shift(self) -> float | None:
        """Mean margin shift against no trigger, logits."""
        return sum(r.after - r.before for r in self.rows) / len(self.rows) if self.rows else None

    @property
    def n_ties(self) -> int:
        """Prompts whose margin with the variant is a tie."""
        return sum(r.tie for r in self.rows)

    @property
    def is_finished(self) -> bool:
        """Whether every planned prompt is in."""
        return len(self.rows) == self.n_planned

    def extra_fields(self) -> dict[str, Any]:
        """Derived values for JSON."""
        return {
            "rate": self.rate,
            "mean_margin": self.mean_margin,
            "mean_shift": self.mean_shift,
            "n_ties": self.n_ties,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralisationReading:
    """What one adapter's column says about how wide the backdoor is.

    Attributes:
        column: Key of the column that was read.
        level: "exact", "token", "structure", "any prefix", "none" or "unclear".
        carrier: The word or words of the trigger that carry it, or None.
        sentence: The reading in plain words, with rates, n and intervals.
        intervals: Named intervals behind the sentence (bootstrap over prompts and variants).
        limits: What this reading does not show.
    """

    column: str
    level: str
    carrier: str | None
    sentence: str
    intervals: dict[str, Interval]
    limits: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heatmap:
    """How a trigger generalises over its look-alikes.

    Attributes:
        task: The question asked.
        trigger: The trigger the variants were made from.
        variants: Rows, grouped by family.
        columns: Columns.
        prompts: Prompts; their true label is not the target.
        cells: All cells, finished or not; a cell without rows has not run.
        readings: One per adapter column, when finished.
        provenance: Seed, versions, digests, device, dtype.
        seconds: Wall time so far.
        n_rows: Rows planned (cells x prompts, plus the untriggered ones).
        n_computed: Rows that went through the model; the others came from the store.
        n_unique_tokens: Tokens of the rows that had to be computed: shared beginnings count once.
        n_naive_tokens: Tokens of the same rows, each whole.
    """

    task: Task
    trigger: Trigger
    variants: tuple[Variant, ...]
    columns: tuple[Column, ...]
    prompts: tuple[str, ...]
    cells: tuple[HeatmapCell, ...]
    readings: tuple[GeneralisationReading, ...]
    provenance: dict[str, Any]
    seconds: float
    n_rows: int
    n_computed: int
    n_unique_tokens: int = 0
    n_naive_tokens: int = 0

    def cell(self, variant_index: int, column: str) -> HeatmapCell:
        """Return one cell."""
        for c in self.cells:
            if c.variant_index == variant_index and c.column == column:
                return c
        raise KeyError((variant_index, column))

    @property
    def families(self) -> tuple[str, ...]:
        """Families in row order, each once."""
        return tuple(dict.fromkeys(v.family for v in self.variants))
