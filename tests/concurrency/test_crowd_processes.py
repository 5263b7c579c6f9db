"""Several processes at one store file, and one that is killed: nothing lost, nothing wrong, nothing twice."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from crowd import N_OWN, TOKEN_BUDGET, assert_near, assert_store_is_right, keys_of, open_tiny, prompt
from store_child import answer, key

from lorabench.engine import Engine, Priority, ScoreStore

HERE = Path(__file__).parent


def start(script, *arguments):
    """Start a script of this folder."""
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_processes_write_and_read_one_store_at_once_without_loss(tmp_path):
    path, of, n = tmp_path / "scores.sqlite", 3, 900
    children = [start("store_child.py", path, part, of, n) for part in range(of)]
    assert [child.stdout.readline() for child in children] == ["ready\n"] * of
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    reports = [child.communicate(timeout=20)[0].split() for child in children]
    assert [child.returncode for child in children] == [0] * of
    assert [int(wrong) for _, wrong in reports] == [0] * of
    assert sum(int(seen) for seen, _ in reports) > 0, "they ran one after the other: nothing was shown"
    store = ScoreStore(path)
    try:
        assert store.message is None
        assert store.get_many(map(key, range(n))) == {key(k): answer(k) for k in range(n)}
        assert len(store) == n
    finally:
        store.close()
    assert [p.name for p in tmp_path.glob("*corrupt*")] == []


def test_a_sweep_killed_in_the_middle_loses_one_portion_at_most_and_is_resumed(folder, tmp_path, alone):
    path, rows = tmp_path / "scores.sqlite", [prompt(k) for k in range(6_000)]
    with start("sweep_child.py", folder, path, len(rows)) as child:
        said = next((done for line in child.stdout if (done := int(line)) > 300), None)
        child.send_signal(signal.SIGKILL)
        said = max([said, *map(int, child.stdout)])  # what it said before the signal came
    assert child.returncode == -signal.SIGKILL
    store = ScoreStore(path)
    try:
        kept = len(store.get_many(keys_of(rows)))
        assert kept == len(store) < len(rows)
        assert said <= kept <= said + TOKEN_BUDGET // N_OWN
        assert store.message is None
        assert assert_store_is_right(store, rows, alone, every=11) == kept
        engine = Engine(lambda: open_tiny(folder), store=store, token_budget=TOKEN_BUDGET)
        try:
            sweep = engine.score(rows, priority=Priority.HEATMAP, label="sweep")
            answers = sweep.result(20)
        finally:
            engine.close()
        assert sweep.progress.computed == len(rows) - kept
        for row, found in list(zip(rows, answers, strict=True))[::97]:
            assert_near(found, alone(row))
    finally:
        store.close()
