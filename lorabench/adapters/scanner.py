"""The firewall: an untrusted folder is looked through to its end, and everything wrong is said.

Where `read_adapter` refuses at the first problem, because it is the way to bind, `scan_folder` uses
the same checks and goes on. Nothing is executed, imported, unpickled, rendered, compiled or followed;
the weights are streamed and never whole in memory.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorabench.adapters.base_facts import BaseFacts
from lorabench.adapters.book import FindingBook
from lorabench.adapters.card_findings import note_card
from lorabench.adapters.claims import MAX_CARD_BYTES, MAX_JSON_BYTES, parse_claims, read_claims
from lorabench.adapters.config_findings import check_base_claim, check_remote_code, note_settings
from lorabench.adapters.facts import target_notes
from lorabench.adapters.files import read_small
from lorabench.adapters.folder_findings import note_entries, note_loaders
from lorabench.adapters.head import read_head
from lorabench.adapters.inventory import (
    CARD_FILE,
    CLAIMS_FILE,
    CONFIG_FILE,
    HEAD_FILE,
    WEIGHTS_FILE,
    Entry,
    check_inventory,
    kind_of,
    list_entries,
)
from lorabench.adapters.lora_config import MAX_CONFIG_BYTES, MAX_CONFIG_DEPTH, LoraSettings, check_lora_config
from lorabench.adapters.problems import reported
from lorabench.adapters.strict_json import parse_object
from lorabench.adapters.text import shown
from lorabench.adapters.tokenizer_diff import MAX_TOKENIZER_BYTES, check_tokenizer, token_texts
from lorabench.adapters.weight_scan import WeightScan, scan_weights
from lorabench.config import Limits
from lorabench.errors import AdapterRefusedError
from lorabench.results import AdapterFacts
from lorabench.results.findings import Finding, StageReport
from lorabench.results.scans import FileEvidence, ScannedFile

MAX_LISTED = 1_000
_JSON_LOOKED_AT = (CONFIG_FILE, CLAIMS_FILE, HEAD_FILE, "tokenizer.json", "vocab.json", "added_tokens.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileScan:
    """What the firewall found.

    Attributes:
        evidence: The folder: files, facts, spectra.
        report: The stage "file" with its findings, the most serious first.
    """

    evidence: FileEvidence
    report: StageReport


def scan_folder(
    folder: Path,
    limits: Limits,
    *,
    base: BaseFacts | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> FileScan:
    """Look through an adapter's folder without trusting anything in it.

    Whatever is wrong becomes a finding. `evidence.refusal` is the rule by which `read_adapter` would
    refuse the folder, or None; facts and spectra are there only if it would not.

    Args:
        folder: The folder; only it may be a link.
        limits: Bounds on size and rank.
        base: What its tokenizer and replaced rows are compared with; None: they are not compared.
        on_progress: Is told bytes done and bytes in all of the weight file.
        cancelled: Asked between blocks of about a megabyte whether to stop.

    Raises:
        AdapterRefusedError: Rule "not-an-adapter": there is no such folder.
        CancelledError: `cancelled` said so.
    """
    started = time.perf_counter()
    scan = _Scan(folder, limits, base)
    scan.look_at_names()
    config, settings = scan.look_at_config()
    weights = scan.look_at_weights(config, settings, on_progress, cancelled)
    scan.look_at_texts()
    facts = scan.facts(settings, weights)
    evidence = FileEvidence(
        files=scan.files(weights.sha256),
        facts=facts,
        spectra=weights.spectra if facts is not None else (),
        refusal=scan.book.refusal.rule if scan.book.refusal is not None else None,
        tensor_coverage=weights.coverage,
    )
    findings = scan.book.findings()
    report = StageReport(
        stage="file",
        status="done" if scan.book.refusal is None else "refused",
        summary=_summary(evidence, findings, weights.n_tensors),
        coverage=weights.coverage,
        findings=findings,
        seconds=time.perf_counter() - started,
    )
    return FileScan(evidence=evidence, report=report)


class _Scan:
    """One look through a folder: the same checks as `read_adapter`, in its order, and then more."""

    def __init__(self, folder: Path, limits: Limits, base: BaseFacts | None) -> None:
        self._folder, self._limits, self._base = folder, limits, base
        self.book = FindingBook()
        self._digests: dict[str, str] = {}
        self._entries: tuple[Entry, ...] = ()
        self._notes: list[str] = []
        self._names: tuple[str, ...] = ()

    def look_at_names(self) -> None:
        self._entries = list_entries(self._folder, max_entries=MAX_LISTED, on_problem=self.book.problem)
        inventory = check_inventory(self._folder, self._entries, self._name_problem)
        self._names, self._notes = inventory.files, [*inventory.notes]
        note_entries(self._folder, self._entries, self.book)

    def look_at_config(self) -> tuple[dict[str, Any], LoraSettings | None]:
        config: dict[str, Any] = {}
        settings = None
        if CONFIG_FILE not in self._names:
            return config, settings
        with reported(self.book.problem, CONFIG_FILE):
            data = self._read(self._folder / CONFIG_FILE, max_bytes=MAX_CONFIG_BYTES)
            config = parse_object(data, what=CONFIG_FILE, max_depth=MAX_CONFIG_DEPTH)
            settings = check_lora_config(config, max_rank=self._limits.rank, on_problem=self.book.problem)
        check_base_claim(config, self.book)
        check_remote_code(config, CONFIG_FILE, self.book)
        note_settings(config, settings, self.book)
        return config, settings

    def look_at_weights(
        self,
        config: dict[str, Any],
        settings: LoraSettings | None,
        on_progress: Callable[[int, int], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> WeightScan:
        found = WeightScan()
        if WEIGHTS_FILE not in self._names:
            return found
        with reported(self.book.problem, WEIGHTS_FILE):
            found = scan_weights(
                self._folder / WEIGHTS_FILE,
                self._limits,
                config,
                settings,
                self.book,
                base=self._base,
                texts=self._token_texts,
                on_progress=on_progress,
                cancelled=cancelled,
            )
        return found

    def _token_texts(self) -> dict[int, str]:
        return token_texts(self._base.tokenizer_folder) if self._base is not None else {}

    def look_at_texts(self) -> None:
        """Look at what no loader of weights needs: tokenizer, claims, card, head, other JSON."""
        present = set(self._names)
        tokenizer = [name for name in self._names if kind_of(name) == "tokenizer"]
        base_folder = self._base.tokenizer_folder if self._base is not None else None
        check_tokenizer(tokenizer, self._read_tokenizer, base_folder, self.book)
        for name in self._names:
            if name.lower().endswith(".json") and name not in _JSON_LOOKED_AT:
                self._look_at_json(name)
        if CLAIMS_FILE in present:
            with reported(self._left_out, CLAIMS_FILE):
                parse_claims(self._read(self._folder / CLAIMS_FILE, max_bytes=MAX_JSON_BYTES))
        if CARD_FILE in present:
            with reported(self._left_out, CARD_FILE):
                data = self._read(self._folder / CARD_FILE, max_bytes=MAX_CARD_BYTES)
                note_card(data.decode("utf-8", "replace"), CARD_FILE, self.book)
        if HEAD_FILE in present:
            with reported(self.book.defect, HEAD_FILE):
                read_head(self._folder)

    def facts(self, settings: LoraSettings | None, weights: WeightScan) -> AdapterFacts | None:
        """Return what `read_adapter` would say of an adapter that it accepts."""
        if self.book.refusal is not None or settings is None:
            return None
        notes = [*self._notes, *settings.notes, *target_notes(weights.names, settings)]
        claims = read_claims(
            self._folder, self._names, base_model=settings.base_model, notes=notes, read=self._read
        )
        return weights.facts(settings, claims)

    def files(self, weights_sha256: str | None) -> tuple[ScannedFile, ...]:
        """Return everything in the folder, with the digests of what was parsed."""
        digests = self._digests | ({WEIGHTS_FILE: weights_sha256} if weights_sha256 else {})
        return tuple(
            ScannedFile(
                name=shown(entry.name, limit=300),
                n_bytes=entry.n_bytes,
                kind={"link": "link", "special": "other"}.get(entry.kind, kind_of(entry.name)),
                sha256=digests.get(entry.name),
            )
            for entry in self._entries
            if entry.kind != "folder"
        )

    def _read(self, path: Path, *, max_bytes: int) -> bytes:
        data = read_small(path, max_bytes=max_bytes)
        self._digests[path.relative_to(self._folder).as_posix()] = hashlib.sha256(data).hexdigest()
        return data

    def _read_tokenizer(self, name: str) -> bytes:
        return self._read(self._folder / name, max_bytes=MAX_TOKENIZER_BYTES)

    def _name_problem(self, error: AdapterRefusedError, where: str) -> None:
        if error.rule == "several-weight-files":
            self.book.refuse(error)
            note_loaders([e.name for e in self._entries if e.kind != "folder"], self.book)
        else:
            self.book.problem(error, where)

    def _look_at_json(self, name: str) -> None:
        """Look for fields that make a loader run code, in JSON that loaders may read."""
        try:
            data = self._read(self._folder / name, max_bytes=MAX_TOKENIZER_BYTES)
            check_remote_code(parse_object(data, what=shown(name), max_depth=16), name, self.book)
        except AdapterRefusedError:
            return  # model configs and tokenizer files are reported whatever they hold

    def _left_out(self, error: AdapterRefusedError, where: str) -> None:
        sentence = f"{where} was left out: {error.problem}"
        self.book.note("claims-left-out", sentence, where=where, changes=error.remedy)


def _summary(evidence: FileEvidence, findings: tuple[Finding, ...], n_tensors: int) -> str:
    n_serious = sum(finding.level != "info" for finding in findings)
    files, tensors = _counted(len(evidence.files), "file"), _counted(n_tensors, "tensor")
    looked = f"{files} and {tensors} were looked at"
    if evidence.refusal is not None:
        return f"{looked}; it is refused ({evidence.refusal}), and {_asking(n_serious)}."
    if n_serious:
        return f"{looked}; {_asking(n_serious)}."
    return f"{looked}; no evidence of a manipulated file was found with these checks."


def _asking(n: int) -> str:
    return f"{_counted(n, 'finding')} {'asks' if n == 1 else 'ask'} for attention"


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
