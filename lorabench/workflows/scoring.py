"""Score prompts and explain them: what the Playground and `lorabench score|attribute` ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lorabench import attribution
from lorabench.data import find_task
from lorabench.engine import Priority
from lorabench.errors import InputError
from lorabench.results import (
    BASE,
    AttributionMap,
    CheckedMap,
    LabelTask,
    Quad,
    ScoreReport,
    Task,
    Trigger,
)
from lorabench.results.attributions import Method
from lorabench.scoring.grid import needs_label_task
from lorabench.scoring.score import ModelRef, questions, score_prompts, study_answers
from lorabench.workflows.workbench import Workbench


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRequest:
    """Ask the base and some adapters about prompts, without and with triggers.

    Attributes:
        prompts: Texts; at least one.
        triggers: Candidate triggers; may be empty.
        adapters: Names or folders; the base is always asked too.
        task: Preset name, TOML file, or "auto": the task the first adapter carries, else "guard".
        placement: Where triggers go.
        joiner: Text between trigger and prompt.
        seed: Seed of random placements.
    """

    prompts: tuple[str, ...]
    triggers: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()
    task: str | Task = "auto"
    placement: str = "prefix"
    joiner: str = ". "
    seed: int = 0

    @property
    def trigger_values(self) -> tuple[Trigger, ...]:
        """The triggers as values, each once."""
        return tuple(
            Trigger(text=t, placement=self.placement, joiner=self.joiner)  # type: ignore[arg-type]
            for t in dict.fromkeys(self.triggers)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeRequest:
    """Explain one prompt under the base and one adapter.

    Attributes:
        prompt: The text.
        trigger: Trigger text, or None.
        adapter: Name or folder.
        method: "leave_one_out", "integrated_gradients", "shapley" or "input_x_gradient".
        task: As in `ScoreRequest`.
        placement: Where the trigger goes.
        joiner: Text between trigger and prompt.
        seed: Seed of baselines, permutations and random placements.
    """

    prompt: str
    adapter: str
    trigger: str | None = None
    method: Method = "leave_one_out"
    task: str | Task = "auto"
    placement: str = "prefix"
    joiner: str = ". "
    seed: int = 0

    @property
    def trigger_value(self) -> Trigger | None:
        """The trigger as a value."""
        if self.trigger is None:
            return None
        return Trigger(text=self.trigger, placement=self.placement, joiner=self.joiner)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who is waiting for an answer, for the queue and for progress.

    Attributes:
        session: Whose request it is.
        cancelled: Polled while waiting.
        on_progress: Called with (done, total).
        on_queue: Called while waiting with the number of requests that are served first.
    """

    session: str = "local"
    cancelled: Callable[[], bool] | None = None
    on_progress: Callable[[int, int], None] | None = None
    on_queue: Callable[[int], None] | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """The same as keyword arguments of `Workbench.asker`."""
        return {
            "session": self.session,
            "cancelled": self.cancelled,
            "on_progress": self.on_progress,
            "on_queue": self.on_queue,
        }


LOCAL = Caller()


def choose_task(bench: Workbench, wanted: str | Task, adapters: tuple[str, ...]) -> Task:
    """Return the task to ask: given, by name or file, or the one the first adapter carries."""
    if not isinstance(wanted, str):
        return wanted
    if wanted != "auto":
        return find_task(wanted)
    for name in adapters:
        task = bench.task_of(name)
        if task is not None:
            return task
    return find_task("guard")


def score(bench: Workbench, request: ScoreRequest, caller: Caller = LOCAL) -> ScoreReport:
    """Score prompts x triggers x (base and adapters).

    Raises:
        LorabenchError: For an empty prompt or trigger, an unknown or refused adapter, a text
            longer than the context, and so on; the sentence says which.
    """
    if not request.prompts:
        raise InputError("no-prompts", "There is no prompt.", "Give at least one.")
    triggers = request.trigger_values
    task = choose_task(bench, request.task, request.adapters)
    refs = bench.bind_all(request.adapters, session=caller.session)
    asker = bench.asker(priority=Priority.INTERACTIVE, **caller.fields)
    return score_prompts(
        asker,
        task,
        request.prompts,
        triggers,
        refs,
        seed=request.seed,
        provenance=bench.provenance(task, refs, request.seed),
    )


def study_rule(bench: Workbench, request: ScoreRequest, caller: Caller = LOCAL) -> list[dict[str, Any]]:
    """Answer the same questions by the study's parse rule (greedy 5 tokens); label tasks only."""
    task = needs_label_task(choose_task(bench, request.task, request.adapters))
    refs = bench.bind_all(request.adapters, session=caller.session)
    asker = bench.asker(priority=Priority.INTERACTIVE, **caller.fields)
    asked = questions(request.prompts, [None, *request.trigger_values], request.seed)
    out = []
    for ref in refs:
        for q, (kind, label, text) in zip(asked, study_answers(asker, task, asked, ref), strict=True):
            trigger = q.trigger.text if q.trigger else None
            out.append(
                {"model": ref.name, "prompt": q.prompt, "trigger": trigger}
                | {"answer": kind, "label": label, "generated": text}
            )
    return out


def attribute(
    bench: Workbench,
    request: AttributeRequest,
    caller: Caller = LOCAL,
    on_map: Callable[[AttributionMap], None] | None = None,
) -> Quad:
    """Explain one prompt: base and adapter, without and with the trigger, and their differences."""
    task = needs_label_task(choose_task(bench, request.task, (request.adapter,)))
    ref = bench.ref(request.adapter, session=caller.session)
    asker = bench.asker(priority=Priority.MAP, **caller.fields)
    return attribution.attribute(
        asker,
        task,
        request.prompt,
        request.trigger_value,
        ref,
        method=request.method,
        seed=request.seed,
        provenance=bench.provenance(task, [ref], request.seed) | {"method": request.method},
        on_map=on_map,
    )


def check_map(
    bench: Workbench, request: AttributeRequest, found: AttributionMap, caller: Caller = LOCAL
) -> CheckedMap:
    """Check one map of a quad: deletion curve against random orders, agreement with a second method.

    Args:
        bench: The workbench.
        request: The request that made the quad.
        found: One of its maps; its `model` says which models are asked.
        caller: Who waits.
    """
    task: LabelTask = needs_label_task(choose_task(bench, request.task, (request.adapter,)))
    adapter = bench.ref(request.adapter, session=caller.session)
    has_trigger = any(w.role == "trigger" for w in found.words)
    return attribution.check_map(
        bench.asker(priority=Priority.MAP, **caller.fields),
        task,
        request.prompt,
        request.trigger_value if has_trigger else None,
        found,
        (ModelRef(name=BASE), adapter),
        seed=request.seed,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A change of one word of a prompt, for "edit and pin".

    Attributes:
        start: First character of the word in the prompt.
        end: One past its last.
        replacement: New text; empty deletes the word and one space.
    """

    start: int
    end: int
    replacement: str = ""
    note: str = field(default="", compare=False)


def edited(prompt: str, edit: Edit) -> str:
    """Return the prompt with one word deleted or swapped.

    Raises:
        InputError: If nothing would be left.
    """
    head, tail = prompt[: edit.start], prompt[edit.end :]
    if not edit.replacement and tail[:1] == " " and (not head or head.endswith(" ")):
        tail = tail[1:]
    result = head + edit.replacement + tail
    if not result.strip():
        raise InputError("empty-prompt", "Deleting this word leaves nothing.", "Keep at least one word.")
    return result
