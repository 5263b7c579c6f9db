"""The file stage of a scan: the firewall over a folder, or what is known of an archive that it refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from lorabench.adapters import BaseFolder, FileScan, left_out_findings, scan_folder
from lorabench.config import Config
from lorabench.errors import AdapterRefusedError, BaseModelError
from lorabench.models import fetch
from lorabench.results import LEVELS, RULES, FileEvidence, Finding, StageReport, digest
from lorabench.workflows.scan_target import ScanTarget


def run_file(
    config: Config,
    base: str,
    target: ScanTarget,
    on_progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> FileScan:
    """Look through a target without trusting anything in it; whatever is wrong becomes a finding.

    Args:
        config: Limits, and where bases are.
        base: The base whose tokenizer and rows it is compared with, if it is installed.
        target: What was taken in.
        on_progress: Called with (bytes read, bytes in all).
        cancelled: Polled while it reads.

    Raises:
        CancelledError: If cancelled.
    """
    if target.folder is None:
        assert target.refusal is not None
        return _refused(target.refusal)
    found = scan_folder(
        target.folder,
        config.limits,
        base=_base_facts(config, base),
        on_progress=on_progress,
        cancelled=cancelled,
    )
    return _with_left_out(found, target.left_out)


def subject_of(evidence: FileEvidence, target: ScanTarget) -> str:
    """Return what names the adapter: its weight file's hash, else the archive's, else its inventory's."""
    weights = next((f.sha256 for f in evidence.files if f.kind == "weights" and f.sha256), None)
    return weights or target.subject or digest([(f.name, f.n_bytes, f.sha256) for f in evidence.files])


def _with_left_out(found: FileScan, names: tuple[str, ...]) -> FileScan:
    """Add what an archive or repository held besides the files that were taken over."""
    more = left_out_findings(names)
    if not more:
        return found
    findings = sorted((*found.report.findings, *more), key=lambda f: -LEVELS.index(f.level))
    return replace(found, report=replace(found.report, findings=tuple(findings)))


def _refused(error: AdapterRefusedError) -> FileScan:
    """Return the file stage of an archive that was refused before anything was unpacked."""
    rule = RULES.get(error.rule)
    finding = Finding(
        rule=error.rule,
        stage="file",
        level=rule.level if rule else "inconclusive",
        sentence=error.problem,
        changes=error.remedy,
    )
    report = StageReport(
        stage="file", status="refused", summary=error.problem, coverage=0.0, findings=(finding,)
    )
    return FileScan(evidence=FileEvidence(files=(), facts=None, refusal=error.rule), report=report)


def _base_facts(config: Config, base: str) -> BaseFolder | None:
    try:
        return BaseFolder(fetch.resolve(base, config))
    except BaseModelError:
        return None
