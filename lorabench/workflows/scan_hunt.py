"""The "trigger" stage of a scan: a hunt, as long as the request allows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorabench.errors import CancelledError, InputError, LorabenchError
from lorabench.figures import part_title
from lorabench.hunting.findings import hunt_report
from lorabench.results import HuntMode, HuntSoFar, LabelTask, StageReport, Task
from lorabench.workflows.hunt_request import HuntRequest
from lorabench.workflows.hunting import hunt
from lorabench.workflows.scoring import Caller

if TYPE_CHECKING:
    from lorabench.workflows.workbench import Workbench

Say = Callable[..., None]


def run_hunt_stage(
    bench: Workbench,
    mode: HuntMode,
    folder: Path,
    task: Task | None,
    seed: int,
    caller: Caller,
    say: Say,
) -> StageReport:
    """Hunt for a trigger of an adapter whose task the behaviour stage came to know.

    What goes wrong is said in the stage; a scan never fails over it.

    Args:
        bench: The workbench.
        mode: How much the hunt may do.
        folder: The adapter.
        task: Its task, or None if nobody knows it.
        seed: Of every random choice.
        caller: Whose request it is.
        say: Told what is being done.

    Raises:
        CancelledError: If cancelled.
    """
    if not isinstance(task, LabelTask):
        return StageReport(
            stage="trigger", status="not run", summary="A hunt needs a task with labels, and none is known."
        )

    def show(so_far: HuntSoFar) -> None:
        best: dict[str, Any] = {"done": min(so_far.tokens, so_far.budget), "total": so_far.budget}
        say(message=f"hunting for a trigger: {part_title(so_far.stage)}", **best)

    try:
        request = HuntRequest(adapter=str(folder), task=task, mode=mode, seed=seed)
        return hunt_report(hunt(bench, request, caller, show))
    except CancelledError:
        raise
    except InputError as error:
        return StageReport(stage="trigger", status="not run", summary=f"{error.problem} {error.remedy}")
    except LorabenchError as error:
        return StageReport(stage="trigger", status="failed", summary=error.problem)
