"""The firewall against 20,000 hostile folders and archives: no crash, no hang, no flood of memory.

Half of what is checked is that scanning and binding agree: the same rule refuses, or the same facts come out.
"""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("resource", reason="memory is measured with getrusage")

from fuzz_bytes import mutant, mutant_zip
from fuzz_cases import Folder, folders
from fuzz_runner import MAX_GROWTH_BYTES, Runner, fast_folder, saved_on_failure
from hypothesis import HealthCheck, given, settings

SEED = 20_260
N_DRAWN, N_MUTANTS, N_ARCHIVES = 1_500, 16_000, 2_500


def test_there_are_twenty_thousand_cases():
    assert N_DRAWN + N_MUTANTS + N_ARCHIVES == 20_000


def report(what: str, runner: Runner) -> None:
    sys.stdout.write(f"\n{what}\n{runner.table()}\n")


def test_drawn_folders():
    """Hypothesis says how to draw a failing folder again, and makes it small."""
    with fast_folder() as place:
        runner = Runner(place)

        @settings(
            max_examples=N_DRAWN,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(folders())
        def survives(folder: Folder) -> None:
            runner.run(folder, with_base=runner.n_cases % 2 == 0)

        survives()
        report("drawn folders", runner)
    assert runner.share_past_header >= 0.25
    assert runner.growth_bytes < MAX_GROWTH_BYTES


def test_mutated_folders(tmp_path):
    with fast_folder() as place:
        runner = Runner(place)
        for i in range(N_MUTANTS):
            how = f"fuzz_bytes.mutant({SEED}, {i})"
            with saved_on_failure(tmp_path, how, lambda i=i: mutant(SEED, i)):
                runner.run(mutant(SEED, i), with_base=i % 2 == 0)
        report("mutated folders", runner)
    assert runner.n_cases == N_MUTANTS
    assert runner.share_past_header >= 0.25
    assert runner.growth_bytes < MAX_GROWTH_BYTES


def test_mutated_archives(tmp_path):
    with fast_folder() as place:
        runner = Runner(place)
        for i in range(N_ARCHIVES):
            how = f"fuzz_bytes.mutant_zip({SEED}, {i})"
            with saved_on_failure(tmp_path, how, lambda i=i: mutant_zip(SEED, i)):
                runner.run_zip(mutant_zip(SEED, i), from_disk=i % 2 == 0)
        report("mutated archives", runner)
    assert runner.n_cases == N_ARCHIVES
    assert runner.share_past_header >= 0.25
    assert runner.growth_bytes < MAX_GROWTH_BYTES
