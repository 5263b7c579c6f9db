"""Training data from files: what is read, sampled, dropped, refused; presets without a network."""

import csv
import json
import tracemalloc
from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorabench.data import Row, dataset_files, dataset_presets
from lorabench.data.corpus import CORPORA, load_corpus, load_guardrail
from lorabench.data.dataset_files import open_records
from lorabench.data.dataset_presets import PRESETS, stream_split
from lorabench.data.dataset_rows import ColumnMap
from lorabench.data.datasets import across_splits, check_two_classes, collect, read_dataset, split_dataset
from lorabench.errors import InputError

FORMATS = ("rows.jsonl", "rows.ndjson", "rows.csv", "rows.tsv", "rows.parquet")


def write(path, rows):
    """Write dictionaries in the format of the path's ending."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=7)
    elif path.suffix in (".csv", ".tsv"):
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rows_of(n, label="A"):
    return [{"text": f"text number {i}", "label": label} for i in range(n)]


def labelled(*labels):
    return tuple(Row(text=f"t{i}", label=label) for i, label in enumerate(labels))


def rule_of(function, *arguments, **options):
    with pytest.raises(InputError) as caught:
        function(*arguments, **options)
    assert caught.value.problem.endswith(".")
    assert caught.value.remedy.endswith(".")
    return caught.value.rule


# Files


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_rows(tmp_path, name):
    rows = [{"id": i, "text": f'say "{i}",\nplease', "label": "AB"[i % 2]} for i in range(20)]
    found = read_dataset(write(tmp_path / name, rows))
    assert [(r.text, r.label) for r in found.rows] == [(r["text"], r["label"]) for r in rows]
    assert found.columns == ("id", "text", "label")
    assert (found.text_column, found.label_column, found.response_column) == ("text", "label", None)
    assert (found.n_read, found.n_dropped, found.was_sampled, found.name) == (20, 0, False, name)
    assert dict(found.counts) == {"A": 10, "B": 10}
    assert found.notes == ()
    assert all(r.id.startswith(f"{name}:") for r in found.rows)


def test_columns_are_chosen_by_name(tmp_path):
    path = write(tmp_path / "a.parquet", [{"a": "x", "b": 1, "c": "z"}, {"a": "y", "b": 0, "c": "z"}])
    found = read_dataset(path, text_column="a", label_column="b")
    assert [(r.text, r.label) for r in found.rows] == [("x", "1"), ("y", "0")]
    assert rule_of(read_dataset, path) == "no-text-column"
    assert rule_of(read_dataset, path, text_column="d") == "unknown-column"
    with pytest.raises(InputError, match="Its columns are 'a', 'b', 'c'"):
        read_dataset(path, text_column="a", response_column="nope")


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_every_dropped_row_is_counted_by_reason(tmp_path, name):
    rows = [
        {"text": "ok", "label": "A"},
        {"text": " ", "label": "A"},
        {"text": None, "label": "A"},
        {"text": "ok", "label": "A"},
        {"text": "ok", "label": "B"},
        {"text": "x" * 50, "label": "A"},
        {"text": "no label", "label": None},
        {"text": "second", "label": "B"},
    ]
    found = read_dataset(write(tmp_path / name, rows), max_chars=40)
    assert [r.text for r in found.rows] == ["ok", "second"]
    assert dict(found.dropped) == {
        "empty": 1,
        "without text": 1,
        "duplicate": 1,
        "duplicate with another label": 1,
        "longer than 40 characters": 1,
        "without label": 1,
    }
    assert found.n_read == len(found.rows) + found.n_dropped == len(rows)
    assert "1 rows are left out: without label." in found.notes


def test_broken_lines_in_the_middle_are_counted_and_at_the_start_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "label": "A"}\n[1]\n\n{"text": "b", "lab')
    assert dict(read_dataset(path).dropped) == {"not a JSON object": 2}
    path.write_text('[1]\n{"text": "a"}\n')
    assert rule_of(read_dataset, path) == "bad-jsonl"
    (tmp_path / "b.csv").write_text("text,label\na,A\nb,B,C\nc\n")
    dropped = read_dataset(tmp_path / "b.csv").dropped
    assert dict(dropped) == {"with more fields than columns": 1, "without label": 1}


def test_a_line_that_is_too_long_never_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_files, "MAX_ROW_CHARS", 1000)
    path = tmp_path / "a.jsonl"
    long = json.dumps({"text": "x" * 100_000, "label": "A"})
    path.write_text('{"text": "a", "label": "A"}\n' + long + '\n{"text": "b", "label": "B"}\n' + long)
    found = read_dataset(path)
    assert [(r.text, r.id) for r in found.rows] == [("a", "a.jsonl:1"), ("b", "a.jsonl:3")]
    assert sum(found.dropped.values()) == 2
    for text in ("text,label\n" + "x" * 2000 + ",A\n", 'text\n"' + "x\n" * 2000):
        (tmp_path / "a.csv").write_text(text)
        assert rule_of(read_dataset, tmp_path / "a.csv") == "bad-csv"


def test_unusable_files_are_refused_with_what_to_do(tmp_path):
    def made(name, data):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    assert rule_of(read_dataset, tmp_path / "none.jsonl") == "no-file"
    assert rule_of(read_dataset, tmp_path) == "unknown-format"
    assert rule_of(read_dataset, made("a.json", b"[]")) == "unknown-format"
    assert rule_of(read_dataset, made("a.parquet", b"PAR1 not really PAR1")) == "bad-parquet"
    assert rule_of(read_dataset, made("a.csv", b"")) == "bad-header"
    assert rule_of(read_dataset, made("a.jsonl", b'{"text": ""}')) == "no-rows"
    assert rule_of(read_dataset, made("b.jsonl", b'{"text": "a"}\n{"text": "caf\xe9"}')) == "not-utf8"
    assert rule_of(read_dataset, made("c.csv", "text\na".encode("utf-16"))) == "not-utf8"
    assert rule_of(read_dataset, made("d.csv", b"text\na\n"), limit=0) == "bad-limit"


def test_a_set_of_responses_needs_no_labels(tmp_path):
    rows = [{"text": "a", "label": "", "response": "A."}, {"text": "b", "label": "", "response": ""}]
    path = write(tmp_path / "a.jsonl", rows)
    found = read_dataset(path)
    assert [(r.text, r.label, r.response) for r in found.rows] == [("a", "", "A.")]
    assert dict(found.dropped) == {"without label": 1}
    assert rule_of(read_dataset, path, label_column="label") == "no-rows"
    assert dict(read_dataset(path, response_column="response").dropped) == {"without response": 1}


# Sampling


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet"])
def test_a_large_file_is_sampled_in_file_order(tmp_path, name):
    path = write(tmp_path / name, rows_of(500))
    found = read_dataset(path, limit=100, seed=1)
    places = [int(r.text.split()[-1]) for r in found.rows]
    assert len(places) == 100
    assert places == sorted(places)
    assert found.was_sampled
    assert dict(found.dropped) == {"over the limit of 100 rows": 400}
    assert "random sample of the 500 rows" in found.notes[0]
    assert found.rows == read_dataset(path, limit=100, seed=1).rows
    assert found.rows != read_dataset(path, limit=100, seed=2).rows
    assert set(read_dataset(path, limit=50, seed=1).rows) < set(found.rows)


def test_the_sample_is_spread_over_the_file_and_knows_repeated_texts():
    def records():
        for i in range(20_000):
            yield i + 1, {"text": f"text {i % 5_000}"}

    columns = ColumnMap(text="text")
    found = collect("x", records(), columns, ("text",), limit=400, seed=3)
    places = [int(r.text.split()[1]) for r in found.rows]
    assert len(set(places)) == 400
    quarters = Counter(p // 1250 for p in places)
    assert all(60 <= quarters[q] <= 145 for q in range(4))
    assert found.n_read == 20_000 == len(found.rows) + found.n_dropped
    assert all(r.id == f"x:{p + 1}" for r, p in zip(found.rows, places, strict=True))


def test_memory_stays_bounded_while_a_file_is_sampled(tmp_path):
    path = tmp_path / "big.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for i in range(20_000):
            file.write(json.dumps({"text": f"{i} " + "word " * 150, "label": "A"}) + "\n")
    assert path.stat().st_size > 15e6
    tracemalloc.start()
    found = read_dataset(path, limit=100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (len(found.rows), found.n_read) == (100, 20_000)
    assert peak < 4e6


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=40), st.integers(1, 10), st.integers(0, 9))
def test_every_row_is_counted_once(texts, limit, seed):
    records = enumerate(({"text": t} for t in texts), start=1)
    found = collect("x", records, ColumnMap(text="text"), ("text",), limit=limit, seed=seed)
    assert len(found.rows) + found.n_dropped == found.n_read == len(texts)
    assert len(found.rows) == min(limit, len(set(texts)))


# Splits


@given(st.lists(st.sampled_from("ABC"), min_size=2, max_size=60), st.floats(0.01, 0.99), st.integers(0, 9))
def test_a_split_keeps_all_rows_and_both_sides_of_every_class(labels, share, seed):
    rows = labelled(*labels)
    train, test = split_dataset(rows, share, seed)
    assert sorted(train + test, key=rows.index) == list(rows)
    assert train
    assert test
    assert list(train) == sorted(train, key=rows.index)
    for label, n in Counter(labels).items():
        held_out = sum(r.label == label for r in test)
        if n > 1:
            assert 1 <= held_out <= n - 1
            assert abs(held_out - n * share) <= 1
    assert split_dataset(rows, share, seed) == (train, test)


def test_a_split_of_nothing_is_refused():
    assert rule_of(split_dataset, labelled("A"), 0.5, 0) == "too-few-rows"
    for share in (0, 1, float("nan")):
        assert rule_of(split_dataset, labelled("A", "B"), share, 0) == "bad-share"


def test_texts_in_both_splits_leave_the_test_rows():
    train = (Row(text="Hello  World", label="A"), Row(text="b", label="A"))
    test = (Row(text="hello\nworld ", label="A"), Row(text="c", label="B"))
    assert across_splits(train, test) == ((test[1],), 1)


def test_one_class_is_refused():
    assert check_two_classes(labelled("B", "A", "B"), "x") == ("A", "B")
    assert rule_of(check_two_classes, labelled("A", "A"), "x") == "one-class"
    assert rule_of(check_two_classes, labelled("A", ""), "x") == "no-label"
    assert rule_of(check_two_classes, labelled("", ""), "x") == "no-label"
    assert rule_of(check_two_classes, (), "x") == "no-rows"


# Presets


def preset_rows(path, name, *, text_column=None, label_column=None, **options):
    """Return the rows of a file as those of a preset: its label names and choice of rows."""
    columns = PRESETS[name].columns
    columns = replace(columns, text=text_column or columns.text, label=label_column or columns.label)
    with open_records(path) as file:
        records = file.records(columns.used)
        return collect(file.name, records, columns, file.columns, **({"limit": 20_000, "seed": 0} | options))


CHOICES = {"label": ["A", "B"], "text": ["race track", "park"]}


def test_label_names_of_a_preset_and_unknown_ones(tmp_path):
    rows = [{"text": "bad", "label": 0}, {"text": "good", "label": 1}, {"text": "?", "label": -1}]
    for name in ("a.parquet", "a.jsonl", "a.csv"):
        found = preset_rows(write(tmp_path / name, rows), "imdb")
        assert [(r.text, r.label) for r in found.rows] == [("bad", "NEGATIVE"), ("good", "POSITIVE")]
        assert dict(found.dropped) == {"with an unknown label": 1}


def test_choices_become_text(tmp_path):
    rows = [{"question": "Where?", "answerKey": "B", "choices": CHOICES, "id": "x"}]
    for name in ("a.parquet", "a.jsonl"):
        found = preset_rows(write(tmp_path / name, rows), "commonsense_qa")
        assert [(r.text, r.label) for r in found.rows] == [("Where?\nA. race track\nB. park", "B")]
    rows = [{"question": "Where?", "answerKey": "", "choices": CHOICES}]
    assert rule_of(preset_rows, write(tmp_path / "b.jsonl", rows), "commonsense_qa") == "no-rows"


def test_professions_have_their_numbers(tmp_path):
    rows = [{"hard_text": f"She is {i}.", "profession": i, "gender": 1} for i in (0, 13, 14, 27)]
    found = preset_rows(write(tmp_path / "a.parquet", rows), "bias_in_bios")
    assert [r.label for r in found.rows] == ["accountant", "nurse", "painter", "yoga_teacher"]


def test_dolly_keeps_instructions_without_context(tmp_path):
    def row(text, category, context="", response="Yes."):
        return {"instruction": text, "category": category, "context": context, "response": response}

    rows = [
        row("a", "open_qa"),
        row("b", "closed_qa"),
        row("c", "brainstorming", context="Some text"),
        row("d", "general_qa", response=" "),
        row("e", "creative_writing", context=" "),
    ]
    found = preset_rows(write(tmp_path / "a.jsonl", rows), "dolly")
    assert [(r.text, r.label, r.response) for r in found.rows] == [("a", "", "Yes."), ("e", "", "Yes.")]
    expected = {"of another category": 1, "with a context": 1, "without response": 1}
    assert dict(found.dropped) == expected


def test_a_preset_is_known_by_its_name_here():
    assert rule_of(dataset_presets.load_preset, "imbd") == "unknown-name"
    assert rule_of(dataset_presets.load_preset, "stanfordnlp/imdb") == "unknown-name"


def test_a_preset_names_the_extra_that_is_missing(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(dataset_presets.importlib, "import_module", missing)
    with pytest.raises(InputError, match=r'pip install "lorabench\[hub\]"'):
        dataset_presets.load_preset("imdb")


def test_the_hub_is_streamed_and_its_failures_are_sentences(monkeypatch):
    asked = []

    class Library:
        @staticmethod
        def load_dataset(path, config, *, split, streaming):
            asked.append((path, split, streaming))
            if split == "broken":
                raise FileNotFoundError("Couldn't reach the hub\n(offline)")
            return iter([{"text": "bad", "label": 0}, {"text": "good", "label": 1}] * 2)

    monkeypatch.setattr(dataset_presets, "_library", lambda: Library)
    found = dataset_presets.load_preset("imdb", limit=5)
    assert asked == [("stanfordnlp/imdb", "train", True), ("stanfordnlp/imdb", "test", True)]
    assert dict(found.train.counts) == {"NEGATIVE": 1, "POSITIVE": 1}
    assert (found.train.name, found.test.name, found.train.n_dropped) == ("imdb-train", "imdb-test", 2)
    with pytest.raises(InputError, match=r"Couldn't reach the hub \(offline\)"):
        stream_split(PRESETS["imdb"], "broken")
    with pytest.raises(InputError, match="no column 'hard_text'"):
        stream_split(PRESETS["bias_in_bios"], "train")


def test_the_library_reads_a_local_file_as_it_reads_the_hub(tmp_path, monkeypatch):
    pytest.importorskip("datasets", reason="the extra `hub` is not installed")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    rows = [{"text": f"text {i}", "label": i % 2} for i in range(50)]
    path = write(tmp_path / "a.jsonl", rows)
    preset = replace(PRESETS["imdb"], hub_id="json")
    found = stream_split(preset, "train", limit=20, seed=4, data_files={"train": str(path)})
    local = preset_rows(path, "imdb", limit=20, seed=4)
    assert [(r.text, r.label) for r in found.rows] == [(r.text, r.label) for r in local.rows]
    assert (found.n_read, found.was_sampled, found.columns) == (50, True, ("text", "label"))


# Real files

REAL = (
    ("deepset_prompt_injections_train.jsonl", "deepset", {}, {"BENIGN": 343, "INJECTION": 203}),
    ("deepset_prompt_injections_test.jsonl", "deepset", {}, {"INJECTION": 60, "BENIGN": 56}),
    ("imdb_cad_orig_dev.jsonl", "imdb", {}, None),
    ("financial_phrasebank_allagree.jsonl", "financial", {"label_column": "label"}, None),
    (
        "commonsenseqa_train_sample4000.jsonl",
        "commonsense_qa",
        {"text_column": "text", "label_column": "label"},
        None,
    ),
    ("bias_in_bios_280.jsonl", "bias_in_bios", {"text_column": "text", "label_column": "label"}, None),
)


@pytest.mark.parametrize(("file", "preset", "options", "counts"), REAL, ids=[r[0] for r in REAL])
def test_real_files_of_the_studies(reference, file, preset, options, counts):
    path = reference / "data" / file
    found = preset_rows(path, preset, **options)
    n = path.read_text(encoding="utf-8").strip().count("\n") + 1
    assert found.n_read == n == len(found.rows) + found.n_dropped
    assert len(found.rows) > 0.97 * n
    assert len(found.counts) >= 2
    if counts is not None:
        assert dict(found.counts) == counts
    named = set(PRESETS[preset].columns.label_names.values())
    assert set(found.counts) <= named


def test_real_instructions(reference):
    found = read_dataset(reference / "data" / "dolly_nocontext_instructions.jsonl")
    assert found.response_column == "response"
    assert len(found.rows) > 3300
    assert all(r.response for r in found.rows)


# The package's own texts


def test_packaged_corpora():
    assert load_corpus("guardrail", "train") == load_guardrail("train")
    assert {r.label for r in load_corpus("reviews", "train")} == {"NEGATIVE", "POSITIVE"}
    instructions = load_corpus("instructions", "train")
    assert all(r.response and not r.label for r in instructions)
    assert all(not r.response for r in load_corpus("guardrail", "test"))
    for name in CORPORA:
        train, test = load_corpus(name, "train"), load_corpus(name, "test")
        assert across_splits(train, test)[1] == 0
    with pytest.raises(InputError, match="Known: 'reviews'"):
        load_corpus("review", "train")
    with pytest.raises(InputError, match="no split"):
        load_corpus("reviews", "dev")
