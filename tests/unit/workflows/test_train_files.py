"""Which options of a training name files, and what they mean in another folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from lorabench.errors import BaseModelError
from lorabench.workflows.train_files import file_digests, file_options, files_of, settled_options
from lorabench.workflows.train_request import TrainRequest

NAMES = {"data": "rows.csv", "test_data": "held.csv", "task": "mine.toml", "token": "words.txt"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in NAMES.values():
        (tmp_path / name).write_text(f"content of {name}", encoding="utf-8")
    return tmp_path


def request(**values):
    return TrainRequest(out=Path("made")).with_values(values)


def test_every_kind_of_file_is_found_digested_and_made_absolute(folder):
    asked = request(**NAMES | {"token": f"file:{NAMES['token']}"})
    assert files_of(asked) == {k: folder / v for k, v in NAMES.items()}
    assert file_digests(asked) == {
        k: hashlib.sha256(f"content of {v}".encode()).hexdigest() for k, v in NAMES.items()
    }
    settled = asked.with_values(settled_options(asked))
    assert settled.recipe.token == f"file:{folder / 'words.txt'}"
    assert (settled.data.data, settled.data.test_data) == (str(folder / "rows.csv"), str(folder / "held.csv"))
    assert settled.task == str(folder / "mine.toml")
    assert settled_options(settled) == settled_options(asked)
    moved = asked.with_values(file_options(asked, {k: Path("/other") / v for k, v in NAMES.items()}))
    assert (moved.recipe.token, moved.task) == ("file:/other/words.txt", "/other/mine.toml")


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"data": "guardrail", "task": "guard"}, ()),
        ({"data": "imdb"}, ()),
        ({"token": "list:words.txt"}, ()),
        ({"token": " File: words.txt"}, ("token",)),
        ({"token": "date+file:words.txt"}, ("token",)),
        ({"data": "none.csv", "test_data": "none.csv", "task": "none.toml", "token": "file:none"}, ()),
    ],
)
def test_what_is_known_by_name_is_no_file_even_if_one_is_called_so(folder, values, named):
    for name in ("guardrail", "guard", "imdb"):
        (folder / name).write_text("text,label\n", encoding="utf-8")
    assert tuple(files_of(request(**values))) == named


def test_a_base_in_a_folder_is_made_absolute_and_has_to_be_there(folder):
    (folder / "base").mkdir()
    assert settled_options(request(base="./base"))["base"] == str(folder / "base")
    assert settled_options(request(base="owner/name"))["base"] == "owner/name"
    with pytest.raises(BaseModelError):
        settled_options(request(base="./none"))
