"""CWE, OWASP and MITRE ATLAS as SARIF taxonomies: which public entry a rule stands for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from lorabench.results.rule import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Taxonomy:
    """One public catalogue.

    Attributes:
        field: Which field of a `Rule` holds its ids.
        name: What it is called.
        version: Its edition; empty where the entries keep their meaning over editions.
        organization: Who publishes it.
        uri: Where it is read.
        summary: What it lists.
    """

    field: str
    name: str
    version: str
    organization: str
    uri: str
    summary: str


TAXONOMIES: Final = (
    Taxonomy(
        field="cwe",
        name="CWE",
        version="",
        organization="MITRE",
        uri="https://cwe.mitre.org/",
        summary="Common Weakness Enumeration",
    ),
    Taxonomy(
        field="owasp",
        name="OWASP Top 10 for LLM Applications",
        version="2026",
        organization="OWASP",
        uri="https://genai.owasp.org/",
        summary="The ten most critical risks of applications with large language models",
    ),
    Taxonomy(
        field="atlas",
        name="MITRE ATLAS",
        version="5.6.0",
        organization="MITRE",
        uri="https://atlas.mitre.org/",
        summary="Adversarial Threat Landscape for Artificial-Intelligence Systems",
    ),
)
TITLES: Final = {
    "LLM04:2026": "Supply Chain",
    "LLM05:2026": "Data and Model Poisoning",
    "AML.T0010.003": "AI Supply Chain Compromise: Model",
    "AML.T0011.000": "User Execution: Unsafe AI Artifacts",
    "AML.T0015": "Evade AI Model",
    "AML.T0018.000": "Manipulate AI Model: Poison AI Model",
    "AML.T0018.001": "Manipulate AI Model: Modify AI Model Architecture",
    "AML.T0018.002": "Manipulate AI Model: Embed Malware",
    "AML.T0020": "Poison Training Data",
    "AML.T0029": "Denial of AI Service",
    "AML.T0031": "Erode AI Model Integrity",
    "AML.T0043.004": "Craft Adversarial Data: Insert Backdoor Trigger",
    "AML.T0058": "Publish Poisoned Models",
    "CWE-20": "Improper Input Validation",
    "CWE-22": "Path Traversal",
    "CWE-59": "Link Following",
    "CWE-367": "Time-of-check Time-of-use Race Condition",
    "CWE-393": "Return of Wrong Status Code",
    "CWE-400": "Uncontrolled Resource Consumption",
    "CWE-409": "Improper Handling of Highly Compressed Data",
    "CWE-502": "Deserialization of Untrusted Data",
    "CWE-770": "Allocation of Resources Without Limits or Throttling",
    "CWE-829": "Inclusion of Functionality from Untrusted Control Sphere",
    "CWE-1333": "Inefficient Regular Expression Complexity",
    "CWE-1336": "Improper Neutralization of Special Elements Used in a Template Engine",
    "CWE-506": "Embedded Malicious Code",
    "CWE-912": "Hidden Functionality",
}


class Taxonomies:
    """The catalogues that some rules use, and where their entries are."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        """Collect the ids of the rules."""
        self._ids = {t.field: sorted({x for r in rules for x in getattr(r, t.field)}) for t in TAXONOMIES}
        self._used = [t for t in TAXONOMIES if self._ids[t.field]]

    def components(self) -> list[dict[str, Any]]:
        """Return `run.taxonomies`."""
        return [
            {
                "name": t.name,
                **({"version": t.version} if t.version else {}),
                "guid": _guid(t),
                "organization": t.organization,
                "informationUri": t.uri,
                "shortDescription": {"text": t.summary},
                "taxa": [self._taxon(x) for x in self._ids[t.field]],
            }
            for t in self._used
        ]

    def references(self) -> list[dict[str, Any]]:
        """Return `driver.supportedTaxonomies`."""
        return [{"name": t.name, "index": i, "guid": _guid(t)} for i, t in enumerate(self._used)]

    def relationships(self, rule: Rule) -> list[dict[str, Any]]:
        """Return which entries a rule is about."""
        found = []
        for reference, taxonomy in zip(self.references(), self._used, strict=True):
            ids = self._ids[taxonomy.field]
            found += [
                {
                    "target": {"id": x, "index": ids.index(x), "toolComponent": reference},
                    "kinds": ["relevant"],
                }
                for x in getattr(rule, taxonomy.field)
            ]
        return found

    @staticmethod
    def _taxon(x: str) -> dict[str, Any]:
        entry: dict[str, Any] = {"id": x}
        if x in TITLES:
            entry["shortDescription"] = {"text": TITLES[x]}
        weakness = re.fullmatch(r"CWE-(\d+)", x)
        technique = re.fullmatch(r"(AML\.T\d+(?:\.\d+)?)", x)
        if weakness:
            entry["helpUri"] = f"https://cwe.mitre.org/data/definitions/{weakness[1]}.html"
        elif technique:
            entry["helpUri"] = f"https://atlas.mitre.org/techniques/{technique[1]}"
        return entry


def _guid(taxonomy: Taxonomy) -> str:
    return str(uuid5(NAMESPACE_URL, f"{taxonomy.uri}{taxonomy.version}"))
