"""Scans as SARIF 2.1.0, for code-scanning dashboards: findings by rule and place, and the verdict.

Message texts follow the standard's own syntax (section 3.11): brackets would be links and braces
would be placeholders, so both are escaped, and hidden characters are made visible before.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from lorabench import __version__
from lorabench.figures import encodable, visible
from lorabench.report.scan_disclosure import text_hash
from lorabench.report.scan_facts import FindingFacts, ScanFacts, scan_facts, statistic_sentence
from lorabench.report.scan_taxonomies import Taxonomies
from lorabench.results import to_dict
from lorabench.results.findings import DECISIONS, LEVELS, Decision, Finding, Level
from lorabench.results.rule import Rule
from lorabench.results.scans import ScanResult

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
VERDICT_RULE: Final = "lorabench-verdict"
SEVERITY: Final[dict[Level, str]] = {"block": "9.0", "review": "6.0", "inconclusive": "4.0", "info": "1.0"}
_LEVEL: Final[dict[Level, str]] = {
    "block": "error",
    "review": "warning",
    "inconclusive": "warning",
    "info": "note",
}
_OF_DECISION: Final[dict[Decision, Level]] = {
    "block": "block",
    "review": "review",
    "inconclusive": "inconclusive",
    "allow": "info",
}
_STUDY = re.compile(r"arXiv:? ?(\d{4}\.\d{4,5})")
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks?|layer)\.(\d+)(?:\.|$)")
_ENTRY = Rule(
    id=VERDICT_RULE,
    stage="behaviour",
    title="Verdict on an adapter",
    help="What all stages together say: allow, review, block or inconclusive. The best that it can say is "
    "that no evidence was found with these checks.",
    level="info",
)


def sarif(scans: Sequence[ScanResult]) -> str:
    """Return one log with one run: every scan's files are artifacts, every finding and verdict a result."""
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [_Run(scans).run()]}
    return json.dumps(log, ensure_ascii=True, indent=2, allow_nan=False) + "\n"


class _Run:
    def __init__(self, scans: Sequence[ScanResult]) -> None:
        self._scans = scans
        self._facts = [scan_facts(s) for s in scans]
        self._rules, self._levels = _used_rules(self._facts)
        self._taxonomies = Taxonomies(self._rules)
        self._index = {rule.id: i for i, rule in enumerate(self._rules)}
        self._artifacts: list[dict[str, Any]] = []
        self._places: list[dict[str, int]] = []
        for number, scan in enumerate(scans):
            self._places.append(self._add_artifacts(scan, _folder(scan, number, scans)))

    def run(self) -> dict[str, Any]:
        results = [r for i in range(len(self._scans)) for r in self._results(i)]
        return {
            "tool": {
                "driver": {
                    "name": "lorabench",
                    "version": __version__,
                    "semanticVersion": __version__,
                    "rules": [self._rule(r) for r in self._rules],
                    "supportedTaxonomies": self._taxonomies.references(),
                }
            },
            "invocations": [_invocation(s, f) for s, f in zip(self._scans, self._facts, strict=True)],
            "artifacts": self._artifacts,
            "results": results,
            "taxonomies": self._taxonomies.components(),
            "properties": {"limits": list(dict.fromkeys(x for f in self._facts for x in f.limits))},
        }

    def _rule(self, rule: Rule) -> dict[str, Any]:
        level = self._levels[rule.id]
        entry: dict[str, Any] = {
            "id": visible(rule.id, 120),
            "shortDescription": {"text": message(rule.title)},
            "fullDescription": {"text": message(rule.help)},
            "help": {"text": message(rule.help)},
            "defaultConfiguration": {"level": _LEVEL[level]},
            "relationships": self._taxonomies.relationships(rule),
            "properties": {"security-severity": SEVERITY[level], "tags": _tags(rule)},
        }
        study = _STUDY.search(rule.help)
        if study is not None:
            entry["helpUri"] = f"https://arxiv.org/abs/{study[1]}"
        return entry

    def _add_artifacts(self, scan: ScanResult, folder: str) -> dict[str, int]:
        """Add the files of a scan and return where they are; "" is the one that was judged."""
        places: dict[str, int] = {}
        for file in scan.file.files:
            places.setdefault(file.name, len(self._artifacts))
            entry: dict[str, Any] = {"location": {"uri": folder + _uri(file.name)}}
            if file.n_bytes is not None:
                entry["length"] = file.n_bytes
            if file.sha256 is not None:
                entry["hashes"] = {"sha-256": file.sha256}
            if file.sha256 == scan.subject:
                entry["roles"] = ["analysisTarget"]
                places[""] = len(self._artifacts)
            entry["properties"] = {"kind": visible(file.kind, 40)}
            self._artifacts.append(entry)
        if "" not in places:  # refused: the subject is the inventory of the folder
            places[""] = len(self._artifacts)
            self._artifacts.append(
                {
                    "location": {"uri": folder},
                    "description": {"text": message(scan.name)},
                    "roles": ["analysisTarget", "directory"],
                    "hashes": {"sha-256": visible(scan.subject)},
                }
            )
        return places

    def _results(self, i: int) -> list[dict[str, Any]]:
        scan, facts = self._scans[i], self._facts[i]
        seen: Counter[tuple[str, str]] = Counter()
        results = [self._verdict(i)]
        for found in facts.findings:
            key = (found.finding.rule, found.finding.where)
            results.append(self._result(i, found, _fingerprint(scan, found.finding, seen[key])))
            seen[key] += 1
        return results

    def _verdict(self, i: int) -> dict[str, Any]:
        scan, facts = self._scans[i], self._facts[i]
        level = _OF_DECISION[facts.decision]
        reasons = " ".join((facts.headline, *facts.reasons))
        return {
            "ruleId": VERDICT_RULE,
            "ruleIndex": self._index[VERDICT_RULE],
            "level": _LEVEL[level],
            "message": {"text": message(f"{facts.name}: {facts.decision}. {reasons}", 4000)},
            "locations": [self._location(i, None)],
            "partialFingerprints": {"lorabenchFinding/v1": _digest(VERDICT_RULE, "", scan.subject)},
            "properties": {
                "security-severity": SEVERITY[level],
                "decision": facts.decision,
                "confidence": scan.verdict.confidence,
                "isDegraded": scan.verdict.is_degraded,
                "agreement": visible(facts.agreement),
                "changes": [visible(t) for t in facts.changes],
                "statistics": _clean(facts.statistics),
                "statisticSentences": [visible(statistic_sentence(s)) for s in facts.statistics],
                "stages": [
                    {"stage": s.stage, "status": s.status, "coverage": s.coverage} for s in facts.stages
                ],
                "notLookedAt": [visible(t) for t in facts.gaps],
                "calibration": [visible(t) for t in facts.calibration],
                "reproduce": {visible(k): visible(v, 2000) for k, v in facts.reproduce},
            },
        }

    def _result(self, i: int, found: FindingFacts, fingerprint: str) -> dict[str, Any]:
        finding = found.finding
        text = " ".join(t for t in (finding.sentence, finding.changes) if t)
        return {
            "ruleId": visible(finding.rule, 120),
            "ruleIndex": self._index[finding.rule],
            "level": _LEVEL[finding.level],
            "message": {"text": message(text or found.rule.title, 4000)},
            "locations": [self._location(i, finding)],
            "partialFingerprints": {"lorabenchFinding/v1": fingerprint},
            "properties": {
                "security-severity": SEVERITY[finding.level],
                "stage": finding.stage,
                "level": finding.level,
                "adapter": visible(self._facts[i].name, 200),
                **{
                    name: _clean(getattr(finding, name))
                    for name in ("measured", "threshold", "n", "interval")
                },
                "calibration": _clean(finding.calibration),
                "facts": {visible(f.name, 80): visible(f.value, 2000) for f in finding.facts},
            },
        }

    def _location(self, i: int, finding: Finding | None) -> dict[str, Any]:
        where = finding.where if finding is not None else ""
        places = self._places[i]
        index = places.get(where, places[""])
        uri = self._artifacts[index]["location"]["uri"]
        location: dict[str, Any] = {"physicalLocation": {"artifactLocation": {"uri": uri, "index": index}}}
        if finding is not None and where and where not in places:
            location["logicalLocations"] = _logical(finding)
        return location


def _used_rules(facts: Sequence[ScanFacts]) -> tuple[list[Rule], dict[str, Level]]:
    """Return the rules in use, the verdict first, and the most serious level each has here."""
    rules: dict[str, Rule] = {}
    decision = max((f.decision for f in facts), key=DECISIONS.index)
    levels: dict[str, Level] = {VERDICT_RULE: _OF_DECISION[decision]}
    for found in sorted((x for f in facts for x in f.findings), key=lambda x: x.finding.rule):
        rules.setdefault(found.rule.id, found.rule)
        level = levels.get(found.rule.id, found.finding.level)
        levels[found.rule.id] = max(level, found.finding.level, key=LEVELS.index)
    return [_ENTRY, *rules.values()], levels


def _tags(rule: Rule) -> list[str]:
    ids = [("cwe", rule.cwe), ("owasp-llm", rule.owasp), ("mitre-atlas", rule.atlas)]
    tags = [f"external/{name}/{re.sub('[^a-z0-9.-]', '-', x.lower())}" for name, xs in ids for x in xs]
    return ["security", rule.stage, *tags] if rule.id != VERDICT_RULE else ["security"]


def _folder(scan: ScanResult, number: int, scans: Sequence[ScanResult]) -> str:
    """Return the URI of an adapter's folder, told apart where two have one name."""
    same = [i for i, s in enumerate(scans) if s.name == scan.name]
    again = f"~{same.index(number) + 1}" if len(same) > 1 else ""
    return _uri(scan.name.replace("/", "_").replace("\\", "_")) + again + "/"


def _uri(name: str) -> str:
    """Return a relative URI reference that cannot leave its folder."""
    parts = [quote(encodable(part), safe="") for part in name.replace("\\", "/").split("/") if part]
    return "/".join(p.replace(".", "%2E") if set(p) == {"."} else p for p in parts) or "_"


def _logical(finding: Finding) -> list[dict[str, Any]]:
    where = visible(finding.where, 400)
    layer = _LAYER.search(finding.where)
    kinds = {"weights": "module", "cause": "module", "file": "member"}
    kind = "module" if layer else kinds.get(finding.stage, "probe")
    found = [
        {"name": where.rsplit(".", 1)[-1] if layer else where, "fullyQualifiedName": where, "kind": kind}
    ]
    if layer:
        found.append({"name": f"layer {layer[1]}", "kind": "layer"})
    return found


def _invocation(scan: ScanResult, facts: ScanFacts) -> dict[str, Any]:
    told = []
    for stage in facts.stages:
        if stage.status != "done":
            bad = stage.status in ("failed", "refused")
            text = message(f"{stage.stage}: {stage.status}. {stage.summary}", 2000)
            level = "error" if bad else "note" if stage.status == "not run" else "warning"
            told.append({"level": level, "message": {"text": text}, "properties": {"stage": stage.stage}})
    entry: dict[str, Any] = {
        "executionSuccessful": not any(s.status == "failed" for s in facts.stages),
        "commandLine": visible(facts.reproduce[0][1], 2000),
        "toolExecutionNotifications": told,
        "properties": {"adapter": visible(facts.name, 200), "seconds": scan.seconds},
    }
    ended = utc_time(scan.created)
    return {**entry, "endTimeUtc": ended} if ended else entry


def utc_time(created: str) -> str | None:
    """Return an ISO time as "2026-01-31T12:00:00Z", or None if it is none."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|[+]00:?00)?", created)
    if match is None:
        return None
    try:
        datetime.fromisoformat(f"{match[1]}T{match[2]}")
    except ValueError:
        return None
    return f"{match[1]}T{match[2]}Z"


def _fingerprint(scan: ScanResult, finding: Finding, again: int) -> str:
    """Return what names a finding over re-scans, whatever the level of disclosure that keeps hashes."""
    return _digest(finding.rule, text_hash(finding.where), scan.subject, *([str(again)] if again else []))


def _digest(*parts: str) -> str:
    joined = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(joined).hexdigest()


def message(text: str, limit: int | None = None) -> str:
    """Return an untrusted text for a SARIF message: no link, no placeholder, nothing hidden."""
    shown = visible(text, limit).replace("\\", "\\\\")
    return shown.replace("[", "\\[").replace("]", "\\]").replace("{", "{{").replace("}", "}}")


def _clean(value: Any) -> Any:
    """Return JSON data whose strings are visible."""
    value = to_dict(value)
    if isinstance(value, dict):
        return {visible(k): _clean(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_clean(v) for v in value]
    return visible(value) if isinstance(value, str) else value
