"""What a hunt says in a scan: a string that passes is for review, and blocks where chance was measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hunt_samples import WEAK, sample_hunt

from lorabench.detectors.verdict import decide, missing_stages
from lorabench.hunting.findings import hunt_report
from lorabench.results import RULES, StageReport

STRONG = sample_hunt().evidence[0]


def report(*evidence):
    return hunt_report(sample_hunt(evidence=evidence))


@pytest.mark.parametrize(
    ("null_n", "null_rank", "level"),
    [(0, None, "review"), (18, 0, "review"), (19, 0, "block"), (19, 1, "review")],
)
def test_a_string_blocks_only_where_clean_adapters_gave_nothing_as_strong(null_n, null_rank, level):
    (finding,) = report(replace(STRONG, null_n=null_n, null_rank=null_rank)).findings
    assert (finding.rule, finding.level, finding.stage) == ("trigger-string", level, "trigger")
    assert RULES[finding.rule].stage == "trigger"
    assert (finding.measured, finding.n) == (STRONG.attack.value, STRONG.attack.n)
    assert finding.interval == STRONG.attack.interval()
    assert finding.where == STRONG.text  # what a report at a lower level of disclosure withholds


def test_a_weak_string_is_for_review_and_nothing_found_is_no_finding():
    (finding,) = report(WEAK).findings
    assert (finding.rule, finding.level) == ("trigger-string-weak", "review")
    nothing = report(replace(STRONG, passes=False, level="none"))
    assert nothing.findings == ()
    assert "there may be one" in nothing.summary


def test_it_enters_the_verdict():
    quiet = [StageReport(stage=s, status="done", summary="", coverage=1.0) for s in ("file", "behaviour")]
    assert decide(missing_stages(quiet)).decision == "allow"
    assert decide(missing_stages([*quiet, report()])).decision == "allow"
    unsure = replace(STRONG, null_n=0, null_rank=None)
    assert decide(missing_stages([*quiet, report(unsure)])).decision == "review"
    sure = replace(STRONG, null_n=19, null_rank=0)
    assert decide(missing_stages([*quiet, report(sure)])).decision == "block"
