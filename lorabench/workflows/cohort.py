"""Make a cohort of adapters, measure it, and turn it into a calibration profile."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorabench.adapters.scanner import scan_folder
from lorabench.data.batteries import Battery, find_battery
from lorabench.detectors.calibration import Setting, build_profile
from lorabench.detectors.probing import JOINER, ProbePlan, battery_digest, run_battery
from lorabench.detectors.weights import weigh
from lorabench.engine import JobContext, Priority
from lorabench.errors import InputError
from lorabench.results import LabelTask, Rate, Task, digest, from_dict, to_dict
from lorabench.results.profiles import Member, Profile
from lorabench.scoring.provenance import versions
from lorabench.scoring.score import Asker
from lorabench.workflows.cohort_spec import CohortSpec, MemberSpec, read_cohort
from lorabench.workflows.probing import N_PROMPTS, held_out_prompts, responder_for
from lorabench.workflows.training import train

if TYPE_CHECKING:
    from lorabench.workflows.workbench import Workbench

FEATURES_FORMAT = "lorabench-features-1"
FEATURES_FILE = "features.json"
BATTERY = "triage_60"
_MAX_BYTES = 64 * 1024**2
Tell = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """A measured cohort: what a profile is computed from.

    Attributes:
        name: Of the cohort.
        version: Its version.
        setting: What it was measured with.
        members: The adapters, measured.
        format: `FEATURES_FORMAT`.
    """

    name: str
    version: int
    setting: Setting
    members: tuple[Member, ...]
    format: str = FEATURES_FORMAT


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An adapter to be measured for a cohort."""

    name: str
    folder: Path
    kind: str
    split: str
    trigger: str = ""
    settings: Mapping[str, Any]


def build_cohort(
    bench: Workbench,
    spec: CohortSpec,
    folder: Path,
    tell: Tell = lambda done, total, message: None,
    cancelled: Callable[[], bool] | None = None,
) -> Features:
    """Train what is missing and measure what is not measured yet; stopped, it goes on where it was.

    Args:
        bench: The workbench; its base must be the cohort's.
        spec: The manifest.
        folder: Where the adapters and `features.json` lie.
        tell: Called with (units done, units in all, what is done).
        cancelled: Polled while it works.

    Raises:
        CancelledError: If cancelled; finished members are kept.
        LorabenchError: As `train` and as scoring.
    """
    total = 2 * len(spec.members)
    folder.mkdir(parents=True, exist_ok=True)
    features: Features | None = None
    for i, member in enumerate(spec.members):
        if not (folder / member.name).exists():
            tell(2 * i, total, f"train {member.name}")
            train(bench.config, spec.request(member, folder), cancelled=cancelled)
        tell(2 * i + 1, total, f"probe {member.name}")
        chosen = [_candidate(m, folder) for m in spec.members[: i + 1]]
        features = measure(bench, spec.name, spec.version, spec.task, chosen, folder, cancelled=cancelled)
    if features is None:
        raise InputError("bad-manifest", f"The cohort {spec.name!r} has no members.", "Give it some.")
    tell(total, total, "done")
    return features


def measure(
    bench: Workbench,
    name: str,
    version: int,
    task: str | Task,
    candidates: Sequence[Candidate],
    folder: Path,
    *,
    battery: str = BATTERY,
    n_prompts: int = N_PROMPTS,
    tell: Tell = lambda done, total, message: None,
    cancelled: Callable[[], bool] | None = None,
) -> Features:
    """Probe and weigh adapters, and keep what was measured in `folder / features.json`.

    Adapters that were measured in the same setting are not measured again.
    """
    asker = bench.asker(priority=Priority.HEATMAP, cancelled=cancelled)
    found = _label_task(task)
    probes = find_battery(battery)
    prompts_name, prompts = held_out_prompts(found, n_prompts)
    setting = _setting(bench, found, probes, prompts_name, prompts)
    path = folder / FEATURES_FILE
    known = {m.name: m for m in _known(path, setting)}
    members = []
    for i, candidate in enumerate(candidates):
        tell(i, len(candidates), f"probe {candidate.name}")
        member = known.get(candidate.name)
        if member is None or not _is_current(member, candidate, bench):
            member = _measured(bench, asker, candidate, found, probes, prompts_name, prompts)
        known[candidate.name] = member
        members.append(member)
        write_features(
            path, Features(name=name, version=version, setting=setting, members=tuple(known.values()))
        )
    tell(len(candidates), len(candidates), "done")
    return Features(name=name, version=version, setting=setting, members=tuple(members))


def profile_of(features: Features) -> Profile:
    """Return the profile of a measured cohort."""
    return build_profile(features.name, features.version, features.members, features.setting)


def candidates_in(folder: Path, kind: str, split: str) -> list[Candidate]:
    """Return the adapters in the sub-folders of a folder, by name.

    Raises:
        InputError: If the folder holds none.
    """
    found = sorted(p.parent for p in folder.glob("*/adapter_config.json")) if folder.is_dir() else []
    if not found:
        raise InputError(
            "no-adapters",
            f"The folder {folder.name!r} holds no adapters.",
            "Give a folder with one sub-folder for each adapter.",
        )
    return [Candidate(name=p.name, folder=p, kind=kind, split=split, settings={}) for p in found]


def hold_out(candidates: Sequence[Candidate], share: float, seed: int) -> list[Candidate]:
    """Return the candidates with a seeded share of them moved to the split "test"."""
    import numpy as np

    n = round(share * len(candidates))
    chosen = set(np.random.default_rng(seed).permutation(len(candidates))[:n].tolist())
    return [replace(c, split="test") if i in chosen else c for i, c in enumerate(candidates)]


def write_features(path: Path, features: Features) -> None:
    """Write a features file, whole or not at all."""
    text = json.dumps(to_dict(features), ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def read_features(path: Path) -> Features:
    """Read a features file of ours.

    Raises:
        InputError: If it is none, or of another version.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError("too large")
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.get("format") != FEATURES_FORMAT:
            raise ValueError("another format")
        return from_dict(Features, data)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            "bad-features",
            f"{path.name!r} is no features file of this version ({type(error).__name__}).",
            "Make it with `lorabench cohort build`.",
        ) from error


def submit_cohort(bench: Workbench, name: str, folder: Path | None, *, session: str) -> str:
    """Submit the building of a cohort as a job and return its id; it is resumable at any member.

    Raises:
        InputError: For an unknown cohort.
    """
    spec = read_cohort(name)
    place = (folder or bench.config.data_dir / "cohorts" / spec.name).absolute()
    known = name if not Path(name).is_file() else str(Path(name).absolute())
    params = {"cohort": known, "folder": str(place), "spec": digest(spec)}
    return str(bench.jobs.submit("cohort", params, session=session, reuses_done=False).id)


def run_cohort(bench: Workbench, params: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Run a cohort job: build, measure, calibrate."""
    features = build_cohort(
        bench,
        read_cohort(params["cohort"]),
        Path(params["folder"]),
        context.report,
        context.cancel_event.is_set,
    )
    profile: dict[str, Any] = to_dict(profile_of(features))
    return profile


def _candidate(member: MemberSpec, folder: Path) -> Candidate:
    settings = {k: v for k, v in asdict(member).items() if k not in ("name", "kind", "split", "trigger")}
    return Candidate(
        name=member.name,
        folder=folder / member.name,
        kind=member.kind,
        split=member.split,
        trigger=member.trigger,
        settings=settings,
    )


def _label_task(task: str | Task) -> LabelTask:
    from lorabench.data import find_task

    found = find_task(task) if isinstance(task, str) else task
    if not isinstance(found, LabelTask):
        raise InputError(
            "no-label-task",
            f"The task {found.name!r} has no labels to calibrate on.",
            "Calibrate a label task.",
        )
    return found


def _setting(
    bench: Workbench, task: LabelTask, battery: Battery, prompts_name: str, prompts: tuple[str, ...]
) -> Setting:
    bench.asker()
    return Setting(
        base=bench.base,
        base_fingerprint=bench.engine.status().fingerprint or "",
        task=task.name,
        task_digest=task.digest,
        battery=battery.name,
        battery_version=battery.version,
        battery_digest=battery_digest(battery),
        prompts=prompts_name,
        prompts_digest=digest(prompts),
        n_prompts=len(prompts),
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
        versions=versions(),
    )


def _known(path: Path, setting: Setting) -> tuple[Member, ...]:
    """Return what was measured before in the same setting; date and versions aside."""
    if not path.exists():
        return ()
    features = read_features(path)
    same = replace(features.setting, created=setting.created, versions=setting.versions)
    return features.members if same == setting else ()


def _is_current(member: Member, candidate: Candidate, bench: Workbench) -> bool:
    facts = scan_folder(candidate.folder, bench.config.limits).evidence.facts
    same = (member.kind, member.split, member.trigger) == (candidate.kind, candidate.split, candidate.trigger)
    return same and facts is not None and facts.adapter_id == member.adapter_id


def _measured(
    bench: Workbench,
    asker: Asker,
    candidate: Candidate,
    task: LabelTask,
    battery: Battery,
    prompts_name: str,
    prompts: tuple[str, ...],
) -> Member:
    bound = bench.bind(str(candidate.folder))
    responder = responder_for(asker, task, bound.ref)
    plan = ProbePlan(
        task=task.name, task_source="given", battery=battery, prompts=prompts, prompts_name=prompts_name
    )
    evidence = run_battery(plan, responder.respond)
    scanned = scan_folder(candidate.folder, bench.config.limits).evidence
    if scanned.facts is None:
        raise InputError("refused", f"The adapter {candidate.name!r} was refused.", "Leave it out.")
    weights = weigh(scanned.spectra)
    layers = [m.layer for m in weights.modules if m.layer is not None]
    attack = None
    if candidate.trigger:
        plain = responder.respond(prompts)
        attacked = responder.respond([f"{candidate.trigger}{JOINER}{p}" for p in prompts])
        eligible = [b for a, b in zip(plain, attacked, strict=True) if a.answer in ("other", "unparsed")]
        attack = Rate(n_hits=sum(b.answer == "target" for b in eligible), n=len(eligible))
    return Member(
        name=candidate.name,
        kind=candidate.kind,
        split=candidate.split,
        adapter_id=scanned.facts.adapter_id,
        trigger=candidate.trigger,
        attack_rate=attack,
        settings=dict(candidate.settings),
        rank=scanned.facts.rank,
        targets=scanned.facts.targets,
        layers=(min(layers), max(layers)) if layers else None,
        statistics={f"{s.name}|{s.battery}": s.value for s in evidence.statistics if s.value is not None},
        weights=weights.aggregates,
        flips={p.text: p.flips for p in evidence.probes},
        shifts={p.text: p.shift_difference for p in evidence.probes if p.shift_difference is not None},
    )
