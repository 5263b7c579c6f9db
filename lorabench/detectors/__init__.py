"""Measurements to findings: what in a data set, or in an adapter, speaks for a backdoor.

A detector ranks and counts; it never says "clean".
"""

from lorabench.detectors.battery_statistics import (
    STUDY_EXACT,
    STUDY_PRINTED,
    Thresholds,
    anchors_of,
    calibrated,
    category_means,
    first_rule,
    is_flagged,
    max_attack_rate,
    mean_attack_rate,
    outlier_gap,
    statistics_of,
    top3_mean,
)
from lorabench.detectors.inspect_rows import inspect_rows
from lorabench.detectors.roc import (
    DirectedAuc,
    RocPoint,
    auc,
    auc_interval,
    auc_p_value,
    directed_auc,
    exceeds,
    false_alarm_bound,
    recall_above,
    roc_points,
    sequential_auc,
    zero_alarm_threshold,
)
from lorabench.detectors.statistics import entropy_bits, g2, log10_fisher
from lorabench.detectors.study_weights import study_v1, study_v2
from lorabench.detectors.token_entropy import STUDY_FLOOR, default_floor
from lorabench.detectors.weights import STANDOUT_Z, weigh, weight_findings

__all__ = [
    "STANDOUT_Z",
    "STUDY_EXACT",
    "STUDY_FLOOR",
    "STUDY_PRINTED",
    "DirectedAuc",
    "RocPoint",
    "Thresholds",
    "anchors_of",
    "auc",
    "auc_interval",
    "auc_p_value",
    "calibrated",
    "category_means",
    "default_floor",
    "directed_auc",
    "entropy_bits",
    "exceeds",
    "false_alarm_bound",
    "first_rule",
    "g2",
    "inspect_rows",
    "is_flagged",
    "log10_fisher",
    "max_attack_rate",
    "mean_attack_rate",
    "outlier_gap",
    "recall_above",
    "roc_points",
    "sequential_auc",
    "statistics_of",
    "study_v1",
    "study_v2",
    "top3_mean",
    "weigh",
    "weight_findings",
    "zero_alarm_threshold",
]
