"""Prompts from a user's file: what is read, what is dropped, what is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorabench.data import Row, map_labels, read_prompts
from lorabench.errors import InputError


def read(text, name, **options):
    return read_prompts(text.encode(), name, **options)


def test_csv_with_quotes_newlines_and_other_columns():
    got = read('id,text,label\r\n1,"hello, ""you""\nthere",1\r\n2,bye,0\r\n', "a.csv")
    assert [(r.text, r.label) for r in got.rows] == [('hello, "you"\nthere', "1"), ("bye", "0")]
    assert got.columns == ("id", "text", "label")
    assert (got.text_column, got.label_column, got.n_dropped) == ("text", "label", 0)
    assert got.rows[1].id == "a.csv:4"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_delimiters(delimiter):
    got = read(f"prompt{delimiter}class\nhi{delimiter}X\n", "a.csv")
    assert [(r.text, r.label) for r in got.rows] == [("hi", "X")]


def test_jsonl_keeps_label_values_as_strings():
    lines = [{"text": "a", "label": 1}, {"text": "b", "label": "BENIGN"}, {"text": "c", "label": True}]
    got = read("\n".join(map(json.dumps, lines)), "a.jsonl")
    assert [r.label for r in got.rows] == ["1", "BENIGN", "true"]


def test_plain_text_is_one_prompt_a_line():
    got = read("first\n\nsecond\r\nfirst\n", "a.txt")
    assert [r.text for r in got.rows] == ["first", "second"]
    assert dict(got.dropped) == {"empty": 1, "duplicate": 1}
    assert all(r.label == "" for r in got.rows)


def test_every_dropped_row_is_counted_by_reason():
    lines = [
        {"text": "ok", "label": "A"},
        {"text": "  ", "label": "A"},
        {"label": "A"},
        {"text": None, "label": "A"},
        {"text": "ok", "label": "A"},
        {"text": "ok", "label": "B"},
        {"text": "x" * 50, "label": "A"},
        {"text": "no label"},
        {"text": "\ud800", "label": "A"},
        {"text": "second", "label": "A"},
        {"text": "third", "label": "A"},
    ]
    got = read("\n".join(map(json.dumps, lines)), "a.jsonl", limit=2, max_chars=40)
    assert [r.text for r in got.rows] == ["ok", "second"]
    assert dict(got.dropped) == {
        "empty": 1,
        "without text": 2,
        "duplicate": 1,
        "duplicate with another label": 1,
        "longer than 40 characters": 1,
        "without label": 1,
        "with broken characters": 1,
        "over the limit of 2 rows": 1,
    }
    assert len(got.rows) + got.n_dropped == len(lines)


def test_csv_rows_of_the_wrong_length_are_counted():
    got = read("text,label\na,1\nb\nc,1,2\n\n", "a.csv")
    assert [r.text for r in got.rows] == ["a"]
    assert dict(got.dropped) == {"without label": 1, "with more fields than columns": 1}


def test_a_path_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_bytes("\ufefftext\ngrüß dich\n".encode())
    got = read_prompts(path)
    assert (got.rows[0].text, got.columns, got.rows[0].id) == ("grüß dich", ("text",), "mine.csv:2")


def test_named_columns_are_used():
    got = read("a,b\nx,y\n", "f.csv", text_column="b", label_column="a")
    assert [(r.text, r.label) for r in got.rows] == [("y", "x")]


@pytest.mark.parametrize(
    ("data", "name", "options", "rule", "says"),
    [
        (b"a,b\nx,y\n", "f.csv", {"text_column": "c"}, "unknown-column", "'a', 'b'"),
        (b"a,b\nx,y\n", "f.csv", {"text_column": "a", "label_column": "c"}, "unknown-column", "'a', 'b'"),
        (b"a,b\nx,y\n", "f.csv", {}, "no-text-column", "'a', 'b'"),
        (b"text,text\nx,y\n", "f.csv", {}, "bad-header", "twice"),
        (b'text\n"open\n', "f.csv", {}, "bad-csv", "line"),
        (b"", "f.csv", {}, "bad-header", "column names"),
        (b"text\n", "f.csv", {}, "no-rows", "at least one prompt"),
        (b"\n \n", "f.txt", {}, "no-rows", "2 empty"),
        (b"caf\xe9\n", "f.txt", {}, "not-utf8", "Save it as UTF-8"),
        ("text".encode("utf-16"), "f.txt", {}, "not-utf8", "UTF-16"),
        (b"[1]", "f.json", {}, "unknown-format", ".jsonl"),
        (b'{"text": "a"}\n[1]\n', "f.jsonl", {}, "bad-jsonl", "Line 2"),
        (b"[" * 100_000, "f.jsonl", {}, "bad-jsonl", "Line 1"),
        (b"hello", "f.txt", {"max_bytes": 3}, "file-too-large", "larger"),
    ],
)
def test_unusable_files_are_refused_with_what_to_do(data, name, options, rule, says):
    with pytest.raises(InputError) as caught:
        read_prompts(data, name, **options)
    assert caught.value.rule == rule
    assert says in str(caught.value)


def test_missing_and_oversized_paths_are_refused(tmp_path):
    with pytest.raises(InputError, match="no file"):
        read_prompts(tmp_path / "none.csv")
    with pytest.raises(InputError, match="no file"):
        read_prompts(tmp_path)
    (tmp_path / "big.txt").write_text("x" * 100)
    with pytest.raises(InputError, match="larger"):
        read_prompts(tmp_path / "big.txt", max_bytes=10)


@given(st.binary(max_size=300), st.sampled_from(["a.csv", "a.jsonl", "a.txt", "a.tsv", None]))
def test_any_bytes_give_rows_or_an_input_error(data, name):
    try:
        got = read_prompts(data, name)
    except InputError:
        return
    assert got.rows
    assert all(r.text.strip() for r in got.rows)


def rows(*labels):
    return tuple(Row(text=f"t{i}", label=label) for i, label in enumerate(labels))


def test_labels_map_by_name_and_by_deepset_numbers():
    mapped = map_labels(rows("1", "0", "benign", " Injection "), ("BENIGN", "INJECTION"))
    assert [r.label for r in mapped] == ["INJECTION", "BENIGN", "BENIGN", "INJECTION"]


def test_a_mapping_wins_over_the_numbers():
    mapped = map_labels(rows("1", "0"), ("BENIGN", "INJECTION"), {"1": "benign", "0": "INJECTION"})
    assert [r.label for r in mapped] == ["BENIGN", "INJECTION"]


@pytest.mark.parametrize(
    ("labels", "task_labels", "mapping"),
    [
        (("2",), ("BENIGN", "INJECTION"), None),
        (("1",), ("NEGATIVE", "POSITIVE"), None),
        (("1",), ("BENIGN", "INJECTION"), {"0": "BENIGN"}),
        (("",), ("BENIGN", "INJECTION"), None),
        (("1",), ("BENIGN", "INJECTION"), {"1": "SAFE"}),
    ],
)
def test_unknown_labels_are_refused(labels, task_labels, mapping):
    with pytest.raises(InputError) as caught:
        map_labels(rows(*labels), task_labels, mapping)
    assert task_labels[0] in str(caught.value)
