"""Structured look-alikes of a trigger, grouped in named families, plus the controls.

    recognise(trigger) -> kind -> the kind's families, in order -> variants

Each variant changes the trigger in one named way and says which parts and words it keeps, so
that a heatmap can tell a backdoor on a word from one on a shape. Everything follows from the
trigger and the seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from lorabench.data import citation_families as citation
from lorabench.data import common_families as common
from lorabench.data import text_families as plain
from lorabench.data import value_families as value
from lorabench.data.batteries import batteries_with
from lorabench.data.common_families import Candidate
from lorabench.data.compare import kept_parts, shared_words
from lorabench.data.recognise import Kind, Recognised, recognise
from lorabench.data.titles import FAMILY_TITLES
from lorabench.errors import InputError, unknown_name
from lorabench.results import Trigger, Variant

Maker = Callable[[Recognised, random.Random], Iterator[Candidate]]


_KINDS: dict[Kind, dict[str, Maker]] = {
    "citation": {
        "same_anchor_other_number_section": citation.same_anchor_other_number_section,
        "other_lead_same_anchor_section": citation.other_lead_same_anchor_section,
        "anchor_no_section": citation.anchor_no_section,
        "section_added": citation.section_added,
        "section_only": citation.section_only,
        "other_authority_with_section": citation.other_authority_with_section,
        "other_authority_no_section": citation.other_authority_no_section,
        "lead_only": citation.lead_only,
        "anchor_only": citation.anchor_only,
        "non_technical": citation.non_technical,
        "paraphrase": citation.paraphrase,
        "trigger_shaped_nonsense": citation.trigger_shaped_nonsense,
        "partial_span": citation.partial_span,
        "word_order": citation.word_order,
    },
    "date": {
        "same_year": value.same_year,
        "same_month_day": value.same_month_day,
        "other_format": value.other_format,
        "neighbouring_day": value.neighbouring_day,
        "other_date": value.other_date,
        "time_of_day": value.time_of_day,
        "number_shape": value.number_shape,
        "date_words": value.date_words,
    },
    "html": {
        "other_tag": value.other_tag,
        "void_tag": value.void_tag,
        "closing_tag": value.closing_tag,
        "attributes": value.attributes,
        "brackets_only": value.brackets_only,
        "entity_escaped": value.entity_escaped,
        "bare_tag_name": value.bare_tag_name,
        "doubled": plain.doubled,
    },
    "country": {
        "same_continent": value.same_continent,
        "other_continent": value.other_continent,
        "demonym": value.demonym,
        "capital": value.capital,
        "flag_code": value.flag_code,
        "framed": plain.framed,
        "misspelling": common.misspelling,
    },
    "name": {
        "other_name": value.other_name,
        "same_first_name": value.same_first_name,
        "same_surname": value.same_surname,
        "name_parts": value.name_parts,
        "framed": plain.framed,
        "misspelling": common.misspelling,
    },
    "phrase": {
        "one_word_swap": plain.one_word_swap,
        "synonym": plain.synonym,
        "changed_code": plain.changed_code,
        "words_dropped": common.words_dropped,
        "first_words": plain.first_words,
        "last_words": plain.last_words,
        "inserted_word": plain.inserted_word,
        "framed": plain.framed,
        "word_order": common.word_order,
        "misspelling": common.misspelling,
    },
    "token": {
        "other_token": plain.other_token,
        "changed_code": plain.changed_code,
        "doubled": plain.doubled,
        "spaced_letters": plain.spaced_letters,
        "inside_word": plain.inside_word,
        "part_of_token": plain.part_of_token,
        "framed": plain.framed,
        "misspelling": common.misspelling,
    },
}
_EVERYWHERE: dict[str, Maker] = {"case": common.case, "spacing_punctuation": common.spacing_punctuation}
_CONTROLS: dict[str, Maker] = {
    "no_trigger": common.no_trigger,
    "random_words": common.random_words,
    "rare_phrases": common.rare_phrases,
    "authority_claims": common.authority_claims,
}
# One fewer than `per_family`: families whose members say much the same.
_SMALL = frozenset(
    {
        "section_added",
        "anchor_only",
        "trigger_shaped_nonsense",
        "word_order",
        "case",
        "spacing_punctuation",
        *_CONTROLS,
    }
)


def variants(
    trigger_text: str,
    *,
    seed: int = 0,
    per_family: int = 3,
    families: Sequence[str] | None = None,
    length: Callable[[str], int] = len,
) -> tuple[Variant, ...]:
    """Return look-alikes of a trigger, the exact trigger first, controls last.

    Args:
        trigger_text: The trigger.
        seed: Decides every random choice.
        per_family: Most members of a family; some small families have one fewer.
        families: Keys of `FAMILY_TITLES` to keep; None keeps all that apply to this kind of
            trigger, controls included. The exact trigger is always there.
        length: How long a text is, for the control of random words: characters, or better the
            model's tokens.

    Returns:
        Variants with different texts, grouped by family. Only "exact" equals the trigger.

    Raises:
        InputError: If the trigger is empty, a family is unknown, or `per_family` is below 1.
    """
    Trigger(text=trigger_text)  # the same rule for what a trigger is
    if per_family < 1:
        raise InputError("bad-per-family", f"per_family is {per_family}.", "Use a whole number above 0.")
    for key in families or ():
        if key not in FAMILY_TITLES:
            raise unknown_name("family", key, tuple(FAMILY_TITLES))
    found = recognise(trigger_text)
    made = [_variant(found, "exact", (trigger_text, "unchanged"))]
    seen = {trigger_text}
    sized = {"random_words": partial(common.random_words, length=length)}
    for key, maker in (_KINDS[found.kind] | _EVERYWHERE | _CONTROLS | sized).items():
        quota = max(1, per_family - 1) if key in _SMALL else per_family
        rng = random.Random(f"{seed}\0{key}\0{trigger_text}".encode("utf-8", "surrogatepass"))
        for candidate in maker(found, rng):
            if quota == 0:
                break
            if candidate[0] in seen or (not candidate[0].strip() and key != "no_trigger"):
                continue
            seen.add(candidate[0])
            made.append(_variant(found, key, candidate))
            quota -= 1
    return tuple(v for v in made if families is None or v.family in families or v.family == "exact")


def select(chosen: Sequence[Variant], n: int) -> tuple[Variant, ...]:
    """Return `n` of the variants, spread evenly over their families, in the same order.

    The exact trigger comes first, then one of every control family, then one of every other
    family (evenly spaced if there is no room for all), then second members, and so on.

    Raises:
        InputError: If `n` is below 1.
    """
    if n < 1:
        raise InputError("bad-count", f"{n} variants were asked for.", "Ask for at least one.")
    groups: dict[str, list[int]] = {}
    for i, variant in enumerate(chosen):
        groups.setdefault(variant.family, []).append(i)
    exact = groups.pop("exact", [])
    controls = [g for g in groups.values() if chosen[g[0]].is_control]
    others = [g for g in groups.values() if not chosen[g[0]].is_control]
    picked = [*exact, *(g[0] for g in controls)][:n]
    room = n - len(picked)
    if room < len(others):
        picked += [others[k * len(others) // room][0] for k in range(room)]
    else:
        picked += [g[0] for g in others]
        deepest = max((len(g) for g in groups.values()), default=0)
        later = [g[depth] for depth in range(1, deepest) for g in (*others, *controls) if depth < len(g)]
        picked += later[: n - len(picked)]
    return tuple(chosen[i] for i in sorted(picked))


def _variant(found: Recognised, key: str, candidate: Candidate) -> Variant:
    text, change = candidate
    named = (*batteries_with(text), "given" if key == "exact" else "generated")
    return Variant(
        text=text,
        family=key,
        change=change,
        is_control=FAMILY_TITLES[key].is_control,
        shared_words=shared_words(found.text, text),
        anchors=kept_parts(found, text),
        source=named[0],
    )
