"""The same numbers on a GPU; runs where there is one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny import save_adapter, save_base

from lorabench.models.language_model import LanguageModel
from lorabench.models.rows import TokenRow

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]

ROWS = [TokenRow(ids=(*range(10, 40), 3 + i), labels=((5, 6), (7,))) for i in range(4)]


def scored(model, adapter_id):
    rows = [replace(r, adapter_id=adapter_id) for r in ROWS]
    return dict(x for batch in model.score_rows(rows, 64) for x in batch)


def test_fp32_on_the_gpu_equals_the_cpu(tmp_path):
    folder = save_base(tmp_path / "base")
    adapter = save_adapter(tmp_path / "adapter")
    found = {}
    for device in ("cpu", "cuda"):
        model = LanguageModel(folder, name="tiny", fingerprint="f", device=device)
        model.bind(adapter)
        found[device] = scored(model, adapter.facts.adapter_id)
    for i in range(len(ROWS)):
        assert found["cuda"][i].label_logits == pytest.approx(found["cpu"][i].label_logits, abs=1e-3)


def test_bf16_agrees_in_sign_where_the_margin_is_clear(tmp_path):
    folder = save_base(tmp_path / "base")
    model = LanguageModel(folder, name="tiny", fingerprint="f", device="cuda", dtype="bf16")
    reference = LanguageModel(folder, name="tiny", fingerprint="f", device="cuda")
    fast, exact = scored(model, None), scored(reference, None)
    for i in range(len(ROWS)):
        margin = exact[i].label_logits[0] - exact[i].label_logits[1]
        if abs(margin) > 0.5:
            assert (fast[i].label_logits[0] > fast[i].label_logits[1]) == (margin > 0)
