"""The parts of a hunt have words for people, each its own, and none is missing."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import get_args

from lorabench import hunting
from lorabench.figures import part_title
from lorabench.figures.hunt_parts import PARTS
from lorabench.results import Source


def stages_told() -> set[str]:
    """Return the stages that the search names itself when it says how far it is."""
    trees = [ast.parse(p.read_text(encoding="utf-8")) for p in Path(hunting.__file__).parent.glob("*.py")]
    return {
        node.args[0].value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", "") in ("on_step", "tell")
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }


def test_every_source_and_every_stage_has_words():
    assert "proof" in stages_told()
    assert {*get_args(Source), *stages_told(), "load the copies"} <= set(PARTS)


def test_words_are_distinct_and_say_what_is_done():
    assert len(set(PARTS.values())) == len(PARTS)
    assert all(words.split()[0].endswith("ing") for words in PARTS.values())
    assert not set(PARTS) & set(PARTS.values())


def test_an_unknown_part_is_called_as_it_calls_itself():
    assert part_title("composition") == "making strings longer"
    assert part_title("something new") == "something new"
    assert part_title("target A: B: phrases") == "target A: B: trying phrases"
