"""The rule set: fail-closed, in the order in which the README states it."""

from __future__ import annotations

import itertools

import pytest

from lorabench.detectors.verdict import decide, missing_stages
from lorabench.results import LEVELS, RULES, STAGES, Finding, StageReport, Verdict


def stage(name, status="done", level=None, coverage=1.0):
    findings = ()
    if level is not None:
        findings = (
            Finding(
                rule="behaviour-alarm",
                stage=name,
                level=level,
                sentence=f"{name} says {level}.",
                changes="X.",
            ),
        )
    return StageReport(
        stage=name, status=status, summary=f"{name} summary.", coverage=coverage, findings=findings
    )


def whole(**changed):
    stages = {name: stage(name) for name in ("file", "weights", "behaviour")}
    return missing_stages([*(stages | changed).values()])


def test_a_whole_scan_without_findings_allows_and_says_what_that_means():
    verdict = decide(whole())
    assert verdict.decision == "allow"
    assert not verdict.is_degraded
    assert verdict.reasons[0].startswith("No evidence found with these checks.")
    assert "safe" not in " ".join(verdict.reasons)
    assert any("shares no word" in c for c in verdict.changes)


@pytest.mark.parametrize("where", ["file", "weights", "behaviour"])
@pytest.mark.parametrize(
    ("level", "decision"),
    [("block", "block"), ("review", "review"), ("inconclusive", "inconclusive"), ("info", "allow")],
)
def test_the_strongest_finding_decides_wherever_it_is(where, level, decision):
    assert decide(whole(**{where: stage(where, level=level)})).decision == decision


@pytest.mark.parametrize("name", ["file", "behaviour"])
@pytest.mark.parametrize("status", ["abstained", "not run", "refused", "failed"])
def test_nothing_missing_is_ever_allowed(name, status):
    verdict = decide(whole(**{name: stage(name, status=status)}))
    assert verdict.decision == "inconclusive"
    assert verdict.is_degraded
    assert verdict.confidence == "low"


def test_weights_may_abstain_but_a_tensor_that_was_not_understood_may_not():
    assert decide(whole(weights=stage("weights", status="abstained"))).decision == "allow"
    assert decide(whole(file=stage("file", coverage=0.99))).decision == "inconclusive"
    assert decide(whole(weights=stage("weights", status="failed"))).decision == "inconclusive"


def test_a_block_outranks_what_is_missing():
    stages = whole(
        file=stage("file", status="refused", level="block"), behaviour=stage("behaviour", "refused")
    )
    verdict = decide(stages)
    assert verdict.decision == "block"
    assert verdict.confidence == "high"


def test_a_note_such_as_the_fast_mode_never_allows():
    verdict = decide(whole(), notes=("It was measured in the fast mode.",))
    assert (verdict.decision, verdict.is_degraded) == ("inconclusive", True)


def test_agreement_names_who_speaks_and_who_does_not():
    verdict = decide(whole(behaviour=stage("behaviour", level="review")))
    assert verdict.agreement == (
        "Against it: behaviour; nothing found: file, weights; "
        "not run: reconstructed trigger, causal evidence."
    )
    assert len(verdict.coverage) == len(STAGES)


def test_two_stages_that_agree_are_surer_than_one():
    one = decide(whole(behaviour=stage("behaviour", level="block")))
    two = decide(whole(behaviour=stage("behaviour", level="block"), weights=stage("weights", level="review")))
    assert (one.confidence, two.confidence) == ("medium", "high")


def test_raising_a_level_never_makes_the_decision_milder():
    order = ("allow", "inconclusive", "review", "block")
    for a, b in itertools.combinations(LEVELS, 2):
        mild, hard = (decide(whole(file=stage("file", level=x))).decision for x in (a, b))
        assert order.index(mild) <= order.index(hard)


def test_a_degraded_allow_cannot_even_be_made():
    with pytest.raises(ValueError, match="degraded"):
        Verdict(
            decision="allow",
            confidence="low",
            reasons=(),
            agreement="",
            coverage=(),
            changes=(),
            is_degraded=True,
        )


def test_every_rule_names_a_stage_and_a_level():
    assert {r.stage for r in RULES.values()} >= {"file", "weights", "behaviour"}
    assert all(r.level in LEVELS and r.help.endswith(".") for r in RULES.values())
