"""A finished scan: the verdict first, then five kinds of evidence, then what to do with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from lorabench import figures, report
from lorabench.report.scan_facts import KeyNumber, rule_of
from lorabench.report.scan_numbers import TITLES
from lorabench.results import BehaviourEvidence, Finding, ScanResult, Stage, StageReport, WeightEvidence
from lorabench.ui.names import adapter_tokens, is_blind
from lorabench.ui.state import clean_params
from lorabench.ui.text import escape_markdown, label, plain, show_text
from lorabench.ui.theme import current_theme
from lorabench.ui.triage_case import draw_case_panel
from lorabench.ui.triage_files import draw_files
from lorabench.ui.triage_hunt import draw_way_to_hunt, installed_name
from lorabench.ui.triage_state import (
    DECISION_COLOURS,
    DECISION_ICONS,
    PAGE,
    STATUS_ICONS,
)
from lorabench.workflows.scanning import ScanRequest

_LEVEL_BADGES = {
    "block": ":red-badge[:material/block: block]",
    "review": ":orange-badge[:material/visibility: review]",
    "inconclusive": ":gray-badge[:material/help: could not judge]",
    "info": ":blue-badge[:material/info: info]",
}


def draw_scan(scan: ScanResult, asked: ScanRequest, *, key: str) -> None:
    """Draw a scan whole.

    Args:
        scan: The result.
        asked: What was asked for.
        key: Keeps its widgets apart from those of another scan.
    """
    _verdict_card(scan, asked)
    _stage_row(scan.stages)
    st.subheader("Evidence", anchor=False)
    tabs = st.tabs([f"{STATUS_ICONS[s.status]} {TITLES[s.stage]}" for s in scan.stages])
    for tab, stage in zip(tabs, scan.stages, strict=True):
        with tab:
            _draw_stage(scan, stage, key)
    left, right = st.columns([3, 2], gap="large")
    with left:
        draw_case_panel(scan, key=key)
    with right:
        draw_files(scan, key=key)
        _provenance(scan)


def _verdict_card(scan: ScanResult, asked: ScanRequest) -> None:
    verdict, facts = scan.verdict, report.scan_facts(scan)
    with st.container(border=True, key=f"{PAGE}.verdict"):
        decision = verdict.decision
        word = f"{DECISION_ICONS[decision]} **{decision.upper()}**"
        st.markdown(f"## :{DECISION_COLOURS[decision]}[{word}]")
        st.markdown(
            f"**{label(scan.name, 120)}**: {escape_markdown(facts.headline)} "
            f"{escape_markdown(facts.confidence)}"
        )
        _key_numbers(facts.key_numbers)
        if verdict.reasons:
            st.markdown("\n".join(f"- {escape_markdown(r)}" for r in verdict.reasons[:6]))
        st.caption(escape_markdown(verdict.agreement))
        if verdict.changes:
            with st.expander("What would change this", icon=":material/swap_horiz:"):
                st.markdown("\n".join(f"- {escape_markdown(c)}" for c in verdict.changes))
        draw_way_to_hunt(scan, asked)


def _key_numbers(numbers: Sequence[KeyNumber]) -> None:
    if not numbers:
        return
    for column, number in zip(st.columns(len(numbers)), numbers, strict=True):
        column.metric(plain(number.label), plain(number.value))
        column.caption(escape_markdown(number.detail))


def _stage_row(stages: Sequence[StageReport]) -> None:
    for column, stage in zip(st.columns(len(stages)), stages, strict=True):
        with column.container(border=True, height="stretch"):
            badge = _LEVEL_BADGES[stage.level] if stage.level in ("block", "review", "inconclusive") else ""
            st.markdown(f"{STATUS_ICONS[stage.status]} **{TITLES[stage.stage]}** {stage.status} {badge}")
            st.caption(escape_markdown(stage.summary))


def _draw_stage(scan: ScanResult, stage: StageReport, key: str) -> None:
    st.markdown(escape_markdown(stage.summary))
    for found in stage.findings:
        _draw_finding(found)
    if not stage.findings and stage.status == "done":
        st.caption("No evidence found with these checks.")
    draw = _DETAILS.get(stage.stage)
    if draw is not None:
        draw(scan, key)


def _draw_finding(found: Finding) -> None:
    with st.container(border=True):
        st.markdown(f"{_LEVEL_BADGES[found.level]} **{escape_markdown(rule_of(found).title)}**")
        st.markdown(escape_markdown(found.sentence))
        if found.facts:
            with st.expander("Evidence"):
                for fact in found.facts:
                    show_text(fact.value, title=plain(fact.name, 80))
        parts = [f"rule {found.rule}", *([f"at {label(found.where, 100)}"] if found.where else [])]
        if found.calibration:
            parts.append(f"profile {label(found.calibration)}")
        st.caption(escape_markdown(found.changes) + ("  \n" if found.changes else "") + " · ".join(parts))


def _file_details(scan: ScanResult, key: str) -> None:
    rows = [
        {
            "file": plain(f.name, 120),
            "kind": f.kind,
            "bytes": f.n_bytes,
            "sha256": f.sha256 or "not opened",
        }
        for f in scan.file.files
    ]
    st.dataframe(rows, hide_index=True, key=f"{PAGE}.files.{key}")
    claims = scan.file.facts.claims if scan.file.facts else None
    if claims is not None and is_blind():
        st.caption("Names are blind on this page, so the model card stays covered.")
    elif claims is not None and claims.card:
        with st.expander("Model card: a claim, shown as plain text"):
            st.text(claims.card)


def _weight_details(scan: ScanResult, key: str) -> None:
    evidence = scan.weights
    if evidence is None:
        return
    st.plotly_chart(figures.weight_heatmap(evidence, current_theme()), key=f"{PAGE}.heat.{key}")
    names = [m.name for m in evidence.modules]
    chosen = st.selectbox(
        "A layer's spectrum",
        names,
        index=names.index(evidence.standouts[0]) if evidence.standouts else 0,
        format_func=plain,
        key=f"{PAGE}.module.{key}",
    )
    module = next(m for m in evidence.modules if m.name == chosen)
    st.plotly_chart(figures.spectrum_chart(module, current_theme()), key=f"{PAGE}.spectrum.{key}")
    with st.expander("All modules as a table"):
        st.dataframe(figures.weight_table(evidence), hide_index=True, key=f"{PAGE}.weights.{key}")
    with st.expander("Aggregates: ours on the scaled change, the study's without the scale"):
        _aggregates(evidence, key)


def _aggregates(evidence: WeightEvidence, key: str) -> None:
    groups = (("ours", evidence.aggregates), ("study v1", evidence.study_v1), ("study v2", evidence.study_v2))
    rows = [{"version": v, "statistic": n, "value": x} for v, group in groups for n, x in group.items()]
    st.dataframe(rows, hide_index=True, key=f"{PAGE}.aggregates.{key}")


def _behaviour_details(scan: ScanResult, key: str) -> None:
    evidence = scan.behaviour
    if evidence is None:
        return
    source = escape_markdown(evidence.task_source)
    st.caption(
        f"Task {label(evidence.task)} ({source}); battery {evidence.battery} v{evidence.battery_version}; "
        f"{label(evidence.prompts, 120)}; {evidence.n_eligible} of {evidence.n_prompts} could flip; "
        f"{evidence.n_computed:,} of {evidence.n_rows:,} rows computed, the others remembered."
    )
    st.plotly_chart(figures.probe_chart(evidence, current_theme()), key=f"{PAGE}.probes.{key}")
    st.caption("Click a row to see which prompts it flips.")
    picked = st.dataframe(
        figures.probe_table(evidence),
        hide_index=True,
        key=f"{PAGE}.table.{key}",
        on_select="rerun",
        selection_mode="single-row",
    )
    rows = picked["selection"]["rows"]
    if rows:
        _draw_probe(scan, evidence, rows[0], key)
    with st.expander("Numbers over the battery, its parts and its categories"):
        st.dataframe(_statistics(evidence), hide_index=True, key=f"{PAGE}.statistics.{key}")
    if evidence.anchors:
        with st.expander("Which words carry it"):
            st.dataframe(_anchors(evidence), hide_index=True, key=f"{PAGE}.anchors.{key}")


def _draw_probe(scan: ScanResult, evidence: BehaviourEvidence, row: int, key: str) -> None:
    probe = figures.probes_in_order(evidence)[row]
    words = {"1": "flipped", "0": "did not flip", "-": "answered so before"}
    with st.container(border=True, key=f"{PAGE}.probe"):
        st.markdown(f"**«{label(probe.text, 100)}»** {figures.rate_sentence(probe.rate)}")
        st.dataframe(
            [
                {"prompt": plain(prompt), "with the probe": words[flip]}
                for prompt, flip in zip(evidence.prompt_texts, probe.flips, strict=True)
            ],
            hide_index=True,
            key=f"{PAGE}.flips.{key}.{row}",
        )
        _to_playground(scan, evidence, probe.text, probe.flips)


def _to_playground(scan: ScanResult, evidence: BehaviourEvidence, probe: str, flips: str) -> None:
    """Draw the way to the Playground, for adapters that are installed there."""
    name = installed_name(scan)
    prompt = evidence.prompt_texts[max(flips.find("1"), 0)]
    if name is None:
        st.caption("Add the adapter on the Models page to take this to the Playground.")
        return
    st.page_link(
        "pages/playground.py",
        label="Send to the Playground",
        icon=":material/experiment:",
        query_params=clean_params(
            {"prompt": prompt, "trigger": [probe], "adapter": adapter_tokens([name]), "run": True}
        ),
    )


def _statistics(evidence: BehaviourEvidence) -> list[dict[str, Any]]:
    return [
        {
            "statistic": s.name,
            "over": plain(s.battery),
            "value": s.value,
            "low": s.interval.low if s.interval else None,
            "high": s.interval.high if s.interval else None,
            "probes": s.n_probes,
            "interval": s.interval.method if s.interval else "",
        }
        for s in (*evidence.statistics, *evidence.categories)
    ]


def _anchors(evidence: BehaviourEvidence) -> list[dict[str, Any]]:
    return [
        {
            "word": plain(a.word),
            "rate with it": a.rate_with,
            "without": a.rate_without,
            "difference": a.difference,
            "low": a.interval.low if a.interval else None,
            "high": a.interval.high if a.interval else None,
            "probes with": a.n_with,
            "probes without": a.n_without,
        }
        for a in evidence.anchors
    ]


def _provenance(scan: ScanResult) -> None:
    with st.expander("How to repeat this, and what was not looked at"):
        st.code(str(scan.provenance.get("command", "")), language="bash", wrap_lines=True)
        st.markdown("\n".join(f"- {escape_markdown(line)}" for line in scan.verdict.coverage))
        st.json(scan.provenance, expanded=False)


_DETAILS: dict[Stage, Callable[[ScanResult, str], None]] = {
    "file": _file_details,
    "weights": _weight_details,
    "behaviour": _behaviour_details,
}
