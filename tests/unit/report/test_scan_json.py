import dataclasses
import json
import math

import pytest
from jsonschema import Draft202012Validator
from scan_samples import HOSTILE, allow_scan, block_scan, hostile_scan, samples

from lorabench import report
from lorabench.errors import InputError
from lorabench.report import scan_json
from lorabench.report.scan_json import schema_text
from lorabench.report.scan_schema import scan_schema, write_schema
from lorabench.results import to_dict


def made(scan) -> dict:
    return json.loads(report.render_scan([scan], "json", full_paths=True))


def test_the_shipped_schema_is_that_of_the_value_types(tmp_path):
    shipped = schema_text()
    assert write_schema(tmp_path / "x.json").read_text() == shipped, (
        "the value types changed: run python -c 'from lorabench.report.scan_schema import write_schema; "
        "write_schema()', and give the format a new number if a meaning changed"
    )
    Draft202012Validator.check_schema(scan_schema())


@pytest.mark.parametrize("name", samples())
def test_reading_gives_back_what_was_written(name):
    scan = samples()[name]
    text = report.render_scan([scan], "json", full_paths=True).decode()
    read = report.read_scan(text)
    assert to_dict(read) == to_dict(scan)
    assert report.render_scan([read], "json", full_paths=True).decode() == text


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("level", report.DISCLOSURES)
def test_hostile_scans_fit_the_schema_at_every_level(text, level):
    written = report.render_scan([hostile_scan(text)], "json", disclosure=level).decode()
    assert report.read_scan(written).verdict.decision == "block"


def test_a_number_that_is_none_in_json_comes_back_as_not_a_number():
    read = report.read_scan(json.dumps(made(allow_scan())))
    assert math.isnan(read.weights.study_v2["effective_rank"])


def degraded(value):
    value["verdict"]["is_degraded"] = True


def failed(value):
    value["stages"][2]["status"] = "failed"


def refused(value):
    value["file"]["refusal"] = "pickle-file"


def harmful(value):
    value["stages"][2]["level"] = "block"


def four_stages(value):
    value["stages"].pop()


def other_order(value):
    value["stages"].reverse()


def unknown_decision(value):
    value["verdict"]["decision"] = "pass"


def negative(value):
    value["behaviour"]["n_prompts"] = -1


def text_for_number(value):
    value["seconds"] = "1"


def no_subject(value):
    del value["subject"]


@pytest.mark.parametrize(
    "change",
    [
        degraded,
        failed,
        refused,
        harmful,
        four_stages,
        other_order,
        unknown_decision,
        negative,
        text_for_number,
        no_subject,
    ],
)
def test_the_schema_refuses(change):
    value = made(allow_scan())
    validator = Draft202012Validator(json.loads(schema_text()))
    assert validator.is_valid(value)
    change(value)
    assert not validator.is_valid(value)
    with pytest.raises(InputError, match="cannot be read"):
        report.read_scan(json.dumps(value))


def test_counts_that_contradict_each_other_are_refused():
    value = made(block_scan())
    value["behaviour"]["probes"][0]["rate"]["n_hits"] = 25
    with pytest.raises(InputError, match="contradict"):
        report.read_scan(json.dumps(value))


def test_fields_of_a_later_minor_version_are_ignored():
    value = made(block_scan())
    value["verdict"]["mood"] = "cheerful"
    assert to_dict(report.read_scan(json.dumps(value))) == to_dict(block_scan())


@pytest.mark.parametrize("given", ["lorabench-scan-2", "lorabench-scan-10"])
def test_another_major_format_is_refused(given):
    value = made(block_scan()) | {"format": given}
    with pytest.raises(InputError, match=f"{given}; this version reads lorabench-scan-1"):
        report.read_scan(json.dumps(value))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no valid JSON"),
        ("[]", "no scan report"),
        ('{"format": 1}', "no scan report"),
        ('{"format": "lorabench-scan-1", "format": "lorabench-scan-1"}', "twice"),
        ('{"seconds": NaN}', "NaN"),
        ("[" * 100_000, "deeply"),
        ('{"format": "lorabench-scan-1"}', "required"),
    ],
)
def test_what_is_no_scan_is_refused(text, why):
    with pytest.raises(InputError, match=why):
        report.read_scan(text)


def test_a_huge_text_is_refused_before_it_is_parsed(monkeypatch):
    monkeypatch.setattr(scan_json, "MAX_SCAN_CHARACTERS", 10)
    with pytest.raises(InputError, match="at most 10"):
        report.read_scan(" " * 11)


def test_several_scans_are_an_array():
    several = json.loads(report.render_scan([allow_scan(), block_scan()], "json"))
    assert [s["verdict"]["decision"] for s in several] == ["allow", "block"]
    assert dataclasses.fields(block_scan())[0].name in several[0]
