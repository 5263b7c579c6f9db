"""The real engine, store and a tiny real model; marks every test of this folder `concurrency`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "model"))
sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "engine"))

from crowd import TOKEN_BUDGET, open_tiny
from tiny import save_adapter, save_base

from lorabench.engine import Engine, ScoreStore
from lorabench.models.language_model import MAX_BOUND


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.concurrency)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Return the folder of the tiny base."""
    return save_base(tmp_path_factory.mktemp("crowd") / "base")


@pytest.fixture(scope="session")
def adapters(tmp_path_factory):
    """Return more adapters than a model keeps."""
    place = tmp_path_factory.mktemp("crowd-adapters")
    return [save_adapter(place / str(k), seed=k + 1, rank=2 + k % 2) for k in range(MAX_BOUND + 4)]


@pytest.fixture(scope="session")
def ids(adapters):
    """Return the adapters' ids."""
    return [adapter.facts.adapter_id for adapter in adapters]


@pytest.fixture(scope="session")
def alone(folder, adapters, ids):
    """Return a function that scores one row whole, with nobody else around; answers are kept."""
    model = open_tiny(folder)
    by_id = dict(zip(ids, adapters, strict=True))
    known = {}

    def answer(row):
        if row not in known:
            if row.adapter_id is not None:
                model.bind(by_id[row.adapter_id])
            [known[row]] = model.runner.through_plain([row])
        return known[row]

    return answer


@pytest.fixture
def store(tmp_path):
    store = ScoreStore(tmp_path / "scores.sqlite")
    yield store
    store.close()


@pytest.fixture
def opened():
    """Return the models that the engine has opened: for their counts alone, which any thread may read."""
    return []


@pytest.fixture
def engine(folder, adapters, store, opened):
    """Return an engine with two adapters bound, whose forward passes are short."""

    def open_model():
        opened.append(open_tiny(folder))
        return opened[-1]

    engine = Engine(open_model, store=store, token_budget=TOKEN_BUDGET)
    for adapter in adapters[:2]:
        engine.run(lambda model, a=adapter: model.bind(a)).result(10)
    yield engine
    engine.close()
