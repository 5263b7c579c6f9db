"""A whole scan: what was looked at, what was found, what follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lorabench.results.adapters import AdapterFacts
from lorabench.results.behaviour import BehaviourEvidence
from lorabench.results.findings import Stage, StageReport, Verdict
from lorabench.results.weights import ModuleSpectrum, WeightEvidence

SCAN_FORMAT = "lorabench-scan-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannedFile:
    """One file of the adapter's folder.

    Attributes:
        name: Relative name; untrusted text.
        n_bytes: Size; None for a link, a pipe or what could not be looked at.
        kind: "weights", "config", "claims", "card", "head", "tokenizer", "code", "archive", "pickle",
            "link" or "other".
        sha256: Of the bytes that were parsed; None for what was never opened.
    """

    name: str
    n_bytes: int | None
    kind: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEvidence:
    """An adapter's folder as the firewall saw it; nothing in it was executed, imported or followed.

    Attributes:
        files: Everything in the folder.
        facts: Checked facts; None if the adapter was refused.
        spectra: The low-rank changes, measured while the file was streamed; empty if refused.
        refusal: The rule that refused it, or None.
        tensor_coverage: Share of the tensors that were understood; a fraction in [0, 1].
    """

    files: tuple[ScannedFile, ...]
    facts: AdapterFacts | None
    spectra: tuple[ModuleSpectrum, ...] = ()
    refusal: str | None = None
    tensor_coverage: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanResult:
    """Everything one scan of one adapter found; the same facts stand in every report.

    Attributes:
        format: `SCAN_FORMAT`.
        name: What the adapter is called; untrusted text.
        subject: sha256 that names what was scanned: of the weight file, or of the inventory if
            it was refused.
        stages: The five stages, in order, run or not.
        verdict: What follows.
        file: What the firewall saw.
        weights: What the weight detector measured, or None.
        behaviour: What the probes did, or None.
        provenance: Seed, versions, digests, device, dtype, profile.
        created: ISO time in UTC.
        seconds: Wall time.
    """

    name: str
    subject: str
    stages: tuple[StageReport, ...]
    verdict: Verdict
    file: FileEvidence
    weights: WeightEvidence | None
    behaviour: BehaviourEvidence | None
    provenance: dict[str, Any]
    created: str
    seconds: float
    format: str = SCAN_FORMAT

    def stage(self, stage: Stage) -> StageReport:
        """Return the report of one stage."""
        return next(s for s in self.stages if s.stage == stage)
