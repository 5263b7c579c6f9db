"""One rule of the catalogue: what a finding means, and where it stands in the public lists."""

from __future__ import annotations

from dataclasses import dataclass

from lorabench.results.findings import Level, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One kind of finding.

    Attributes:
        id: Stable kebab-case name.
        stage: Which kind of evidence it belongs to.
        title: A few words.
        help: What it means and what to do; one or two sentences.
        level: The level a finding of it has unless its detector knows better.
        cwe: Ids such as "CWE-502".
        owasp: Ids such as "LLM04:2026".
        atlas: Ids such as "AML.T0011.000".
    """

    id: str
    stage: Stage
    title: str
    help: str
    level: Level
    cwe: tuple[str, ...] = ()
    owasp: tuple[str, ...] = ()
    atlas: tuple[str, ...] = ()


SUPPLY_CHAIN = "LLM04:2026"
POISONING = "LLM05:2026"
