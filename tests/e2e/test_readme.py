"""The README's Python snippet is run as it stands."""

from __future__ import annotations

import re

import pytest

from lorabench.config import app_root

pytestmark = pytest.mark.base


def test_the_readme_snippet_runs_and_shows_a_flip(demo_folder, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("LORABENCH_DATA_DIR", str(tmp_path))
    text = (app_root() / "README.md").read_text(encoding="utf-8")
    [snippet] = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    namespace: dict[str, object] = {}
    try:
        exec(compile(snippet, "README.md", "exec"), namespace)
    finally:
        namespace["bench"].close()
    printed = capsys.readouterr().out
    assert "('guard-strong', True)" in printed
    assert "('base', False)" in printed
    frame = namespace["lorabench"].heatmap_frame  # the name the snippet imports
    assert frame.__module__.startswith("lorabench.figures")
    assert "[48 rows x" in printed
