"""The streamed measurement equals the one of whole tensors, needs little memory, and can be stopped."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from adapter_files import CONFIG, Q, V, dora_weights, framed, key, make, parts, weights
from firewall_files import levels, refusal_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorabench.adapters import core_singular_values, read_adapter, scan_folder, streaming
from lorabench.adapters.cores import core_spectrum, gram, row_blocks
from lorabench.adapters.inventory import WEIGHTS_FILE
from lorabench.config import Limits
from lorabench.errors import CancelledError

LIMITS = Limits()
SLOW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def assert_equal_facts(folder: Path) -> None:
    """The scan's facts are those of binding, to the last bit where they are counted or hashed."""
    scanned, bound = scan_folder(folder, LIMITS).evidence, read_adapter(folder)
    assert scanned.refusal is None
    assert scanned.facts is not None
    for ours, theirs in zip(scanned.facts.modules, bound.facts.modules, strict=True):
        assert ours.delta_norm == pytest.approx(theirs.delta_norm, rel=1e-12)
        assert dataclasses.replace(ours, delta_norm=0) == dataclasses.replace(theirs, delta_norm=0)
    assert dataclasses.replace(scanned.facts, modules=()) == dataclasses.replace(bound.facts, modules=())
    sha256 = next(f.sha256 for f in scanned.files if f.name == WEIGHTS_FILE)
    assert sha256 == bound.weights_sha256 == hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
    for spectrum, module in zip(scanned.spectra, bound.modules, strict=True):
        exact = core_singular_values(module.a, module.b)
        if max(module.a.shape[1], module.b.shape[0]) < 100:
            exact = np.linalg.svd(module.b.astype(float) @ module.a.astype(float), compute_uv=False)
        found = np.array(spectrum.singular_values)
        np.testing.assert_allclose(found, exact[: len(found)], atol=1e-6 * exact[0])
        assert spectrum.norm_a == pytest.approx(np.linalg.norm(module.a.astype(float)))
        assert spectrum.norm_b == pytest.approx(np.linalg.norm(module.b.astype(float)))
        assert (spectrum.rank, spectrum.scale) == (module.a.shape[0], module.scale)
        assert (spectrum.out_features, spectrum.in_features) == (module.b.shape[0], module.a.shape[1])


def test_the_zoo(zoo):
    folders = [path for path in zoo.iterdir() if path.is_dir()]
    assert len(folders) >= 6
    for folder in folders:
        found = scan_folder(folder, LIMITS)
        assert found.evidence.facts == read_adapter(folder).facts
        assert found.report.findings == ()
        assert found.report.coverage == 1.0
    assert_equal_facts(folders[0])


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32", "F64"])
def test_every_number_type(tmp_path, dtype):
    assert_equal_facts(make(tmp_path / "a", dtype=dtype))


def test_dora(tmp_path):
    assert_equal_facts(make(tmp_path / "a", tensors=dora_weights(), use_dora=True))
    tensors = dict(reversed(dora_weights().items()))
    assert_equal_facts(make(tmp_path / "b", tensors=tensors, use_dora=True))


ORDERS = st.permutations(sorted(weights()))


@SLOW
@given(ORDERS)
def test_the_order_of_tensors_does_not_matter(tmp_path, order):
    tensors = weights()
    assert_equal_facts(make(tmp_path / "a", tensors={name: tensors[name] for name in order}))


@SLOW
@given(
    st.integers(1, 7), st.integers(1, 40), st.integers(1, 40), st.integers(0, 99), st.sampled_from([1, 5, 64])
)
def test_shapes_of_all_kinds_in_small_blocks(tmp_path, rank, n_in, n_out, seed, block):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(rank, n_in)), rng.normal(size=(n_out, rank))
    tensors = {key(Q, "A"): a.astype(np.float32), key(Q, "B"): b.astype(np.float32)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "WHOLE_BYTES", 0)  # every A is read again, column by column
        patch.setattr(streaming, "BLOCK_NUMBERS", block)
        patch.setattr(streaming, "rows_per_block", lambda rank: max(1, block // rank))
        assert_equal_facts(make(tmp_path / "a", tensors=tensors, r=rank))


@SLOW
@given(st.integers(1, 8), st.integers(1, 30), st.integers(1, 30), st.integers(0, 99), st.floats(0, 7))
def test_gram_cores_are_good_to_a_millionth_or_say_that_they_are_not(rank, n_in, n_out, seed, spread):
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(rank, rank))).Q * np.logspace(0, -spread, rank)
    a = (turn @ rng.normal(size=(rank, n_in))).astype(np.float32)
    b = (rng.normal(size=(n_out, rank)) @ np.linalg.inv(turn)).astype(np.float32)
    core_a, core_b = gram(None, a.T), gram(None, b)
    found = core_spectrum(core_a, core_b, min(rank, n_in, n_out))
    exact = np.linalg.svd(b.astype(float) @ a.astype(float), compute_uv=False)
    if found is None:
        return
    np.testing.assert_allclose(found, exact[: len(found)], atol=1e-6 * exact[0])
    np.testing.assert_allclose(found, core_singular_values(a, b), atol=1e-6 * exact[0])


def test_gram_cores_of_ordinary_matrices_are_trusted():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(64, 512)), rng.normal(size=(700, 64)) * 1e-3
    assert core_spectrum(gram(None, a.astype(np.float32).T), gram(None, b.astype(np.float32)), 64) is not None


def test_matrices_made_to_hide_from_squares_are_measured_by_qr(tmp_path):
    """A huge direction of A meets a zero column of B: squares alone would see noise."""
    tensors = weights(rank=3)
    tensors[key(Q, "A")][0] *= 1e9
    tensors[key(Q, "B")][:, 0] = 0
    a, b = tensors[key(Q, "A")], tensors[key(Q, "B")]
    assert core_spectrum(gram(None, a.T), gram(None, b), 3) is None
    folder = make(tmp_path / "a", tensors=tensors, r=3)
    spectrum = scan_folder(folder, LIMITS).evidence.spectra[0]
    np.testing.assert_allclose(spectrum.singular_values, core_singular_values(a, b), atol=1e-6)
    assert_equal_facts(folder)


def test_row_blocks_are_the_matrix():
    matrix = np.arange(3e5, dtype=np.float32).reshape(-1, 3)
    blocks = list(row_blocks(matrix))
    assert len(blocks) > 1
    np.testing.assert_array_equal(np.concatenate(blocks), matrix)


def all_a_then_all_b() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    names = [f"model.layers.{i}.q_proj" for i in range(40)]
    first = {key(n, "A"): rng.normal(size=(4, 6)).astype(np.float32) for n in names}
    return first | {key(n, "B"): rng.normal(size=(5, 4)).astype(np.float32) for n in names}


def test_cores_that_wait_for_their_partner_are_bounded(tmp_path, monkeypatch):
    folder = make(tmp_path / "a", tensors=all_a_then_all_b(), r=4)
    assert_equal_facts(folder)
    monkeypatch.setattr(streaming, "MAX_PENDING_BYTES", 40 * 4 * 4 * 8 - 1)
    found = scan_folder(folder, LIMITS)
    assert levels(found)["unusual-tensor-order"] == "inconclusive"
    assert found.evidence.facts is None
    assert found.evidence.spectra == ()


def test_progress_is_told_and_ends_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "_PROGRESS_BYTES", 1)
    told: list[tuple[int, int]] = []
    folder = make(tmp_path / "a", tensors=dict(reversed(weights().items())))
    scan_folder(folder, LIMITS, on_progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == told[-1][1] >= max(done for done, _ in told)


def test_it_stops_when_it_is_asked_to(tmp_path):
    folder = make(tmp_path / "a")
    with pytest.raises(CancelledError):
        scan_folder(folder, LIMITS, cancelled=lambda: True)


GOOD = framed(*parts(weights()))
N_HEADER = len(GOOD) - len(parts(weights())[1])
MUTATION = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4)


def mutated(data: bytes, changes: list[tuple[int, int]]) -> bytes:
    found = bytearray(data)
    for at, value in changes:
        found[at % len(found)] = value
    return bytes(found)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MUTATION, st.sampled_from(["weights", "header", "config", "both"]))
def test_scan_and_binding_refuse_the_same_by_the_same_rule(tmp_path, changes, what):
    raw = GOOD
    if what in ("weights", "both"):
        raw = mutated(GOOD, changes)
    elif what == "header":
        raw = mutated(GOOD[:N_HEADER], changes) + GOOD[N_HEADER:]
    config = json.dumps(CONFIG).encode()
    config = mutated(config, changes) if what in ("config", "both") else config
    folder = make(tmp_path / "a", raw=raw, config_bytes=config)
    found = scan_folder(folder, LIMITS)
    assert found.evidence.refusal == refusal_of(folder)
    if found.evidence.refusal is None:
        assert_equal_facts(folder)


@SLOW
@given(st.floats(1e-3, 1e3), st.integers(0, 9))
def test_rescaling_and_turning_the_factors_changes_no_scaled_value(tmp_path, factor, seed):
    """(cB, alpha/c) and (B R, R^-1 A) are the same adapter, and look the same."""
    tensors = weights(seed)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(2, 2))).Q
    c = float(np.float32(factor))
    other = {}
    for module in (Q, V):
        other[key(module, "A")] = (turn.T @ tensors[key(module, "A")]).astype(np.float32)
        other[key(module, "B")] = (tensors[key(module, "B")] @ turn * c).astype(np.float32)
    plain = scan_folder(make(tmp_path / "a", tensors=tensors), LIMITS).evidence
    turned = scan_folder(make(tmp_path / "b", tensors=other, lora_alpha=4 / c), LIMITS).evidence
    for ours, theirs in zip(plain.spectra, turned.spectra, strict=True):
        scaled = [np.array(s.singular_values) * s.scale for s in (ours, theirs)]
        np.testing.assert_allclose(scaled[1], scaled[0], rtol=1e-4, atol=1e-6 * scaled[0][0])
    for ours, theirs in zip(plain.facts.modules, turned.facts.modules, strict=True):
        assert ours.delta_norm == pytest.approx(theirs.delta_norm, rel=1e-5)
        assert ours.measured_rank == theirs.measured_rank


CHILD = """
import json, sys, time
from pathlib import Path
from lorabench.adapters import scan_folder
from lorabench.config import Limits
started = time.process_time()
found = scan_folder(Path(sys.argv[1]), Limits())
seconds = time.process_time() - started
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
rss = int(status["VmHWM"].split()[0]) / 1024  # of this program alone, unlike getrusage's
rules = [f.rule for f in found.report.findings]
print(json.dumps([seconds, rss, found.evidence.refusal, rules]))
"""


def in_a_child(folder: Path) -> tuple[float, float, str | None, list[str]]:
    """Scan in a process of its own: CPU seconds of the scan, peak MB of the process, refusal, rules."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder)], capture_output=True, text=True, check=True
    )
    return tuple(json.loads(done.stdout))


def sparse_header(folder: Path, n_bytes: int) -> None:
    make(folder)
    with (folder / WEIGHTS_FILE).open("wb") as file:
        file.write(struct.pack("<Q", n_bytes) + b"{")
        file.truncate(8 + n_bytes)


def million_tensors(folder: Path) -> None:
    entry = b'"t%07d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    text = b"{" + b",".join(entry % i for i in range(1_000_000)) + b"}"
    make(folder, raw=framed(text, b""))


def full_header(folder: Path) -> None:
    """As many tensors as 16 MB of header hold."""
    entry = b'"t%07d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    text = b"{" + b",".join(entry % i for i in range(260_000)) + b"}"
    make(folder, raw=framed(text, b""))


@pytest.mark.parametrize(
    ("build", "rule"),
    [
        (lambda folder: sparse_header(folder, 100 * 1024**2), "header-too-long"),
        (lambda folder: sparse_header(folder, 16 * 1024**2), "bad-json"),
        (million_tensors, "header-too-long"),
        (full_header, "json-too-large"),
    ],
)
def test_headers_beyond_all_bounds_cost_little(tmp_path, build, rule):
    build(tmp_path / "a")
    seconds, megabytes, refusal, rules = in_a_child(tmp_path / "a")
    assert refusal == rule
    assert rule in rules
    assert seconds < 1
    assert megabytes < 200


def test_one_enormous_tensor_costs_little_memory(tmp_path):
    """A of 160 MB, whose columns lie 80 MB apart, and a B beside it."""
    n_in = 20_000_000
    header = {
        key(Q, "A"): {"dtype": "F32", "shape": [2, n_in], "data_offsets": [0, 8 * n_in]},
        key(Q, "B"): {"dtype": "F32", "shape": [1, 2], "data_offsets": [8 * n_in, 8 * n_in + 8]},
    }
    folder = make(tmp_path / "a", target_modules=["q_proj"])
    with (folder / WEIGHTS_FILE).open("wb") as file:
        file.write(framed(header, b""))
        start = file.tell()
        file.write(np.float32([3]).tobytes())
        file.seek(start + 4 * n_in + 4)
        file.write(np.float32([4]).tobytes())  # the other row, the next column
        file.seek(start + 8 * n_in)
        file.write(np.float32([1, 1]).tobytes())
    started = time.monotonic()
    _, megabytes, refusal, rules = in_a_child(folder)
    assert time.monotonic() - started < 30
    assert (refusal, rules) == (None, [])
    assert megabytes < 120
    assert scan_folder(folder, LIMITS).evidence.spectra[0].singular_values == pytest.approx((5.0,))
