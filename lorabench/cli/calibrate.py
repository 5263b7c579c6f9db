"""`lorabench calibrate` and `lorabench cohort`: where thresholds come from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorabench.cli import options
from lorabench.cli.terminal import Terminal, columns, stoppable
from lorabench.errors import InputError

if TYPE_CHECKING:
    from lorabench.results import Interval, Profile

cohort_app = typer.Typer(help="Cohorts of adapters that detectors are calibrated on.", no_args_is_help=True)


def calibrate(
    clean: Annotated[Path | None, typer.Option(help="Folder of clean adapters, one sub-folder each.")] = None,
    poisoned: Annotated[Path | None, typer.Option(help="Folder of poisoned adapters, likewise.")] = None,
    features: Annotated[Path | None, typer.Option(help="A measured cohort (features.json) instead.")] = None,
    name: Annotated[str, typer.Option(help="Name of the profile.")] = "own",
    version: Annotated[int, typer.Option("--profile-version", help="Its version.")] = 1,
    hold_out: Annotated[float, typer.Option(help="Share of each folder that no threshold sees.")] = 0.0,
    work: Annotated[
        Path | None, typer.Option(help="Folder for features.json; by default that of --clean.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Profile file; by default among your profiles.")] = None,
    task: Annotated[str, typer.Option(help="Label task of all of them.")] = "guard",
    battery: Annotated[str, typer.Option(help="Probe battery.")] = "triage_60",
    n_prompts: Annotated[int, typer.Option(help="Bundled held-out prompts.")] = 40,
    seed: options.Seed = 0,
    device: options.Device = None,
    base: options.Base = "demo",
    as_json: options.Json = False,
    progress: options.Progress = None,
    debug: options.Debug = False,
) -> None:
    """Measure clean and poisoned adapters and write a profile: exact thresholds and what they are worth.

    Stopped with Ctrl-C, the same command goes on where it was.
    """
    from lorabench.workflows import cohort
    from lorabench.workflows.profiles import save_profile

    terminal = Terminal(as_json=as_json, progress=progress)
    if (features is None) == (clean is None):
        raise InputError(
            "no-cohort", "There is nothing to calibrate on.", "Give --clean, or --features, not both."
        )
    with options.workbench(base, device, None) as bench, stoppable(terminal) as stopped:
        if features is not None:
            measured = cohort.read_features(features)
        else:
            assert clean is not None
            chosen = cohort.hold_out(cohort.candidates_in(clean, "clean", "calibrate"), hold_out, seed)
            if poisoned is not None:
                found = cohort.candidates_in(poisoned, "poisoned", "tune")
                chosen += cohort.hold_out(found, hold_out, seed + 1)
            measured = cohort.measure(
                bench,
                name,
                version,
                task,
                chosen,
                work or clean,
                battery=battery,
                n_prompts=n_prompts,
                tell=terminal.progress,
                cancelled=stopped,
            )
        profile = cohort.profile_of(measured)
        path = save_profile(bench.config, profile, out)
    terminal.note(f"wrote {path}")
    terminal.result(profile, lambda: profile_text(profile))


@cohort_app.command("build")
def build(
    name: Annotated[str, typer.Argument(help="A packaged cohort, or a manifest (.toml).")] = "guard-demo",
    out: Annotated[Path | None, typer.Option(help="Folder of the adapters and features.json.")] = None,
    device: options.Device = None,
    base: options.Base = "demo",
    as_json: options.Json = False,
    progress: options.Progress = None,
    debug: options.Debug = False,
) -> None:
    """Train and measure a cohort, as a job; what is there already is kept."""
    from lorabench.engine import Job
    from lorabench.results import Profile, from_dict
    from lorabench.workflows.cohort import submit_cohort
    from lorabench.workflows.jobs import follow

    terminal = Terminal(as_json=as_json, progress=progress)

    def show(job: Job) -> None:
        terminal.progress(job.progress_done, job.progress_total, job.message or "waiting for other jobs")

    with options.workbench(base, device, None) as bench, stoppable(terminal) as stopped:
        job_id = submit_cohort(bench, name, out, session="local")
        profile = from_dict(Profile, follow(bench.jobs, job_id, show, stopped))
    terminal.result(profile, lambda: profile_text(profile))


@cohort_app.command("show")
def show_command(
    name: Annotated[str, typer.Argument(help="A packaged cohort, or a manifest (.toml).")] = "guard-demo",
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Print a cohort's manifest."""
    from lorabench.workflows.cohort_spec import read_cohort

    spec = read_cohort(name)
    rows = [
        [
            m.name,
            m.kind,
            m.split,
            m.trigger or "-",
            str(m.poison),
            str(m.rank),
            str(m.steps),
            f"{m.learning_rate:g}",
        ]
        for m in spec.members
    ]
    heads = ["name", "kind", "split", "trigger", "planted", "rank", "steps", "rate"]
    Terminal(as_json=as_json).result(spec, lambda: columns(heads, rows))


def profile_text(profile: Profile) -> str:
    """Return a profile as text: where it comes from, thresholds, and what they did on adapters never seen."""
    lines = [
        profile.sentence[0].upper() + profile.sentence[1:] + ".",
        f"Base {profile.base} ({profile.base_fingerprint[:12]}), task {profile.task}, battery "
        f"{profile.battery} v{profile.battery_version}, {profile.prompts}; ranks {profile.ranks[0]} to "
        f"{profile.ranks[1]}.",
        "",
    ]
    held = {(h.statistic, h.battery): h for h in profile.held_out}
    rows = []
    for t in profile.thresholds:
        h = held.get((t.statistic, t.battery))
        rows.append(
            [
                "*" if t.speaks else "",
                t.statistic,
                t.battery,
                repr(t.value),
                f"{t.recall.n_hits}/{t.recall.n}",
                _auc(h.auc if h else t.auc, h.auc_interval if h else t.auc_interval),
                "-" if h is None else f"{h.false_alarms.n_hits}/{h.false_alarms.n}",
                "-" if h is None else f"{h.recall.n_hits}/{h.recall.n}",
                "-" if h is None else f"{h.recall_weak.n_hits}/{h.recall_weak.n}",
            ]
        )
    heads = ["", "statistic", "battery", "threshold", "recall", "AUC", "false alarms", "found", "weak found"]
    lines.append(columns(heads, rows))
    lines.append("* counts in a verdict. AUC, false alarms and found: adapters that no threshold saw.")
    if profile.overlap:
        rows = [
            [h.statistic, h.battery, _auc(h.auc, h.auc_interval), f"{h.n_poisoned} x {h.n_clean}"]
            for h in profile.overlap
        ]
        lines += ["", columns(["statistic", "probes", "AUC", "pairs"], rows)]
    if profile.weights:
        lines += [
            "",
            columns(
                ["weights", "clean range", "AUC"],
                [
                    [b.name, f"{b.low:.6g} to {b.high:.6g}", _auc(b.auc, b.auc_interval)]
                    for b in profile.weights
                ],
            ),
        ]
    return "\n".join(lines) + "\n"


def _auc(value: float | None, interval: Interval | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" + ("" if interval is None else f" [{interval.low:.2f}, {interval.high:.2f}]")
