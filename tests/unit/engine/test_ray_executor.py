"""A real Ray cluster of this machine, in a process of its own: Ray's threads and sockets stay out of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.ray
pytest.importorskip("ray", reason="Ray is not installed (pip install lorabench[ray])")

PROGRAM = """
    import json, os, sys
    from lorabench.engine.executors import ExecutorChoice
    from lorabench.errors import LorabenchError

    def attempt(function, payloads, **options):
        try:
            return dict(executor.map("executor_pieces:" + function, payloads, **options))
        except LorabenchError as error:
            return [type(error).__name__, error.rule, str(error)]

    heard, seen = [], []
    with ExecutorChoice(kind="ray", ray_address="local", workers=2).open() as executor:
        print(json.dumps({
            "n_workers": executor.n_workers,
            "square": attempt(
                "square", list(range(5)), context={"a": 1}, on_report=lambda i, v: heard.append([i, v["x"]])
            ),
            "heard": sorted(heard),
            "threads": attempt("surroundings", [0]),
            "lost once": attempt("dies_once", list(range(4))),
            "lost always": attempt("dies_always", [0]),
            "refused": attempt("refuses", [3]),
            "broken": attempt("broken", [{}]),
            "cancelled": attempt(
                "waits", [sys.argv[1]], on_report=lambda i, v: seen.append(i), cancelled=lambda: bool(seen)
            ),
            "usage": os.environ["RAY_USAGE_STATS_ENABLED"],
        }))
    try:
        ExecutorChoice(kind="ray", ray_address="127.0.0.1:1").open()
    except LorabenchError as error:
        print(json.dumps([error.rule, error.problem]))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """Return what the program printed: one cluster of two workers for all questions."""
    saved = tmp_path_factory.mktemp("ray") / "saved"
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(saved)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=saved.parent,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
    )
    assert found.returncode == 0, found.stderr
    cluster, refusal = (json.loads(line) for line in found.stdout.splitlines())
    return cluster | {"no cluster": refusal, "saved": saved.read_text()}


def test_two_workers_give_every_result_and_report(said):
    assert said["n_workers"] == 2
    assert {int(i): r["square"] for i, r in said["square"].items()} == {i: i * i for i in range(5)}
    assert all(r["context"] == {"a": 1} for r in said["square"].values())
    assert said["heard"] == [[i, i] for i in range(5)]
    assert said["threads"]["0"]["threads"] == "1"  # never Ray's own choice: it is always said
    assert said["usage"] == "0"


def test_a_killed_worker_costs_its_piece_another_attempt(said):
    assert said["lost once"] == {str(i): [i, 2 if i == 1 else 1] for i in range(4)}
    assert said["lost always"][:2] == ["JobError", "worker-lost"]


def test_errors_and_cancel_are_those_of_every_executor(said):
    assert said["refused"][:2] == ["InputError", "odd-number"]
    assert "KeyError: 'missing'" in said["broken"][2]
    assert said["cancelled"][0] == "CancelledError"
    assert said["saved"] == "saved"


def test_no_cluster_is_a_sentence(said):
    rule, problem = said["no cluster"]
    assert rule == "no-ray-cluster"
    assert "127.0.0.1:1" in problem
