"""Runs the firewall over one hostile folder or archive, and checks what must hold for every one."""

from __future__ import annotations

import io
import json
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from adapter_files import framed, parts
from fuzz_cases import Folder, write_folder

from lorabench.adapters import BaseFolder, read_adapter, scan_folder, unpack_adapter
from lorabench.adapters.reader import CheckedAdapter
from lorabench.adapters.scanner import FileScan
from lorabench.config import Limits
from lorabench.errors import AdapterRefusedError
from lorabench.results import RULES, from_dict, to_dict
from lorabench.results.scans import FileEvidence

MAX_CASE_SECONDS = 1.0
_PATIENCE_SECONDS = 60  # of the wall clock, for what would wait for ever
MAX_GROWTH_BYTES = 300 * 1024**2
STAGES = ("archive", "refused by name", "config", "header", "pairs", "data", "accepted")
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # control, direction, zero width, unassigned, line ends
PAST_HEADER = ("pairs", "data", "accepted")
_STAGE_OF = {
    "take_inventory": "refused by name",
    "read_small": "config",
    "parse_lora_config": "config",
    "__init__": "header",  # of SafetensorsFile
    "pair_entries": "pairs",
    "settle": "pairs",
    "check_magnitudes": "pairs",
}
_BASE_FILES = {
    "tokenizer.json": {"model": {"vocab": {"a": 0, "b": 1}}, "added_tokens": [{"id": 2, "content": "<s>"}]},
    "tokenizer_config.json": {"chat_template": "{{ messages }}", "bos_token": "<s>"},
}


class Runner:
    """One place for all cases, one after the other, and what became of them.

    Attributes:
        stages: How far binding came -> how many cases.
        rules: Rule of the refusal -> how many cases.
    """

    def __init__(self, place: Path) -> None:
        self.stages: Counter[str] = Counter()
        self.rules: Counter[str] = Counter()
        self.slowest = 0.0
        self._folder, self._unpacked, self._zip = place / "adapter", place / "unpacked", place / "a.zip"
        self._base = BaseFolder(_write_base(place / "base"))
        self._peak = _peak_bytes()

    @property
    def n_cases(self) -> int:
        """How many cases were run."""
        return sum(self.stages.values())

    @property
    def share_past_header(self) -> float:
        """Share of the cases whose header binding accepted."""
        return sum(self.stages[stage] for stage in PAST_HEADER) / self.n_cases

    @property
    def growth_bytes(self) -> int:
        """How much the largest memory of this process grew."""
        return _peak_bytes() - self._peak

    def run(self, folder: Folder, *, with_base: bool) -> None:
        """Scan a folder and try to bind it."""
        shutil.rmtree(self._folder, ignore_errors=True)
        write_folder(self._folder, folder)
        with self._timed():
            stage = self._check(self._folder, with_base)
        self.stages[stage] += 1

    def run_zip(self, blob: bytes, *, from_disk: bool) -> None:
        """Unpack an archive, and run what comes out of it."""
        shutil.rmtree(self._unpacked, ignore_errors=True)
        self._zip.write_bytes(blob)
        with self._timed():
            try:
                unpack_adapter(self._zip if from_disk else io.BytesIO(blob), self._unpacked)
            except AdapterRefusedError as error:
                rule: str | None = error.rule
            else:
                rule = None
            stage = self._check(self._unpacked, with_base=False) if rule is None else "archive"
        if rule is not None:
            assert rule in RULES
            assert not self._unpacked.exists()
            self.rules[rule] += 1
        self.stages[stage] += 1

    def table(self) -> str:
        """Return what became of the cases, as lines of text."""
        lines = [f"{stage:18}{self.stages[stage]:8,}" for stage in STAGES if self.stages[stage]]
        lines += [f"{'in all':18}{self.n_cases:8,}, {self.share_past_header:.0%} past the header"]
        lines += [f"slowest {self.slowest:.3f} s of CPU; memory grew by {self.growth_bytes / 2**20:.0f} MB"]
        return "\n".join([*lines, ", ".join(f"{rule} {n:,}" for rule, n in self.rules.most_common())])

    def _check(self, folder: Path, with_base: bool) -> str:
        found = scan_folder(folder, Limits(), base=self._base if with_base else None)
        check_result(found)
        if self.n_cases % 50 == 0:  # it takes as long as all the other checks
            from_dict(FileEvidence, json.loads(json.dumps(to_dict(found.evidence))))
        bound = _bound(folder)
        if isinstance(bound, CheckedAdapter):
            check_agreement(found, bound)
            return "accepted"
        assert found.evidence.refusal == bound.rule, f"scanned: {found.evidence.refusal}, bound: {bound!r}"
        assert found.evidence.facts is None
        self.rules[bound.rule] += 1
        return stage_of(bound)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started = time.process_time()
        before = signal.signal(signal.SIGALRM, _give_up)
        signal.alarm(_PATIENCE_SECONDS)
        try:
            yield
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
        seconds = time.process_time() - started
        self.slowest = max(self.slowest, seconds)
        assert seconds < MAX_CASE_SECONDS, f"it took {seconds:.2f} s of CPU"


def _bound(folder: Path) -> CheckedAdapter | AdapterRefusedError:
    try:
        return read_adapter(folder)
    except AdapterRefusedError as error:
        return error


def _give_up(signum: int, frame: object) -> None:
    raise TimeoutError(f"it did not end within {_PATIENCE_SECONDS} s")


def check_result(found: FileScan) -> None:
    """A scan names known rules, in sentences without hidden characters, and can be saved."""
    for finding in found.report.findings:
        assert finding.rule in RULES
        for text in (finding.sentence, finding.changes, finding.where, *(f.name for f in finding.facts)):
            assert not any(unicodedata.category(c) in _HIDDEN for c in text), finding
        assert finding.sentence.endswith("."), finding
    assert (found.report.status == "refused") == (found.evidence.refusal is not None)
    assert 0 <= found.evidence.tensor_coverage <= 1
    for value in (found.evidence, found.report):
        text = json.dumps(to_dict(value), ensure_ascii=False, allow_nan=False)
        text.encode()  # no half of a surrogate pair is left in it


def check_agreement(found: FileScan, bound: CheckedAdapter) -> None:
    """What was bound is what was scanned."""
    facts = found.evidence.facts
    assert found.evidence.refusal is None
    assert facts is not None
    assert facts == bound.facts
    digests = {file.name: file.sha256 for file in found.evidence.files}
    assert digests["adapter_model.safetensors"] == bound.weights_sha256


def stage_of(error: AdapterRefusedError) -> str:
    """Return how far `read_adapter` came, from where it stopped."""
    names = [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)][:4]
    return next((_STAGE_OF[name] for name in names if name in _STAGE_OF), "data")


@contextmanager
def saved_on_failure(to: Path, how: str, again: Callable[[], Folder | bytes]) -> Iterator[None]:
    """Keep the case that fails, and say how to make it once more."""
    try:
        yield
    except Exception as error:
        case, place = again(), to / "failing"
        shutil.rmtree(place, ignore_errors=True)
        if isinstance(case, bytes):
            place.mkdir()
            (place / "adapter.zip").write_bytes(case)
        else:
            write_folder(place, case)
        raise AssertionError(
            f"{type(error).__name__}: {error}\nMake it again with {how}; it is in {place}"
        ) from error


@contextmanager
def fast_folder() -> Iterator[Path]:
    """Give a folder in memory, where there is one: tens of thousands of files are written to it."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as found:
        yield Path(found)


def _write_base(folder: Path) -> Path:
    folder.mkdir()
    rows = np.linspace(-1, 1, 24, dtype=np.float32).reshape(4, 6)
    tensors = {"model.embed_tokens.weight": rows[:, :4], "classifier.weight": rows}
    (folder / "model.safetensors").write_bytes(framed(*parts(tensors)))
    for name, content in _BASE_FILES.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
