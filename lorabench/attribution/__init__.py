"""Which words carried a margin, for base and adapter, and what a map is worth.

    attribute(...)  -> Quad        the 2x2 of base and adapter, without and with the trigger
    check_map(...)  -> CheckedMap  deletion curve, second opinion, verdict in words

Positive scores push the answer to the task's target label; all are in logits. The gradient
methods live in `lorabench.attribution.gradients`, which alone imports torch and Captum, and
are reached through `explain` and `attribute`.
"""

from lorabench.attribution.check import check_map, deletion_curve
from lorabench.attribution.leave_one_out import leave_one_out
from lorabench.attribution.maps import DIFFERENCE, Explanation, difference
from lorabench.attribution.quad import METHODS, attribute, explain
from lorabench.attribution.shapley import shapley
from lorabench.attribution.texts import ExplainedText, explained_text
from lorabench.attribution.words import words_of

__all__ = [
    "DIFFERENCE",
    "METHODS",
    "ExplainedText",
    "Explanation",
    "attribute",
    "check_map",
    "deletion_curve",
    "difference",
    "explain",
    "explained_text",
    "leave_one_out",
    "shapley",
    "words_of",
]
