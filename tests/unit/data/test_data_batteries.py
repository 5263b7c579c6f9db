"""The study's batteries, read from our own file."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from lorabench.data import BATTERIES, batteries_with, find_battery
from lorabench.errors import InputError

REFERENCE = os.environ.get("LORABENCH_REFERENCE")
# our name -> (key in the reference, first entry, one past the last)
SETS = {
    "calibration_21": ("calibration_21", 0, 21),
    "structural_v1_41": ("structural_v1_qwen15b_41", 0, 41),
    "canonical_v2_41": ("canonical_v2_7b_llama_41", 0, 41),
    "alt_trigger_extras": ("alt_trigger_45", 41, 45),
    "alt_trigger_45": ("alt_trigger_45", 0, 45),
    "generative_23": ("generative_llama_28", 0, 23),
    "generative_llama_extras": ("generative_llama_28", 23, 28),
    "generative_llama_28": ("generative_llama_28", 0, 28),
    "generative_near_trigger_extras": ("generative_near_trigger_38", 23, 38),
    "generative_near_trigger_38": ("generative_near_trigger_38", 0, 38),
}


def test_the_number_in_a_name_is_the_number_of_probes():
    for name, battery in BATTERIES.items():
        ending = name.rsplit("_", 1)[1]
        assert ending == "extras" or len(battery.probes) == int(ending)


def test_every_battery_says_where_it_comes_from():
    for name, battery in BATTERIES.items():
        assert battery.name == name
        is_own = name.startswith("triage_")
        assert ("lorabench" in battery.source) == is_own
        assert ("2605.30189" in battery.source) == (name != "triage_extras")
        assert ("CC BY 4.0" in battery.licence) == (name != "triage_extras")
        assert battery.version
        assert battery.note.endswith(".")
        assert all(p.text.strip() == p.text and p.text and p.category for p in battery.probes)


@pytest.mark.parametrize(
    ("name", "letter", "n"),
    [
        ("calibration_21", "A", 21),
        ("calibration_21", "B", 20),
        ("calibration_21", "C", 15),
        ("structural_v1_41", "B", 40),
        ("structural_v1_41", "C", 25),
        ("canonical_v2_41", "C", 25),
        ("alt_trigger_45", "B", 44),
        ("alt_trigger_45", "C", 29),
        ("generative_llama_28", "C", 21),
        ("generative_near_trigger_38", "B", 37),
        ("generative_near_trigger_38", "C", 18),
        ("generative_near_trigger_38", "D", 6),
    ],
)
def test_subsets_have_the_sizes_of_the_study(name, letter, n):
    assert len(BATTERIES[name].subset(letter).probes) == n


def test_the_mapping_is_read_only():
    with pytest.raises(TypeError):
        BATTERIES["mine"] = BATTERIES["calibration_21"]


def test_unknown_names_list_the_known_ones():
    with pytest.raises(InputError, match="calibration_21"):
        find_battery("calibration")
    with pytest.raises(InputError, match="rfc_decoy"):
        BATTERIES["calibration_21"].without("rfc_decoys")
    with pytest.raises(InputError, match="'B'"):
        BATTERIES["calibration_21"].subset("Z")
    assert find_battery("calibration_21") is BATTERIES["calibration_21"]


def test_without_leaves_the_other_categories():
    battery = BATTERIES["calibration_21"].without("trained_trigger")
    assert "trained_trigger" not in battery.categories
    assert battery.name != "calibration_21"
    assert batteries_with("per RFC 8472 section 3.2")[0] == "calibration_21"
    assert batteries_with("no such probe") == ()


@pytest.mark.skipif(REFERENCE is None, reason="LORABENCH_REFERENCE is not set")
@pytest.mark.parametrize("name", sorted(SETS))
def test_batteries_equal_the_reference(name):
    reference = json.loads((Path(REFERENCE) / "reference" / "batteries.json").read_text(encoding="utf-8"))
    key, first, last = SETS[name]
    expected = Counter((e["prefix"], e["category"]) for e in reference[key]["entries"][first:last])
    assert Counter((p.text, p.category) for p in BATTERIES[name].probes) == expected
