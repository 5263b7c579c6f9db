"""The one sentence that a look at an adapter's files comes to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lorabench.adapters.scanner import _summary
from lorabench.results import FileEvidence, Finding, ScannedFile


@pytest.mark.parametrize(("n", "said"), [(1, "1 finding asks for"), (2, "2 findings ask for")])
def test_findings_ask_in_grammatical_numbers(n, said):
    finding = Finding(rule="overlap", stage="file", level="review", sentence="-")
    evidence = FileEvidence(files=(ScannedFile(name="a", n_bytes=1, kind="other"),), facts=None)
    for refusal in (None, "overlap"):
        text = _summary(replace(evidence, refusal=refusal), (finding,) * n, 2)
        assert text.startswith("1 file and 2 tensors were looked at")
        assert text.endswith(f"{said} attention.")
