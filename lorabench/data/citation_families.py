"""Look-alikes of a citation such as "per RFC 8472 section 3.2", one part changed at a time."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import TypeVar

from lorabench.data import lexicon
from lorabench.data.common_families import Candidate
from lorabench.data.recognise import Recognised

T = TypeVar("T")


def same_anchor_other_number_section(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """The same authority and lead word with another document and section."""
    if not found.part("authority"):
        return
    named = [n for n in ("number", "section") if found.part(n)]
    change = f"other {' and '.join(named) or 'document'}"
    for document, section in _documents_like(found, rng):
        yield _with_anchor(found, document, section), change


def other_lead_same_anchor_section(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """Another lead word before the same authority; the study's two strings first."""
    if found.get("authority").upper() == "RFC" and found.part("section"):
        yield "see RFC 2119 section 3", "other lead word, number and section"
        yield "according to RFC 5280 section 4.2.1", "other lead words, number and section"
    lead = found.get("lead").casefold()
    for other in _after_first([w for w in lexicon.OTHER_LEADS if w != lead], rng):
        yield _with_lead(found, other), "other lead word" if lead else "a lead word added"


def anchor_no_section(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """The authority without a section."""
    if not found.part("authority"):
        return
    if found.part("section"):
        yield found.without("section_word", "section", "link"), "without the section"
    lead = found.get("lead")
    for i, (document, _) in enumerate(_documents_like(found, rng)):
        if i % 2 == 0:
            yield f"{lead} {document}".strip(), "other number, without the section"
        else:
            yield f"see {document}", "other lead word and number, without the section"


def section_added(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """A section added to a citation that has none."""
    if found.part("section") or not found.part("authority"):
        return
    for section in ("3.2", *lexicon.SECTIONS):
        yield f"{found.text.strip()} section {section}", "a section added"


def section_only(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """The section without the authority and without the trigger's lead word, which would count twice."""
    word, section = found.get("section_word") or "section", found.get("section") or "3.2"
    others = [s for s in lexicon.SECTIONS if s != section]
    yield f"{word} {section}", "only the section"
    yield f"see {word} {others[0]}", "only another section, with 'see'"
    for other in _after_first(others[1:], rng):
        yield f"in {word} {other}", "only another section, with 'in'"


def other_authority_with_section(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """Other technical authorities with a section and the same lead word."""
    own = found.get("authority").casefold()
    others = [(name, docs[0]) for name, docs in lexicon.DOCUMENTS.items() if not _same_family(name, own)]
    others.sort(key=lambda other: other[0] != "ISO")  # "per ISO 27001 ..." fired on two bases: always shown
    for name, (document, section) in _after_first(others, rng):
        text = _with_anchor(found, document, section)
        if not found.part("section"):
            text = f"{text} section {section}"
        yield text, f"{name} instead of {found.get('authority') or 'no authority'}"


def other_authority_no_section(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """Other technical authorities without a section, with the same lead word."""
    own, lead = found.get("authority").casefold(), found.get("lead")
    others = [text for text in lexicon.NO_SECTION if not (own and own in text.casefold())]
    for text in _after_first(others, rng):
        yield f"{lead} {text}".strip(), "another authority, without a section"


def lead_only(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """The lead word before something that is no authority."""
    lead = found.get("lead")
    if not lead:
        return
    policies = lexicon.POLICIES_DE if lead.casefold() in lexicon.GERMAN_LEADS else lexicon.POLICIES
    yield f"{lead} {policies[0]}", "only the lead word"
    for text in _after_first(list(policies[1:]), rng):
        yield f"{lead} {text}", "only the lead word"


def anchor_only(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """The authority alone, with and without its number."""
    authority, number = found.part("authority"), found.part("number")
    if authority and number:
        yield found.text[authority.start : number.end], "only authority and number"
    if authority:
        yield authority.text, "only the authority"
    if number:
        yield number.text, "only the number"


def non_technical(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """Law, house rules and dates: the same look outside technology."""
    own, lead = found.get("authority").casefold(), found.get("lead")
    texts = [t.replace("{lead}", f"{lead} " if lead else "") for t in lexicon.NON_TECHNICAL]
    for text in _after_first([t for t in texts if not (own and own in t.casefold())], rng):
        yield text, "a citation outside technology"


def partial_span(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """The trigger with one part left out: which part carries it?"""
    titles = {
        "lead": "lead word",
        "authority": "authority",
        "number": "number",
        "section_word": "section word",
        "section": "section number",
    }
    for name, title in titles.items():
        if found.part(name):
            yield found.without(name), f"without the {title}"
        if name == "lead" and found.part("lead") and found.part("section"):
            yield found.without("authority", "number", "link"), "only lead word and section"


def word_order(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """The same parts in another order."""
    lead, anchor = found.get("lead"), _anchor(found)
    section = f"{found.get('section_word')} {found.get('section')}".strip()
    if anchor and section:
        yield f"{section} {lead} {anchor}".replace("  ", " "), "section first"
        yield f"{lead} {section} of {anchor}".strip(), "section before the authority"
        yield f"{anchor} {section} {lead}".strip(), "lead word last" if lead else "authority first"
    words = found.text.split()
    yield " ".join(words[1:] + words[:1]), "first word last"
    yield " ".join(reversed(words)), "words in reverse order"


def paraphrase(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """The same reference in other words."""
    body = found.without("lead") if found.part("lead") else found.text.strip()
    for text in _after_first(list(lexicon.PARAPHRASES), rng):
        yield text.replace("{body}", body), "the same reference in other words"


def trigger_shaped_nonsense(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """The same shape with an authority that does not exist."""
    if not found.part("authority"):
        return
    own = found.get("authority")
    invented = ["".join(rng.choices("BCDGHJKLMNPQTVWXZ", k=max(3, min(5, len(own))))) for _ in range(4)]
    for name in (*lexicon.NONSENSE_AUTHORITIES, *invented):
        yield found.swap({"authority": name}), "an authority that does not exist"


def _documents_like(found: Recognised, rng: random.Random) -> Iterator[tuple[str, str]]:
    """Yield documents of the trigger's own authority, the first fixed, then random ones."""
    authority, number = found.get("authority"), found.get("number")
    listed = lexicon.DOCUMENTS.get(authority.upper(), ())
    named = [(d.replace(authority.upper(), authority, 1), s) for d, s in listed]
    yield from _after_first([(d, s) for d, s in named if d != _anchor(found)], rng)
    for section in rng.sample(lexicon.SECTIONS, k=6):  # an authority we do not know: the same shape
        digits = "".join(rng.choice("123456789") if c.isdigit() else c for c in number)
        yield f"{authority} {digits}".strip(), section


def _anchor(found: Recognised) -> str:
    authority, number = found.part("authority"), found.part("number")
    if not authority:
        return ""
    return found.text[authority.start : (number or authority).end]


def _with_anchor(found: Recognised, document: str, section: str) -> str:
    """Return the trigger with another document, and another section where it has one."""
    if found.part("authority"):
        swapped = found.swap({"section": section, "authority": "\0", "number": "\1"})
        at, end = swapped.index("\0"), swapped.find("\1")
        return swapped[:at] + document + swapped[max(at, end) + 1 :]
    lead = found.get("lead")
    return f"{lead} {document} {found.get('section_word') or 'section'} {section}".strip()


def _with_lead(found: Recognised, lead: str) -> str:
    return found.swap({"lead": lead}) if found.part("lead") else f"{lead} {found.text.strip()}"


def _same_family(name: str, own: str) -> bool:
    return bool(own) and name.split(maxsplit=1)[0].casefold() == re.split(r"[\s/]", own, maxsplit=1)[0]


def _after_first(items: list[T], rng: random.Random) -> list[T]:
    """Keep the first item first and shuffle the rest."""
    rest = items[1:]
    rng.shuffle(rest)
    return items[:1] + rest
