"""A fixture for each way into a loader of adapters (rows 1 to 33 of the threat table), under a canary.

Each case says exactly what becomes of it: refused by a rule (binding raises it and the scan reports
it), or read with the named findings.
"""

from __future__ import annotations

import importlib
import json
import pickle
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from adapter_files import CONFIG, Q, dora_weights, encode, framed, key, parts, weights
from firewall_cases import BLOCK, CASES, EXTRA, LM_HEAD
from firewall_files import CANARY, Den, canary, finding, levels, refusal_of

from lorabench.adapters import find_adapter, scan_folder
from lorabench.config import Config, Limits, app_root
from lorabench.errors import AdapterRefusedError, LorabenchError


@pytest.fixture
def den(tmp_path):
    with canary(Den(tmp_path)) as found:
        yield found


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.row}: {case.what}")
def test_each_way_in_has_its_outcome(den, case):
    case.make(den)
    found = den.scan()
    assert refusal_of(den.folder) == case.refused
    assert found.evidence.refusal == case.refused
    assert (found.evidence.facts is None) == (found.evidence.spectra == ()) == (case.refused is not None)
    assert found.report.status == ("done" if case.refused is None else "refused")
    seen = levels(found)
    assert case.refused is None or case.refused in seen
    assert {rule: seen.get(rule) for rule in case.flags} == case.flags
    if case.flags and BLOCK not in case.flags.values():
        assert BLOCK not in seen.values()


def test_the_traps_are_live(tmp_path, monkeypatch):
    """Opening the pickles or importing the module would leave the mark that the canary looks for."""
    trap = Den(tmp_path)
    for protocol in (0, 2, 4):
        pickle.loads(trap.pickle(protocol))["w"].close()
        trap.marker.unlink()
    monkeypatch.syspath_prepend(trap.module_folder)
    importlib.import_module(CANARY)
    del sys.modules[CANARY]
    trap.marker.unlink()


def test_all_rows_have_a_case_here_or_a_test_of_their_own():
    own = {13, 28, 30, 31}
    assert {case.row for case in CASES} | own == set(range(1, 34))


def test_a_good_folder_has_no_findings(den):
    den.make(files={"lorabench.json": b"{}", "README.md": b"# An adapter\n\n- of nothing\n"})
    found = den.scan()
    assert found.report.findings == ()
    assert (found.report.level, found.report.status, found.report.coverage) == (None, "done", 1.0)
    assert [(f.name, f.kind, f.sha256 is not None) for f in found.evidence.files] == [
        ("README.md", "card", True),
        ("adapter_config.json", "config", True),
        ("adapter_model.safetensors", "weights", True),
        ("lorabench.json", "claims", True),
    ]


def test_everything_wrong_is_said_at_once(den):
    """Row after row in one folder: the first refuses, and none hides another."""
    tensors = dora_weights() | {LM_HEAD: np.ones((4, 6), np.float32), "lora_unet_x.lora_up.weight": EXTRA}
    tensors[key(Q, "A")][0, 0] = np.nan
    den.make(
        tensors=tensors,
        files={"adapter_model.bin": den.pickle(), "loader.py": den.code, "notes.txt": den.pickle()},
        auto_mapping={"parent_library": CANARY},
        bias="all",
        r=4,
        init_lora_weights="pissa",
        rank_pattern={"(a+)+$": 2},
    )
    found = den.scan()
    assert found.evidence.refusal == refusal_of(den.folder) == "pickle-weights"
    assert set(levels(found)) == {
        "pickle-weights", "several-weight-files", "pickle-in-disguise", "code-file", "auto-mapping",
        "bias-not-none", "init-rewrites-base", "pattern-not-literal", "embedding-delta", "unknown-tensor",
        "non-finite-weight", "not-compared", "other-file",
    }  # fmt: skip
    ranks = [["info", "inconclusive", "review", "block"].index(f.level) for f in found.report.findings]
    assert ranks == sorted(ranks, reverse=True)


def test_many_problems_of_a_kind_are_named_a_few_times_and_counted(den):
    den.make(tensors=weights() | {f"other.{i}": EXTRA for i in range(50)})
    found = [f for f in den.scan().report.findings if f.rule == "unknown-tensor"]
    assert len(found) == 8
    assert found[-1].facts[-1].value == "42"


def test_what_each_loader_would_take_is_said(den):
    """Row 4: PEFT prefers adapter_model.safetensors, then adapter_model.bin."""
    den.make(files={"adapter_model.bin": den.pickle(), "sub/x.safetensors": b""})
    facts = {f.name: f.value for f in finding(den.scan(), "several-weight-files").facts}
    assert facts["PEFT, from this folder"] == "adapter_model.safetensors"
    assert facts["PEFT, told not to use safetensors"] == "adapter_model.bin"
    (den.folder / "adapter_model.safetensors").unlink()
    facts = {f.name: f.value for f in finding(den.scan(), "several-weight-files").facts}
    assert facts["PEFT, from this folder"] == "adapter_model.bin"
    assert facts["lorabench"] == "none of them"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_header_whose_length_looks_like_a_pickle_is_no_pickle(den, protocol):
    """Row 6: the length of a valid header may have the bytes of a pickle's start; validation wins."""
    length = protocol * 256 + 0x80
    head, data = parts(weights())
    text = json.dumps(head).encode()
    text += b" " * (length + 65536 * (len(text) > length) - len(text))
    blob = framed(text, data)
    assert blob[:2] == bytes([0x80, protocol])
    den.make(raw=blob)
    assert den.scan().report.findings == ()
    assert refusal_of(den.folder) is None
    (den.folder / "copy.safetensors").write_bytes(blob)
    assert "pickle-in-disguise" not in levels(den.scan())


def test_a_valid_file_that_is_also_a_pickle_is_refused(den):
    """Row 6: the length reads as the opcodes PROTO and BINFLOAT, and a tensor's name as two more."""
    head, data = parts(weights() | {"a0.x": EXTRA})
    text = json.dumps({"a0.x": head.pop("a0.x")} | head).encode()
    blob = framed(text + b" " * (0x47_02_80 - len(text)), data)
    assert blob[:13] == b"\x80\x02G\0\0\0\0\0" + b'{"a0.'
    den.make(raw=blob)
    found = den.scan()
    assert found.evidence.refusal == refusal_of(den.folder) == "pickle-in-disguise"
    assert levels(found)["pickle-in-disguise"] == "block"


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_pickles_of_every_protocol_are_known_by_their_start(den, protocol):
    den.make(files={"weights.dat": den.pickle(protocol)})
    assert levels(den.scan())["pickle-in-disguise"] == "block"


@pytest.mark.parametrize(
    "content", [b"(see below)\n", b"cos is a function\nof x\n", b"]", b"\x80abc", b"MZ", b""]
)
def test_ordinary_text_is_no_pickle(den, content):
    den.make(files={"notes.txt": content})
    assert set(levels(den.scan())) == {"other-file"}


def test_a_folder_of_thousands_of_files_is_listed_in_part(den):
    den.make(files={f"n{i}.txt": b"" for i in range(1_200)})
    found = den.scan()
    assert found.evidence.refusal == refusal_of(den.folder) == "too-many-files"
    assert len(found.evidence.files) == 1_000


def test_a_deep_folder_is_not_climbed_to_its_end(den):
    den.make(files={"/".join("abcdefghijklmn") + "/x.py": den.code})
    found = den.scan()
    assert found.evidence.refusal == refusal_of(den.folder) == "too-many-files"
    assert "code-file" not in levels(found)


def test_templates_in_any_form_are_read(den):
    evil = "{{ x.__class__ }}"
    forms = {
        "tokenizer_config.json": {"chat_template": [{"name": "tool", "template": evil}]},
        "chat_template.json": {"chat_template": {"default": evil}},
    }
    den.make(files={name: json.dumps(value).encode() for name, value in forms.items()})
    (den.folder / "additional_chat_templates").mkdir()
    (den.folder / "additional_chat_templates" / "rag.jinja").write_text(evil)
    places = {f.where for f in den.scan().report.findings if f.rule == "template-code"}
    assert places == {*forms, "additional_chat_templates/rag.jinja"}


def test_a_bad_head_is_said_and_does_not_refuse(den):
    den.make(files={"head.json": b"{}"})
    found = den.scan()
    assert levels(found) == {"bad-head": "inconclusive"}
    assert refusal_of(den.folder) is found.evidence.refusal is None


def test_bad_claims_are_said_and_do_not_refuse(den):
    den.make(files={"lorabench.json": b'{"a": 1, "a": 2}', "README.md": b"x" * (5 * 1024**2)})
    found = den.scan()
    assert [f.where for f in found.report.findings] == ["lorabench.json", "README.md"]
    assert levels(found) == {"claims-left-out": "info"}
    assert found.evidence.facts.claims.card is None


def test_coverage_counts_what_was_understood(den):
    """Row 8."""
    den.make(tensors=weights() | {"x": EXTRA, "y": EXTRA, "z": EXTRA, "w": EXTRA})
    found = den.scan()
    assert found.evidence.tensor_coverage == found.report.coverage == 0.5


def test_a_claimed_base_is_shown_and_never_used(den):
    """Row 11."""
    den.make(base_model_name_or_path=str(den.module_folder))
    claims = den.scan().evidence.facts.claims
    assert claims.base_model == str(den.module_folder)


def test_no_switch_for_remote_code_exists():
    """Rows 2, 12 and 25: neither a pickle path nor remote code can be switched on."""
    for path in (app_root() / "lorabench").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "trust_remote_code=True" not in text, path
        assert "torch.load(" not in text, path
        assert "AutoPeftModel" not in text, path


def test_a_base_folder_with_an_adapter_config_is_refused():
    """Row 13 has its tests beside the bases."""
    text = (Path(__file__).parents[1] / "models" / "test_base_fetch.py").read_text(encoding="utf-8")
    assert "def test_an_adapter_config_put_beside_the_weights_is_refused" in text
    assert '"base-is-adapter"' in text


def test_a_swapped_file_is_noticed(den):
    """Row 29: whoever writes to the file while it is read spoils the scan."""
    den.make()
    weights_file = den.folder / "adapter_model.safetensors"

    def swap(done: int, total: int) -> None:
        weights_file.write_bytes(framed(*parts(weights(1))))

    done: list[int] = []

    def cancelled() -> bool:
        if not done:
            swap(0, 0)
        done.append(1)
        return False

    found = scan_folder(den.folder, Limits(), cancelled=cancelled)
    assert found.evidence.refusal == "file-changed"
    assert found.evidence.facts is None


def test_a_missing_folder_is_an_error_and_never_a_hub_id(den, tmp_path, monkeypatch):
    """Row 30."""
    monkeypatch.chdir(tmp_path)
    config = Config(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")
    with pytest.raises(AdapterRefusedError) as caught:
        scan_folder(Path("owner/name"), Limits())
    assert caught.value.rule == "not-an-adapter"
    with pytest.raises(LorabenchError) as missing:
        find_adapter("owner/name", config)
    assert missing.value.rule == "unknown-name"


def test_a_regular_expression_that_explodes_costs_nothing(den):
    """Row 22: less than 100 ms, as nothing is compiled."""
    bomb = "(" * 40 + "a+" + ")+" * 40 + "$"
    names = {f"model.layers.{i}.{'a' * 30}": 2 for i in range(2_000)}
    text = json.dumps(CONFIG | {"target_modules": bomb, "exclude_modules": bomb, "layers_pattern": bomb})
    den.make(config_bytes=text.encode(), rank_pattern=names)
    started = time.process_time()
    found = den.scan()
    assert time.process_time() - started < 0.1
    assert levels(found)["pattern-targets"] == "review"


def test_a_number_beyond_float32_is_not_finite(den):
    """Row 9, as float64."""
    found = {k: t.astype(np.float64) for k, t in weights().items()}
    found[key(Q, "A")][0, 0] = 1e300
    den.make(tensors=found, dtype="F64")
    assert den.scan().evidence.refusal == refusal_of(den.folder) == "non-finite-weight"


def test_encode_is_the_fixture_it_seems():
    assert encode(np.float32([1.5]), "BF16") == b"\xc0\x3f"
