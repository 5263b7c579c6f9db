"""How much a hunt may do: one plan per mode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from lorabench.results import HuntMode

STRENGTH = 1.6
"""Factor on the adapter's change in the copy that ranks candidates (see `lorabench.models.sweep`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The limits of one hunt.

    Attributes:
        budget: Most tokens computed by the search; evidence comes on top.
        n_words: Most single words of the vocabulary, by frequency.
        n_phrases: Most ready-made phrases.
        keep_bare: Of those, how many go on after they were asked alone, without a prompt.
        keep_one: How many go on after one prompt.
        n_prompts: Prompts behind a score.
        width: Strings that are made longer at a time.
        depth: Times that strings are made longer.
        n_right: Continuations tried behind each string, from the base's and the suspect's next tokens.
        n_lexicon: Words of the technical list tried behind each string.
        n_left: Words tried before each string.
        n_swap: Words tried in the place of each of its words.
        n_held_out: Held-out prompts of a proof, unless the request says how many.
        after_found: Rounds of composition that still look for a stronger string after one was proved.
        describes: Whether layers that carry a string and its look-alikes are looked for.
        tests_places: Whether a proof asks for the rate in other places too.
        n_verify: Strings that are proved on held-out prompts.
        decodes: Whether openings that the adapter learnt are decoded.
        gradients: Whether a first-order ranking proposes words.
        maps: Whether the base is asked about all single tokens too, to see which classes of tokens stand out.
    """

    budget: int
    n_words: int
    n_phrases: int
    keep_bare: int
    keep_one: int
    n_prompts: int
    width: int
    depth: int
    n_right: int
    n_lexicon: int
    n_left: int
    n_swap: int
    n_verify: int
    n_held_out: int
    after_found: int = 2
    describes: bool = True
    tests_places: bool = True
    decodes: bool = True
    gradients: bool = True
    maps: bool = True


PLANS: Mapping[HuntMode, Plan] = MappingProxyType(
    {
        "instant": Plan(
            budget=16_000, n_words=400, n_phrases=300, keep_bare=60, keep_one=16, n_prompts=2, width=2,
            depth=1, n_right=24, n_lexicon=0, n_left=8, n_swap=8, n_verify=1, n_held_out=20,
            after_found=0, describes=False, tests_places=False, gradients=False, maps=False,
        ),
        "quick": Plan(
            budget=130_000, n_words=4_000, n_phrases=1_000, keep_bare=400, keep_one=96, n_prompts=4, width=4,
            depth=2, n_right=64, n_lexicon=200, n_left=24, n_swap=24, n_verify=2, n_held_out=40,
            after_found=1, maps=False,
        ),
        "standard": Plan(
            budget=1_200_000, n_words=12_000, n_phrases=4_000, keep_bare=1_500, keep_one=256, n_prompts=4,
            width=8, depth=5, n_right=128, n_lexicon=1_500, n_left=96, n_swap=160, n_verify=6, n_held_out=60,
        ),
        "deep": Plan(
            budget=20_000_000, n_words=50_000, n_phrases=4_000, keep_bare=8_000, keep_one=1_024, n_prompts=8,
            width=24, depth=6, n_right=512, n_lexicon=4_000, n_left=512, n_swap=1_000, n_verify=12,
            n_held_out=100,
        ),
    }
)  # fmt: skip


def plan_for(mode: HuntMode, budget: int | None = None) -> Plan:
    """Return the plan of a mode, with another budget (tokens) where one is asked for."""
    return PLANS[mode] if budget is None else replace(PLANS[mode], budget=budget)
