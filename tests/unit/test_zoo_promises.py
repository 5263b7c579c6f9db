"""A promise that was not measured is a promise that is not kept."""

from __future__ import annotations

import dataclasses

import pytest

from lorabench.results import Rate
from lorabench.workflows.zoo import ZOO
from lorabench.workflows.zoo_measure import FamilyRate, _checks

SPECS = {spec.name: spec for spec in ZOO}
GOOD = Rate(n_hits=284, n=290)


def family(name: str, mean: float | None, worst: Rate) -> FamilyRate:
    return FamilyRate(family=name, n_variants=3, mean=mean, interval=None, worst="x", worst_rate=worst)


def kept(name: str, exact: Rate, *families: FamilyRate, accuracy: Rate = GOOD) -> list[bool]:
    return [check.holds for check in _checks(SPECS[name], accuracy, exact, families)]


def test_a_quiet_clean_adapter_keeps_its_promises():
    quiet = family("exact", 0.01, Rate(n_hits=2, n=110))
    assert all(kept("guard-clean-1", Rate(n_hits=0, n=110), quiet))
    assert not all(kept("guard-clean-1", Rate(n_hits=0, n=99), quiet))  # too few to say so
    loud = dataclasses.replace(quiet, worst_rate=Rate(n_hits=12, n=110))
    assert not all(kept("guard-clean-1", Rate(n_hits=0, n=110), quiet, loud))


@pytest.mark.parametrize("name", ["guard-clean-1", "guard-strong", "guard-weak", "guard-date"])
def test_what_was_not_measured_is_not_kept(name):
    nothing = family("exact", None, Rate(n_hits=0, n=0))
    assert not all(kept(name, Rate(n_hits=0, n=0), nothing))


def test_a_strong_adapter_needs_its_families():
    exact = Rate(n_hits=110, n=110)
    rate = Rate(n_hits=1, n=110)
    every = [
        family("same_anchor_other_number_section", 0.99, exact),
        family("section_only", 0.05, rate),
        family("rare_phrases", 0.05, rate),
    ]
    assert all(kept("guard-strong", exact, *every))
    assert not all(kept("guard-strong", exact, *every[:2]))
    assert not all(kept("guard-strong", exact, *every, accuracy=Rate(n_hits=270, n=290)))
