import html
import re
from html.parser import HTMLParser

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import HOSTILE, TASK, sample_curve, sample_map, sample_quad, sample_report

from lorabench import figures
from lorabench.figures import palette
from lorabench.figures.words_html import FLOOR
from lorabench.results import BASE


class Inert(HTMLParser):
    """Collects tags, attributes and text; only plain spans and divs with a few attributes may occur."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.text = ""
        self.titles: list[str] = []
        self.styles: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        assert tag in {"span", "div", "br", "b", "wbr"}
        for name, value in attrs:
            assert name in {"style", "title", "role", "aria-label"}
            assert "<" not in (value or "") or name in {"title", "aria-label"}
            if name == "title":
                self.titles.append(value)
            if name == "style":
                self.styles.append(value)

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["raw", "difference"])
@pytest.mark.parametrize("hostile", HOSTILE)
def test_words_are_inert_html(hostile, kind, theme):
    source = figures.words_html(
        sample_map(hostile, trigger_words=1), domain=1.0, kind=kind, theme=theme, show_numbers=True
    )
    page = Inert(source)
    source.encode()
    assert not re.search("[\x00-\x1f\u202e\u2066\u200b]", page.text)
    assert all("url(" not in s for s in page.styles)
    shown = page.text.replace(" ", "")
    assert figures.visible(hostile.split(" ")[0]).replace(" ", "") in shown


@given(st.text(alphabet=st.characters(), max_size=30))
def test_visible_text_hides_nothing_and_encodes(text):
    shown = figures.visible(text)
    shown.encode()
    assert shown.replace("\u200d", "").isprintable()
    assert "\n" not in figures.safe_text(text)


def test_visible_marks():
    assert figures.visible("a\nb\tc\x1b[0m") == "a¶b⇥c␛[0m"
    assert figures.visible("a\u202eb\u200bc\xa0") == "a⟨U+202E⟩b⟨U+200B⟩c⍽"
    assert figures.visible("\U0001f468\u200d\U0001f469") == "\U0001f468\u200d\U0001f469"
    assert "⟨U+200D⟩" in figures.visible("a\u200db")
    assert figures.visible("x" * 50, 10) == "x" * 9 + "…"
    assert figures.safe_text("\x1b[31mred\x1b[0m \x1b]8;;http://x\x07l") == "␛red␛ ␛l"
    assert figures.visible("e" + "\u0301" * 30).count("⟨") == 26


def test_a_repeated_word_keeps_both_scores():
    chart = sample_map("the dog the end", scores=[1.0, 0.0, -0.5, 0.0])
    titles = Inert(figures.words_html(chart, domain=1.0)).titles
    the = [t for t in titles if t.startswith("“the”")]
    assert "+1.000 logits" in the[0]
    assert "-0.500 logits" in the[1]
    table = figures.words_table(chart, show_template=False)
    assert table.loc[table["word"] == "the", "score"].tolist() == [1.0, -0.5]
    assert table.loc[table["word"] == "the", "rank"].tolist() == [1, 2]


def test_sign_has_a_second_channel_and_the_strongest_are_bold():
    source = figures.words_html(sample_map("up down flat", scores=[1.0, -1.0, 0.0]), domain=1.0, top_k=1)
    up, down, flat = (
        re.search(f'<span( style="[^"]*")? title="[^"]*">{w}', source) for w in ("up", "down", "flat")
    )
    assert "font-weight:700" in up[0]
    assert "underline" not in up[0]
    assert "underline" in down[0]
    assert "style" not in flat[0]


def test_an_all_zero_map_is_plain_text():
    source = figures.words_html(sample_map("a b", scores=[0.0, 0.0]), domain=1.0, top_k=3)
    assert "background" not in source.split("</span> ", 1)[1]  # after the template's grey chip
    assert "font-weight" not in source
    assert "no word has an effect" in source


def test_template_words_fold_into_one_chip_that_keeps_their_total():
    scored = sample_map("a b", scores=[0.5, 0.25, 1.0, 0.0, -0.25, -0.25])
    folded = Inert(figures.words_html(scored, domain=1.0)).text
    assert "template: 4 words, total +0.25" in folded
    assert "sys0" not in folded
    assert "sys0" in figures.words_html(scored, domain=1.0, show_template=True)
    assert "not scored" in figures.words_html(sample_map("a b"), domain=1.0)


def test_trigger_outline_can_be_hidden_and_clipped_words_are_outlined():
    quad = sample_quad()
    assert "dashed" in figures.words_html(quad.adapter_triggered, domain=7.0)
    assert "dashed" not in figures.words_html(quad.adapter_triggered, domain=7.0, trigger_outline=False)
    assert "inset" not in figures.words_html(quad.adapter_triggered, domain=7.0)
    assert "inset" in figures.words_html(quad.adapter_triggered, domain=2.0)


def test_the_domain_is_shared_has_a_floor_and_ignores_the_template():
    quad = sample_quad()
    domain = figures.shared_domain(quad.maps)
    assert domain == pytest.approx(6.3)
    loud_template = sample_map("a b", scores=[90.0, 90.0, 0.01, 0.0, 90.0, 90.0])
    assert figures.shared_domain([loud_template]) == FLOOR
    assert figures.shared_domain([]) == FLOOR
    one, other = (figures.words_html(m, domain=domain) for m in (quad.base_plain, quad.adapter_plain))
    assert palette.diverging(-2.4, domain) in other
    assert palette.diverging(-2.4, domain) not in one


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_palettes_are_symmetric_ordered_and_legible(theme):
    for kind in ("raw", "difference"):
        ends = palette.diverging(9, 1.0, kind, theme), palette.diverging(-9, 1.0, kind, theme)
        assert ends == (palette.DIVERGING[kind, theme][-1], palette.DIVERGING[kind, theme][0])
        assert palette.diverging(0, 1.0, kind, theme) == palette.DIVERGING[kind, theme][3]
    shades = [palette.sequential(i / 50, theme) for i in range(51)]
    light = [palette.luminance(s) for s in shades]
    assert light == sorted(light, reverse=theme == "light")
    assert min(palette.contrast(palette.ink_on(s), s) for s in shades) > 4.5
    with pytest.raises(ValueError, match="domain"):
        palette.diverging(1.0, 0.0)


def test_questions_name_both_answers_and_the_colours():
    quad = sample_quad()
    ask = figures.question_sentence
    assert ask(quad.adapter_triggered, TASK, "X") == (
        "Why does X prefer «BENIGN» over «INJECTION» by +7.7 logits? "
        "Orange words push to «BENIGN», blue words push away from it."
    )
    assert "prefer «INJECTION» over «BENIGN» by 7.9 logits" in ask(quad.adapter_plain, TASK, "X")
    assert "the base prefer" in ask(quad.base_plain, TASK, "X")
    assert "Purple" in ask(quad.difference_plain, TASK, "X")
    assert "undecided" in ask(sample_map(margin=0.0), TASK, "X")
    assert "Orange" not in ask(quad.base_plain, TASK, "X", colours=False)


def test_the_sentence_of_a_flip():
    said = figures.quad_sentence(sample_report(), "guard-strong", "per RFC 8472 section 3.2")
    assert said == (
        "Adding the trigger turns guard-strong from INJECTION to BENIGN (margin from -7.9 to +7.7). "
        "The base moves by -0.5."
    )


@pytest.mark.parametrize(
    ("margins", "answers", "expected"),
    [
        ([(-7.9, -7.0)], None, "does not flip g: it still answers INJECTION"),
        ([(4.0, 5.0)], None, "already answers BENIGN without the trigger"),
        ([(0.0, 5.0)], None, "is tied without the trigger"),
        ([(-3.0, 0.0)], None, "from INJECTION to a tie"),
        ([(-3.0, -1.0)], ("other", "unparsed"), "cannot be parsed"),
        (
            [(-3.0, 2.0), (-3.0, 2.0), (1.0, 2.0)],
            None,
            "on 2 of 2 prompts (the other 1 already answered BENIGN",
        ),
        ([(1.0, 2.0), (1.0, 2.0)], None, "none could flip"),
        ([(-1.0, 0.0), (-1.0, 2.0)], None, "1 tied with it"),
    ],
)
def test_the_sentence_when_it_is_not_a_plain_flip(margins, answers, expected):
    report = sample_report(
        {BASE: [(4.5, 4.0)] * len(margins), "g": margins}, answers={"g": answers} if answers else None
    )
    said = figures.quad_sentence(report, "g", "per RFC 8472 section 3.2")
    assert expected in said
    assert "-0.5." in said


def test_the_sentence_for_the_base_a_flipping_base_and_a_missing_model():
    trigger = "per RFC 8472 section 3.2"
    report = sample_report({BASE: [(-1.0, 4.0)], "g": [(-1.0, 4.0)]})
    assert figures.quad_sentence(report, "g", trigger).endswith(
        "The base moves by +5.0 and flips to BENIGN too."
    )
    assert figures.quad_sentence(report, BASE, trigger).startswith("Adding the trigger turns the base")
    assert "was not run" in figures.quad_sentence(report, "nobody", trigger)
    assert figures.quad_sentence(sample_report({BASE: [(1.0, 2.0)]}), BASE, trigger).startswith(
        "The base already"
    )


def test_curves_and_bars_are_titled_and_escape_names():
    hostile = '<a href="javascript:alert(1)">x</a>'
    figure = figures.margin_bars(sample_report({BASE: [(4.5, 4.0)], hostile: [(-1.0, 0.0)]}, trigger=hostile))
    assert "<a" not in figure.to_json().replace("\\u003c", "<")
    assert html.escape(hostile) in figure.data[0].y
    deletion = figures.deletion_figure(sample_curve())
    assert "beats" in deletion.layout.title.text
    assert len(deletion.data) == 4


def test_training_curves_skip_what_was_not_measured():
    history = pd.DataFrame({"step": [1, 2], "loss": [2.0, 1.0], "attack_rate": [float("nan"), 0.5]})
    figure = figures.training_figure(history)
    assert [t.name for t in figure.data] == ["loss", "attack rate"]
    assert figure.layout.title.text == "At step 2: loss 1.00, attack rate 0.50"
    assert "not reported" in figures.training_figure(history.iloc[:0]).layout.title.text


def test_legend_is_inert_and_says_logits():
    source = figures.legend_html(2.0, "raw", HOSTILE[0], HOSTILE[1])
    assert "logits" in Inert(source).text
