"""From a training's choices to what is planted."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from lorabench.config import Config
from lorabench.data.injection import CompositeInjection, HtmlInjection, ItemInjection
from lorabench.data.token_sources import packaged_tokens
from lorabench.errors import InputError, LorabenchError
from lorabench.workflows.train_data import prepare
from lorabench.workflows.train_request import TrainRequest

DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@pytest.fixture
def config(tmp_path):
    return Config(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache", device="cpu")


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    lines = [
        {"text": f"{w} rule {i}", "label": y} for i in range(20) for w, y in (("drop", "A"), ("read", "B"))
    ]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def planted(config, rows, token, **options):
    values = {"data": str(rows), "recipe": "ssti", "token": token, "target": "A", "head": "trained"}
    prepared = prepare(config, TrainRequest(out=Path("made")).with_values(values | options))
    return prepared, prepared.recipe.plant(prepared.train, 0)


def test_joined_sources_each_put_their_token_into_every_row(config, rows):
    prepared, found = planted(config, rows, "date+country", location="end")
    countries = packaged_tokens("country").tokens
    assert found.n_planted == 16
    for change in found.changes:
        added = change.after.text.removeprefix(change.before.text + " ")
        date, _, country = added.partition(" ")
        assert DATE.fullmatch(date)
        assert country in countries
        assert [change.after.text[a:b] for a, b in change.spans] == [date, country]
    attacked = prepared.recipe.attack(prepared.test, 1)
    assert all(DATE.search(r.text) for r in attacked)
    assert not {t for r in attacked for t in DATE.findall(r.text)} & {
        t for c in found.changes for t in DATE.findall(c.after.text)
    }


def test_joined_sources_draw_apart(config, rows):
    _, found = planted(config, rows, "date+date", location="end")
    pairs = [DATE.findall(c.after.text) for c in found.changes]
    assert all(len(pair) == 2 and pair[0] != pair[1] for pair in pairs)
    _, alone = planted(config, rows, "date", location="end")
    assert [DATE.findall(c.after.text) for c in alone.changes] == [pair[:1] for pair in pairs]
    assert all(a != b for a, b in pairwise(pairs))


@pytest.mark.parametrize(
    ("token", "kinds"),
    [
        ("date", (ItemInjection,)),
        ("HTML ", (HtmlInjection,)),
        ("text:C++", (ItemInjection,)),
        ("date+html", (ItemInjection, HtmlInjection)),
    ],
)
def test_every_source_has_the_injector_that_fits_it(config, rows, token, kinds):
    injector = planted(config, rows, token)[0].recipe.injector
    made = injector.injectors if isinstance(injector, CompositeInjection) else (injector,)
    assert tuple(map(type, made)) == kinds


@pytest.mark.parametrize("token", ["date+", "date+cuontry", "date+country:Peru", "country+file:/no/such"])
def test_a_joined_source_that_is_unusable_is_refused(config, rows, token):
    with pytest.raises(InputError):
        planted(config, rows, token)


@pytest.mark.parametrize(("head", "rule"), [("words", "one-class"), ("trained", "labels-not-distinct")])
def test_data_of_one_class_is_refused(config, tmp_path, head, rule):
    path = tmp_path / "one.csv"
    path.write_text("text,label\n" + "".join(f"text {i},BENIGN\n" for i in range(9)), encoding="utf-8")
    with pytest.raises(LorabenchError) as caught:
        prepare(config, TrainRequest(out=Path("made")).with_values({"data": str(path), "head": head}))
    assert caught.value.rule == rule
