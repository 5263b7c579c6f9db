import csv
import io
import json
import xml.etree.ElementTree as ET

import pandas as pd
import pytest
from samples import HOSTILE, TITLES, TRIGGER, sample_adapter, sample_heatmap, sample_quad, sample_report

from lorabench import report
from lorabench.results import BASE


def hostile_heatmap():
    return sample_heatmap(families={h: ((h, 0.5),) for h in HOSTILE}, adapters=HOSTILE, n_prompts=4)


def test_json_has_a_version_keeps_order_and_reads_back():
    text = report.to_json(sample_heatmap(n_prompts=2))
    data = json.loads(text)
    assert list(data)[:4] == ["lorabench", "type", "task", "trigger"]
    assert data["type"] == "Heatmap"
    assert data["cells"][0]["rate"]["value"] is None
    assert json.loads(report.to_json([1, float("nan")]))["value"] == [1, None]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_json_is_exact_and_encodes(hostile):
    text = report.to_json(sample_report(prompts=[hostile]))
    text.encode()
    assert "\u202e" not in text
    assert json.loads(text)["scores"][0]["prompt"] == hostile


def test_csv_formulas_are_quoted_and_numbers_are_not():
    frame = pd.DataFrame(
        {"=head": ["=cmd()", "+1", "-1", "@x", "\tx", "\rx", "fine"], "n": [-1.5, 2, 3, 4, 5, 6, 7]}
    )
    rows = list(csv.reader(io.StringIO(report.csv_bytes(frame).decode(), newline="")))
    assert rows[0] == ["'=head", "n"]
    assert [r[0] for r in rows[1:]] == ["'=cmd()", "'+1", "'-1", "'@x", "'\tx", "'\rx", "fine"]
    assert rows[1][1] == "-1.5"


@pytest.mark.parametrize("hostile", HOSTILE)
def test_tables_of_hostile_texts_can_be_written(hostile):
    scores = sample_report({BASE: [(1.0, 2.0)], hostile: [(-1.0, -2.0)]}, prompts=[hostile], trigger=hostile)
    for row in csv.reader(io.StringIO(report.scores_csv(scores).decode(), newline="")):
        assert not any(cell.startswith(("=", "@")) for cell in row)
    back = pd.read_parquet(io.BytesIO(report.scores_parquet(scores)))
    assert back["margin"].tolist() == [1.0, -1.0, 2.0, -2.0]
    report.attribution_csv(sample_quad(hostile)).decode()


def test_heatmap_tables_keep_missing_apart_from_zero():
    heatmap = sample_heatmap(finished=0.5)
    back = pd.read_csv(io.BytesIO(report.heatmap_csv(heatmap)))
    assert back.loc[back["model"] == BASE, "rate"].isna().all()
    assert (back["rate"] == 0).any()
    parquet = pd.read_parquet(io.BytesIO(report.heatmap_parquet(heatmap)))
    assert parquet["n"].sum() == back["n"].sum()
    report.heatmap_parquet(hostile_heatmap())


def test_png_and_svg_need_no_browser():
    heatmap = hostile_heatmap()
    assert report.heatmap_png(heatmap, 1).startswith(b"\x89PNG\r\n\x1a\n")
    root = ET.fromstring(report.heatmap_svg(heatmap, theme="dark"))
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert "svg" in names
    assert not names & {"script", "image", "a", "foreignObject"}
    ET.fromstring(report.heatmap_svg(sample_heatmap(families={})))
    ET.fromstring(report.heatmap_svg(sample_heatmap(finished=0.3), families_open=(), titles=TITLES))


@pytest.mark.parametrize("hostile", HOSTILE)
def test_terminal_text_obeys_nobody(hostile):
    scores = sample_report({BASE: [(1.0, 2.0)], hostile: [(-1.0, 2.0)]}, prompts=[hostile], trigger=hostile)
    heatmap = sample_heatmap(
        families={hostile: ((hostile, 0.5), ("b", 0.1))}, adapters=[hostile], n_prompts=2
    )
    texts = (
        report.score_text(scores),
        report.heatmap_text(heatmap, variants=True),
        report.quad_text(sample_quad(hostile)),
        report.adapter_text(sample_adapter(hostile)),
        report.adapter_text(sample_adapter(hostile, refusal=hostile)),
    )
    for text in texts:
        text.encode()
        assert all(line.replace("\u200d", "").isprintable() for line in text.split("\n"))


def test_terminal_texts_say_what_they_measured():
    text = report.score_text(sample_report())
    assert "FLIP" in text
    assert "flip rate 1.00 [0.21, 1.00], n = 1" in text
    assert "flip rate not measured (n = 0)" in text
    assert "difference-in-differences +16.1 logits" in text
    text = report.heatmap_text(sample_heatmap(finished=0.5), titles=TITLES)
    assert "(+0.4)" in text
    assert "Unfinished" in text
    assert "not a verdict" in text
    assert "RFC     " in report.quad_text(sample_quad())
    assert "Orange" not in report.quad_text(sample_quad())
    assert "claims   card: A very safe adapter." in report.adapter_text(sample_adapter())
    assert report.heatmap_text(sample_heatmap(families={}))


def test_no_evidence_is_worded_as_such():
    quiet = sample_heatmap(families={"exact": ((TRIGGER, 0.0),)})
    assert report.heatmap_sentence(quiet).startswith("No evidence found with these checks")
    unmeasured = sample_heatmap(finished=0.0)
    assert report.heatmap_sentence(unmeasured).startswith("No attack rate has been measured.")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_word_scores_as_png_and_svg_hold_hostile_words_as_text(theme):
    quad = sample_quad(" ".join(HOSTILE))
    assert report.quad_png(quad, 1, theme=theme).startswith(b"\x89PNG\r\n\x1a\n")
    root = ET.fromstring(report.quad_svg(quad, theme=theme))
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert "svg" in names
    assert not names & {"script", "image", "a", "foreignObject"}


def test_word_scores_of_a_long_text_say_how_many_are_left_out():
    text = report.quad_svg(sample_quad(" ".join(f"word{i}" for i in range(100))))
    assert "the 40 strongest of 100 words" in text
    assert "difference, ±" in text
