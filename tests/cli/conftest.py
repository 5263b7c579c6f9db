from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from lorabench.adapters import write_adapter
from lorabench.cli import run


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys, demo_folder):
    """Return a function that runs one command in this process, on the demo base of this machine."""
    monkeypatch.setenv("LORABENCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> SimpleNamespace:
        capsys.readouterr()
        code = run(list(arguments))
        out, err = capsys.readouterr()
        document = json.loads(out) if "--json" in arguments else None
        return SimpleNamespace(code=code, out=out, err=err, json=document)

    return call


@pytest.fixture(scope="session")
def adapters(tmp_path_factory):
    """Return two adapters of random weights: one that fits the demo base, one for a wider model."""
    folder = tmp_path_factory.mktemp("adapters")
    rng = np.random.default_rng(0)
    for name, width in (("fits", 576), ("wider", 896)):
        a, b = (rng.normal(0, 0.05, shape).astype(np.float32) for shape in ((2, width), (width, 2)))
        write_adapter(
            folder / name,
            modules={"model.layers.28.self_attn.q_proj": (a, b)},
            rank=2,
            alpha=4,
            use_rslora=False,
            target_modules=["q_proj"],
            base_model_name="demo",
            lorabench_json={},
            card="",
        )
    return SimpleNamespace(fits=str(folder / "fits"), wider=str(folder / "wider"))
