"""What an analyst keeps of an adapter: its case, with every scan, note and decision."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

from lorabench.results.findings import Decision, Finding

CASE_FORMAT = "lorabench-case-1"

CaseStatus = Literal["open", "closed"]
CASE_STATUSES: tuple[CaseStatus, ...] = ("open", "closed")

Ruling = Literal["allow", "review", "block"]
"""What a person decides; a scan's own `Decision` can also be inconclusive."""
RULINGS: tuple[Ruling, ...] = ("allow", "review", "block")

StatisticKind = Literal["weights", "study v1", "study v2", "behaviour", "category"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseEntry:
    """What somebody did to a case; entries are only ever added.

    Attributes:
        who: Who did it, by their own word; untrusted text.
        created: ISO time in UTC; a claim if it was imported.
        imported: When it came in from another case book; None if it was made in this one.
        imported_by: Who brought it in, or None.
    """

    who: str
    created: str
    imported: str | None = None
    imported_by: str | None = None

    @property
    def is_claim(self) -> bool:
        """Whether it came from another book, which nobody here can vouch for."""
        return self.imported is not None

    def extra_fields(self) -> dict[str, Any]:
        """Derived values for JSON."""
        return {"is_claim": self.is_claim}


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseNote(CaseEntry):
    """A remark.

    Attributes:
        text: Untrusted text, line breaks included.
    """

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseDecision(CaseEntry):
    """What a person decided, and why.

    Attributes:
        decision: allow, review or block.
        reason: Untrusted text.
    """

    decision: Ruling
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseReopening(CaseEntry):
    """A closed case was opened again.

    Attributes:
        reason: Untrusted text; such as that a new scan came in.
    """

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseScan(CaseEntry):
    """One kept scan in brief; the whole of it is fetched apart.

    Attributes:
        id: Number of the scan in this case book.
        case: Number of its case.
        name: What the adapter was called then; untrusted text.
        scanned: ISO time in UTC of the scan itself; `created` is when it was kept.
        decision: The scan's verdict.
        digest: sha256 over the whole result: equal digests, the same scan.
        lorabench: Version that made it; "" if it does not say.
        profile: Id of the calibration profile, or None.
        seconds: Wall time of the scan.
        rules: Ids of the rules its findings name, each once, sorted.
    """

    id: int
    case: str
    name: str
    scanned: str
    decision: Decision
    digest: str
    lorabench: str
    profile: str | None
    seconds: float
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Everything kept of one adapter.

    Attributes:
        number: Such as "0007".
        subject: sha256 that names the adapter; one case each.
        name: What the adapter was called first; untrusted text.
        status: "open" or "closed"; allow and block close a case, review and a new scan open it.
        created: ISO time in UTC of its first record in this book.
        scans: The oldest first.
        notes: The oldest first.
        decisions: The oldest first.
        reopenings: The oldest first.
    """

    number: str
    subject: str
    name: str
    status: CaseStatus
    created: str
    scans: tuple[CaseScan, ...] = ()
    notes: tuple[CaseNote, ...] = ()
    decisions: tuple[CaseDecision, ...] = ()
    reopenings: tuple[CaseReopening, ...] = ()

    @property
    def decision(self) -> Ruling | None:
        """The newest decision made in this book, or None; imported ones do not count."""
        return next((d.decision for d in reversed(self.decisions) if not d.is_claim), None)

    @property
    def verdict(self) -> Decision | None:
        """The verdict of the newest scan made in this book, or None."""
        return next((s.decision for s in reversed(self.scans) if not s.is_claim), None)

    def extra_fields(self) -> dict[str, Any]:
        """Derived values for JSON."""
        return {"decision": self.decision, "verdict": self.verdict}


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingChange:
    """One finding of two scans that is not the same in both.

    Attributes:
        a: As the first scan has it.
        b: As the second has it; same rule, same place.
    """

    a: Finding
    b: Finding

    @property
    def changed(self) -> tuple[str, ...]:
        """Names of the fields that differ, such as "level" or "measured"."""
        return tuple(f.name for f in fields(Finding) if getattr(self.a, f.name) != getattr(self.b, f.name))

    def extra_fields(self) -> dict[str, Any]:
        """Derived values for JSON."""
        return {"changed": self.changed}


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticPair:
    """One number in two scans.

    Attributes:
        kind: "weights" (ours), "study v1", "study v2", "behaviour" or "category".
        name: Of the statistic.
        battery: What it was taken over; "" for a number over the weights.
        a: In the first scan; None if it was not measured there.
        b: In the second.
    """

    kind: StatisticKind
    name: str
    battery: str
    a: float | None
    b: float | None

    @property
    def difference(self) -> float | None:
        """Second minus first, or None where one is missing."""
        return None if self.a is None or self.b is None else self.b - self.a

    def extra_fields(self) -> dict[str, Any]:
        """Derived values for JSON."""
        return {"difference": self.difference}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenanceDifference:
    """One circumstance that two scans do not share: their numbers may differ because of it.

    Attributes:
        name: Dotted path, such as "versions.torch" or "behaviour.battery_digest".
        a: In the first scan, as text; None if it does not say. Untrusted.
        b: In the second.
    """

    name: str
    a: str | None
    b: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanComparison:
    """Two scans beside each other; the other way round, a and b change places and nothing else.

    Attributes:
        a: The first scan.
        b: The second.
        only_a: Findings of which the second has none of the same rule and place.
        only_b: Findings that are new in the second.
        changed: Findings of both that differ.
        n_same: Findings of both that do not.
        statistics: Every number that either has.
        provenance: Circumstances that differ.
    """

    a: CaseScan
    b: CaseScan
    only_a: tuple[Finding, ...]
    only_b: tuple[Finding, ...]
    changed: tuple[FindingChange, ...]
    n_same: int
    statistics: tuple[StatisticPair, ...]
    provenance: tuple[ProvenanceDifference, ...]

    @property
    def decision_changed(self) -> bool:
        """Whether the verdicts differ."""
        return self.a.decision != self.b.decision

    @property
    def is_same_adapter(self) -> bool:
        """Whether both are of one case, so of the same bytes."""
        return self.a.case == self.b.case

    def extra_fields(self) -> dict[str, Any]:
        """Derived values for JSON."""
        return {"decision_changed": self.decision_changed, "is_same_adapter": self.is_same_adapter}


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseImport:
    """What an import added; everything it had already is left alone.

    Attributes:
        case: The case as it stands now.
        is_new: Whether there was none of this adapter before.
        n_scans: Scans added.
        n_notes: Notes added.
        n_decisions: Decisions added; they are claims and change neither status nor decision.
        n_reopenings: Reopenings added, claims as well.
    """

    case: Case
    is_new: bool
    n_scans: int
    n_notes: int
    n_decisions: int
    n_reopenings: int
