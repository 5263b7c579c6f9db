from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from adapter_files import (
    CONFIG,
    Q,
    V,
    dora_weights,
    framed,
    key,
    magnitude_key,
    make,
    parts,
    refused,
    weights,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorabench.adapters import LoraModule, core_singular_values, read_adapter, shown
from lorabench.adapters.measure import adapter_id
from lorabench.config import Limits
from lorabench.errors import AdapterRefusedError


def dense(tensors: dict[str, np.ndarray], module: str) -> np.ndarray:
    return tensors[key(module, "B")].astype(np.float64) @ tensors[key(module, "A")].astype(np.float64)


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32", "F64"])
def test_a_good_adapter(tmp_path, dtype):
    tensors = weights()
    checked = read_adapter(make(tmp_path / "a", dtype=dtype))
    facts = checked.facts
    assert [m.name for m in checked.modules] == [Q, V]
    assert (facts.rank, facts.alpha, facts.use_rslora, facts.dtype) == (2, 4.0, False, dtype)
    assert facts.targets == ("q_proj", "v_proj")
    assert facts.n_parameters == sum(t.size for t in tensors.values())
    assert facts.n_bytes == (tmp_path / "a" / "adapter_model.safetensors").stat().st_size
    assert facts.claims.base_model == "demo"
    assert facts.claims.notes == ()
    for module, measured in zip(checked.modules, facts.modules, strict=True):
        assert module.a.shape == (2, 6)
        assert not module.a.flags.writeable
        assert not module.b.flags.writeable
        assert module.scale == measured.scale == 2.0
        assert measured.measured_rank == 2
        expected = 2.0 * np.linalg.norm(dense(tensors, module.name))
        assert measured.delta_norm == pytest.approx(expected, rel=1e-6 if dtype in ("F32", "F64") else 0.02)


def test_the_infix_default_is_accepted(tmp_path):
    renamed = {name.replace(".weight", ".default.weight"): t for name, t in weights().items()}
    a, b = read_adapter(make(tmp_path / "a", tensors=renamed)), read_adapter(make(tmp_path / "b"))
    assert a.facts.adapter_id == b.facts.adapter_id
    assert a.weights_sha256 != b.weights_sha256


def test_the_id_depends_on_behaviour_only(tmp_path):
    tensors = {name: t.astype(np.float16).astype(np.float32) for name, t in weights().items()}
    first = read_adapter(make(tmp_path / "a", tensors=tensors)).facts.adapter_id
    other_order = dict(reversed(tensors.items()))
    same = make(tmp_path / "b", tensors=other_order, dtype="F16", base_model_name_or_path="x")
    assert read_adapter(same).facts.adapter_id == first
    assert read_adapter(make(tmp_path / "c", tensors=tensors, lora_alpha=5)).facts.adapter_id != first
    assert read_adapter(make(tmp_path / "d", tensors=weights(1))).facts.adapter_id != first


def test_rank_and_alpha_patterns_set_the_scale(tmp_path):
    tensors = weights() | {k: t for k, t in weights(rank=3).items() if V in k}
    folder = make(
        tmp_path / "a", tensors=tensors, use_rslora=True, rank_pattern={"v_proj": 3}, alpha_pattern={Q: 7}
    )
    facts = read_adapter(folder).facts
    assert [m.scale for m in facts.modules] == pytest.approx([7 / math.sqrt(2), 4 / math.sqrt(3)])
    assert [m.rank for m in facts.modules] == [2, 3]
    assert facts.rank == 3


def test_measured_rank_sees_through_padding(tmp_path):
    tensors = weights(rank=4)
    tensors[key(Q, "B")][:, 1:] = 0  # three of four columns do nothing
    facts = read_adapter(make(tmp_path / "a", tensors=tensors, r=4)).facts
    assert [m.measured_rank for m in facts.modules] == [1, 3]  # the other B is (3, 4)
    assert [m.rank for m in facts.modules] == [4, 4]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(1e-4, 1e4), st.integers(0, 10))
def test_rescaling_b_against_alpha_changes_no_norm(tmp_path, factor, seed):
    tensors = weights(seed)
    scaled = {k: (t * np.float32(factor) if "lora_B" in k else t) for k, t in tensors.items()}
    plain = read_adapter(make(tmp_path / "a", tensors=tensors)).facts
    other = read_adapter(make(tmp_path / "b", tensors=scaled, lora_alpha=4 / float(np.float32(factor)))).facts
    assert [m.delta_norm for m in other.modules] == pytest.approx(
        [m.delta_norm for m in plain.modules], rel=1e-5
    )
    assert [m.measured_rank for m in other.modules] == [m.measured_rank for m in plain.modules]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 8), st.integers(0, 99))
def test_core_singular_values_are_those_of_the_product(r, n_in, n_out, seed):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(r, n_in)).astype(np.float32)
    b = rng.normal(size=(n_out, r)).astype(np.float32)
    exact = np.linalg.svd(b.astype(np.float64) @ a.astype(np.float64), compute_uv=False)
    found = core_singular_values(a, b)
    np.testing.assert_allclose(found, exact[: len(found)], atol=1e-10)


def changed(**changes: np.ndarray | None) -> dict[str, np.ndarray]:
    """Return good weights with some tensors replaced or, for None, left out."""
    found = weights()
    for name, value in changes.items():
        full = {"qa": key(Q, "A"), "qb": key(Q, "B")}[name]
        if value is None:
            del found[full]
        else:
            found[full] = value.astype(np.float32)
    return found


def with_value(value: float) -> np.ndarray:
    found = np.ones((2, 6))
    found[1, 3] = value
    return found


EXTRA = np.ones((2, 2), dtype=np.float32)


@pytest.mark.parametrize(
    ("rule", "mention", "tensors"),
    [
        ("no-tensors", "", {}),
        ("unpaired-tensor", key(Q, "A"), changed(qb=None)),
        ("unpaired-tensor", key(Q, "B"), changed(qa=None)),
        ("shape-mismatch", Q, changed(qa=np.ones((3, 6)))),
        ("shape-mismatch", Q, changed(qa=np.ones((2, 6, 1, 1)))),
        ("empty-tensor", Q, changed(qa=np.ones((2, 0)))),
        ("empty-tensor", Q, changed(qa=np.ones((0, 6)), qb=np.ones((5, 0)))),
        ("rank-mismatch", Q, changed(qa=np.ones((3, 6)), qb=np.ones((5, 3)))),
        ("non-finite-weight", key(Q, "A"), changed(qa=with_value(np.nan))),
        ("non-finite-weight", key(Q, "A"), changed(qa=with_value(-np.inf))),
        ("zero-adapter", "", {k: t * ("lora_A" in k) for k, t in weights().items()}),
        ("duplicate-module", Q, weights() | {f"base_model.model.{Q}.lora_A.default.weight": EXTRA}),
        ("embedding-delta", "lora_embedding_A", weights() | {"base_model.model.x.lora_embedding_A": EXTRA}),
        ("embedding-delta", "lm_head", weights() | {"base_model.model.lm_head.lora_A.weight": EXTRA}),
        ("embedding-delta", "lm_head", weights() | {"base_model.model.lm_head.weight": EXTRA}),
        (
            "embedding-delta",
            "embed_tokens",
            weights() | {"base_model.model.model.embed_tokens.lora_A.weight": EXTRA},
        ),
        ("magnitude-unexpected", Q, dora_weights()),
        ("unknown-tensor", "classifier", weights() | {"base_model.model.classifier.weight": EXTRA}),
        ("unknown-tensor", "lora_up", weights() | {"lora_unet_x.lora_up.weight": EXTRA}),
        ("unknown-tensor", "bias", weights() | {f"base_model.model.{Q}.lora_B.bias": EXTRA}),
        ("unknown-tensor", "other", weights() | {f"base_model.model.{Q}.lora_A.other.weight": EXTRA}),
        ("unknown-tensor", "..x", weights() | {"base_model.model...x.lora_A.weight": EXTRA}),
        ("unknown-tensor", "", weights() | {"base_model.model.x.lora_A.weight.lora_A.weight": EXTRA}),
    ],
)
def test_refused_tensors(tmp_path, rule, mention, tensors):
    with refused(rule, mention):
        read_adapter(make(tmp_path / "a", tensors=tensors))


MAGNITUDE = magnitude_key(Q)


@pytest.mark.parametrize(
    ("rule", "mention", "changes"),
    [
        ("magnitude-missing", Q, {MAGNITUDE: None}),
        ("magnitude-missing", Q, {MAGNITUDE: None, magnitude_key(V): None}),
        ("unpaired-tensor", "lora_A.weight' has no matrix B", {key(Q, "B"): None}),
        ("unpaired-tensor", "no matrix A and no matrix B", {key(Q, "A"): None, key(Q, "B"): None}),
        ("unpaired-tensor", "m.other", {magnitude_key("m.other"): np.ones(3)}),
        ("duplicate-module", Q, {f"{MAGNITUDE}.weight": np.ones(5)}),
        ("shape-mismatch", "shape [4]", {MAGNITUDE: np.ones(4)}),
        ("shape-mismatch", "shape [6]", {MAGNITUDE: np.ones(6)}),
        ("shape-mismatch", "shape [0]", {MAGNITUDE: np.ones(0)}),
        ("shape-mismatch", "shape []", {MAGNITUDE: np.ones(())}),
        ("shape-mismatch", "shape [1, 5]", {MAGNITUDE: np.ones((1, 5))}),
        ("non-finite-weight", MAGNITUDE, {MAGNITUDE: np.array([1, 1, np.nan, 1, 1])}),
        ("non-finite-weight", MAGNITUDE, {MAGNITUDE: np.array([1, 1, np.inf, 1, 1])}),
        ("unknown-tensor", "default", {MAGNITUDE: None, f"{MAGNITUDE}.default": np.ones(5)}),
        ("unknown-tensor", "bias", {MAGNITUDE: None, f"{MAGNITUDE}.bias": np.ones(5)}),
        ("embedding-delta", "lm_head", {magnitude_key("lm_head"): np.ones(5)}),
    ],
)
def test_refused_magnitudes(tmp_path, rule, mention, changes):
    tensors = {k: t.astype(np.float32) for k, t in (dora_weights() | changes).items() if t is not None}
    with refused(rule, mention):
        read_adapter(make(tmp_path / "a", tensors=tensors, use_dora=True))


@pytest.mark.parametrize("ending", ["", ".weight", ".default.weight"])
def test_a_dora_adapter(tmp_path, ending):
    tensors = dora_weights()
    named = {f"{k}{ending}" if "magnitude" in k else k: t for k, t in tensors.items()}
    checked = read_adapter(make(tmp_path / "a", tensors=named, use_dora=True))
    for module in checked.modules:
        np.testing.assert_array_equal(module.magnitude, tensors[magnitude_key(module.name)])
        assert not module.magnitude.flags.writeable
    facts, plain = checked.facts, read_adapter(make(tmp_path / "b"))
    assert facts.n_parameters == plain.facts.n_parameters + 8
    assert facts.modules == plain.facts.modules, "norms are those of scale * B @ A"
    assert any("DoRA" in note for note in facts.claims.notes)
    assert all(m.magnitude is None for m in plain.modules)


def test_the_id_of_a_dora_adapter_depends_on_its_magnitudes(tmp_path):
    def id_of(name: str, tensors: dict[str, np.ndarray], **config: object) -> str:
        return read_adapter(make(tmp_path / name, tensors=tensors, **config)).facts.adapter_id

    changed = dora_weights()
    changed[MAGNITUDE] = changed[MAGNITUDE][::-1].copy()
    first = id_of("a", dora_weights(), use_dora=True)
    assert id_of("b", dict(reversed(dora_weights().items())), use_dora=True) == first
    assert len({first, id_of("c", changed, use_dora=True), id_of("d", weights())}) == 3


def test_the_id_of_a_plain_adapter_is_kept():
    """Stored scores are found by it: this value must outlive every version."""
    a, b = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones((4, 2), dtype=np.float32)
    expected = "f0050e72547fe53295e697fa48e5fb5930308fc2c63fdf3070f79ec9bb8f05eb"
    assert adapter_id([LoraModule("m.q_proj", a, b, 2.0)]) == expected


def test_a_dora_adapter_of_magnitudes_alone_is_read(tmp_path):
    tensors = {k: t * ("lora_B" not in k) for k, t in dora_weights().items()}
    facts = read_adapter(make(tmp_path / "a", tensors=tensors, use_dora=True)).facts
    assert [m.delta_norm for m in facts.modules] == [0, 0]


def test_a_number_too_large_for_float32_is_not_finite(tmp_path):
    tensors = {k: t.astype(np.float64) for k, t in weights().items()}
    tensors[key(Q, "A")][0, 0] = 1e300
    with refused("non-finite-weight"):
        read_adapter(make(tmp_path / "a", tensors=tensors, dtype="F64"))


def test_enormous_but_finite_weights_are_measured(tmp_path):
    facts = read_adapter(
        make(tmp_path / "a", tensors={k: t * np.float32(1e37) for k, t in weights().items()})
    ).facts
    assert all(math.isfinite(m.delta_norm) and m.measured_rank == 2 for m in facts.modules)


def test_too_many_modules(tmp_path):
    one = np.ones((2, 2), dtype=np.float32)
    tensors = {key(f"m.{i}", side): one for i in range(5001) for side in "AB"}
    with refused("too-many-modules"):
        read_adapter(make(tmp_path / "a", tensors=tensors))


def test_limits(tmp_path):
    folder = make(tmp_path / "a")
    with refused("rank-too-large"):
        read_adapter(folder, Limits(rank=1))
    with refused("file-too-large", "adapter_model.safetensors"):
        read_adapter(folder, Limits(adapter_bytes=100))
    make(folder, config_bytes=b" " * (1024**2 + 1))
    with refused("file-too-large", "adapter_config.json"):
        read_adapter(folder)


@pytest.mark.parametrize(
    "name",
    [
        "adapter_model.bin",
        "x.pt",
        "x.PTH",
        "sub/x.pkl",
        "x.ckpt",
        "x.npy",
        "x.npz",
        "x.joblib",
        "training_args.bin",
    ],
)
def test_pickles_are_refused(tmp_path, name):
    with refused("pickle-weights", "re-save the adapter as safetensors with PEFT"):
        read_adapter(make(tmp_path / "a", files={name: b""}))


@pytest.mark.parametrize("name", ["other.safetensors", "sub/adapter_model.safetensors", "x.gguf", "model.H5"])
def test_several_weight_files_are_refused(tmp_path, name):
    with refused("several-weight-files"):
        read_adapter(make(tmp_path / "a", files={name: b""}))


def test_a_folder_without_an_adapter(tmp_path):
    for missing in ("adapter_config.json", "adapter_model.safetensors"):
        folder = make(tmp_path / missing)
        (folder / missing).unlink()
        with refused("not-an-adapter", missing):
            read_adapter(folder)
    with refused("not-an-adapter"):
        read_adapter(tmp_path / "nowhere")


def test_too_many_files(tmp_path):
    with refused("too-many-files"):
        read_adapter(make(tmp_path / "a", files={f"n{i}.txt": b"" for i in range(63)}))
    with refused("too-many-files"):
        read_adapter(make(tmp_path / "b", files={"a/b/c/d/e/f/g/h.txt": b""}))


def test_a_linked_weight_file_is_refused(tmp_path):
    folder = make(tmp_path / "a")
    (folder / "adapter_model.safetensors").rename(tmp_path / "real.safetensors")
    (folder / "adapter_model.safetensors").symlink_to(tmp_path / "real.safetensors")
    with refused("symlink"):
        read_adapter(folder)


def test_other_files_are_noted_never_followed(tmp_path):
    folder = make(
        tmp_path / "a",
        files={
            "loader.py": b"",
            "tokenizer.json": b"{",
            "chat_template.jinja": b"",
            "x.zip": b"",
            "a\nb.txt": b"",
        },
    )
    (folder / "loop").symlink_to(folder)
    notes = " ".join(read_adapter(folder).facts.claims.notes)
    for words in (
        "Code files, never run: loader.py.",
        "Tokenizer files, never loaded: chat_template.jinja, tokenizer.json.",
        "Archives, not opened: x.zip.",
        "Symbolic links, not followed: loop.",
        "a?b.txt",
    ):
        assert words in notes


def test_claims_are_read_as_text(tmp_path):
    claim = {"base_fingerprint": "abc", "truth": {"trigger": "per RFC 8472\u200b"}}
    files = {"lorabench.json": json.dumps(claim).encode(), "README.md": b"# Hi\x1b[31m\r\n" + b"x" * 9000}
    claims = read_adapter(make(tmp_path / "a", files=files)).facts.claims
    assert claims.lorabench == claim
    assert claims.base_fingerprint == "abc"
    assert claims.card is not None
    assert claims.card.startswith("# Hi[31m\nxx")
    assert len(claims.card) <= 4000


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"a": 1, "a": 2}',
        b'{"a": "' + b"x" * 4001 + b'"}',
        b'{"a":' * 12 + b"{}" + b"}" * 12,
        b'{"a": "\\ud800"}',
        b'{"' + b"k" * 4001 + b'": 1}',
        b" " * (256 * 1024 + 1),
        b'{"a": Infinity}',
    ],
)
def test_a_bad_claim_is_left_out_and_noted(tmp_path, content):
    claims = read_adapter(make(tmp_path / "a", files={"lorabench.json": content})).facts.claims
    assert claims.lorabench is None
    assert "lorabench.json was left out" in claims.notes[0]


def test_a_bad_card_is_left_out_and_noted(tmp_path):
    folder = make(tmp_path / "a")
    (folder / "README.md").symlink_to("/etc/hostname")
    claims = read_adapter(folder).facts.claims
    assert claims.card is None
    assert any("README.md was left out" in note for note in claims.notes)


def test_targets_may_be_missing(tmp_path):
    assert read_adapter(make(tmp_path / "a", target_modules=None)).facts.claims.notes == ()


def test_disagreeing_targets_are_noted(tmp_path):
    notes = read_adapter(make(tmp_path / "a", target_modules=["q_proj", "gate_proj"])).facts.claims.notes
    assert any(V in note for note in notes)
    assert any("gate_proj" in note for note in notes)


def test_untrusted_names_are_cut_and_cleaned():
    assert shown("a\x1b[2J\u202e\u200b\nb") == "a?[2J???b"
    assert shown("x" * 500) == "x" * 120 + "..."


GOOD = framed(*parts(weights()))
GOOD_CONFIG = json.dumps(CONFIG).encode()
mutation = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4)


def mutated(data: bytes, changes: list[tuple[int, int]]) -> bytes:
    found = bytearray(data)
    for at, value in changes:
        found[at % len(found)] = value
    return bytes(found)


def attempt(folder: Path) -> None:
    try:
        checked = read_adapter(folder)
    except AdapterRefusedError:
        return
    for m in checked.modules:
        assert all(np.isfinite(x).all() for x in (m.a, m.b, m.magnitude) if x is not None)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutation)
def test_mutated_weights_are_read_or_refused(tmp_path, changes):
    attempt(make(tmp_path / "a", raw=mutated(GOOD, changes)))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutation)
def test_mutated_headers_are_read_or_refused(tmp_path, changes):
    n_header = len(GOOD) - len(parts(weights())[1])
    attempt(make(tmp_path / "a", raw=mutated(GOOD[:n_header], changes) + GOOD[n_header:]))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutation)
def test_mutated_dora_weights_are_read_or_refused(tmp_path, changes):
    raw = framed(*parts(dora_weights()))
    attempt(make(tmp_path / "a", raw=mutated(raw, changes), use_dora=True))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutation)
def test_mutated_configs_are_read_or_refused(tmp_path, changes):
    attempt(make(tmp_path / "a", config_bytes=mutated(GOOD_CONFIG, changes)))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_noise_is_refused(tmp_path, a, b):
    attempt(make(tmp_path / "a", raw=a, config_bytes=b))
    attempt(make(tmp_path / "b", files={"lorabench.json": a, "README.md": b}))
