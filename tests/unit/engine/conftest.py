from __future__ import annotations

import pytest
from engine_fakes import FakeModel

from lorabench.engine import Engine, ScoreStore


@pytest.fixture
def model():
    return FakeModel()


@pytest.fixture
def engine(model):
    engine = Engine(lambda: model)
    yield engine
    engine.close()


@pytest.fixture
def store(tmp_path):
    store = ScoreStore(tmp_path / "scores.sqlite")
    yield store
    store.close()
