"""Figures of a hunt and their tables: what they show, and that hostile strings stay inert."""

import html
import json
import re
from dataclasses import replace
from typing import get_args

import pandas as pd
import pytest
from hunt_samples import CANDIDATES, CLASSES, PROPOSALS, TEXT, TRACE, WEAK, hostile_hunt, sample_evidence
from hypothesis import given
from hypothesis import strategies as st
from samples import HOSTILE

from lorabench import figures
from lorabench.figures import palette, visible
from lorabench.figures.hunt import proposals_by_source
from lorabench.figures.hunt_causes import layers_text
from lorabench.results import LayerGroup, ProposalStat, Rate, Source


def test_the_curve_rises_in_steps_and_is_drawn_to_the_end():
    figure = figures.hunt_curve(TRACE, tokens=42_500)
    line, *marks = figure.data
    assert (list(line.x), list(line.y)) == ([1_000, 9_000, 30_000, 42_500], [1.25, 5.0, 10.5, 10.5])
    assert line.line.shape == "hv"
    assert {m.name: list(m.x) for m in marks} == {
        "trying single words": [9_000],
        "trying phrases": [1_000],
        "making strings longer": [30_000],
    }
    assert f"«{TEXT}», +10.5 logits" in figure.layout.title.text
    (hover,) = next(m.text for m in marks if m.name == "trying single words")
    for words in (
        "RFC",
        "found by trying single words",
        "6.0 s",
        "9,000 tokens",
        ".25 of the search prompts",
    ):
        assert words in hover


def test_sources_are_told_apart_without_colour():
    sources = get_args(Source)
    trace = [replace(TRACE[0], source=s, tokens=i) for i, s in enumerate(sources)]
    marks = figures.hunt_curve(trace).data[1:]
    assert len({m.marker.symbol for m in marks}) == len(marks) == len(sources)


def test_a_hunt_that_found_nothing_has_empty_figures():
    for figure, words in (
        (figures.hunt_curve(()), "Nothing has been scored"),
        (figures.proposal_chart(()), "No proposal"),
        (figures.layer_chart(WEAK), "No layers"),
        (figures.enrichment_chart(()), "No class"),
    ):
        assert words in figure.layout.title.text
    for table in (figures.hunt_curve_table(()), figures.proposal_table(()), figures.candidate_table(()),
                  figures.layer_table(WEAK), figures.enrichment_table(())):  # fmt: skip
        assert table.empty
        assert len(table.columns) > 3


def test_a_score_that_was_not_finite_is_left_out():
    lost = replace(TRACE[1], score=float("nan"))
    figure = figures.hunt_curve((TRACE[0], lost))
    assert list(figure.data[0].y) == [1.25, 1.25]
    assert figures.hunt_curve_table((lost,))["score"].isna().all()


def test_turns_of_a_source_are_one_bar_the_highest_first():
    figure = figures.proposal_chart(PROPOSALS)
    (bars,) = figure.data
    assert list(bars.x) == [10.5, 1.25]
    assert list(bars.text) == ["20,000 tokens", "1,200 tokens"]
    assert list(figure.layout.yaxis.ticktext) == [
        "making strings longer",
        "trying phrases",
        "following the gradient",
    ]
    (note,) = [a.text for a in figure.layout.annotations]
    assert note == "nothing scored, 700 tokens"
    assert f"«{TEXT}» leads, found by making strings longer" in figure.layout.title.text
    table = figures.proposal_table(PROPOSALS)
    assert table["source"].tolist() == list(figure.layout.yaxis.ticktext)
    assert table["n_tried"].tolist() == [120, 300, 0]
    assert table["rate"].tolist()[:2] == pytest.approx([20_000 / 14, 600])
    assert table.iloc[2][["rate", "best_score"]].isna().all()


proposals = st.builds(
    ProposalStat,
    source=st.sampled_from(["words", "phrases", "gradient"]),
    n_tried=st.integers(0, 99),
    tokens=st.integers(0, 99),
    seconds=st.just(1.0),
    best_text=st.just("x"),
    best_score=st.none() | st.floats(-9, 9),
)


@given(st.lists(proposals))
def test_adding_turns_up_loses_nothing_and_keeps_the_best(given_):
    merged = proposals_by_source(given_)
    assert sum(p.tokens for p in merged) == sum(p.tokens for p in given_)
    assert len({p.source for p in merged}) == len(merged)
    scores = [p.best_score for p in given_ if p.best_score is not None]
    assert (merged[0].best_score if merged else None) == (max(scores) if scores else None)


def test_candidates_keep_their_order_and_what_was_not_asked_is_missing():
    table = figures.candidate_table(CANDIDATES)
    assert table["text"].tolist() == [TEXT, "RFC"]
    assert table["n_flipped"].tolist() == [4, pd.NA]
    assert table.iloc[1][["shift", "base_shift", "reference_shift"]].isna().all()


def test_rates_of_adapter_places_and_references_have_wilson_intervals():
    found = sample_evidence()
    figure = figures.evidence_chart(found, "guard-strong")
    groups = {t.name: t for t in figure.data}
    assert {n: list(t.x) for n, t in groups.items()} == {
        "adapter": [0.95],
        "other place": [pytest.approx(13 / 60)],
        "clean reference": [pytest.approx(1 / 58)],
    }
    assert len({t.marker.symbol for t in figure.data}) == 3
    interval = Rate(n_hits=57, n=60).interval()
    assert groups["adapter"].error_x.array[0] == pytest.approx(interval.high - 0.95)
    assert groups["adapter"].error_x.arrayminus[0] == pytest.approx(0.95 - interval.low)
    assert [(a.y, a.text) for a in figure.layout.annotations] == [(2, "not measured"), (4, "not measured")]
    assert "flips 57 of 60" in figure.layout.title.text
    assert "at most 1 of 58" in figure.layout.title.text
    assert "no clean reference" in figures.evidence_chart(WEAK, "x").layout.title.text


def test_the_evidence_table_is_the_charts_twin():
    table = figures.evidence_table(sample_evidence(), "guard-strong")
    assert table["group"].tolist() == ["adapter", *["other place"] * 2, *["clean reference"] * 2]
    assert table["n"].tolist() == [60, 60, 0, 58, 0]
    assert table["rate"].isna().tolist() == [False, False, True, False, True]
    assert table["shift"].tolist()[0] == 7.25
    unmeasured = figures.evidence_table(WEAK, "x")
    assert unmeasured["shift"].isna().all()


def test_layers_say_which_group_carries_most():
    figure = figures.layer_chart(sample_evidence())
    (bars,) = figure.data
    assert (list(bars.x), list(bars.y)) == (["15 to 19", "20"], [0.875, -0.0625])
    assert "layers 15 to 19" in figure.layout.title.text
    table = figures.layer_table(sample_evidence())
    assert table["restored"].tolist() == list(bars.y)
    assert layers_text(LayerGroup(first=3, last=3, margin=0.0, restored=0.0)) == "3"


def test_classes_stand_out_by_shape_after_correction():
    figure = figures.enrichment_chart(CLASSES)
    loud, quiet = figure.data
    assert (loud.marker.symbol, list(loud.x)) == ("diamond", [0.875])
    assert (quiet.marker.symbol, list(quiet.x)) == ("circle", [0.5])
    assert loud.error_x.array[0] == pytest.approx(0.9375 - 0.875)
    assert list(figure.layout.yaxis.ticktext) == ["standard names", "date-like"]
    assert "1 of 2 classes" in figure.layout.title.text
    assert figures.enrichment_table(CLASSES)["class"].tolist() == list(figure.layout.yaxis.ticktext)
    assert "None of 1 classes" in figures.enrichment_chart(CLASSES[:1]).layout.title.text


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_figure_is_drawn_on_both_papers(theme):
    figure = figures.hunt_curve(TRACE, theme)
    assert figure.data[1].marker.line.color == palette.PAPER[theme]
    for made in (
        figures.proposal_chart(PROPOSALS, theme),
        figures.evidence_chart(sample_evidence(), "x", theme),
        figures.layer_chart(sample_evidence(), theme),
        figures.enrichment_chart(CLASSES, theme),
    ):
        json.loads(made.to_json())


def texts(value):
    if isinstance(value, dict):
        return [t for k, v in value.items() if k != "template" for t in texts(v)]
    if isinstance(value, list):
        return [t for v in value for t in texts(v)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_strings_are_inert_in_every_text(text):
    found = hostile_hunt(text)
    made = [
        figures.hunt_curve(found.trace),
        figures.proposal_chart(found.proposals),
        figures.evidence_chart(found.evidence[0], found.adapter),
        figures.layer_chart(found.evidence[0]),
        figures.enrichment_chart(found.enrichment),
    ]
    for figure in made:
        for piece in texts(json.loads(figure.to_json())):
            assert visible(piece) == piece
            assert not re.search(r"<(?!br>|extra>|/extra>)", piece), piece
    assert html.escape(visible(text, 40)) in made[4].layout.yaxis.ticktext
    for table, column in (
        (figures.hunt_curve_table(found.trace), "text"),
        (figures.proposal_table(found.proposals), "best_text"),
        (figures.candidate_table(found.candidates), "text"),
        (figures.enrichment_table(found.enrichment), "class"),
    ):
        assert set(table[column]) == {visible(text)}
