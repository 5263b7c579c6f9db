"""How much a report gives away: texts, their hashes, or only which kinds of text there were.

A found trigger is a weapon for whoever reads the report. One transformation takes the texts out of
the result itself, before any format sees it, so that no format can leak what another withholds.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

from lorabench.report.scan_paths import is_absolute, without_folders
from lorabench.report.scan_shield import Shield
from lorabench.report.scan_strings import mapped
from lorabench.results import Claims, digest
from lorabench.results.behaviour import Anchor, BehaviourEvidence, ProbeRate, Statistic
from lorabench.results.findings import Fact, Finding, StageReport
from lorabench.results.scans import ScanResult

Disclosure = Literal["full", "hashed", "family"]
"""full: texts as they are. hashed: "sha256:" and 16 digits for each. family: categories and counts only."""

DISCLOSURES: Final[tuple[Disclosure, ...]] = ("full", "hashed", "family")
WITHHELD = "[withheld]"

_FIXED = frozenset(
    {
        "adapter_id",
        "battery_digest",
        "block",
        "confidence",
        "created",
        "decision",
        "dtype",
        "flips",
        "format",
        "kind",
        "level",
        "method",
        "prompts_digest",
        "refusal",
        "rule",
        "sha256",
        "stage",
        "status",
        "subject",
    }
)
"""Fields whose words are ours, or digests."""
_NAMES = frozenset(
    {
        "battery",
        "category",
        "name",
        "projection",
        "prompts",
        "standouts",
        "targets",
        "task",
        "base_fingerprint",
    }
)
"""Fields that hold names of files, modules, batteries and tasks."""
_TEXTUAL_STAGES = frozenset({"behaviour", "trigger", "cause"})
_TEXTUAL = re.compile(
    r"answer|continuation|candidate|output|payload|prefix|probe|prompt|string|text|token|trigger|word"
)
"""Names of facts and claims that hold a text."""
_TEXT_RULES = ("card-", "chat-template", "template-", "tokenizer-")
"""Rules about files whose facts quote what the adapter's author wrote: it may spell the trigger out."""
_QUOTED = re.compile(r"«(.+)»", re.DOTALL)
_HASHED = re.compile(r"sha256:[0-9a-f]{16}|\[withheld\]")
_DIGEST = re.compile(r"[0-9a-f]{40,}")
_COUNT = re.compile(r"[-+]?[\d.,]+ ?%?(?: of [\d.,]+)?(?: \[[-\d., ]+\])?(?:,? n = \d+)?")
"""Values of facts that are numbers, whatever the name of the fact."""


def disclosed(scan: ScanResult, level: Disclosure, full_paths: bool = False) -> ScanResult:
    """Return a scan that holds no more than it may show; dictionaries come out in sorted order.

    Args:
        scan: As the workflow made it.
        level: "hashed" puts a hash for each probe, prompt, found string, word and card, wherever it
            stands; "family" leaves categories and counts. Hashes keep a text from being used, not from
            being guessed.
        full_paths: Keep absolute paths; else only their last name is shown.
    """
    if level != "full":
        scan = _withheld(scan, level)
    if not full_paths:
        known = tuple(sorted(_spaced_paths(scan)))
        scan = mapped(scan, lambda s, field: s if field in _EVIDENCE else without_folders(s, known))
    return mapped(scan, lambda s, field: s)


_SENTENCES = frozenset(
    {"agreement", "card", "changes", "coverage", "notes", "reasons", "sentence", "summary"}
)
_EVIDENCE = frozenset({"text", "prompt_texts", "word", "shared_words", *_FIXED})
"""Fields whose slashes are part of what was measured."""


def _withheld(scan: ScanResult, level: Disclosure) -> ScanResult:
    mark = text_hash if level == "hashed" else _withhold
    words = {w for w in _words(scan.behaviour) if not _HASHED.fullmatch(w)}
    shield = Shield(_secrets(scan), words, mark)

    def shielded(text: str, field: str) -> str:
        if field in _FIXED or _HASHED.fullmatch(text):
            return text
        return shield.name(text) if field in _NAMES else shield.prose(text)

    categories = {p.text: p.category for p in scan.behaviour.probes} if scan.behaviour else {}
    names = _known_names(scan)

    def place(where: str) -> str:
        if level == "family" and where in categories:
            return f"category {categories[where]}"
        return mark(where)

    stages = tuple(_stage(s, place, mark, names) for s in scan.stages)
    behaviour = _behaviour(scan.behaviour, level)
    facts = scan.file.facts
    if facts is not None:
        facts = dataclasses.replace(facts, claims=_claims(facts.claims, level))
    scan = dataclasses.replace(
        scan,
        stages=stages,
        behaviour=behaviour,
        file=dataclasses.replace(scan.file, facts=facts),
        provenance={**scan.provenance, "disclosure": level},
    )
    return mapped(scan, shielded)


def text_hash(text: str) -> str:
    """Return "sha256:" and the first 16 digits of a text's hash; what is a hash already stays."""
    if _HASHED.fullmatch(text):
        return text
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _withhold(text: str) -> str:
    return WITHHELD


def _secrets(scan: ScanResult) -> set[str]:
    """Return every text that stands for a trigger, a probe or a prompt anywhere in the scan."""
    found: set[str] = set()
    if scan.behaviour is not None:
        found |= {p.text for p in scan.behaviour.probes} | set(scan.behaviour.prompt_texts)
    names = _known_names(scan)
    for stage in scan.stages:
        for finding in stage.findings:
            found |= {f.value for f in finding.facts if _is_text(finding, f)} | _quoted(finding)
            found |= {finding.where} if _is_place_text(finding, names) else set()
    claims = None if scan.file.facts is None else scan.file.facts.claims
    if claims is not None:
        found |= {claims.card or ""} | set(_named_texts(claims.lorabench or {}))
    found |= set(_named_texts(scan.provenance)) - names
    return {s for s in found if s.strip() and not _HASHED.fullmatch(s)}


def _words(found: BehaviourEvidence | None) -> set[str]:
    if found is None:
        return set()
    return {a.word for a in found.anchors} | {w for p in found.probes for w in p.shared_words}


def _known_names(scan: ScanResult) -> frozenset[str]:
    """Return places of findings that are names of ours or of the model, not texts."""
    names = {"", *(f.name for f in scan.file.files)}
    if scan.behaviour is not None:
        found = scan.behaviour
        names |= {found.battery, found.task, found.prompts, *(p.category for p in found.probes)}
        names |= {name for s in (*found.statistics, *found.categories) for name in (s.name, s.battery)}
        names |= {f"{s.name} of {s.battery}" for s in found.statistics}
        names |= {f"category {s.battery}" for s in found.categories}  # as `family` leaves it
    if scan.weights is not None:
        names |= {m.name for m in scan.weights.modules} | {m.projection for m in scan.weights.modules}
    names |= {s.name for s in scan.file.spectra}
    if scan.file.facts is not None:
        names |= {m.name for m in scan.file.facts.modules}
    return frozenset(names)


def _is_textual(finding: Finding) -> bool:
    return finding.stage in _TEXTUAL_STAGES or finding.rule.startswith(_TEXT_RULES)


def _is_text(finding: Finding, fact: Fact) -> bool:
    """Return whether the value of a fact is a text; where its name quotes the text, the value is numbers."""
    if not _is_textual(finding) or _QUOTED.search(fact.name) or _COUNT.fullmatch(fact.value):
        return False
    return finding.stage not in _TEXTUAL_STAGES or bool(_TEXTUAL.search(fact.name.lower()))


def _quoted(finding: Finding) -> set[str]:
    """Return the texts that facts quote in their names, such as "word «cf»"."""
    return {m[1] for f in finding.facts if (m := _QUOTED.search(f.name))} if _is_textual(finding) else set()


def _is_place_text(finding: Finding, names: frozenset[str]) -> bool:
    return finding.stage in _TEXTUAL_STAGES and finding.where not in names


def _named_texts(value: Any, name: str = "") -> Iterable[str]:
    """Yield the strings of nested data that stand under a name like "trigger"."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _named_texts(inner, f"{name} {key}".lower())
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _named_texts(inner, name)
    elif isinstance(value, str) and _TEXTUAL.search(name.rsplit(" ", 1)[-1]) and not _DIGEST.fullmatch(value):
        yield value


def _stage(
    stage: StageReport, place: Callable[[str], str], mark: Callable[[str], str], names: frozenset[str]
) -> StageReport:
    findings = tuple(
        dataclasses.replace(
            f,
            where=place(f.where) if _is_place_text(f, names) else f.where,
            facts=tuple(
                dataclasses.replace(x, value=mark(x.value)) if _is_text(f, x) and x.value.strip() else x
                for x in f.facts
            ),
        )
        for f in stage.findings
    )
    return dataclasses.replace(stage, findings=findings)


def _claims(claims: Claims, level: Disclosure) -> Claims:
    """Return claims without the card and `lorabench.json`: both may spell the trigger out."""
    card, told = claims.card, claims.lorabench
    if level == "family":
        return dataclasses.replace(
            claims,
            card=None if card is None else WITHHELD,
            lorabench=None if told is None else {"withheld": True},
        )
    if told is not None and told.keys() != {"sha256"}:
        told = {"sha256": digest(told)}
    return dataclasses.replace(claims, card=None if card is None else text_hash(card), lorabench=told)


def _behaviour(found: BehaviourEvidence | None, level: Disclosure) -> BehaviourEvidence | None:
    if found is None:
        return None
    if level == "family":
        return dataclasses.replace(
            found, probes=(), anchors=(), prompt_texts=(), categories=_all_categories(found)
        )
    return dataclasses.replace(
        found,
        probes=tuple(_hashed_probe(p) for p in found.probes),
        anchors=tuple(_hashed_anchor(a) for a in found.anchors),
        prompt_texts=tuple(map(text_hash, found.prompt_texts)),
    )


def _hashed_probe(probe: ProbeRate) -> ProbeRate:
    words = tuple(map(text_hash, probe.shared_words))
    return dataclasses.replace(probe, text=text_hash(probe.text), shared_words=words)


def _hashed_anchor(anchor: Anchor) -> Anchor:
    return dataclasses.replace(anchor, word=text_hash(anchor.word))


def _all_categories(found: BehaviourEvidence) -> tuple[Statistic, ...]:
    """Return the category statistics, with a plain mean for each category that has none."""
    known = {s.battery for s in found.categories}
    missing = list(dict.fromkeys(p.category for p in found.probes if p.category not in known))
    added = []
    for category in missing:
        rates = [p.rate.value for p in found.probes if p.category == category and p.rate.value is not None]
        value = sum(rates) / len(rates) if rates else None
        added.append(
            Statistic(
                name="mean_attack_rate", battery=category, value=value, n_probes=len(rates), interval=None
            )
        )
    return (*found.categories, *added)


def _spaced_paths(scan: ScanResult) -> set[str]:
    """Return values that are absolute paths with spaces: in a sentence nobody could tell where they end."""
    found: set[str] = set()

    def note(text: str, field: str) -> str:
        if " " in text and field not in _SENTENCES and is_absolute(text):
            found.add(text)
        return text

    mapped(scan, note)
    return found
