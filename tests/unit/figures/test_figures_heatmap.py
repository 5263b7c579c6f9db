import json
import math
from itertools import pairwise

import pytest
from samples import FAMILIES, HOSTILE, TITLES, sample_heatmap

from lorabench import figures
from lorabench.figures.pooling import pool
from lorabench.results import BASE, CellRow, HeatmapCell


def records(spec: dict) -> list[dict]:
    """The cells' data: the rect layer that holds the selection's fields."""
    rects = next(x for x in spec["layer"] if x["mark"]["type"] == "rect")
    return spec["datasets"][rects["data"]["name"]]


def test_chart_validates_and_has_the_selection():
    spec = figures.heatmap_chart(sample_heatmap(), titles=TITLES).to_dict()
    (cell,) = [p for p in spec["params"] if p["name"] == "cell"]
    assert cell["select"] == {"type": "point", "fields": ["variant", "column"], "toggle": False}
    assert len(records(spec)) == 13 * 4
    assert all({"variant", "column"} <= r.keys() for r in records(spec))
    assert "Heatmap of attack rates" in spec["description"]


def test_an_unmeasured_rate_is_not_zero_and_not_run_is_neither():
    spec = figures.heatmap_chart(sample_heatmap(finished=0.6)).to_dict()
    cells = records(spec)
    base = [r for r in cells if r["column"] == "c0" and r["paint"] == "grey"]
    waiting = [r for r in cells if r["paint"] == "not run"]
    assert base
    assert all(r["rate"] is None and r["label"].startswith("+") for r in base)
    assert all("not measured" in r["tip_rate"] for r in base)
    assert waiting
    assert all(r["rate"] is None and r["label"] == "·" for r in waiting)
    zero = [r for r in cells if r["rate"] == 0]
    assert {r["label"].removesuffix("…") for r in zero} == {".00"}
    assert any(r["label"].endswith("…") for r in cells)


def test_families_fold_into_pooled_lines_and_controls_come_last():
    reordered = {k: FAMILIES[k] for k in sorted(FAMILIES, key=lambda k: not k.startswith("control"))}
    heatmap = sample_heatmap(families=reordered)
    cells = records(figures.heatmap_chart(heatmap, families_open=()).to_dict())
    lines = list(dict.fromkeys((r["y"], r["variant"]) for r in cells))
    assert len(lines) == 7
    assert [y for y, _ in lines] == sorted(y for y, _ in lines)
    families = [r["tip_family"] for r in cells if r["column"] == "c0"]
    assert families[-2:] == ["control none", "control random"]
    folded = next(r for r in cells if r["variant"] < 0 and r["column"] == "c3")
    assert folded["tip_rate"] == "0.93 (67 of 72)"
    assert "bootstrap over prompts and variants" in folded["tip_interval"]


def test_clicks_are_read_back_and_nonsense_is_not():
    heatmap = sample_heatmap()
    assert figures.read_selection(heatmap, [{"variant": 2, "column": "c1"}]) == figures.Picked(
        variant_index=2, family="same_anchor_other_number", column="c1"
    )
    folded = figures.read_selection(heatmap, {"variant": -2, "column": "c1"})
    assert folded == figures.Picked(variant_index=None, family="same_anchor_other_number", column="c1")
    assert figures.read_selection(heatmap, [{"variant": 2, "column": ""}]).column is None
    assert figures.read_selection(heatmap, [{"variant": None, "column": "c2"}]).column == "c2"
    for nonsense in (
        None,
        {},
        [],
        "x",
        [{"variant": 99}],
        [{"variant": "2"}],
        [{"variant": True}],
        [{"variant": float("nan")}],
        [{"variant": -50}],
    ):
        assert figures.read_selection(heatmap, nonsense) is None


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_hostile_strings_are_data_only(theme):
    families = {h: ((h, 0.5), (h, 0.25)) for h in HOSTILE}
    heatmap = sample_heatmap(families=families, adapters=HOSTILE)
    spec = figures.heatmap_chart(
        heatmap, theme=theme, titles=dict(zip(HOSTILE, HOSTILE, strict=True))
    ).to_dict()
    json.dumps(spec, ensure_ascii=False).encode()
    spec.pop("datasets")
    spec.pop("description")
    rest = json.dumps(spec)
    assert "alert" not in rest
    assert "signal" not in rest
    assert "onmouseover" not in rest


def test_many_rows_and_an_empty_heatmap():
    many = {
        f"family {i}": tuple((f"variant {i} {j} " + "long " * 60, 0.5) for j in range(12)) for i in range(8)
    }
    spec = figures.heatmap_chart(sample_heatmap(families=many, n_prompts=3)).to_dict()
    assert len(records(spec)) == 96 * 4
    assert all(len(r["tip_text"]) <= 200 for r in records(spec))
    empty = sample_heatmap(families={})
    figures.heatmap_chart(empty).to_dict()
    assert figures.heatmap_frame(empty).empty
    assert figures.heatmap_table(empty, by="family").empty
    figures.heatmap_chart(sample_heatmap(finished=0.0)).to_dict()


def test_frame_and_table_hold_the_same_numbers():
    heatmap = sample_heatmap(finished=0.6)
    frame = figures.heatmap_frame(heatmap)
    assert len(frame) == 13 * 4
    assert set(frame["status"]) == {"measured", "not measured", "running", "not run"}
    assert frame.loc[frame["status"].isin(["not measured", "not run"]), "rate"].isna().all()
    table = figures.heatmap_table(heatmap, titles=TITLES, counts=True)
    assert "base: margin shift (logits)" in table
    assert table["guard-strong"].iloc[0] == 1.0
    assert table["guard-strong: n"].iloc[0] == 24
    assert math.isnan(table["guard-strong"].iloc[-1])
    assert table["guard-strong: n"].isna().iloc[-1]
    pooled = figures.heatmap_table(sample_heatmap(), by="family")
    assert pooled["variants"].sum() == 13


def test_two_columns_of_one_title_stay_apart():
    table = figures.heatmap_table(sample_heatmap(adapters=("same", "same")))
    assert {"same (c1)", "same (c2)"} <= set(table.columns)


def cell(hits: list[bool], *, variant: int = 0, eligible: bool = True) -> HeatmapCell:
    rows = tuple(
        CellRow(prompt_index=i, before=-1.0, after=1.0 if h else -1.0, eligible=eligible, flipped=h)
        for i, h in enumerate(hits)
    )
    return HeatmapCell(variant_index=variant, column="c", rows=rows, n_planned=len(hits))


def test_pooling_states_its_interval():
    one = pool([cell([True, False])])
    assert one.interval.method == "Wilson over prompts"
    two = pool([cell([True, False, True]), cell([False, False, True], variant=1)])
    assert two.rate.value == pytest.approx(0.5)
    assert two.interval.low <= 0.5 <= two.interval.high
    assert two == pool([cell([True, False, True]), cell([False, False, True], variant=1)])
    agree = pool([cell([True] * 10), cell([True] * 10, variant=1)])
    assert agree.interval.low < 0.8  # ten prompts, not twenty
    assert pool([cell([False] * 3, eligible=False)]).interval is None
    assert pool([]).status == "not run"


def test_the_base_column_stands_apart():
    spec = figures.heatmap_chart(sample_heatmap()).to_dict()
    first = [r for r in records(spec) if r["variant"] == 0]
    gaps = [b["x"] - a["x2"] for a, b in pairwise(first)]
    assert gaps[0] > gaps[1]
    assert sample_heatmap().columns[0].model == BASE
