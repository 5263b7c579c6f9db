"""How far the fast mode (bf16) may be trusted: a sample of bundled prompts, asked again in fp32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lorabench.data import prompts_for_heatmap
from lorabench.models.self_check import CHECK_VERSION
from lorabench.results import LabelTask, PlacedText, Task, from_dict, to_dict
from lorabench.results.checks import Agreement
from lorabench.scoring.labels import answer_of, margin
from lorabench.scoring.score import BASE_REF, ModelRef, collect, render_checked, token_rows

if TYPE_CHECKING:
    from lorabench.workflows.workbench import Workbench

N_PROMPTS = 24


def fast_mode_note(bench: Workbench, task: Task | None, refs: Sequence[ModelRef]) -> str:
    """Return what must stand beside every result of the fast mode; "" in evidence mode (fp32).

    The agreement is measured once per task and adapter, on the base and the adapter, and
    remembered; the fp32 model it needs is loaded for that moment.
    """
    status = bench.engine.status()
    if (status.dtype or bench.config.dtype) == "fp32":
        return ""
    if not isinstance(task, LabelTask):
        return f"fast mode {status.dtype}: agreement with fp32 not measured for this task; not for a verdict"
    adapters = [r for r in refs if r.adapter_id is not None]
    found = [agreement(bench, task, ref) for ref in adapters or [BASE_REF]]
    return min(found, key=lambda a: a.n_same / a.n_rows).sentence


def agreement(bench: Workbench, task: LabelTask, ref: ModelRef) -> Agreement:
    """Compare the fast mode with fp32 on the base and one adapter.

    Raises:
        LorabenchError: If the fp32 model cannot be loaded.
    """
    asker = bench.asker()
    status = bench.engine.status()
    name = f"v{CHECK_VERSION}|agreement|{status.fingerprint}|{status.device}|{status.dtype}"
    name += f"|{task.digest}|{ref.adapter_id}"
    if (known := bench.checks.get(name)) is not None:
        return from_dict(Agreement, known)
    texts = [PlacedText(text=row.text) for row in prompts_for_heatmap(N_PROMPTS)]
    ids = [render_checked(asker, task, text).ids for text in texts]
    models = [BASE_REF] if ref.adapter_id is None else [BASE_REF, ref]
    rows = token_rows(asker, task, ids, models)
    fast, exact = bench.engine.run(lambda m: m.beside_fp32(rows), label="compare with fp32").result()
    pairs = list(zip(collect(task, fast), collect(task, exact), strict=True))
    target = task.target_index
    made = Agreement(
        dtype=status.dtype or "",
        n_rows=len(pairs),
        n_same=sum(answer_of(task, a[0]) == answer_of(task, b[0]) for a, b in pairs),
        max_margin_change=max(abs(margin(a[0], target) - margin(b[0], target)) for a, b in pairs),
    )
    bench.checks[name] = to_dict(made)
    return made
