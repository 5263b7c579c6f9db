"""Reports of a hunt: the same facts in every format, nothing in them that a reader's program would obey."""

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hunt_samples import (
    CLASSES,
    TEXT,
    WEAK,
    empty_hunt,
    hostile_hunt,
    sample_evidence,
    sample_hunt,
    sample_so_far,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from samples import HOSTILE

from lorabench import report
from lorabench.errors import InputError
from lorabench.report.hunt_facts import NOT_FOUND, enrichment_sentence, hunt_facts, reproduce
from lorabench.report.hunt_html import curve_svg, rates_svg
from lorabench.report.hunt_strings import string_sentence
from lorabench.results import HuntResult, from_dict

HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200c\u200e-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
PEOPLE = ("text", "html", "markdown")
DRAWN = ("svg", "line", "circle", "polyline", "text", "g")
NUMBERS = (
    *("57 of 60", "0.95 [0.86, 0.98], n = 60", "1 of 58", "13 of 60", "+7.25 [6.50, 8.00]", "812.5"),
    *("p = 0.024", "0.875", "42,500 of 130,000", "24.5 s", "+10.50"),
)
TAGS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "h1",
        "h2",
        "p",
        "section",
        "div",
        "table",
        "caption",
    ),
    *("thead", "tbody", "tr", "th", "td", *DRAWN),
}
VOID = {"meta", "line", "circle", "polyline"}


class Page(HTMLParser):
    """Fails on a tag or attribute that the page has no use for."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.text, self.open = "", []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert tag in TAGS
        assert not [n for n, _ in attrs if n.startswith("on") or n in ("href", "src", "srcset", "action")]
        assert all(tag == "svg" for n, _ in attrs if n == "style")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data


def words(found: HuntResult, fmt: str) -> str:
    """Return what a reader of a format reads."""
    made = report.render_hunt(found, fmt).decode()
    if fmt == "html":
        return Page(made).text
    return re.sub(r"\\([^\w\s])", r"\1", made) if fmt == "markdown" else made


@pytest.mark.parametrize("fmt", PEOPLE)
def test_every_format_for_people_says_every_fact(fmt):
    found = sample_hunt()
    text = " ".join(words(found, fmt).split())
    for section in hunt_facts(found):
        for sentence in (section.title, *section.sentences):
            assert sentence in text
        for table in section.tables:
            assert table.caption in text
            for cell in (c for row in table.rows for c in row if c):
                assert " ".join(cell.split()) in text


@pytest.mark.parametrize("fmt", PEOPLE)
def test_the_numbers_of_a_proof_are_there(fmt):
    text = words(sample_hunt(), fmt)
    for number in NUMBERS:
        assert number in text
    assert "20,000" in text  # two turns of one proposal are one line


@pytest.mark.parametrize("fmt", PEOPLE)
def test_look_alikes_stand_beside_a_proof_and_prove_nothing(fmt):
    text = " ".join(words(sample_hunt(), fmt).split())
    for said in (
        "3 of 3",
        "11 of 12",
        "0.92 [0.25, 0.88], n = 12",
        "PER RFC (4 of 4)",
        "unrelated: Random words",
    ):
        assert said in text
    assert "in bf16, on this adapter alone: it describes the string and proves nothing" in text
    older = words(sample_hunt(evidence=(sample_evidence(neighbourhood=None),)), fmt)
    assert "look-alike" not in older


@pytest.mark.parametrize("fmt", PEOPLE)
def test_nothing_found_is_no_all_clear(fmt):
    for found in (empty_hunt(), sample_hunt(evidence=(WEAK,))):
        text = words(found, fmt)
        assert NOT_FOUND in text
        assert not re.search(r"\bsafe\b|\bno backdoor|\bharmless\b|\bis clean\b", text.lower())
    assert NOT_FOUND not in words(sample_hunt(), fmt)


@pytest.mark.parametrize("fmt", report.HUNT_FORMATS)
def test_a_hunt_without_anything_has_a_report(fmt):
    assert "guard-strong" in words(empty_hunt(), fmt) or fmt == "csv"


def test_levels_of_evidence_are_told_apart():
    titles = [s.title for s in hunt_facts(sample_hunt()) if s.key == "string"]
    assert "strong evidence" in titles[0]
    assert "weak evidence" in titles[1]
    none = sample_hunt(evidence=(replace(WEAK, level="none"),))
    assert "no evidence" in next(s.title for s in hunt_facts(none) if s.key == "string")
    summary = hunt_facts(sample_hunt())[0].sentences
    assert string_sentence(WEAK) in summary
    assert string_sentence(WEAK) not in hunt_facts(none)[0].sentences


def test_a_sentence_is_made_of_counts_where_there_is_none():
    said = string_sentence(sample_evidence(sentence=""))
    for words_ in ("57 of 60 held-out prompts", "[0.86, 0.98]", "at most 1 of 58", "+0.38", "p = 0.024"):
        assert words_ in said
    assert "trigger" not in said
    bare = string_sentence(WEAK)
    assert "none to compare with" in bare
    assert "no null distribution" in bare


def test_a_class_of_tokens_that_holds_back_is_said_to():
    assert "more towards BENIGN" in enrichment_sentence(CLASSES[1], "BENIGN")
    low = replace(CLASSES[1], auc=0.125, low=0.0625, high=0.25)
    assert "less towards BENIGN" in enrichment_sentence(low, "BENIGN")
    quiet = sample_hunt(enrichment=CLASSES[:1])
    assert "None of 1 classes" in words(quiet, "text")


def test_json_reads_back_to_the_same_hunt():
    found = sample_hunt()
    data = json.loads(report.render_hunt(found, "json"))
    assert data["type"] == "HuntResult"
    assert data["evidence"][0]["null_p"] == pytest.approx(1 / 41)
    assert from_dict(HuntResult, data) == found


def test_numbers_that_were_lost_are_not_measured():
    lost = replace(sample_hunt().candidates[0], score=float("nan"))
    found = sample_hunt(candidates=(lost,), trace=(replace(sample_hunt().trace[0], score=float("nan")),))
    for fmt in PEOPLE:
        assert "nan" not in re.sub("[a-z]nan|nan[a-z]", "", words(found, fmt).lower())
    assert "<polyline" not in curve_svg(found)


def test_csv_holds_candidates_and_their_proofs():
    text = report.render_hunt(sample_hunt(), "csv").decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [r["text"] for r in rows] == [TEXT, "RFC", "see note"]
    assert [r["passes"] for r in rows] == ["True", "", "False"]
    assert [r["level"] for r in rows] == ["strong", "", "weak"]
    assert (rows[0]["attack_hits"], rows[0]["attack_n"], float(rows[0]["score"])) == ("57", "60", 10.5)
    assert (rows[1]["attack_n"], rows[1]["n_flipped"]) == ("", "")
    assert float(rows[0]["attack_low"]) == pytest.approx(sample_evidence().attack.interval().low)
    assert report.hunt_frame(empty_hunt()).empty


def test_a_proof_belongs_to_its_own_place_only():
    found = sample_hunt(evidence=(sample_evidence(placement="suffix"),))
    frame = report.hunt_frame(found)
    assert frame[["text", "placement"]].values.tolist()[-1] == [TEXT, "suffix"]
    assert frame["attack_n"].isna().tolist() == [True, True, False]


def test_the_command_is_as_given_or_as_known():
    assert reproduce(sample_hunt()) == "lorabench hunt guard-strong --mode quick --target BENIGN --seed 7"
    given = sample_hunt(provenance={"command": ["lorabench", "hunt", "a b"]})
    assert reproduce(given) == "lorabench hunt 'a b'"


def test_a_running_hunt_is_told_as_far_as_it_is():
    text = report.hunt_so_far_text(sample_so_far())
    assert "making strings longer, 30,000 of 130,000 tokens in 21 s" in text
    assert TEXT in text


def test_pictures_show_every_number_they_have():
    curve = curve_svg(sample_hunt())
    assert curve.count("<circle") == 3
    xs = [float(p.split(",")[0]) for p in re.search('points="([^"]+)"', curve)[1].split()]
    assert xs == sorted(xs)
    assert len(xs) == 6  # three levels, each with its two ends
    rates = rates_svg(sample_evidence(), "guard-strong")
    assert rates.count("<circle") == 3
    assert rates.count("not measured") == 2


@pytest.mark.parametrize("text", HOSTILE)
def test_the_page_is_inert(text):
    source = report.render_hunt(hostile_hunt(text), "html").decode()
    assert "default-src 'none'" in source
    assert not HIDDEN.search(Page(source).text)


def tokens(source: str) -> list[str]:
    found = []
    for token in MARKDOWN.parse(source):
        found += [token.type, *(child.type for child in token.children or ())]
    return found


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_is_inert(text):
    plain = tokens(report.render_hunt(hostile_hunt("plain"), "markdown").decode())
    source = report.render_hunt(hostile_hunt(text), "markdown").decode()
    found = tokens(source)
    assert not {"html_inline", "html_block", "link_open", "image", "code_inline", "fence", "s_open"} & set(
        found
    )
    for kind in ("heading_open", "table_open", "tr_open", "td_open", "bullet_list_open", "em_open"):
        assert found.count(kind) == plain.count(kind)
    assert not HIDDEN.search(source)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_terminal_a_spreadsheet_and_json_obey_nothing(text):
    found = hostile_hunt(text)
    assert not HIDDEN.search(report.render_hunt(found, "text").decode())
    assert not HIDDEN.search(report.render_hunt(found, "json").decode())
    made = report.render_hunt(found, "csv").decode()
    for row in csv.DictReader(io.StringIO(made, newline="")):
        for name in ("adapter", "target", "text", "sentence"):
            assert not row[name].startswith(("=", "+", "-", "@", "\t", "\r"))


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=60))
def test_any_text_has_every_report(text):
    found = hostile_hunt(text)
    Page(report.render_hunt(found, "html").decode())
    for fmt in ("text", "markdown", "csv", "json"):
        report.render_hunt(found, fmt)


def test_an_unknown_format_is_named():
    with pytest.raises(InputError, match=r"report format called 'htm'.*'html'"):
        report.render_hunt(sample_hunt(), "htm")
