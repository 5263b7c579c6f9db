"""The firewall against 20,000 hostile folders and archives: no crash, no hang, no flood of memory.

Half of what is checked is that scanning and binding agree: the same rule refuses, or the same facts come out.
What the fuzzer found, and what was found beside it, stays below as cases of their own.
"""

from __future__ import annotations

import io
import json
import struct
import sys
import time
import warnings
import zipfile

import pytest

pytest.importorskip("resource", reason="memory is measured with getrusage")

from adapter_files import make, refused
from fuzz_archives import mutant_zip
from fuzz_bytes import mutant, valid_folders
from fuzz_cases import Folder, Link, write_folder
from fuzz_drawn import folders
from fuzz_runner import MAX_CASE_SECONDS, MAX_GROWTH_BYTES, Runner, fast_folder, saved_on_failure
from hypothesis import HealthCheck, given, settings

from lorabench.adapters import add_adapter, scan_folder, unpack_adapter
from lorabench.adapters.head import read_head
from lorabench.adapters.signatures import is_pickle
from lorabench.config import Config, Limits

SEED = 20_260
N_DRAWN, N_MUTANTS, N_ARCHIVES = 1_500, 16_000, 2_500
HEAD = {"format": "lorabench-head-1", "classes": ["a", "b"], "inputs": 1, "weight": "AACAPwAAgL8=",
        "bias": "AAAAAAAAAAA="}  # fmt: skip


def test_there_are_twenty_thousand_cases():
    assert N_DRAWN + N_MUTANTS + N_ARCHIVES == 20_000


def test_a_seed_and_an_index_give_one_case():
    assert mutant(SEED, 7) == mutant(SEED, 7) != mutant(SEED, 8)
    assert mutant_zip(SEED, 7) == mutant_zip(SEED, 7) != mutant_zip(SEED + 1, 7)


def judge(what: str, runner: Runner) -> None:
    sys.stdout.write(f"\n{what}\n{runner.table()}\n")
    assert runner.share_past_header >= 0.25
    assert runner.growth_bytes < MAX_GROWTH_BYTES


def test_drawn_folders(tmp_path):
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
            with saved_on_failure(tmp_path, "the folder that Hypothesis prints", lambda: folder):
                runner.run(folder, with_base=runner.n_cases % 2 == 0)

        survives()
        judge("drawn folders", runner)
    assert runner.n_cases >= N_DRAWN


def test_mutated_folders(tmp_path):
    with fast_folder() as place:
        runner = Runner(place)
        for i in range(N_MUTANTS):
            with saved_on_failure(tmp_path, f"fuzz_bytes.mutant({SEED}, {i})", lambda i=i: mutant(SEED, i)):
                runner.run(mutant(SEED, i), with_base=i % 2 == 0)
        judge("mutated folders", runner)
    assert runner.n_cases == N_MUTANTS


def test_mutated_archives(tmp_path):
    with fast_folder() as place:
        runner = Runner(place)
        for i in range(N_ARCHIVES):
            how = f"fuzz_archives.mutant_zip({SEED}, {i})"
            with saved_on_failure(tmp_path, how, lambda i=i: mutant_zip(SEED, i)):
                runner.run_zip(mutant_zip(SEED, i), from_disk=i % 2 == 0)
        judge("mutated archives", runner)
    assert runner.n_cases == N_ARCHIVES


def test_what_is_valid_is_mostly_accepted(tmp_path):
    """Otherwise the mutants would all stop at the first check, and the fuzzer would test nothing."""
    runner = Runner(tmp_path)
    for folder in valid_folders():
        runner.run(folder, with_base=True)
    assert runner.stages == {"accepted": 6, "pairs": 2}


def test_a_failing_case_is_kept(tmp_path):
    with (
        pytest.raises(AssertionError, match=r"ZeroDivisionError: .*\nMake it again with here; it is in"),
        saved_on_failure(tmp_path, "here", lambda: {"x.txt": b"y"}),
    ):
        raise ZeroDivisionError("z")
    assert (tmp_path / "failing" / "x.txt").read_bytes() == b"y"


@pytest.mark.parametrize("inputs", [True, 0, -1, 2**31, 10**4299, 1.0, None])
def test_a_head_with_impossible_inputs(tmp_path, inputs):
    folder = make(tmp_path / "a", files={"head.json": json.dumps(HEAD | {"inputs": inputs}).encode()})
    with refused("bad-head"):
        read_head(folder)
    assert [f.rule for f in scan_folder(folder, Limits()).report.findings] == ["bad-head"]


@pytest.mark.parametrize("target", ["x" * 300, "/nowhere", "README.md", "."])
def test_a_head_that_is_a_link_is_not_followed(tmp_path, target):
    write_folder(tmp_path / "a", valid_folders()[0] | {"head.json": Link(target)})
    with refused("symlink"):
        read_head(tmp_path / "a")
    assert "symlink" in {f.rule for f in scan_folder(tmp_path / "a", Limits()).report.findings}


@pytest.mark.parametrize("way", ["archive", "folder"])
def test_an_adapter_with_a_head_can_be_added(tmp_path, way):
    source = make(tmp_path / "a", files={"head.json": json.dumps(HEAD).encode()})
    config = Config(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")
    if way == "archive":
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            for path in source.iterdir():
                archive.write(path, path.name)
        source = tmp_path / "a.zip"
    added = add_adapter(source, config, name="x")
    assert read_head(config.adapters_dir / added.name).classes == ("a", "b")


@pytest.mark.parametrize("offset", [2**32, 2**63 - 1, 2**63, 2**64 - 1])
@pytest.mark.parametrize("from_disk", [True, False])
def test_an_archive_that_points_beyond_the_end_of_all_files(tmp_path, offset, from_disk):
    """Seeking there fails by other errors than those of a broken archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            info = zipfile.ZipInfo(name)
            info.extra = struct.pack("<HHQ", 1, 8, offset)
            archive.writestr(info, b"{}")
    blob = bytearray(buffer.getvalue())
    struct.pack_into("<I", blob, blob.find(b"PK\x01\x02") + 42, 2**32 - 1)  # the offset is in the extra field
    (tmp_path / "a.zip").write_bytes(blob)
    with refused("bad-zip", "beyond its own end"):
        unpack_adapter(tmp_path / "a.zip" if from_disk else io.BytesIO(blob), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "card",
    [
        b"<" * 290 + b"onabcd" + b" " * 4_000_000,
        b"![" * 148 + b"](" + b" " * 4_000_000,
        (b"<" * 290 + b"onabcd" + b" " * 10_000 + b"\n") * 400,
    ],
)
def test_a_card_cannot_keep_the_firewall_busy(tmp_path, card):
    folder = make(tmp_path / "a", files={"README.md": card})
    started = time.process_time()
    scan_folder(folder, Limits())
    assert time.process_time() - started < MAX_CASE_SECONDS


def test_a_pickle_with_a_bad_escape_is_no_error_where_warnings_are():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        is_pickle(b"\x80\x02S'\\d'\n." + bytes(20))
