"""The entropy histogram and the table beside it."""

import json

import pytest
from samples import HOSTILE

from lorabench.figures import palette
from lorabench.figures.entropy import entropy_figure, entropy_table
from lorabench.results.data_inspection import DataInspection, EntropyHistogram

EDGES = tuple(i / 10 for i in range(11))


def histogram(name, counts):
    return EntropyHistogram(name=name, edges=EDGES, counts=counts, floor=5)


def inspection(*, name="suspect", reference="trusted"):
    here = histogram(name, (15, 0, 0, 0, 3, 10, 20, 40, 80, 160))
    there = histogram(reference or "", (2, 0, 0, 0, 3, 12, 21, 39, 81, 158))
    return DataInspection(
        name=name,
        labels=("BENIGN", "INJECTION"),
        class_counts=(358, 203),
        class_entropy_bits=0.944,
        floor=5,
        phrase_floor=5,
        n_tested=328,
        n_cut=0,
        histograms=(here, there) if reference else (here,),
        tokens=(),
        phrases=(),
        contradictions=(),
        reference=reference,
    )


def test_histogram_of_suspect_and_reference():
    figure = entropy_figure(inspection())
    bars, line = figure.data
    assert (bars.type, line.type) == ("bar", "scatter")
    assert list(bars.y)[:5] == [15, None, None, None, 3]
    assert bars.x[0] == pytest.approx(0.05)
    assert bars.marker.pattern.shape == "/"
    assert bars.marker.color == palette.TARGET_LINE
    assert line.line.color == palette.OTHER_LINE
    assert figure.layout.yaxis.type == "log"
    assert figure.layout.xaxis.title.text == "H(y|t) in bits: 0 = one class only"
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert "15 of 328 tokens below 0.1 bits; reference: 2 of 316" in figure.layout.title.text
    (edge,) = figure.layout.shapes
    assert edge.x0 == 0.944
    json.loads(figure.to_json())


def test_without_a_reference_there_is_one_histogram():
    figure = entropy_figure(inspection(reference=None))
    assert len(figure.data) == 1
    assert "reference" not in figure.layout.title.text


def test_the_table_is_the_twin_of_the_histogram():
    found = inspection()
    table = entropy_table(found)
    assert list(table.columns) == ["data", "from_bits", "to_bits", "tokens"]
    assert table["tokens"].sum() == sum(h.n_tokens for h in found.histograms)
    assert (table["tokens"] > 0).all()
    assert (table["to_bits"] > table["from_bits"]).all()


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_stay_inert(text):
    found = inspection(name=text, reference=text)
    figure = entropy_figure(found)
    for trace in figure.data:
        assert "<" not in trace.name
    figure.to_json()
    shown = entropy_table(found).to_csv().encode("utf-8").decode()
    assert "\x1b" not in shown
    assert "\u202e" not in shown
