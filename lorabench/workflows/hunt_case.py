"""A found string in the case of its adapter: which case that is, and what the note says."""

from __future__ import annotations

from pathlib import Path

from lorabench.adapters import find_adapter, read_adapter
from lorabench.casebook import CaseBook
from lorabench.config import Config
from lorabench.errors import InputError
from lorabench.figures import interval_text, rate_sentence, safe_text, signed
from lorabench.results import HuntResult, StringEvidence
from lorabench.results.cases import Case

MAX_QUOTE = 4_000
"""Characters of a string that a note quotes."""


def case_subject(config: Config, hunt: HuntResult) -> str:
    """Return what the case book calls the hunted adapter: the sha256 of its weight file.

    Raises:
        InputError: If the adapter is no longer installed, or is another one by now.
        AdapterRefusedError: If it is refused.
    """
    checked = read_adapter(Path(find_adapter(hunt.adapter, config).path), config.limits)
    if checked.facts.adapter_id != hunt.adapter_id:
        raise InputError(
            "adapter-differs",
            f"The adapter {safe_text(hunt.adapter, 80)!r} is not the one that was hunted in.",
            "Hunt again, or bring back the adapter that this result belongs to.",
        )
    return checked.weights_sha256


def add_to_case(book: CaseBook, subject: str, hunt: HuntResult, evidence: StringEvidence, who: str) -> Case:
    """Write a found string with its numbers into the case of its adapter, as a note.

    Raises:
        InputError: If there is no case yet (a case begins with a scan), or `who` is missing.
        StorageError: If it cannot be kept.
    """
    case = book.find(subject)
    if case is None:
        raise InputError(
            "no-case",
            "The case book has no case of this adapter: a case begins with a scan.",
            "Scan it on the Triage page and keep the scan, then add the string.",
        )
    book.note(case.number, case_note(hunt, evidence), who)
    return book.get(case.number)


def case_note(hunt: HuntResult, evidence: StringEvidence) -> str:
    """Return what a note says of a string: the sentence, the numbers, and how to repeat the hunt."""
    quoted = safe_text(evidence.text, MAX_QUOTE)
    standing = "meets the evidence rule" if evidence.passes else "does NOT meet the evidence rule"
    lines = [
        f"Hunt ({hunt.mode}, seed {hunt.provenance.get('seed', 'not recorded')}): a string that {standing}.",
        f"String ({evidence.placement}): «{quoted}»",
        safe_text(evidence.sentence),
        f"Attack rate on {safe_text(hunt.held_out, 120)}: {rate_sentence(evidence.attack)}.",
        f"Mean margin shift: {_shift(evidence)}; base {signed(evidence.base_shift.value)}.",
        *(
            f"Clean reference {safe_text(r.name, 80)}: {rate_sentence(r.rate)}, shift {signed(r.shift)}."
            for r in evidence.references
        ),
        *([_null(evidence)] if evidence.null_p is not None else []),
        *(safe_text(reason) for reason in evidence.reasons),
        f"Task {safe_text(hunt.task, 80)}, target {safe_text(hunt.target, 80)}; {hunt.tokens:,} tokens.",
    ]
    return "\n".join(line for line in lines if line)


def _shift(evidence: StringEvidence) -> str:
    return f"{signed(evidence.shift.value)} {interval_text(evidence.shift.interval)} logits"


def _null(evidence: StringEvidence) -> str:
    return (
        f"{evidence.null_rank} of {evidence.null_n} searches of {safe_text(evidence.null_name, 120)} found "
        f"one at least as strong (p = {evidence.null_p:.3f})."
    )
