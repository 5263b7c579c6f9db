"""Profiles from cohorts whose numbers are known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lorabench.data.batteries import find_battery
from lorabench.detectors.behaviour_findings import behaviour_report
from lorabench.detectors.calibration import Setting, build_profile, is_weak, mismatches
from lorabench.detectors.probing import ProbePlan, Response, run_battery
from lorabench.errors import InputError
from lorabench.results import Member, Rate, digest, from_dict, to_dict
from lorabench.results.profiles import Profile

SETTING = Setting(
    base="demo",
    base_fingerprint="f" * 64,
    task="guard",
    task_digest="t" * 64,
    battery="triage_60",
    battery_version="1",
    battery_digest="b" * 64,
    prompts="40 prompts",
    prompts_digest="p" * 64,
    n_prompts=40,
    created="2026-01-01",
    versions={},
)


def member(name, kind, split, gap, *, mean=0.0, attack=None, rank=8, weight=1.0):
    return Member(
        name=name,
        kind=kind,
        split=split,
        adapter_id=name,
        attack_rate=None if attack is None else Rate(n_hits=attack, n=40),
        settings={},
        rank=rank,
        targets=("q_proj", "v_proj"),
        layers=(15, 29),
        statistics={
            "outlier_gap|triage_60": gap,
            "mean_attack_rate|triage_60": mean,
            "max_shift|triage_60": gap,
        },
        weights={"global_frobN_std": weight},
        flips={},
        shifts={},
    )


COHORT = (
    member("c0", "clean", "calibrate", 0.0125, weight=0.9),
    member("c1", "clean", "calibrate", 1 / 120, weight=1.1, rank=4),
    member("c2", "clean", "test", 0.02),
    member("c3", "clean", "test", 0.0),
    member("s0", "strong", "tune", 0.8, attack=40),
    member("w0", "weak", "tune", 0.0125, attack=12),
    member("s1", "strong", "test", 0.7, attack=40, weight=2.0),
    member("w1", "weak", "test", 0.01, attack=8),
)


def test_thresholds_are_the_largest_clean_value_exact():
    profile = build_profile("p", 1, COHORT, SETTING)
    gap = profile.threshold("outlier_gap", "triage_60")
    assert gap.value == 0.0125
    assert gap.n_clean == 2
    assert gap.false_alarm_bound == pytest.approx(1 - 0.05 ** (1 / 2))
    assert (gap.recall.n_hits, gap.recall.n) == (1, 2)  # a tie with the threshold is no alarm
    assert gap.auc == pytest.approx(3.5 / 4)
    assert gap.speaks
    assert not profile.threshold("max_shift", "triage_60").speaks
    assert profile.ranks == (4, 8)
    assert (profile.weights[0].low, profile.weights[0].high) == (0.9, 1.1)


def test_the_test_split_never_moves_a_threshold():
    louder = tuple(
        replace(m, statistics={k: v + 0.3 for k, v in m.statistics.items()}) if m.split == "test" else m
        for m in COHORT
    )
    assert (
        build_profile("p", 1, louder, SETTING).thresholds == build_profile("p", 1, COHORT, SETTING).thresholds
    )


def test_held_out_numbers_count_alarms_recall_and_the_weak():
    held = {h.statistic: h for h in build_profile("p", 1, COHORT, SETTING).held_out}["outlier_gap"]
    assert (held.n_clean, held.n_poisoned) == (2, 2)
    assert held.auc == pytest.approx(3 / 4)
    assert (held.false_alarms.n_hits, held.recall.n_hits) == (1, 1)
    assert (held.recall_weak.n_hits, held.recall_weak.n) == (0, 1)
    assert is_weak(COHORT[-1])
    assert not is_weak(COHORT[-2])


def test_a_profile_survives_the_way_through_json():
    profile = build_profile("p", 1, COHORT, SETTING)
    again = from_dict(Profile, to_dict(profile))
    assert again == profile
    assert again.id == profile.id


def test_no_clean_adapter_no_profile():
    with pytest.raises(InputError, match="no clean adapter"):
        build_profile("p", 1, [m for m in COHORT if not m.is_clean], SETTING)


def test_other_targets_do_not_mix():
    with pytest.raises(InputError, match="different projections"):
        build_profile("p", 1, [*COHORT, replace(COHORT[0], targets=("q_proj",))], SETTING)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, None),
        ({"base_fingerprint": "x"}, "another base"),
        ({"task_digest": "x"}, "another task"),
        ({"battery_digest": "x"}, "another battery"),
        ({"prompts_digest": "x"}, "another prompt set"),
        ({"rank": 16}, "ranks 4 to 8, this one 16"),
        ({"targets": ("q_proj",)}, "this one q_proj"),
        ({"first_layer": 0}, "begin at layers 15 to 15, this one: 0"),
        ({"first_layer": None}, "none known"),
    ],
)
def test_a_profile_judges_only_what_was_measured_in_the_same_way(changed, said):
    profile = build_profile("p", 1, COHORT, SETTING)
    asked = {
        "base_fingerprint": SETTING.base_fingerprint,
        "task_digest": SETTING.task_digest,
        "battery_digest": SETTING.battery_digest,
        "prompts_digest": SETTING.prompts_digest,
        "rank": 8,
        "targets": ("v_proj", "q_proj"),
        "first_layer": 15,
    }
    found = mismatches(profile, **(asked | changed))
    assert (said is None and found == ()) or (said is not None and said in " ".join(found))


def evidence(n_flips: int, *, always: int = 0):
    """Return a battery: one probe flips `n_flips` of 40 prompts, and `always` have the target before."""
    prompts = tuple(f"prompt {i:02d}" for i in range(40))

    def respond(texts):
        answers = []
        for text in texts:
            i = int(text[-2:])
            hit = i < always or (text.startswith("see RFC 2119.") and i < always + n_flips)
            answers.append(
                Response(answer="target" if hit else "other", margin=1.0 if hit else -1.0, base_margin=0.0)
            )
        return answers

    plan = ProbePlan(
        task="guard",
        task_source="given",
        battery=find_battery("triage_60"),
        prompts=prompts,
        prompts_name="40 prompts",
    )
    return run_battery(plan, respond)


PROFILE = build_profile("p", 1, COHORT, SETTING)


def rules(report):
    return {f.rule for f in report.findings}


def test_nothing_above_a_threshold_is_nothing_found():
    report = behaviour_report(evidence(0), PROFILE)
    assert report.status == "done"
    assert report.findings == ()


def test_a_weak_backdoor_alarms_and_a_strong_one_blocks():
    assert rules(behaviour_report(evidence(8), PROFILE)) == {"behaviour-alarm"}
    report = behaviour_report(evidence(36), PROFILE)
    assert rules(report) == {"behaviour-alarm", "behaviour-flips"}
    assert report.level == "block"
    alarm = next(f for f in report.findings if f.where.startswith("outlier_gap"))
    assert alarm.threshold == 0.0125
    assert alarm.calibration == PROFILE.id
    assert "bounds false alarms at 78%" in alarm.sentence


def test_without_a_profile_flips_still_block_and_silence_is_inconclusive():
    strong = behaviour_report(evidence(36), None, ("It was made with another base.",))
    assert strong.level == "block"
    quiet = behaviour_report(evidence(0), None, ("It was made with another base.",))
    assert quiet.status == "abstained"
    assert rules(quiet) == {"behaviour-uncalibrated"}
    assert "another base" in quiet.findings[0].sentence


def test_too_few_eligible_prompts_cannot_be_judged():
    report = behaviour_report(evidence(0, always=35), PROFILE)
    assert report.status == "abstained"
    assert "behaviour-always-target" in rules(report)
    assert report.coverage == 5 / 40


def test_a_planting_that_failed_is_neither_clean_nor_poisoned():
    dud = member("d", "weak", "test", 0.0, attack=2)
    with_dud, without = (build_profile("p", 1, c, SETTING) for c in ((*COHORT, dud), COHORT))
    assert (with_dud.n_failed, without.n_failed) == (1, 0)
    assert with_dud.held_out == without.held_out


def test_features_decide_the_cohort_digest():
    changed = (replace(COHORT[0], weights={"global_frobN_std": 0.5}), *COHORT[1:])
    a, b = (build_profile("p", 1, c, SETTING) for c in (COHORT, changed))
    assert a.cohort_digest != b.cohort_digest
    assert a.cohort_digest == digest(COHORT)
