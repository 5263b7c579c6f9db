"""Grids of trainings: choose or write one, see what it costs, watch its figure fill."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import streamlit as st

from lorabench import figures
from lorabench.engine import Job
from lorabench.errors import LorabenchError
from lorabench.results.training_sweeps import SweepReport
from lorabench.ui.bench import bench, session_id
from lorabench.ui.downloads import Download, download_row
from lorabench.ui.errors import show_error, shown_errors
from lorabench.ui.guard import is_guest, remember_job, require_presenter
from lorabench.ui.lab_state import PAGE, SWEEP_JOB
from lorabench.ui.progress import begin, current, forget, job_panel, wait
from lorabench.ui.state import session, write_params
from lorabench.ui.text import duration, escape_markdown
from lorabench.workflows.sweep_spec import SweepSpec, parse_sweep, sweeps_folder
from lorabench.workflows.training_sweeps import SweepPlan, plan_sweep, submit_sweep, sweep_report_of

_PLAN = f"{PAGE}.plan"
_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def draw_sweeps() -> None:
    """Draw the choice of a sweep file, its plan, and the sweep of this tab."""
    st.caption(
        "A sweep trains one adapter for every combination in its grid and puts the seeds together. "
        "Finished trainings are kept: it goes on where it stopped."
    )
    spec = _choose()
    if spec is not None:
        _draw_plan(spec)
        _start_if_asked(spec)
    st.divider()
    _draw_run()


def _choose() -> SweepSpec | None:
    files = {p.stem: p for p in sorted(sweeps_folder().glob("*.toml"))}
    state = st.session_state
    if state.get(f"{PAGE}.sweep") not in files:
        state[f"{PAGE}.sweep"] = next(iter(files), None)
    name = st.selectbox("Sweep", tuple(files), key=f"{PAGE}.sweep", persist_state="session")
    if name is None:
        st.info("No sweep file is bundled with this installation.")
        return None
    with st.expander("Its file (change it as you like)"):
        text = st.text_area(
            "TOML",
            value=files[name].read_text(encoding="utf-8"),
            height=320,
            max_chars=20_000,
            key=f"{PAGE}.toml.{name}",
            label_visibility="collapsed",
        )
    try:
        return parse_sweep(text or "", name=name)
    except LorabenchError as error:
        show_error(error)
        return None


def _draw_plan(spec: SweepSpec) -> None:
    tag = json.dumps([spec.options, spec.grid], default=str)
    work = current(_PLAN)
    if work is None or work.tag != tag:
        config = bench().config
        work = begin(_PLAN, "Reckoning what it costs", lambda _: plan_sweep(config, spec), tag=tag)
    if not wait(work, key=_PLAN):
        return
    with shown_errors():
        plan: SweepPlan = work.result()
        st.markdown(
            f"**{len(plan.cells)} trainings, about {duration(plan.seconds)} one after another** "
            f"({len(plan.cells) // max(1, len(spec.grid.get('seed', (0,))))} points)."
        )
        with st.expander("Every training"):
            st.dataframe(
                [
                    {
                        **{k: str(v) for k, v in c.values.items()},
                        "time": duration(e.seconds),
                        "GB": e.n_bytes / 1e9,
                    }
                    for c, e in zip(plan.cells, plan.estimates, strict=True)
                ],
                hide_index=True,
                key=f"{PAGE}.cells",
            )


def _start_if_asked(spec: SweepSpec) -> None:
    pressed = st.button(
        f"Run {spec.n_cells} trainings",
        type="primary",
        icon=":material/grid_view:",
        key=f"{PAGE}.run_sweep",
        disabled=is_guest(),
        help="Guests cannot train on this machine." if is_guest() else None,
    )
    if not pressed:
        return
    with shown_errors():
        require_presenter("run a sweep")
        out = bench().config.data_dir / "sweeps" / _NAME.sub("-", f"{spec.name}-{spec.digest[:8]}")
        job_id = submit_sweep(bench().jobs, bench().config, spec, out, session=session_id())
        remember_job(job_id)
        session().notes[SWEEP_JOB] = job_id
        write_params({"job": job_id})
        forget(_PLAN)
        st.rerun()


def _draw_run() -> None:
    job_id = session().notes.get(SWEEP_JOB)
    if not isinstance(job_id, str):
        st.info("Press Run. The figure fills training by training.", icon=":material/show_chart:")
        return
    job = job_panel(job_id, key=f"{PAGE}.sweep_panel", draw=_draw_partial)
    if job is None or job.is_active:
        return
    if job.kind != "sweep":
        st.error("The link names a job that is not a sweep.", icon=":material/error:")
        return
    with shown_errors():
        data = bench().jobs.result(job.id) if job.status == "done" else bench().jobs.partial(job.id)
        if data:
            _draw_report(sweep_report_of(data), Path(str(job.params["out"])))


def _draw_partial(job: Job) -> None:
    try:
        data = bench().jobs.partial(job.id)
    except LorabenchError:
        return
    if not data or not any(c["status"] == "done" for c in data["cells"]):
        st.skeleton(height=300)
        return
    report = sweep_report_of(data)
    n = sum(c.status == "done" for c in report.cells)
    st.plotly_chart(figures.sweep_chart(report), key=f"{PAGE}.sweep_partial.{n}")


def _draw_report(report: SweepReport, out: Path) -> None:
    if any(report.measure in p.measures for p in report.points):
        st.plotly_chart(figures.sweep_chart(report), key=f"{PAGE}.sweep_chart")
        zone = figures.transition_zone(report)
        if zone is not None:
            st.caption(
                f"Transition zone: the mean attack rate is at most 0.1 up to {zone[0]:g} "
                f"and at least 0.9 from {zone[1]:g}."
            )
    table: list[dict[str, Any]] = figures.sweep_table(report)
    st.dataframe(table, hide_index=True, key=f"{PAGE}.sweep_table")
    failed = [c for c in report.cells if c.status == "failed"]
    for cell in failed:
        st.warning(escape_markdown(f"{cell.cell_id} failed: {cell.reason}"))
    download_row(
        [
            Download(
                label="HTML",
                file_name=f"{report.name}.html",
                mime="text/html",
                make=lambda: str(figures.sweep_chart(report).to_html(include_plotlyjs=True)),
            ),
            Download(
                label="JSON",
                file_name=f"{report.name}.json",
                mime="application/json",
                make=lambda: (out / "sweep.json").read_bytes(),
            ),
        ],
        key=f"{PAGE}.sweep_files",
    )
    st.caption(escape_markdown(f"The adapters and every training's figures are in {out}."))
