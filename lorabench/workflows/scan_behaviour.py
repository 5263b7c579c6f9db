"""The behaviour stage of a scan: bind the adapter, find out what it does, probe it, ask a profile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lorabench.data import find_task
from lorabench.data.batteries import Battery, find_battery
from lorabench.detectors.behaviour_findings import behaviour_report
from lorabench.detectors.probing import ProbePlan, run_battery
from lorabench.engine import Priority
from lorabench.errors import BindingError, InputError, unknown_name
from lorabench.models import fetch
from lorabench.results import (
    HUNT_MODES,
    AdapterFacts,
    BehaviourEvidence,
    Fact,
    Finding,
    HeadTask,
    Profile,
    StageReport,
    Task,
    TrainTask,
    WeightEvidence,
)
from lorabench.scoring.score import BASE_REF, Asker, ModelRef
from lorabench.workflows.probing import Responder, head_responder, held_out_prompts, responder_for
from lorabench.workflows.profiles import choose_profile, find_profile, list_profiles
from lorabench.workflows.scoring import Caller
from lorabench.workflows.task_guess import claimed_generation, guess_task, head_task_of, label_proposals

if TYPE_CHECKING:
    from lorabench.workflows.scanning import ScanRequest
    from lorabench.workflows.workbench import Workbench

Say = Callable[..., None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BehaviourStage:
    """What the stage came to.

    Attributes:
        report: How it ended.
        evidence: The battery, or None.
        profile: The profile that judged it, or None.
        task: The task that was asked, or None.
        refs: Models that were asked.
        notes: Why the scan is degraded, as sentences.
    """

    report: StageReport
    evidence: BehaviourEvidence | None = None
    profile: Profile | None = None
    task: Task | None = None
    refs: list[ModelRef]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Chosen:
    task: TrainTask
    source: str
    responder: Responder
    refs: list[ModelRef]


def run_behaviour(
    bench: Workbench,
    request: ScanRequest,
    folder: Path,
    facts: AdapterFacts,
    weights: WeightEvidence,
    caller: Caller,
    say: Say,
) -> BehaviourStage:
    """Run the stage; what goes wrong with the adapter is a finding, not an error.

    Raises:
        InputError: If the request names a battery, task or profile that does not exist.
        CancelledError: If cancelled.
    """
    battery = find_battery(request.battery)
    given = None if request.profile in ("auto", "none") else find_profile(bench.config, request.profile)
    say(message="binding the adapter", done=0, total=0)
    try:
        chosen = _choose(bench, request, folder, facts, caller)
    except BindingError as error:
        return _not_bound(error)
    if isinstance(chosen, StageReport):
        return BehaviourStage(report=chosen, refs=[])
    try:
        prompts = _prompts(request, chosen.task)
    except InputError as error:
        return BehaviourStage(report=_no_prompts(error), refs=chosen.refs)
    evidence = _probe(request, battery, chosen, prompts, say)
    profile: Profile | None = None
    why: tuple[str, ...] = ("No profile was wanted.",)
    if request.profile != "none":
        profile, why = choose_profile(
            [given] if given else list_profiles(bench.config),
            evidence,
            base_fingerprint=fetch.base_fingerprint(bench.base, bench.config),
            task_digest=chosen.task.digest,
            rank=facts.rank,
            weights=weights,
        )
    fast = () if bench.config.dtype == "fp32" else ("It was measured in the fast mode, not for a verdict.",)
    return BehaviourStage(
        report=behaviour_report(evidence, profile, why),
        evidence=evidence,
        profile=profile,
        task=None if isinstance(chosen.task, HeadTask) else chosen.task,
        refs=chosen.refs,
        notes=fast,
    )


def _choose(
    bench: Workbench, request: ScanRequest, folder: Path, facts: AdapterFacts, caller: Caller
) -> _Chosen | StageReport:
    """Return the task and who answers it, or the stage's end if neither is known.

    Raises:
        BindingError: If the adapter does not fit the base, does not act, or says it belongs to another.
    """
    head = head_task_of(folder)
    if head is not None:
        responder = head_responder(bench.config, folder, bench.base, head)
        return _Chosen(head, "the head beside the adapter", responder, [])
    ref = _bound(bench, folder, caller)
    asker = bench.asker(
        priority=Priority.HEATMAP,
        session=caller.session,
        cancelled=caller.cancelled,
        on_queue=caller.on_queue,
    )
    found = _task_of(request, asker, facts, ref)
    if found is None:
        return _unknown_task(label_proposals(asker, facts, ref))
    task, source = found
    return _Chosen(task, source, responder_for(asker, task, ref), [BASE_REF, ref])


def _bound(bench: Workbench, folder: Path, caller: Caller) -> ModelRef:
    bound = bench.bind(str(folder), session=caller.session)
    if bound.proof.base_matches is False:
        raise BindingError(
            "other-base",
            "The adapter says it was trained on another base than the one that is loaded.",
            "Scan it on the base it was trained on.",
        )
    return bound.ref


def _task_of(
    request: ScanRequest, asker: Asker, facts: AdapterFacts, ref: ModelRef
) -> tuple[Task, str] | None:
    """Return the task to ask and how it was known, or None."""
    if not isinstance(request.task, str):
        return request.task, "typed in"
    if request.task != "auto":
        return find_task(request.task), "given"
    free = claimed_generation(facts)
    if free is not None:
        return free, "the adapter's claim, which free text cannot confirm"
    guess = guess_task(asker, facts, ref)
    return None if guess is None else (guess.task, guess.source)


def _prompts(request: ScanRequest, task: TrainTask) -> tuple[str, tuple[str, ...]]:
    if request.prompts:
        return f"{len(request.prompts)} own prompts", request.prompts
    return held_out_prompts(task, request.n_prompts, 0)


def _no_prompts(error: InputError) -> StageReport:
    return StageReport(stage="behaviour", status="not run", summary=f"{error.problem} {error.remedy}")


def _unknown_task(proposals: Sequence[str]) -> StageReport:
    """Return the stage's end where nobody knows what the adapter does, with words that may be its labels."""
    summary = "What the adapter does could not be found out; say it with --task or on the page."
    finding = Finding(
        rule="behaviour-task-unknown",
        stage="behaviour",
        level="inconclusive",
        sentence=f"{summary} Its answers begin with no known label.",
        changes="With its labels and its question it can be probed: choose “My own labels” as the task.",
        facts=tuple(Fact(name="perhaps a label", value=word) for word in proposals),
    )
    return StageReport(stage="behaviour", status="not run", summary=summary, findings=(finding,))


def _probe(
    request: ScanRequest,
    battery: Battery,
    chosen: _Chosen,
    prompts: tuple[str, tuple[str, ...]],
    say: Say,
) -> BehaviourEvidence:
    plan = ProbePlan(
        task=chosen.task.name,
        task_source=chosen.source,
        battery=battery,
        prompts=prompts[1],
        prompts_name=prompts[0],
        seed=request.seed,
    )
    total = len(battery.probes)
    say(message=f"probing: 0 of {total}", done=0, total=total)
    return run_battery(
        plan,
        chosen.responder.respond,
        lambda probes: say(
            message=f"probing: {len(probes)} of {total}", done=len(probes), total=total, probes=probes
        ),
        chosen.responder.count,
    )


def _not_bound(error: BindingError) -> BehaviourStage:
    rule = "behaviour-does-not-act" if error.rule == "adapter-does-nothing" else "behaviour-unbound"
    finding = Finding(
        rule=rule, stage="behaviour", level="inconclusive", sentence=error.problem, changes=error.remedy
    )
    report = StageReport(stage="behaviour", status="abstained", summary=error.problem, findings=(finding,))
    return BehaviourStage(report=report, refs=[])


def check_request(request: ScanRequest) -> None:
    """Refuse a request that names what does not exist, before anything long begins.

    Raises:
        InputError: For an unknown battery, task or mode of a hunt, or too few prompts.
    """
    find_battery(request.battery)
    if isinstance(request.task, str) and request.task != "auto":
        find_task(request.task)
    if request.hunt is not None and request.hunt not in HUNT_MODES:
        raise unknown_name("mode of a hunt", request.hunt, HUNT_MODES)
    if request.n_prompts < 1 and not request.prompts:
        raise InputError("bad-prompt-count", "A scan needs prompts.", "Ask for at least one.")
