import dataclasses
import io
import json
import re

import pandas as pd
import pytest
from scan_samples import allow_scan, block_scan, failed_scan, refused_scan, review_scan, samples

from lorabench import report
from lorabench.errors import InputError

MANY = ("json", "sarif", "csv", "parquet", "text")
SAMPLES = samples()
ALL = [(name, fmt) for name in SAMPLES for fmt in report.SCAN_FORMATS]


def words(made: bytes, fmt: str) -> str:
    """Return what a reader of the format reads: JSON strings and table cells without their syntax."""
    if fmt in ("json", "sarif", "bom"):
        return " ".join(map(str, leaves(json.loads(made))))
    if fmt == "parquet":
        frame = pd.read_parquet(io.BytesIO(made))
        return " ".join(str(v) for row in frame.itertuples() for v in row)
    return re.sub(r"\\([^\w\s])", r"\1", made.decode())


def leaves(value):
    if isinstance(value, dict):
        return [x for k, v in value.items() for x in (k, *leaves(v))]
    return [x for v in value for x in leaves(v)] if isinstance(value, list) else [value]


def has_number(text: str, value: float) -> bool:
    """Return whether a number stands in a text, exact or rounded to four significant digits."""
    near = {float(m) for m in re.findall(r"(?<![\w.])\d*\.?\d+(?:e-?\d+)?(?![\w])", text)}
    return any(abs(x - value) <= abs(value) * 6e-4 + 1e-9 for x in near)


@pytest.mark.parametrize(("name", "fmt"), ALL)
def test_every_format_says_the_same(name, fmt):
    scan = SAMPLES[name]
    text = words(report.render_scan([scan], fmt), fmt)
    assert scan.verdict.decision in text.lower()
    assert scan.name in text
    assert scan.subject in text
    for stage in scan.stages:
        for finding in stage.findings:
            assert finding.rule in text
    if scan.behaviour is not None:
        for statistic in scan.behaviour.statistics:
            assert statistic.name in text
            assert statistic.battery in text
            assert has_number(text, statistic.value)
            assert re.search(rf"(?<!\d){statistic.n_probes}(?!\d)", text)


def test_a_lost_statistic_would_be_noticed():
    text = words(report.render_scan([SAMPLES["block"]], "text"), "text")
    assert has_number(text, 0.9583)
    assert not has_number(text, 0.123)


@pytest.mark.parametrize(("name", "fmt"), ALL)
def test_wording(name, fmt):
    for level in report.DISCLOSURES:
        text = words(report.render_scan([SAMPLES[name]], fmt, disclosure=level), fmt).lower()
        assert not re.search(r"\bsafe\b|\bno backdoor|\bnot backdoored|\bharmless\b|\bis clean\b", text)
        if name == "allow" and fmt != "json":
            assert "no evidence found with these checks" in text


@pytest.mark.parametrize("fmt", report.SCAN_FORMATS)
def test_same_input_same_bytes(fmt):
    scan = block_scan()
    turned = dataclasses.replace(scan, provenance=dict(reversed(scan.provenance.items())))
    assert report.render_scan([scan], fmt) == report.render_scan([block_scan()], fmt)
    assert report.render_scan([scan], fmt) == report.render_scan([turned], fmt)
    assert report.render_scan([scan], fmt) != report.render_scan([review_scan()], fmt)


@pytest.mark.parametrize("fmt", report.SCAN_FORMATS)
def test_several_scans(fmt):
    scans = [block_scan(), refused_scan()]
    if fmt not in MANY:
        with pytest.raises(InputError, match="holds one scan, not 2"):
            report.render_scan(scans, fmt)
        return
    text = words(report.render_scan(scans, fmt), fmt)
    for scan in scans:
        assert scan.subject[:12] in text
        assert scan.verdict.decision in text.lower()


def test_what_cannot_be_rendered_is_said():
    with pytest.raises(InputError, match=r"no report format called 'serif'.*'sarif'"):
        report.render_scan([allow_scan()], "serif")
    with pytest.raises(InputError, match="'hashed'"):
        report.render_scan([allow_scan()], "text", disclosure="hash")
    with pytest.raises(InputError, match="no scan"):
        report.render_scan([], "json")


def test_suffixes_are_unique():
    suffixes = [suffix for suffix, _ in report.SCAN_FORMATS.values()]
    assert len(set(suffixes)) == len(suffixes) == 9


def test_a_page_states_the_gaps_the_calibration_and_the_command():
    text = report.render_scan([failed_scan()], "markdown").decode()
    assert "Behaviour: failed." in text
    assert "Never opened, 1 of 3 files: notes.txt" in text
    assert "at most 13.9 %" in text  # 1 - 0.05 ** (1 / 20)
    assert "lorabench scan helper --seed 7" in text
    assert "not run" in text


def test_without_a_profile_the_calibration_says_so():
    scan = dataclasses.replace(allow_scan(), provenance={"seed": 3})
    facts = report.scan_facts(scan)
    assert facts.calibration[0].startswith("No calibration profile was used")
    assert facts.reproduce[0] == ("command", "lorabench scan quiet --seed 3")


def test_a_profile_that_speaks_for_itself_is_quoted():
    profile = {"id": "guard v1 (ab)", "sentence": "profile guard v1 (ab): 4 clean adapters; bound 53%"}
    facts = report.scan_facts(dataclasses.replace(allow_scan(), provenance={"profile": profile}))
    assert facts.calibration == ("Profile guard v1 (ab): 4 clean adapters; bound 53%.",)


def test_the_bound_is_that_of_the_clean_cohort():
    for n, bound in ((4, "52.7 %"), (59, "4.95 %"), (299, "0.997 %")):
        profile = {"name": "p", "version": 1, "n_clean": n, "n_poisoned": 0}
        facts = report.scan_facts(dataclasses.replace(allow_scan(), provenance={"profile": profile}))
        assert f"at most {bound} " in facts.calibration[1]


def test_rows_hold_every_probe_with_its_interval():
    frame = report.scan_frame([block_scan(), refused_scan()])
    probes = frame[frame["record"] == "probe"].set_index("text")
    assert len(probes) == 4
    top = probes.loc["per RFC 8472 section 3.2"]
    assert (top["n_hits"], top["n"], top["method"]) == (23, 24, "Wilson over prompts")
    assert top["low"] == pytest.approx(0.7976, abs=1e-3)
    assert top["shift_difference"] == pytest.approx(23 / 3 - 0.375)
    assert list(frame[frame["adapter"] == "refused"]["record"]) == ["verdict", *["stage"] * 5, "finding"]


def test_parquet_and_csv_hold_the_same_rows():
    scans = [block_scan(), allow_scan()]
    table = pd.read_parquet(io.BytesIO(report.render_scan(scans, "parquet")))
    text = pd.read_csv(io.BytesIO(report.render_scan(scans, "csv")), keep_default_na=False)
    assert list(table.columns) == list(text.columns)
    assert list(table["id"]) == list(text["id"])
    assert str(table["value"].dtype) == "float64"
