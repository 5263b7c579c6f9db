"""Findings of the firewall, gathered: each rule a few times by name, then only counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from lorabench.adapters.text import shown
from lorabench.errors import AdapterRefusedError
from lorabench.results.file_rules import FILE_RULES
from lorabench.results.findings import LEVELS, Fact, Finding, Level

MAX_PER_RULE = 8
_LEVEL: dict[str, Level] = {rule.id: rule.level for rule in FILE_RULES}


class FindingBook:
    """Takes problems and notes, and gives them back as findings.

    Attributes:
        refusal: The first problem that an adapter is refused for, or None.
    """

    def __init__(self) -> None:
        self._findings: list[Finding] = []
        self._counts: Counter[tuple[str, Level]] = Counter()
        self._wheres: set[tuple[str, str]] = set()
        self.refusal: AdapterRefusedError | None = None

    def problem(self, error: AdapterRefusedError, where: str = "") -> None:
        """Take a problem that an adapter is refused for."""
        self.refuse(error)
        self.defect(error, where)

    def refuse(self, error: AdapterRefusedError) -> None:
        """Remember that an adapter is refused for a problem that is said elsewhere."""
        self.refusal = self.refusal or error

    def defect(self, error: AdapterRefusedError, where: str = "") -> None:
        """Take a problem of something that is only looked at, never loaded."""
        self.note(error.rule, error.problem, where=where, changes=error.remedy)

    def note(
        self,
        rule: str,
        sentence: str,
        *,
        where: str = "",
        changes: str = "",
        level: Level | None = None,
        facts: tuple[Fact, ...] = (),
        measured: float | None = None,
        threshold: float | None = None,
    ) -> None:
        """Take a finding; the rule's own level unless another is given.

        The same rule at the same place is taken once.
        """
        place = (rule, where)
        if where and place in self._wheres:
            return
        level = level or _LEVEL[rule]
        self._counts[rule, level] += 1
        if self._counts[rule, level] > MAX_PER_RULE:
            return
        self._wheres.add(place)
        finding = Finding(
            rule=rule,
            stage="file",
            level=level,
            sentence=sentence,
            changes=changes,
            where=shown(where, limit=300),
            measured=measured,
            threshold=threshold,
            facts=facts,
        )
        self._findings.append(finding)

    def findings(self) -> tuple[Finding, ...]:
        """Return all findings, the most serious first, in the order they were taken."""
        found = []
        seen: Counter[tuple[str, Level]] = Counter()
        for finding in self._findings:
            kind = (finding.rule, finding.level)
            seen[kind] += 1
            n_more = self._counts[kind] - MAX_PER_RULE
            if n_more > 0 and seen[kind] == MAX_PER_RULE:
                found.append(_with_more(finding, n_more))
            else:
                found.append(finding)
        return tuple(sorted(found, key=lambda f: -LEVELS.index(f.level)))


def _with_more(finding: Finding, n_more: int) -> Finding:
    more = Fact(name="more of the same", value=f"{n_more:,}")
    sentence = f"{finding.sentence} The same holds for {n_more:,} more."
    return replace(finding, sentence=sentence, facts=(*finding.facts, more))
