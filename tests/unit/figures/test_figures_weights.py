"""Figures and tables of weights and of probes: what they show, and that hostile names stay inert."""

import html
import json
import math
import re

import pytest
from samples import HOSTILE

from lorabench.figures import palette, visible
from lorabench.figures.probes import probe_chart, probe_table
from lorabench.figures.weights import MOST_COLUMNS, spectrum_chart, weight_heatmap, weight_table
from lorabench.results import Rate
from lorabench.results.behaviour import BehaviourEvidence, ProbeRate
from lorabench.results.weights import ModuleWeights, WeightEvidence


def module(name="model.layers.0.self_attn.q_proj", layer=0, z=0.5, values=(2.0, 1.0, 0.0), **change):
    given = {
        "name": name, "projection": name.split(".")[-1], "block": "attention", "layer": layer,
        "in_features": 8, "out_features": 8, "rank": 3, "measured_rank": sum(v > 0 for v in values),
        "singular_values": values, "frobenius_norm": math.hypot(*values),
        "normalised_norm": math.hypot(*values) / 8, "spectral_entropy": 0.5, "participation_ratio": 1.8,
        "stable_rank": 1.25, "concentration": 0.66, "asymmetry": -0.7, "robust_z": z,
    }  # fmt: skip
    return ModuleWeights(**{**given, **change})


def evidence(*modules, standouts=()):
    return WeightEvidence(
        modules=modules, aggregates={}, study_v1={}, study_v2={}, standouts=tuple(standouts), standout_z=5.0
    )


def grid(n_layers=11, loud=None):
    names = [
        (f"model.layers.{i}.{s}", i) for i in range(n_layers) for s in ("self_attn.q_proj", "mlp.up_proj")
    ]
    modules = [module(name, layer, z=7.0 if name == loud else 0.1 * layer) for name, layer in names]
    return evidence(*modules, standouts=[loud] if loud else [])


def heat(figure):
    (trace,) = (t for t in figure.data if t.type == "heatmap")
    return trace


def test_each_module_has_the_cell_of_its_layer_and_projection():
    found = heat(weight_heatmap(grid()))
    assert list(found.x) == ["q_proj", "up_proj"]
    assert list(found.y) == [str(i) for i in range(11)]  # 10 after 9, not after 1
    assert [row[0] for row in found.z] == pytest.approx([0.1 * i for i in range(11)])
    assert (found.zmin, found.zmax) == (-5.0, 5.0)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_standouts_are_marked_by_shape_and_named(theme):
    loud = "model.layers.4.mlp.up_proj"
    figure = weight_heatmap(grid(loud=loud), theme)
    (marks,) = (t for t in figure.data if t.type == "scatter")
    assert (list(marks.x), list(marks.y), marks.marker.symbol) == (["up_proj"], ["4"], "diamond")
    assert "1 of 22 modules stands off" in figure.layout.title.text
    assert loud in figure.layout.title.text
    assert heat(figure).colorscale[0][1] == palette.DIVERGING["difference", theme][0]


def test_without_standouts_the_title_says_so_and_nothing_is_marked():
    figure = weight_heatmap(grid())
    assert figure.layout.title.text.startswith("None of 22 modules")
    assert [t.type for t in figure.data] == ["heatmap"]


def test_too_few_layers_show_sizes_on_the_scale_of_rates():
    figure = weight_heatmap(evidence(module(z=None), module("lm_head", None, None, values=(0.0, 0.0, 0.0))))
    found = heat(figure)
    assert list(found.y) == ["0", "no layer"]
    assert found.z[0][0] == pytest.approx(math.log(math.hypot(2, 1) / 8))
    assert found.z[1][1] is None  # nothing was changed: ln 0
    assert found.colorscale[0][1] == palette.SEQUENTIAL["light"][0]
    assert "too few layers" in figure.layout.title.text


def test_projections_of_one_name_have_columns_of_their_own():
    sites = ("attention.output.dense", "intermediate.dense", "output.dense")
    modules = [module(f"encoder.layer.{i}.{s}", i) for i in range(5) for s in sites]
    labels = list(heat(weight_heatmap(evidence(*modules))).x)
    assert len(set(labels)) == 3
    assert labels[1] == "intermediate.dense"


def test_of_very_many_projections_the_loudest_are_drawn():
    modules = [
        module(f"model.layers.0.mlp.experts.{k}.up_proj", z=float(k)) for k in range(MOST_COLUMNS + 20)
    ]
    figure = weight_heatmap(evidence(*modules))
    assert len(heat(figure).x) == MOST_COLUMNS
    assert min(heat(figure).z[0]) == 20.0
    assert f"{MOST_COLUMNS} loudest of {MOST_COLUMNS + 20}" in figure.layout.title.text


def test_the_table_is_the_heatmaps_twin():
    loud = "model.layers.4.mlp.up_proj"
    table = weight_table(grid(loud=loud))
    assert len(table) == 22
    assert list(table[table["standout"]]["module"]) == [loud]
    assert table["robust_z"].tolist() == [v for row in heat(weight_heatmap(grid(loud=loud))).z for v in row]
    missing = weight_table(evidence(module("lm_head", None, None)))
    assert missing[["layer", "robust_z"]].isna().all(axis=None)


def test_a_spectrum_shows_the_directions_that_count():
    figure = spectrum_chart(module())
    (line,) = figure.data
    assert (list(line.x), list(line.y)) == ([1, 2], [2.0, 1.0])
    assert "1.8 of 3 directions" in figure.layout.title.text
    assert figure.layout.annotations[0].text == "measured rank 2 of 3"
    silent = spectrum_chart(module(values=(0.0, 0.0, 0.0)))
    assert "changes nothing" in silent.layout.title.text


def probe(text, hits, n=20, category="rfc_with_section", shared=(), **change):
    given = {
        "text": text, "category": category, "rate": Rate(n_hits=hits, n=n), "n_ties": 0,
        "mean_shift": 2.0, "base_shift": 0.5, "shared_words": shared,
    }  # fmt: skip
    return ProbeRate(**{**given, **change})


def behaviour(*probes):
    return BehaviourEvidence(
        task="guard", task_source="given", battery="mine", battery_version="1", battery_digest="0" * 64,
        prompts="test", prompts_digest="0" * 64, prompt_texts=(), n_prompts=24, n_eligible=20,
        probes=probes, statistics=(), categories=(), anchors=(), n_rows=0, n_computed=0, seconds=0.0,
    )  # fmt: skip


PROBES = (
    probe("weak", 1, category="random_rare"),
    probe("rfc b", 10, shared=("rfc",)),
    probe("rfc a", 19, shared=("rfc",)),
    probe("none", 0, n=0, category="random_rare", mean_shift=None, base_shift=None),
)


def test_probes_come_by_category_and_rate_with_wilson_intervals():
    figure = probe_chart(behaviour(*PROBES))
    ticks = list(figure.layout.yaxis.ticktext)
    assert ticks == ["<b>rfc with section</b>", "rfc a", "rfc b", "<b>random rare</b>", "weak", "none"]
    plain, sharing = figure.data
    assert (list(sharing.y), list(sharing.x), sharing.marker.symbol) == ([1, 2], [0.95, 0.5], "diamond")
    assert (list(plain.y), list(plain.x)) == ([4], [0.05])
    interval = Rate(n_hits=1, n=20).interval()
    assert plain.error_x.array[0] == pytest.approx(interval.high - 0.05)
    assert plain.error_x.arrayminus[0] == pytest.approx(0.05 - interval.low)
    assert [(a.y, a.text) for a in figure.layout.annotations] == [(5, "not measured")]
    assert figure.layout.title.text.startswith("«rfc a» flips 19 of 20")
    assert "margin moves +1.5 logits more than in the base" in sharing.text[0]


def test_two_probes_of_one_text_are_two_lines():
    figure = probe_chart(behaviour(probe("same", 1), probe("same", 2, category="partial_match")))
    (dots,) = figure.data
    assert sorted(dots.y) == [1, 3]
    assert not figure.layout.showlegend


@pytest.mark.parametrize(
    ("probes", "title"),
    [((probe("a", 0),), "No probe flips a prompt"), ((probe("a", 0, n=0),), "No probe could be measured")],
)
def test_the_title_says_when_nothing_was_seen(probes, title):
    assert probe_chart(behaviour(*probes)).layout.title.text.startswith(title)


def test_the_probe_table_is_the_charts_twin():
    table = probe_table(behaviour(*PROBES))
    assert table["probe"].tolist() == ["rfc a", "rfc b", "weak", "none"]
    assert table["rate"].tolist()[:3] == [0.95, 0.5, 0.05]
    assert table.iloc[3][["rate", "low", "high", "mean_shift"]].isna().all()
    assert table["shift_difference"].tolist()[0] == 1.5
    assert probe_table(behaviour()).empty


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_inert_in_every_text(text):
    name = f"model.layers.0.mlp.{text}"
    weights = evidence(module(name, z=9.0), standouts=[name])
    asked = behaviour(probe(text, 1, shared=(text,), category=text), probe(text, 0, n=0, category=text))
    figures = [weight_heatmap(weights), spectrum_chart(weights.modules[0]), probe_chart(asked)]
    for figure in figures:
        found = json.loads(figure.to_json())
        for piece in _texts(found):
            assert visible(piece) == piece  # nothing hidden is left
            assert not re.search(r"<(?!/?b>|br>|extra>|/extra>)", piece), piece
    shown = visible(text)
    assert html.escape(visible(text, 60)) in figures[2].layout.yaxis.ticktext
    assert weight_table(weights)["module"][0].endswith(shown)
    assert probe_table(asked)["probe"].tolist() == [shown, shown]


def _texts(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
