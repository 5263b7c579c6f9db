from __future__ import annotations

import json
import os
import signal
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import HOSTILE, sample_heatmap, sample_quad, sample_report

from lorabench.cli.saving import check_save, save
from lorabench.cli.terminal import Terminal, columns, json_text, stoppable, visible
from lorabench.errors import InputError, StorageError


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_printed_can_steer_a_terminal(text, capsys):
    Terminal(as_json=False).result(None, text)
    shown = capsys.readouterr().out
    assert not any(c in shown for c in "\x1b\x07\x00\u202e\u2066\u200b")


@given(st.text())
def test_visible_text_is_printable_and_keeps_what_was(text):
    shown = visible(text)
    assert visible(shown) == shown
    if text.isprintable():
        assert shown == text


@pytest.mark.parametrize("value", [sample_report(), sample_quad(), sample_heatmap()])
def test_json_is_ascii_and_names_its_type(value):
    text = json_text(value)
    assert text.isascii()
    assert json.loads(text)["type"] == type(value).__name__


def test_a_list_becomes_a_document_with_items():
    assert json.loads(json_text([1, 2], kind="Numbers"))["items"] == [1, 2]


def test_columns_align_and_stay_on_their_line():
    first, second, third = columns(["a", "b"], [["long cell", "x"], ["s", "two\nlines"]]).splitlines()
    assert first.index("b") == second.index("x") == third.index("two lines")


def test_progress_goes_to_stderr_only_when_wanted(capsys):
    Terminal(as_json=False).progress(1, 2, "rows")
    assert capsys.readouterr() == ("", "")  # stderr is no terminal here
    terminal = Terminal(as_json=True, progress=True)
    for done in range(1000):
        terminal.progress(done, 1001, "rows")
    terminal.progress(1001, 1001, "rows")
    found = capsys.readouterr()
    assert found.out == ""
    assert 2 <= found.err.count("\n") <= 4
    assert found.err.endswith("rows 1,001/1,001 (100%)\n")


def test_the_first_ctrl_c_asks_and_the_second_stops(capsys):
    before = signal.getsignal(signal.SIGINT)  # ignored in a shell's background job
    with stoppable(Terminal(as_json=False)) as stopped:
        assert not stopped()
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped()
        assert "Ctrl-C again" in capsys.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_are_never_stopped_by_ctrl_c():
    answers = []

    def work():
        with stoppable(Terminal(as_json=False)) as stopped:
            answers.append(stopped())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answers == [False]


def test_a_file_is_saved_by_its_ending_and_replaced_whole(tmp_path):
    path = tmp_path / "x.JSON"
    for content in ("first", b"second"):
        save(path, {".json": lambda content=content: content})
    assert path.read_bytes() == b"second"
    assert [p.name for p in tmp_path.iterdir()] == ["x.JSON"]


@pytest.mark.parametrize("name", ["x.txt", "x", "no/such/folder/x.json", "folder.json"])
def test_a_file_that_could_not_be_saved_is_refused_before_the_work(tmp_path, name):
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(InputError):
        check_save(tmp_path / name, (".json",))


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    path.write_text("old")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lorabench.cli.saving.os.replace", full)
    with pytest.raises(StorageError, match="No space left"):
        save(path, {".json": lambda: "new"})
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1
