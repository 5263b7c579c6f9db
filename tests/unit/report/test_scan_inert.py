"""Hostile strings in every place an attacker can reach, in every format that something renders."""

import csv
import io
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from scan_samples import HOSTILE, block_scan, hostile_scan, samples

from lorabench import report
from lorabench.figures import visible
from lorabench.figures.palette import contrast
from lorabench.report.scan_markdown import md
from lorabench.report.scan_page import DECISION_COLOURS

TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "h3", "p", "section", "div"),
    *("span", "ul", "li", "table", "caption", "thead", "tbody", "tr", "th", "td", "code"),
    *("svg", "path", "circle", "line"),
}
VOID = {"meta", "path", "circle", "line"}
HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
HTML_INERT = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


class Page(HTMLParser):
    """Fails on any tag or attribute that a scan's page has no use for."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.text, self.open = "", []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert tag in TAGS
        for name, _ in attrs:
            assert not name.startswith("on")
            assert name not in ("href", "src", "srcset", "style", "action")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        assert tag in VOID

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data


@pytest.mark.parametrize("name", HOSTILE)
def test_the_page_is_inert(name):
    source = report.render_scan([hostile_scan(HOSTILE[name])], "html").decode()
    page = Page(source)
    assert "Content-Security-Policy\" content=\"default-src 'none'" in source
    assert source.count("<style>") == source.count("</style>") == 1
    assert not HIDDEN.search(page.text)
    if name in ("html", "link", "formula"):
        assert HOSTILE[name] in page.text  # shown as text, not dropped


@pytest.mark.parametrize("name", samples())
def test_the_page_shows_the_decision_in_word_and_shape(name):
    scan = samples()[name]
    source = report.render_scan([scan], "html").decode()
    decision = scan.verdict.decision
    assert f'aria-label="{decision}"' in source
    assert f'<p class="word">{decision.upper()}</p>' in source
    text = Page(source).text
    for heading in ("Five stages", "Findings", "Not looked at", "Calibration", "How to repeat it", "Limits"):
        assert heading in text
    if scan.behaviour is not None:  # a picture for each probe and statistic, each with its numbers beside it
        bars = len(scan.behaviour.probes) + len(scan.behaviour.statistics) + len(scan.behaviour.categories)
        assert source.count('<svg class="bar"') == bars


def test_decisions_can_be_read_on_both_papers():
    shades = (("#ffffff", "#f4f5f8"), ("#0e1117", "#171b24"))
    for pair in DECISION_COLOURS.values():
        for colour, papers in zip(pair, shades, strict=True):
            assert all(contrast(colour, paper) >= 4.5 for paper in papers)


def tokens(source: str) -> list[str]:
    found = []
    for token in HTML_INERT.parse(source):
        found.append(token.type)
        found += [child.type for child in token.children or ()]
    return found


@pytest.mark.parametrize("fmt", ["markdown", "card"])
@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_is_inert(name, fmt):
    plain = tokens(report.render_scan([hostile_scan("plain")], fmt).decode())
    source = report.render_scan([hostile_scan(HOSTILE[name])], fmt).decode()
    found = tokens(source)
    assert not {"html_inline", "html_block", "link_open", "image", "code_inline", "fence", "s_open"} & set(
        found
    )
    for kind in ("heading_open", "table_open", "tr_open", "td_open", "hr", "bullet_list_open", "em_open"):
        assert found.count(kind) == plain.count(kind)
    assert "ordered_list_open" not in found
    assert not HIDDEN.search(source.replace("\n", ""))
    assert not re.search(r"(?<!\\)https?:/|www\.", source)


@given(st.text(max_size=80))
def test_escaped_markdown_reads_as_the_visible_text(text):
    rendered = HTML_INERT.parseInline(md(text, None))[0].children
    assert {t.type for t in rendered} <= {"text", "text_special"}
    assert "".join(t.content for t in rendered).strip() == visible(text).strip()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_terminal_obeys_nothing(name):
    text = report.render_scan([hostile_scan(HOSTILE[name]), block_scan()], "text").decode()
    assert not HIDDEN.search(text)
    assert "\r" not in text


@pytest.mark.parametrize("fmt", ["json", "sarif", "bom"])
@pytest.mark.parametrize("name", HOSTILE)
def test_json_hides_nothing(name, fmt):
    text = report.render_scan([hostile_scan(HOSTILE[name])], fmt).decode()
    assert not HIDDEN.search(text)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_cell_is_a_formula(name):
    text = report.render_scan([hostile_scan(HOSTILE[name])], "csv").decode()
    rows = list(csv.reader(io.StringIO(text, newline="")))
    numbers = [
        i
        for i, head in enumerate(rows[0])
        if head in ("value", "mean_shift", "base_shift", "shift_difference")
    ]
    for row in rows[1:]:
        for i, cell in enumerate(row):
            assert i in numbers or not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_long_names_are_cut_where_people_read():
    made = report.render_scan([hostile_scan(HOSTILE["long"])], "html").decode()
    assert re.search("<h1>A{119}…</h1>", made)
