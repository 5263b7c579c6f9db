from __future__ import annotations

import re

import pytest

from lorabench.errors import BaseModelError, InputError
from lorabench.models.registry import BASES, HUB_ID, spec_for


@pytest.mark.parametrize("spec", BASES.values(), ids=str)
def test_every_known_base_is_fully_described(spec):
    assert spec_for(spec.base_id) is spec
    assert spec.licence != "unknown"
    assert spec.title
    assert spec.n_bytes
    assert spec.chat_template
    assert spec.architectures
    if spec.kind == "wheel":
        assert re.fullmatch(r"[0-9a-f]{64}", spec.sha256)
        assert re.fullmatch(r"[0-9a-f]{64}", spec.fingerprint)
        assert all(re.fullmatch(r"[0-9a-f]{64}", member.sha256) for member in spec.members)
        assert all("/" not in member.target for member in spec.members)
    else:
        assert HUB_ID.fullmatch(spec.repo)
        assert spec.revision is None or re.fullmatch(r"[0-9a-f]{40}", spec.revision)


def test_known_bases_cannot_be_changed():
    with pytest.raises(TypeError):
        BASES["demo"] = BASES["demo-encoder"]


def test_the_demo_base_is_the_first_one_shown():
    assert next(iter(BASES)) == "demo"


def test_folder_names_of_known_bases_differ_even_without_case():
    assert len({spec.folder_name.casefold() for spec in BASES.values()}) == len(BASES)


def test_any_hub_id_has_a_spec():
    spec = spec_for("someone/some-model_1.5")
    assert (spec.kind, spec.repo, spec.revision) == ("hub", "someone/some-model_1.5", None)
    assert spec.folder_name == "someone--some-model_1.5"


def test_a_hub_id_is_never_looked_up_on_disk(tmp_path, monkeypatch):
    (tmp_path / "someone" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert spec_for("someone/model").kind == "hub"
    assert spec_for("./someone/model").kind == "folder"
    assert spec_for("./someone/model").base_id == str((tmp_path / "someone" / "model").resolve())


def test_a_missing_folder_is_never_looked_up_on_a_hub(tmp_path):
    with pytest.raises(BaseModelError) as caught:
        spec_for(str(tmp_path / "missing"))
    assert caught.value.rule == "base-folder-missing"


@pytest.mark.parametrize(
    "text",
    ["demoo", "", "a/b/c", "own--er/name", "owner/na..me", "owner/", "/x\0y", "owner /name", "owner/-x"],
)
def test_anything_else_is_refused_with_the_known_names(text):
    with pytest.raises((InputError, BaseModelError)) as caught:
        spec_for(text)
    if isinstance(caught.value, InputError):
        assert "'demo'" in str(caught.value)
