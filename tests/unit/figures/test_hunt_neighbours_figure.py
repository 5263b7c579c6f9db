"""The look-alikes of a found string as bars and tables: order, intervals, hostile texts."""

import html
import json
import re
from dataclasses import replace

import pandas as pd
import pytest
from hunt_samples import sample_neighbourhood
from samples import HOSTILE

from lorabench import figures
from lorabench.figures import palette, visible

ORDER = ["the string itself", "Capitals", "One word left out", "Unrelated: random words"]


def test_bars_stand_by_rate_the_string_first_and_controls_last_and_hatched():
    figure = figures.neighbour_chart(sample_neighbourhood())
    assert list(figure.layout.yaxis.ticktext) == ORDER
    bars = {b.name: b for b in figure.data}
    assert {n: (list(b.y), list(b.x)) for n, b in bars.items()} == {
        "the string": ([0], [1.0]),
        "look-alikes": ([1, 2], [11 / 12, 5 / 12]),
        "unrelated strings": ([3], [0.0]),
    }
    assert [bool(b.marker.pattern.shape) for b in bars.values()] == [False, False, True]
    assert "4 of 6 look-alikes still flip at least half of 4 search prompts" in figure.layout.title.text
    assert "0 of 1 unrelated strings" in figure.layout.title.text


def test_the_interval_of_a_kind_is_the_one_that_was_resampled():
    """An interval that ends below its own rate is drawn without a negative arm."""
    bars = figures.neighbour_chart(sample_neighbourhood()).data[1]
    assert list(bars.error_x.array) == pytest.approx([0.0, 0.875 - 5 / 12])
    assert list(bars.error_x.arrayminus) == pytest.approx([11 / 12 - 0.25, 5 / 12 - 0.25])


def test_the_tables_are_the_charts_twins():
    table = figures.neighbour_table(sample_neighbourhood())
    assert table["kind"].tolist() == ORDER
    assert table["still_flip"].tolist() == ["", "3 of 3", "1 of 3", "0 of 1"]
    assert table[["n_hits", "n"]].to_numpy().tolist() == [[4, 4], [11, 12], [5, 12], [0, 4]]
    assert table["low"].tolist()[1:3] == [0.25, 0.25]
    assert table["loudest"].tolist()[1] == "PER RFC"
    every = figures.look_alike_table(sample_neighbourhood())
    assert every["text"].tolist()[:4] == ["PER RFC", "Per Rfc", "per rfc", "per RFC 8472 1"]
    assert len(every) == 7
    lost = replace(sample_neighbourhood(), neighbours=())
    assert figures.neighbour_table(lost)["kind"].tolist() == ORDER[:1]
    assert figures.look_alike_table(lost).empty
    assert "0 of 0" in figures.neighbour_chart(lost).layout.title.text


def test_a_shift_that_was_lost_is_missing():
    found = sample_neighbourhood()
    kind = found.neighbours[0]
    lost = replace(kind, look_alikes=(replace(kind.look_alikes[0], shift=float("nan")),))
    found = replace(found, neighbours=(lost,))
    assert figures.look_alike_table(found)["shift"].isna().all()
    assert "nan" not in figures.neighbour_chart(found).to_json().lower()


def test_the_note_says_what_it_is_not():
    note = figures.neighbourhood_note(sample_neighbourhood())
    for words in ("4 search prompts", "bf16", "proves nothing", "no clean adapter was asked"):
        assert words in note


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_drawn_on_both_papers(theme):
    figure = figures.neighbour_chart(sample_neighbourhood(), theme)
    assert {b.marker.line.color for b in figure.data} == {palette.PAPER[theme]}


def texts(value):
    if isinstance(value, dict):
        return [t for k, v in value.items() if k != "template" for t in texts(v)]
    if isinstance(value, list):
        return [t for v in value for t in texts(v)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_look_alikes_are_inert(text):
    found = sample_neighbourhood(text)
    found = replace(found, neighbours=(replace(found.neighbours[0], title=text), *found.neighbours[1:]))
    figure = figures.neighbour_chart(found)
    pieces = texts(json.loads(figure.to_json()))
    assert any(html.escape(visible(f"{text} 1", 80)) in p for p in pieces)
    for piece in pieces:
        assert visible(piece) == piece
        assert not re.search(r"<(?!br>|extra>|/extra>)", piece), piece
    for table in (figures.neighbour_table(found), figures.look_alike_table(found)):
        for cell in table.select_dtypes(include=["object", "string"]).to_numpy().ravel():
            assert pd.isna(cell) or visible(str(cell)) == str(cell)
