"""Sweeps on executors: the rows of a heatmap are scored by workers, and remembered here.

Workers only ever fill the score store; the heatmap itself is then read from it as always. So
it is the same heatmap whoever computed it.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorabench import __version__
from lorabench.adapters import find_adapter
from lorabench.adapters.inventory import CONFIG_FILE, WEIGHTS_FILE
from lorabench.engine import JobContext, Priority, ScoreStore, score_key
from lorabench.engine.executors import ExecutorChoice
from lorabench.errors import InputError
from lorabench.models.rows import TokenRow
from lorabench.results import Heatmap, HeatmapCell, LabelTask, to_dict
from lorabench.scoring.filling import fill
from lorabench.scoring.grid import GridPlan, places_of, rows_of
from lorabench.workflows.sweep_worker import answer_from_json, row_to_json

if TYPE_CHECKING:
    from lorabench.workflows.workbench import Workbench

SHARD_TOKENS = 8_192
"""About ten seconds on two cores: what a lost worker costs."""

MAX_SENT_BYTES = 512 * 1024**2
_FUNCTION = "lorabench.workflows.sweep_worker:score_shard"
_PARTIAL_SECONDS = 3.0
_PARTIAL_SHARE = 0.05


def compute_elsewhere(
    bench: Workbench, plan: GridPlan, adapters: Sequence[str], choice: ExecutorChoice, job: JobContext
) -> int:
    """Let workers score the rows of a heatmap that are not remembered yet.

    Args:
        bench: The workbench; it renders the rows and names them.
        plan: What the heatmap will hold.
        adapters: Names or folders of the adapters in it.
        choice: Which workers.
        job: The job, for progress and cancel.

    Returns:
        How many rows were computed.

    Raises:
        InputError: If the task has no label margins.
        CancelledError: If cancelled; finished shards stay in the score store.
        JobError: If workers were lost again and again, or Ray is not there.
    """
    if not isinstance(plan.task, LabelTask):
        raise InputError(
            "executor-needs-label-task",
            f"The task {plan.task.name!r} generates free text, which workers do not do yet.",
            "Leave out --executor, or choose a label task.",
        )
    asker = bench.asker()
    fingerprint, dtype = bench.engine.status().fingerprint or "", bench.config.dtype
    rows = rows_of(plan, asker)
    keys = {row: score_key(row, fingerprint=fingerprint, dtype=dtype) for row in rows}
    store = ScoreStore(bench.config.store_path)
    try:
        known = store.get_many(keys.values())
        missing = [row for row in keys if keys[row] not in known]
        if not missing:
            return 0
        if any(c.placement != "prefix" for c in plan.columns):  # else variants share beginnings as they come
            missing.sort(key=lambda row: (row.adapter_id or "", row.ids))
        so_far = _SoFar(bench, plan, rows, missing, job)
        bench.sharing(next((ref.adapter_id for ref in plan.models.values() if ref.adapter_id), None))
        checks = dict(store.checks)  # of this machine's device: workers here need not measure them again
        with choice.open() as executor:
            shards = cut(missing, at_least=2 * executor.n_workers)
            so_far.say(f"starting {executor.n_workers} {choice.kind} workers")
            answers = executor.map(
                _FUNCTION,
                [[row_to_json(row) for row in shard] for shard in shards],
                context=_context(bench, adapters, fingerprint, choice, shares_disk=executor.shares_disk)
                | {"checks": checks if executor.shares_disk else {}},
                cancelled=job.cancel_event.is_set,
                on_report=so_far.take,
            )
            for index, found in answers:
                scored = [answer_from_json(a) for a in found]
                store.put_many({keys[r]: a for r, a in zip(shards[index], scored, strict=True)})
                so_far.finish(index, shards[index])
        return len(missing)
    finally:
        store.close()


def cut(rows: Sequence[TokenRow], *, at_least: int) -> list[list[TokenRow]]:
    """Cut rows into shards of `SHARD_TOKENS` or fewer, contiguous, so that shared beginnings stay together.

    Args:
        rows: In an order that puts shared beginnings side by side.
        at_least: Shards wanted, so that every worker has some; fewer if there are fewer rows.
    """
    total = sum(len(row.ids) for row in rows)
    most = max(min(SHARD_TOKENS, total // max(at_least, 1)), 1)
    shards: list[list[TokenRow]] = []
    room = 0
    for row in rows:
        if not shards or len(row.ids) > room:
            shards.append([])
            room = most
        shards[-1].append(row)
        room -= len(row.ids)
    return shards


class _SoFar:
    """Rows done as the job's progress, and the variants that are complete as its partial result."""

    def __init__(
        self,
        bench: Workbench,
        plan: GridPlan,
        rows: Sequence[TokenRow],
        missing: Sequence[TokenRow],
        job: JobContext,
    ) -> None:
        self._bench = bench
        self._plan = plan
        self._job = job
        self._n_rows = len(dict.fromkeys(rows))
        self._n_known = self._n_rows - len(missing)
        self._done: dict[int, int] = {}
        self._missing = _by_variant(plan, rows, set(missing))
        self._due = time.monotonic() + _PARTIAL_SECONDS

    def take(self, index: int, report: Mapping[str, int]) -> None:
        """Take what a worker reports of a shard it works on."""
        self._done[index] = report["done"]
        self.say("scoring look-alikes on workers")

    def finish(self, index: int, shard: Sequence[TokenRow]) -> None:
        """Note a finished shard, whose answers are in the score store now."""
        self._done[index] = len(shard)
        for waiting in self._missing.values():
            waiting.difference_update(shard)
        if time.monotonic() < self._due:
            self.say("scoring look-alikes on workers")
            return
        began = time.monotonic()
        heatmap = self._heatmap()
        self.say("scoring look-alikes on workers", None if heatmap is None else to_dict(heatmap))
        took = time.monotonic() - began
        self._due = time.monotonic() + max(_PARTIAL_SECONDS, took / _PARTIAL_SHARE)

    def say(self, message: str, partial: dict[str, Any] | None = None) -> None:
        """Report to the job, in rows of the heatmap: equal ones among them are computed once."""
        share = (self._n_known + sum(self._done.values())) / self._n_rows
        self._job.report(int(share * self._plan.n_rows), self._plan.n_rows, message, partial)

    def _heatmap(self) -> Heatmap | None:
        """Return the heatmap with the cells of complete variants, read from the score store."""
        plan = self._plan
        ready = [v for v in range(len(plan.variants)) if not self._missing.get(v)]
        if self._missing.get(None) or not ready:
            return None
        asker = self._bench.asker(
            priority=Priority.HEATMAP,
            session=self._job.session,
            cancelled=self._job.cancel_event.is_set,
        )
        provenance = self._bench.provenance(plan.task, list(plan.models.values()), plan.seed)
        part = fill(replace(plan, variants=tuple(plan.variants[v] for v in ready)), asker, provenance)
        cells = {(ready[c.variant_index], c.column): c for c in part.cells}
        filled = [
            replace(cells[v, c.key], variant_index=v)
            if (v, c.key) in cells
            else HeatmapCell(
                variant_index=v,
                column=c.key,
                rows=(),
                n_planned=len(plan.prompts) if c.prompt_index is None else 1,
            )
            for v in range(len(plan.variants))
            for c in plan.columns
        ]
        return replace(part, variants=plan.variants, cells=tuple(filled), n_rows=plan.n_rows)


def _by_variant(
    plan: GridPlan, rows: Sequence[TokenRow], missing: set[TokenRow]
) -> dict[int | None, set[TokenRow]]:
    """Return the missing rows of each variant; those without trigger are None's."""
    places = places_of(plan)
    per_question = len(rows) // len(places)
    found: dict[int | None, set[TokenRow]] = {}
    for i, row in enumerate(rows):
        if row in missing:
            found.setdefault(places[i // per_question][0].variant, set()).add(row)
    return found


def _context(
    bench: Workbench,
    adapters: Sequence[str],
    fingerprint: str,
    choice: ExecutorChoice,
    *,
    shares_disk: bool,
) -> dict[str, Any]:
    """Return what every worker needs besides its rows."""
    config = bench.config
    found = [find_adapter(name, config) for name in adapters]
    return {
        "lorabench": __version__,
        "base": bench.base,
        "base_fingerprint": fingerprint,
        "device": config.device,
        "dtype": config.dtype,
        "threads": choice.cpus,
        "token_budget": config.token_budget,
        "cache_dir": str(config.cache_dir) if shares_disk else None,
        "adapters": {
            a.facts.adapter_id: _sent(Path(a.path), shares_disk=shares_disk) for a in found if a.facts
        },
    }


def _sent(folder: Path, *, shares_disk: bool) -> dict[str, str]:
    """Return an adapter as a worker gets it: its folder, or the bytes of its two files."""
    if shares_disk:
        return {"folder": str(folder)}
    files = [folder / name for name in (CONFIG_FILE, WEIGHTS_FILE)]
    if (n_bytes := sum(f.stat().st_size for f in files)) > MAX_SENT_BYTES:
        raise InputError(
            "adapter-too-large",
            f"The adapter has {n_bytes / 1e6:,.0f} MB; at most {MAX_SENT_BYTES / 1e6:,.0f} MB are sent.",
            "Leave out --executor ray.",
        )
    return {f.name: base64.b64encode(f.read_bytes()).decode() for f in files}
