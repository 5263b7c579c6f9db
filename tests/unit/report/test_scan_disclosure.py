import dataclasses
import io
import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scan_samples import (
    CARD,
    PROBES,
    PROMPTS,
    RAW,
    TRIGGER,
    block_scan,
    hostile_scan,
    review_scan,
    samples,
    scan,
)

from lorabench import report
from lorabench.report.scan_disclosure import WITHHELD, text_hash
from lorabench.report.scan_paths import last_name, without_folders
from lorabench.report.scan_shield import Shield
from lorabench.results.findings import Fact, Finding

LEVELS = ("hashed", "family")


def raw_text(made: bytes, fmt: str) -> str:
    """Return everything a format holds, with escapes undone in each way that could hide a leak."""
    if fmt == "parquet":
        frame = pd.read_parquet(io.BytesIO(made))
        return " ".join(str(v) for row in frame.itertuples() for v in row)
    text = made.decode()
    if fmt in ("json", "sarif", "bom"):
        text += json.dumps(json.loads(text), ensure_ascii=False)
    return text + text.replace("\\", "")


@pytest.mark.parametrize("fmt", report.SCAN_FORMATS)
@pytest.mark.parametrize("level", LEVELS)
def test_no_format_leaks_a_text(fmt, level):
    found = raw_text(report.render_scan([block_scan()], fmt, disclosure=level), fmt).casefold()
    for text in RAW:
        assert text.casefold() not in found
        assert text.casefold().replace("\n", "¶") not in found
    for cut in (PROMPTS[0][:30], PROMPTS[1][-24:], CARD[2:30], "annex A"):
        assert cut.casefold() not in found
    assert ("sha256:" if level == "hashed" else "withheld") in found or fmt == "card"


@pytest.mark.parametrize("fmt", [f for f in report.SCAN_FORMATS if f not in ("card", "parquet")])
def test_a_full_report_does_hold_the_trigger(fmt):
    assert TRIGGER in raw_text(report.render_scan([block_scan()], fmt), fmt)


def test_hashed_keeps_which_is_which():
    found = report.disclosed(block_scan(), "hashed")
    assert found.behaviour.probes[0].text == text_hash(TRIGGER)
    assert found.behaviour.anchors[0].word == text_hash("8472")
    assert found.behaviour.probes[0].rate == block_scan().behaviour.probes[0].rate
    finding = found.stage("behaviour").findings[0]
    assert finding.where == text_hash(TRIGGER)
    assert finding.facts == (
        Fact(name="strongest probe", value=text_hash(TRIGGER)),
        Fact(name="eligible prompts", value="24"),
        Fact(name=f"word «{text_hash('sesame')}»", value="probes with it 0.20 (n 1), without 0.10 (n 3)"),
    )
    assert found.stage("file").findings[0].where == "tokenizer.json: normalizer"
    assert found.stage("file").findings[0].facts[0].value == text_hash("in accordance with 21 CFR")
    assert finding.sentence.startswith(f"The probe «{text_hash(TRIGGER)}» flips 23 of 24 prompts, such as '")
    assert text_hash(TRIGGER) in found.verdict.reasons[0]
    assert found.provenance["disclosure"] == "hashed"


def test_family_keeps_categories_and_counts():
    found = report.disclosed(block_scan(), "family")
    assert (found.behaviour.probes, found.behaviour.anchors, found.behaviour.prompt_texts) == ((), (), ())
    assert found.behaviour.statistics == block_scan().behaviour.statistics
    assert [s.battery for s in found.behaviour.categories] == ["authority", "rare word", "plain"]
    assert found.stage("behaviour").findings[0].where == "category authority"
    assert WITHHELD in found.stage("behaviour").findings[0].sentence
    assert found.behaviour.n_prompts == 25


def test_family_adds_up_categories_that_have_no_statistic():
    given = block_scan()
    given = dataclasses.replace(given, behaviour=dataclasses.replace(given.behaviour, categories=()))
    found = {s.battery: s for s in report.disclosed(given, "family").behaviour.categories}
    assert found["authority"].value == pytest.approx((23 / 24 + 11 / 24) / 2)
    assert found["authority"].n_probes == 2


def test_names_of_modules_and_files_stay():
    for level in LEVELS:
        found = report.disclosed(block_scan(), level)
        assert found.weights.modules == block_scan().weights.modules
        assert found.stage("weights").findings == block_scan().stage("weights").findings
        assert [f.name for f in found.file.files] == [f.name for f in block_scan().file.files]


@pytest.mark.parametrize("level", report.DISCLOSURES)
@pytest.mark.parametrize("name", samples())
def test_twice_is_once(name, level):
    once = report.disclosed(samples()[name], level)
    assert report.disclosed(once, level) == once


def test_fingerprints_survive_hashing():
    made = [
        json.loads(report.render_scan([block_scan()], "sarif", disclosure=level))
        for level in ("full", "hashed")
    ]
    prints = [[r["partialFingerprints"] for r in m["runs"][0]["results"]] for m in made]
    assert prints[0] == prints[1]


@pytest.mark.parametrize("fmt", report.SCAN_FORMATS)
def test_no_absolute_path_unless_wanted(fmt):
    found = raw_text(report.render_scan([block_scan(), review_scan()][:1], fmt), fmt)
    assert "/home/" not in found
    assert "alice" not in found
    if fmt in ("json", "html", "text", "bom"):
        assert "/home/alice/models" in raw_text(report.render_scan([block_scan()], fmt, full_paths=True), fmt)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/a/b/c.json", "c.json"),
        ("file /home/a/b/c.json, and more", "file c.json, and more"),
        ("'/home/Ann Lee/b/c d.json' is", "'c d.json' is"),
        ("C:\\Users\\a\\x.bin is", "x.bin is"),
        ("\\\\host\\share\\x.bin", "x.bin"),
        ("--out=/srv/x/y", "--out=y"),
        ("~/x/y.txt", "y.txt"),
        ("file:///srv/x/y.txt", "y.txt"),
        ("https://arxiv.org/abs/2605.30189", "https://arxiv.org/abs/2605.30189"),
        ("structural_v1_41/B and/or 3/4", "structural_v1_41/B and/or 3/4"),
        ("sub/folder/x.json", "sub/folder/x.json"),
        ("/srv/x/", "x"),
    ],
)
def test_paths_are_cut_to_their_last_name(text, shown):
    assert without_folders(text) == shown
    assert without_folders(shown) == shown


def test_a_known_path_with_spaces_is_cut_inside_sentences():
    folder = "/home/Ann Lee/my adapters/x"
    given = scan("allow", provenance={"folder": folder, "note": f"read from {folder} twice"})
    found = report.disclosed(given, "full").provenance
    assert found == {"folder": "x", "note": "read from x twice"}
    assert last_name("/") == "(folder)"


def test_probes_keep_their_slashes():
    given = scan("allow", behaviour=None)
    evidence = block_scan().behaviour
    probe = dataclasses.replace(evidence.probes[0], text="as in /etc/ssh/sshd_config now")
    given = dataclasses.replace(given, behaviour=dataclasses.replace(evidence, probes=(probe,)))
    assert report.disclosed(given, "full").behaviour.probes[0].text == probe.text


LONG = "x7Qz pneumonoultra microscopic #4 silicovolcano"


@given(st.text(max_size=40), st.text(max_size=40), st.integers(0, len(LONG) - 16), st.integers(16, len(LONG)))
def test_sixteen_characters_of_a_secret_never_survive(before, after, start, length):
    piece = LONG[start : start + length]
    shown = Shield([LONG], [], lambda _: "#").prose(f"{before}{piece}{after}").lower()
    for at in range(len(piece) - 15):
        run = piece[at : at + 16]
        assert run.strip() != run or run.lower() not in shown


@given(st.text(alphabet="abc def.…", max_size=60))
def test_a_text_without_secrets_is_left_alone(text):
    assert Shield([LONG, "zq9"], ["zzz"], lambda _: "#").prose(text) == text


def test_short_secrets_are_whole_words_or_quoted():
    shield = Shield(["cf", "."], ["per", "10", "of", "8472"], lambda s: f"<{s}>")
    assert shield.prose("cf but not scf, cfx") == "<cf> but not scf, cfx"
    assert shield.prose("10 of 24 per prompt; «of» and '10' and 8472.") == (
        "10 of 24 <per> prompt; «<of>» and '<10>' and <8472>."
    )
    assert shield.prose('ends with ".".') == 'ends with "<.>".'
    assert shield.name("per_layer.8472.of") == "per_layer.8472.of"


def test_long_repetitive_texts_take_no_time():
    Shield(["A" * 200_000], [], lambda _: "#").prose("A" * 5_000 + "b" + "A" * 5_000)


def test_a_hash_tells_nothing_of_a_lone_surrogate():
    assert text_hash("half \ud83d").startswith("sha256:")
    assert text_hash(text_hash("x")) == text_hash("x")


def test_hashing_hides_a_found_string_that_is_in_no_battery():
    found = Finding(
        rule="trigger-found",
        stage="trigger",
        level="review",
        sentence="The string `zebra quartz lantern` flips 19 of 20 held-out prompts.",
        facts=(Fact(name="found string", value="zebra quartz lantern"),),
    )
    given = block_scan()
    stages = tuple(
        dataclasses.replace(s, findings=(found,)) if s.stage == "trigger" else s for s in given.stages
    )
    given = dataclasses.replace(given, stages=stages)
    for fmt in report.SCAN_FORMATS:
        for level in LEVELS:
            assert "quartz" not in raw_text(report.render_scan([given], fmt, disclosure=level), fmt)


def test_every_hostile_probe_is_hashed():
    text = "=cmd|'/C calc'!A0 and more of it"
    for fmt in report.SCAN_FORMATS:
        made = raw_text(report.render_scan([hostile_scan(text)], fmt, disclosure="hashed"), fmt)
        assert "calc" not in made


def test_samples_cover_what_they_claim():
    assert {p[1] for p in PROBES} == {"authority", "rare word", "plain"}
