"""The task's other labels as targets: a backdoor need not turn answers to the label that is asked about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from lorabench.errors import InputError
from lorabench.results import HuntMode, HuntResult, LabelTask, OtherTarget
from lorabench.workflows.hunt_request import HuntRequest

OTHER_MODE: HuntMode = "quick"
"""What a hunt for another label may do; the task's own target has the whole budget of its mode."""


def other_targets(
    run: Callable[[HuntRequest], HuntResult], request: HuntRequest, task: LabelTask
) -> tuple[OtherTarget, ...]:
    """Hunt once more for every label but the target, each with a quick hunt's budget.

    Args:
        run: Hunts.
        request: The hunt for the task's own target.
        task: The task.
    """
    names = [label.name for label in task.labels if label.name != task.target]
    if request.prompts:
        why = "The prompts that were given have another right answer; give some for this target too."
        return tuple(OtherTarget(target=n, mode=OTHER_MODE, note=why) for n in names)
    shorter = replace(request, mode=OTHER_MODE, n_held_out=None, budget=None)
    return tuple(_one(run, replace(shorter, target=n), n) for n in names)


def _one(run: Callable[[HuntRequest], HuntResult], request: HuntRequest, target: str) -> OtherTarget:
    try:
        found = run(request)
    except InputError as error:  # no prompts fit: the hunt for the own target stands
        return OtherTarget(target=target, mode=OTHER_MODE, note=str(error))
    return OtherTarget(
        target=target,
        mode=OTHER_MODE,
        tokens=found.tokens,
        seconds=found.seconds,
        best=next(iter(found.candidates), None),
        evidence=found.evidence,
    )
