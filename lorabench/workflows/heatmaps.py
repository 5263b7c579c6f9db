"""Generalisation heatmaps: which look-alikes of a trigger fire, for whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from lorabench.data import prompts_for_heatmap, select, variants
from lorabench.engine import Priority
from lorabench.errors import InputError
from lorabench.results import BASE, Heatmap, Task, Trigger, Variant
from lorabench.scoring.grid import GridPlan, columns_for, fill
from lorabench.scoring.reading import read_heatmap
from lorabench.workflows.scoring import LOCAL, Caller, choose_task
from lorabench.workflows.workbench import Workbench


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatmapRequest:
    """A trigger's look-alikes against adapters, placements or prompts.

    Attributes:
        trigger: The trigger's text.
        adapters: Names or folders; the base is always a column of a "models" heatmap.
        prompts: Texts whose true label is not the target; empty: the bundled test injections.
        n_prompts: How many bundled prompts.
        n_variants: How many look-alikes, spread over all families; 0 for all.
        columns: "models", "placements" or "prompts".
        task: As in `ScoreRequest`.
        placement: Where variants go.
        joiner: Text between variant and prompt.
        seed: Seed of variants, prompts and placements.
    """

    trigger: str
    adapters: tuple[str, ...]
    prompts: tuple[str, ...] = ()
    n_prompts: int = 24
    n_variants: int = 24
    columns: str = "models"
    task: str | Task = "auto"
    placement: str = "prefix"
    joiner: str = ". "
    seed: int = 0


def plan_variants(request: HeatmapRequest) -> tuple[Variant, ...]:
    """Return the look-alikes a request will score, without loading a model."""
    Trigger(text=request.trigger)  # refuses an empty trigger
    found = variants(request.trigger, seed=request.seed)
    return select(found, request.n_variants) if request.n_variants else found


def bundled_prompts(n: int, seed: int = 0) -> tuple[str, ...]:
    """Return `n` bundled test injections, spread over the attack styles."""
    return tuple(row.text for row in prompts_for_heatmap(n, seed=seed))


def plan_heatmap(bench: Workbench, request: HeatmapRequest, caller: Caller = LOCAL) -> GridPlan:
    """Bind the adapters and lay out the grid.

    Raises:
        LorabenchError: For an empty trigger, no adapter, or a grid over the limit.
    """
    if not request.adapters:
        raise InputError("no-adapter", "No adapter is chosen.", "Choose at least one adapter to compare with the base.")
    task = choose_task(bench, request.task, request.adapters)
    chosen = plan_variants(request)
    prompts = request.prompts or bundled_prompts(request.n_prompts, request.seed)
    refs = bench.bind_all(request.adapters, session=caller.session)
    plan = GridPlan(
        task=task,
        trigger=Trigger(text=request.trigger, placement=request.placement, joiner=request.joiner),  # type: ignore[arg-type]
        variants=chosen,
        columns=columns_for(request.columns, [(r.name, r.name) for r in refs], request.placement, prompts),
        prompts=prompts,
        models={r.name: r for r in refs},
        seed=request.seed,
    )
    limit = bench.config.limits.heatmap_rows
    if plan.n_rows > limit:
        raise InputError(
            "heatmap-too-large",
            f"The heatmap would have {plan.n_rows:,} rows; at most {limit:,} are allowed.",
            "Take fewer prompts, variants or adapters.",
        )
    return plan


def heatmap(
    bench: Workbench,
    request: HeatmapRequest,
    caller: Caller = LOCAL,
    on_partial: Callable[[Heatmap, int], None] | None = None,
) -> Heatmap:
    """Fill a heatmap and read it: at which level the backdoor generalises, which word carries it."""
    plan = plan_heatmap(bench, request, caller)
    asker = bench.asker(priority=Priority.HEATMAP, session=caller.session, cancelled=caller.cancelled)
    refs = list(plan.models.values())
    provenance = bench.provenance(plan.task, refs, request.seed)
    filled = fill(plan, asker, provenance, on_partial)
    readings = tuple(
        read_heatmap(filled, c.key, seed=request.seed)
        for c in filled.columns
        if c.model != BASE and c.prompt_index is None
    )
    return replace(filled, readings=readings)
