"""Make a cohort of adapters, measure it, and turn it into a calibration profile."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorabench.adapters import find_adapter
from lorabench.config import Config
from lorabench.data.batteries import Battery, find_battery
from lorabench.detectors.calibration import Setting, build_profile
from lorabench.detectors.probing import ProbePlan, battery_digest
from lorabench.engine import JobContext
from lorabench.errors import InputError
from lorabench.models import fetch
from lorabench.results import LabelTask, Task, digest, from_dict, to_dict
from lorabench.results.profiles import Member, Profile
from lorabench.scoring.provenance import versions
from lorabench.workflows.cohort_measure import Candidate, Weighed, member_of, responders, weigh_candidate
from lorabench.workflows.cohort_spec import CohortSpec, ExistingSpec, MemberSpec, read_cohort
from lorabench.workflows.probing import N_PROMPTS, held_out_prompts
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
    if not spec.members:
        raise InputError("bad-manifest", f"The cohort {spec.name!r} has no members.", "Give it some.")
    folder.mkdir(parents=True, exist_ok=True)
    for i, member in enumerate(spec.members):
        if not (folder / member.name).exists():
            tell(i, len(spec.members), f"train {member.name}")
            train(bench.config, spec.request(member, folder), cancelled=cancelled)
    chosen = [_candidate(m, folder) for m in spec.members]
    chosen += [_existing(m, bench.config) for m in spec.existing]
    return measure(bench, spec.name, spec.version, spec.task, chosen, folder, tell=tell, cancelled=cancelled)


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
    found = _label_task(task)
    probes = find_battery(battery)
    prompts_name, prompts = held_out_prompts(found, n_prompts)
    setting = _setting(bench, found, probes, prompts_name, prompts)
    plan = ProbePlan(
        task=found.name, task_source="given", battery=probes, prompts=prompts, prompts_name=prompts_name
    )
    path = folder / FEATURES_FILE
    known = {m.name: m for m in _known(path, setting)}
    missing = []
    for candidate in candidates:
        weighed = weigh_candidate(candidate, bench.config)
        member = known.get(candidate.name)
        if member is None or not _is_current(member, weighed):
            missing.append(weighed)
    n_done = len(candidates) - len(missing)
    for weighed, responder in responders(bench, found, plan, missing, cancelled):
        tell(n_done, len(candidates), f"probe {weighed.candidate.name}")
        name_ = weighed.candidate.name
        known[name_] = member_of(weighed, plan, responder)
        kept = Features(name=name, version=version, setting=setting, members=tuple(known.values()))
        write_features(path, kept)
        n_done += 1
    tell(len(candidates), len(candidates), "done")
    members = tuple(known[c.name] for c in candidates)
    return Features(name=name, version=version, setting=setting, members=members)


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


def _existing(member: ExistingSpec, config: Config) -> Candidate:
    folder = Path(find_adapter(member.name, config).path)
    return Candidate(
        name=member.name, folder=folder, kind=member.kind, split="test", trigger=member.trigger, settings={}
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
    return Setting(
        base=bench.base,
        base_fingerprint=fetch.base_fingerprint(bench.base, bench.config),
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


def _is_current(member: Member, weighed: Weighed) -> bool:
    candidate = weighed.candidate
    same = (member.kind, member.split, member.trigger) == (candidate.kind, candidate.split, candidate.trigger)
    return same and member.adapter_id == weighed.facts.adapter_id
