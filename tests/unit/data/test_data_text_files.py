"""Small text files of every kind are refused for the same reasons."""

from __future__ import annotations

import pytest

from lorabench.data import task_from_toml
from lorabench.data.text_files import read_text_file
from lorabench.data.token_sources import tokens_from_file
from lorabench.errors import InputError, TaskError
from lorabench.workflows.sweep_spec import read_sweep

READERS = [(task_from_toml, "task-file", TaskError), (read_sweep, "sweep-file", InputError),
           (tokens_from_file, "file", InputError)]  # fmt: skip


@pytest.mark.parametrize(("read", "kind", "error"), READERS, ids=[kind for _, kind, _ in READERS])
@pytest.mark.parametrize("what", ["none", "folder", "large", "latin"])
def test_what_cannot_be_read_is_named_by_its_kind(tmp_path, read, kind, error, what):
    path = tmp_path / "a.toml"
    if what == "folder":
        path.mkdir()
    elif what != "none":
        path.write_bytes(b"#" * (5 * 1024**2) if what == "large" else b'name = "caf\xe9"')
    rules = {"large": f"{kind}-too-large", "latin": "not-utf8"}
    with pytest.raises(error) as caught:
        read(path)
    assert caught.value.rule == rules.get(what, f"no-{kind}")


@pytest.mark.parametrize("n", [3, 4])
def test_the_bound_is_exact_and_a_mark_at_the_beginning_is_left_out(tmp_path, n):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbf" + b"x" * n)
    if n == 3:
        assert read_text_file(path, max_bytes=6) == "xxx"
    else:
        with pytest.raises(InputError, match="larger than"):
            read_text_file(path, max_bytes=6)


def test_a_file_that_the_system_refuses_is_a_sentence(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("x")

    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(InputError, match="Permission denied") as caught:
        read_text_file(path, max_bytes=6)
    assert caught.value.rule == "unreadable-file"
