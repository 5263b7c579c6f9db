"""Scan an adapter: from what somebody sent to a verdict, stage by stage, each shown as it comes."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lorabench.adapters import FileScan
from lorabench.detectors.verdict import decide, missing_stages
from lorabench.detectors.weights import weigh, weight_findings
from lorabench.errors import BaseModelError
from lorabench.models import fetch
from lorabench.results import (
    BehaviourEvidence,
    FileEvidence,
    HuntMode,
    ProbeRate,
    Profile,
    ScanResult,
    StageReport,
    Task,
    WeightEvidence,
)
from lorabench.scoring.provenance import provenance
from lorabench.workflows.scan_behaviour import run_behaviour
from lorabench.workflows.scan_file import run_file, subject_of
from lorabench.workflows.scan_hunt import run_hunt_stage
from lorabench.workflows.scan_target import ScanTarget, take_in
from lorabench.workflows.scoring import LOCAL, Caller
from lorabench.workflows.workbench import Workbench


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRequest:
    """What to scan, and how.

    Attributes:
        target: An installed name, a folder, a zip file or a hub id.
        name: What to call it; empty takes the target's.
        is_static: Whether to stop after file and weights.
        task: Preset name, TOML file, a task typed in, or "auto": what the adapter claims, else what it is
            seen to do.
        battery: Probe battery.
        n_prompts: Bundled held-out prompts.
        prompts: Own prompts instead, whose right answer is not the target.
        profile: "auto", "none", or a profile's name or file.
        hunt: How long to search for a trigger; None for not at all.
        seed: Of every random choice.
    """

    target: str
    name: str = ""
    is_static: bool = False
    task: str | Task = "auto"
    battery: str = "triage_60"
    n_prompts: int = 40
    prompts: tuple[str, ...] = ()
    profile: str = "auto"
    hunt: HuntMode | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanSoFar:
    """A scan under way.

    Attributes:
        name: What is scanned.
        stages: Those that are done, in order.
        message: What is being done.
        done: Units of the current stage that are done.
        total: Units it has; 0 while unknown.
        probes: Probes answered so far.
        file: What the firewall saw, once it has.
        weights: What was measured, once it is.
    """

    name: str
    stages: tuple[StageReport, ...] = ()
    message: str = ""
    done: int = 0
    total: int = 0
    probes: tuple[ProbeRate, ...] = ()
    file: FileEvidence | None = None
    weights: WeightEvidence | None = None


@dataclass(slots=True)
class _Run:
    """A scan under way, and how it says so."""

    so_far: ScanSoFar
    tell: Callable[[ScanSoFar], None]
    profile: Profile | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def say(self, **changes: Any) -> None:
        self.so_far = replace(self.so_far, **changes)
        self.tell(self.so_far)

    def add(self, report: StageReport, **changes: Any) -> None:
        self.say(stages=(*self.so_far.stages, report), **changes)


def scan(
    bench: Workbench,
    request: ScanRequest,
    caller: Caller = LOCAL,
    on_change: Callable[[ScanSoFar], None] | None = None,
) -> ScanResult:
    """Scan one adapter, and judge it by the rule set of `lorabench.detectors.verdict`.

    Nothing of the adapter is executed, imported or followed. What cannot be done is said in its
    stage, and keeps the verdict from being "allow".

    Raises:
        InputError: If the target, battery, task or profile does not exist.
        CancelledError: If cancelled; rows that were scored are kept.
    """
    started = time.monotonic()
    target = take_in(bench.config, request.target)
    name = request.name or target.name
    run = _Run(ScanSoFar(name=name, message="reading the files"), on_change or (lambda so_far: None))
    run.tell(run.so_far)
    began = time.monotonic()
    file = run_file(
        bench.config,
        bench.base,
        target,
        lambda done, total: run.say(done=done, total=total),
        caller.cancelled,
    )
    run.add(
        replace(file.report, seconds=time.monotonic() - began),
        message="weighing the modules",
        done=0,
        total=0,
        file=file.evidence,
    )
    weights = _weights(file, run)
    behaviour = _behaviour(bench, request, target, file, weights, run, caller)
    if behaviour is not None and request.hunt is not None and target.folder is not None:
        run.say(message="hunting for a trigger", done=0, total=0)
        folder, task = Path(target.folder), run.facts["task"]
        report = run_hunt_stage(
            bench, request.hunt, folder, task, request.seed, caller, lambda **changes: run.say(**changes)
        )
        run.add(report, message="")
    return _result(bench, request, target, file, weights, behaviour, run, time.monotonic() - started)


def _weights(file: FileScan, run: _Run) -> WeightEvidence | None:
    started = time.monotonic()
    if not file.evidence.spectra:
        run.add(StageReport(stage="weights", status="refused", summary="There is nothing to measure."))
        return None
    evidence = weigh(file.evidence.spectra)
    report = _weight_report(evidence, None)
    run.add(
        replace(report, seconds=time.monotonic() - started),
        message="opening the base" if file.evidence.facts is not None else "",
        weights=evidence,
    )
    return evidence


def _weight_report(evidence: WeightEvidence, profile: Profile | None) -> StageReport:
    """Return the stage of the weights; without a profile it abstains, as no threshold carries over."""
    bounds = {b.name: (b.low, b.high) for b in profile.weights} if profile else None
    findings = weight_findings(
        evidence, bounds, profile.id if profile else None, profile.n_clean if profile else None
    )
    n = len(evidence.modules)
    loud = f"{len(evidence.standouts)} stand out" if evidence.standouts else "none stands out"
    against = "" if profile else "; no profile of its kind, so no threshold"
    return StageReport(
        stage="weights",
        status="done" if profile else "abstained",
        summary=f"{n} modules measured, {loud} from its projection's trend over layers{against}.",
        coverage=1.0,
        findings=findings,
    )


def _behaviour(
    bench: Workbench,
    request: ScanRequest,
    target: ScanTarget,
    file: FileScan,
    weights: WeightEvidence | None,
    run: _Run,
    caller: Caller,
) -> BehaviourEvidence | None:
    facts = file.evidence.facts
    if facts is None or target.folder is None or weights is None:
        run.add(
            StageReport(stage="behaviour", status="refused", summary="The firewall did not let it be bound.")
        )
        return None
    if request.is_static:
        run.add(StageReport(stage="behaviour", status="not run", summary="Only a static scan was asked for."))
        return None
    try:
        fetch.resolve(bench.base, bench.config)
    except BaseModelError as error:
        summary = f"{error.problem} `lorabench models pull {bench.base}` makes it possible."
        run.add(StageReport(stage="behaviour", status="not run", summary=summary))
        return None
    done = run_behaviour(
        bench, request, Path(target.folder), facts, weights, caller, lambda **changes: run.say(**changes)
    )
    run.profile = done.profile
    run.facts = {"refs": done.refs, "task": done.task, "notes": done.notes}
    if done.evidence is not None and not done.refs:  # a head, which does not go through the engine
        run.facts |= {
            "base_fingerprint": fetch.base_fingerprint(bench.base, bench.config),
            "device": bench.config.device,
        }
    if done.profile is not None:  # now the weights have something to be compared with
        stages = [
            replace(_weight_report(weights, done.profile), seconds=s.seconds) if s.stage == "weights" else s
            for s in run.so_far.stages
        ]
        run.so_far = replace(run.so_far, stages=tuple(stages))
    run.add(done.report, message="")
    return done.evidence


def _result(
    bench: Workbench,
    request: ScanRequest,
    target: ScanTarget,
    file: FileScan,
    weights: WeightEvidence | None,
    behaviour: BehaviourEvidence | None,
    run: _Run,
    seconds: float,
) -> ScanResult:
    stages = missing_stages(run.so_far.stages)
    verdict = decide(stages, run.profile, run.facts.get("notes", ()))
    return ScanResult(
        name=run.so_far.name,
        subject=subject_of(file.evidence, target),
        stages=stages,
        verdict=verdict,
        file=file.evidence,
        weights=weights,
        behaviour=behaviour,
        provenance=_provenance(bench, request, run),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        seconds=seconds,
    )


def _provenance(bench: Workbench, request: ScanRequest, run: _Run) -> dict[str, Any]:
    if run.facts.get("refs"):
        found = bench.provenance(run.facts["task"], run.facts["refs"], request.seed)
    else:
        found = provenance(
            task=None,
            base=bench.base,
            base_fingerprint=run.facts.get("base_fingerprint", ""),
            adapters={},
            device=run.facts.get("device", "none"),
            dtype=bench.config.dtype,
            seed=request.seed,
        )
    profile = run.profile
    return found | {
        "profile": None if profile is None else {"id": profile.id, "sentence": profile.sentence},
        "command": command_of(request),
    }


def command_of(request: ScanRequest) -> str:
    """Return the command that repeats a scan; the target's folder is left to the reader."""
    parts = ["lorabench scan ADAPTER", f"--battery {request.battery}", f"--n-prompts {request.n_prompts}"]
    parts += ["--static"] if request.is_static else []
    task = request.task if isinstance(request.task, str) else request.task.name
    parts += [f"--task {task}"] if task != "auto" else []
    parts += [f"--profile {request.profile}"] if request.profile != "auto" else []
    parts += [f"--hunt {request.hunt}"] if request.hunt is not None else []
    return " ".join([*parts, f"--seed {request.seed}"])
