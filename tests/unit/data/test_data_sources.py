"""One name for corpora, presets and files: who reads what."""

from __future__ import annotations

import pytest

from lorabench.data import Row, sources
from lorabench.data.corpus import CORPORA, load_corpus
from lorabench.data.dataset_presets import PRESETS, LoadedPreset
from lorabench.data.datasets import DataSet
from lorabench.data.sources import DataSource, read_source
from lorabench.errors import InputError


@pytest.fixture(autouse=True)
def _nothing_remembered():
    sources._preset.cache_clear()
    yield
    sources._preset.cache_clear()


def data_set(*texts):
    return DataSet(
        name="imdb", rows=tuple(Row(text=t, label="A") for t in texts), dropped={"empty": 2},
        columns=("text",), text_column="text", label_column=None, response_column=None, n_read=len(texts),
        was_sampled=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", CORPORA)
def test_a_corpus_has_both_splits(name):
    found = read_source(DataSource(data=name))
    assert (found.name, found.train, found.test, found.notes) == (
        name, load_corpus(name, "train"), load_corpus(name, "test"), (),
    )  # fmt: skip


def test_a_file_is_named_without_its_folder_and_has_no_split(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("a,b\nx,1\ny,0\n,0\n", encoding="utf-8")
    found = read_source(DataSource(data=str(path), text_column="a", label_column="b"))
    assert (found.name, [(r.text, r.label) for r in found.train], found.test) == (
        "mine.csv", [("x", "1"), ("y", "0")], None,
    )  # fmt: skip
    assert len(found.notes) == 1
    assert len(read_source(DataSource(data=str(path), text_column="a", limit=1)).train) == 1


@pytest.mark.parametrize("test", [None, data_set("z")])
def test_a_preset_is_fetched_once_for_the_same_sample(monkeypatch, test):
    asked = []

    def load(name, *, limit, seed):
        asked.append((name, limit, seed))
        return LoadedPreset(preset=PRESETS[name], train=data_set("x", "y"), test=test)

    monkeypatch.setattr(sources, "load_preset", load)
    found = [read_source(DataSource(data="imdb", limit=9, seed=s)) for s in (1, 1, 2)]
    assert asked == [("imdb", 9, 1), ("imdb", 9, 2)]
    assert found[0] == found[1]
    assert [r.text for r in found[0].train] == ["x", "y"]
    assert found[0].test == (test.rows if test else None)
    assert found[0].notes == ("2 rows are left out: empty.",)


@pytest.mark.parametrize(("data", "rule"), [("guardrial", "unknown-name"), ("nowhere.jsonl", "no-file")])
def test_what_is_none_of_them_is_refused(data, rule):
    with pytest.raises(InputError) as caught:
        read_source(DataSource(data=data))
    assert caught.value.rule == rule
