import re
from html.parser import HTMLParser

import pytest
from samples import HOSTILE, TITLES, sample_heatmap, sample_quad, sample_report

from lorabench import report
from lorabench.results import BASE

ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "section", "div", "span"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td", "picture", "source", "img", "br", "b", "wbr"),
}


class Page(HTMLParser):
    """Fails on any tag or attribute that a report has no use for."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.text, self.csp, self.open = "", None, []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert tag in ALLOWED
        values = dict(attrs)
        assert not any(name.startswith("on") or name == "href" for name in values)
        for name in ("src", "srcset"):
            assert values.get(name, "data:image/svg+xml;base64,").startswith("data:image/svg+xml;base64,")
        if values.get("http-equiv") == "Content-Security-Policy":
            self.csp = values["content"]
        if tag not in {"meta", "img", "br", "wbr", "source"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data


def pages(hostile: str = "plain words") -> list[str]:
    scores = sample_report({BASE: [(1.0, 2.0)], hostile: [(-1.0, 2.0)]}, prompts=[hostile], trigger=hostile)
    heatmap = sample_heatmap(families={hostile: ((hostile, 0.5),)}, adapters=[hostile], n_prompts=3)
    return [
        report.heatmap_html(heatmap),
        report.quad_html(sample_quad(hostile), scores),
        report.scores_html(scores),
    ]


@pytest.mark.parametrize("hostile", ["plain words", *HOSTILE])
def test_reports_are_inert(hostile):
    for source in pages(hostile):
        source.encode()
        page = Page(source)
        assert page.csp == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
        assert source.count("<style>") == 1
        assert not re.search("[\x00-\x08\x0b-\x1f\u202e\u2066\u200b]", page.text)


def test_reports_state_method_limits_and_provenance():
    for source in pages():
        text = Page(source).text
        for needed in (
            "Method and limits",
            "not a verdict",
            "Provenance",
            "fp32",
            "seed",
            "base.fingerprint",
        ):
            assert needed in text
        assert not re.search(r"\b(is|are) (safe|clean)\b", text)
        assert "prefers-color-scheme: dark" in source


def test_the_heatmap_report_holds_readings_and_every_number():
    text = Page(report.heatmap_html(sample_heatmap(), titles=TITLES)).text
    assert "1.00 [0.86, 1.00] n = 24" in text
    assert "n/m, margin shift +0.5" in text
    assert "word level" in text
    assert "Limits: Says nothing about" in text
    unfinished = Page(report.heatmap_html(sample_heatmap(finished=0.4))).text
    assert "not run" in unfinished
    assert "No reading yet" in unfinished
    Page(report.heatmap_html(sample_heatmap(families={})))


def test_the_quad_report_asks_before_it_answers():
    text = Page(report.quad_html(sample_quad(), sample_report())).text
    assert "Adding the trigger turns guard-strong" in text
    assert "Difference-in-differences: +16.1 logits" in text
    assert text.count("Why does") == 6
    assert "leave one word out" in text
