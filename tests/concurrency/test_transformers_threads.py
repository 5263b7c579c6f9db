"""A page may render questions while the engine opens its base: both begin to import transformers."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import sys, threading
from pathlib import Path
folder = Path(sys.argv[1])
from lorabench.models.opening import open_causal
from lorabench.models.rendering import Renderer
failed = []
def guarded(call):
    try:
        call()
    except Exception as error:
        failed.append(repr(error))
calls = [lambda: open_causal(folder, "demo", "fp32").to("cpu"), lambda: Renderer(folder)] * 2
threads = [threading.Thread(target=guarded, args=(call,)) for call in calls]
for t in threads: t.start()
for t in threads: t.join()
sys.exit("; ".join(failed) or 0)
"""


@pytest.mark.base
def test_models_and_tokenizers_are_opened_by_several_threads_at_once(demo_folder):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(demo_folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
