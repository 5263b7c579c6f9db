from __future__ import annotations

import pytest
from cli_files import Outcome, make_adapter

from lorabench.cli import run


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Point lorabench at empty folders; nothing of the user is seen or changed."""
    for name in ("data", "cache"):
        monkeypatch.setenv(f"LORABENCH_{name.upper()}_DIR", str(tmp_path / name))
    monkeypatch.delenv("LORABENCH_DEBUG", raising=False)
    for name in ("BASE", "DEVICE", "DTYPE"):  # set, so that what a command puts there is undone
        monkeypatch.setenv(f"LORABENCH_{name}", "")
    return tmp_path


@pytest.fixture
def cli(folders, capsys):
    """Return a function that runs one command in this process."""

    def call(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = run(list(arguments))
        found = capsys.readouterr()
        return Outcome(code, found.out, found.err)

    return call


@pytest.fixture
def adapter(tmp_path):
    return make_adapter(tmp_path / "mine")
