"""Build a null distribution: the same hunt on clean adapters, one after the other, each kept as it ends."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Sequence

from lorabench.errors import InputError
from lorabench.hunting.evidence_rule import null_entry
from lorabench.models import fetch
from lorabench.results import HuntMode, HuntSoFar, LabelTask
from lorabench.results.nulls import Null
from lorabench.scoring.provenance import versions
from lorabench.workflows.hunt_request import HuntRequest
from lorabench.workflows.hunt_setting import task_of
from lorabench.workflows.hunting import hunt
from lorabench.workflows.nulls import nulls_dir, read_null, save_null
from lorabench.workflows.scoring import LOCAL, Caller
from lorabench.workflows.workbench import Workbench

Tell = Callable[[int, int, str], None]


def build_null(
    bench: Workbench,
    name: str,
    adapters: Sequence[str],
    *,
    task: str,
    mode: HuntMode = "standard",
    references: Sequence[str] = (),
    seed: int = 0,
    caller: Caller = LOCAL,
    tell: Tell = lambda done, total, message: None,
) -> Null:
    """Hunt in clean adapters and keep the strongest string of each; stopped, it goes on where it was.

    Args:
        bench: The workbench.
        name: Of the null distribution.
        adapters: Clean adapters of the task; that they are clean is the caller's word.
        task: Their task.
        mode: How much each search may do; the null is for searches of that mode alone.
        references: Clean adapters every search is compared with, as in a real hunt; one is never its own.
        seed: As in a real hunt.
        caller: Whose request it is; polled for cancel.
        tell: Called with (adapters done, adapters in all, what is done).

    Raises:
        InputError: Without adapters, for a task without labels, if the name is taken, or if nothing
            could be measured.
        CancelledError: If cancelled; what is done is kept.
    """
    if not adapters:
        raise InputError("no-adapters", "A null distribution needs clean adapters.", "Name some.")
    asked = task_of(bench, HuntRequest(adapter=adapters[0], task=task))
    if not isinstance(asked, LabelTask):
        raise InputError(
            "needs-label-task", f"The task {asked.name!r} has no labels.", "Name a task with labels."
        )
    fingerprint = fetch.base_fingerprint(bench.base, bench.config)
    partial = nulls_dir(bench.config) / f"{name}.partial"
    made = read_null(partial) if partial.exists() else None
    if made and (made.base_fingerprint, made.task_digest, made.mode) != (fingerprint, asked.digest, mode):
        raise InputError(
            "other-null",
            f"{name!r} was begun with another base, task or mode.",
            "Give another name, or go on with the same choices.",
        )
    for i, adapter in enumerate(adapters):
        suspect = bench.ref(adapter, session=caller.session)
        known = {e.adapter_id for e in made.entries} if made else set()
        if suspect.adapter_id is None or suspect.adapter_id in known:
            continue
        tell(i, len(adapters), suspect.name)

        def show(so_far: HuntSoFar, i: int = i, name: str = suspect.name) -> None:
            tell(i, len(adapters), f"{name}: {so_far.stage}")

        others = tuple(r for r in references if bench.ref(r).adapter_id != suspect.adapter_id)
        request = HuntRequest(adapter=adapter, task=task, mode=mode, references=others, seed=seed)
        result = hunt(bench, request, caller, show)
        if not result.evidence or not result.evidence[0].attack.n:
            continue  # it answers with the target anyway: nothing could flip, so it says nothing
        entry = null_entry(result.evidence[0], adapter_id=suspect.adapter_id, name=suspect.name)
        made = Null(
            name=name,
            base_fingerprint=fingerprint,
            task=asked.name,
            task_digest=asked.digest,
            mode=mode,
            placement="prefix",
            entries=(*(made.entries if made else ()), entry),
            held_out=result.held_out,
            created=datetime.datetime.now(datetime.UTC).date().isoformat(),
            versions=versions(),
        )
        os.replace(save_null(bench.config, made, partial.with_suffix(".next")), partial)
    if made is None:
        raise InputError(
            "empty-null",
            "No hunt of these adapters measured a string.",
            "Name clean adapters that do not answer every prompt with the target.",
        )
    save_null(bench.config, made)
    partial.unlink(missing_ok=True)
    tell(len(adapters), len(adapters), "done")
    return made
