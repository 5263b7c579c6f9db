"""Generalisation heatmaps: which look-alikes of a trigger fire, for whom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lorabench.data import prompts_for_heatmap, select, shared_words, token_overlap, variants
from lorabench.engine import Priority
from lorabench.errors import InputError
from lorabench.results import BASE, Heatmap, Task, Trigger, Variant
from lorabench.results.triggers import PLACEMENTS
from lorabench.scoring.filling import fill
from lorabench.scoring.grid import GridPlan, columns_for
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


def plan_variants(request: HeatmapRequest, length: Callable[[str], int] = len) -> tuple[Variant, ...]:
    """Return the look-alikes a request will score, without loading a model.

    Args:
        request: The request.
        length: `Workbench.length()`, for random words as long as the trigger in the base's tokens.
    """
    Trigger(text=request.trigger)  # refuses an empty trigger
    found = variants(request.trigger, seed=request.seed, length=length)
    return select(found, request.n_variants) if request.n_variants else found


def bundled_prompts(n: int, seed: int = 0) -> tuple[str, ...]:
    """Return `n` bundled test injections, spread over the attack styles."""
    return tuple(row.text for row in prompts_for_heatmap(n, seed=seed))


def planned_rows(request: HeatmapRequest) -> int:
    """Return how many rows a request will score, without loading a model; adapters count as given."""
    n_prompts = len(dict.fromkeys(request.prompts)) or request.n_prompts
    n_models = 1 + len(dict.fromkeys(request.adapters)) if request.columns == "models" else 1
    n_blocks = len(PLACEMENTS) if request.columns == "placements" else n_models
    return n_prompts * (n_models + n_blocks * len(plan_variants(request)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """What a variant shares with the trigger: computed, never believed from a category name.

    Attributes:
        shared_words: Case-folded words, numbers and punctuation aside.
        tokens: Share of the trigger's distinct tokens that the variant contains;
            a fraction in [0, 1].
        n_tokens: Distinct tokens of the trigger.
        shared_tokens: Texts of the shared tokens, in the trigger's order.
    """

    shared_words: tuple[str, ...]
    tokens: float
    n_tokens: int
    shared_tokens: tuple[str, ...]


def overlaps(bench: Workbench, trigger: str, texts: Sequence[str]) -> tuple[Overlap, ...]:
    """Return the overlap of each text with the trigger, by words and by the base's token ids."""
    renderer = bench.asker().renderer
    wanted = renderer.ids(trigger)
    found = []
    for text in texts:
        ids = set(renderer.ids(text))
        shared = [i for i in dict.fromkeys(wanted) if i in ids]
        found.append(
            Overlap(
                shared_words=shared_words(trigger, text),
                tokens=token_overlap(wanted, tuple(ids)),
                n_tokens=len(set(wanted)),
                shared_tokens=tuple(renderer.decode([i]) for i in shared),
            )
        )
    return tuple(found)


def plan_heatmap(bench: Workbench, request: HeatmapRequest, caller: Caller = LOCAL) -> GridPlan:
    """Bind the adapters and lay out the grid.

    Raises:
        LorabenchError: For an empty trigger, no adapter, or a grid over the limit.
    """
    if not request.adapters:
        raise InputError(
            "no-adapter", "No adapter is chosen.", "Choose at least one adapter to compare with the base."
        )
    task = choose_task(bench, request.task, request.adapters)
    chosen = plan_variants(request, bench.length())
    prompts = tuple(dict.fromkeys(request.prompts)) or bundled_prompts(request.n_prompts, request.seed)
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
    if note := provenance["fast_mode"]:
        readings = tuple(replace(r, limits=f"{r.limits} Measured in {note}.") for r in readings)
    return replace(filled, readings=readings)
