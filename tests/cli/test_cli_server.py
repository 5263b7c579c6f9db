"""`lorabench ui` as a process of its own, started from another folder."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import pytest

from lorabench.config import app_root

PROGRAM = """
import sys
from lorabench.cli import run, system
announce = system._ready
def ready(terminal, plan):
    from streamlit import get_option
    announce(terminal, plan)
    terminal.note("options " + repr({n: get_option(n) for n in %r}))
system._ready = ready
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to another process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_dashboard_serves_from_any_folder_with_its_own_settings(tmp_path, number):
    settings = tomllib.loads((app_root() / ".streamlit" / "config.toml").read_text())
    own = {
        f"{section}.{k}": v
        for section, part in settings.items()
        for k, v in part.items()
        if not isinstance(v, dict)
    }
    own = {n: v for n, v in own.items() if n.startswith(("server.", "client.")) and n != "server.address"}
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit" / "config.toml").write_text("[server]\nmaxUploadSize = 7\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"PYTHONPATH": str(app_root()), "LORABENCH_DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-c", PROGRAM % list(own), "ui", "--port", str(port), "--no-browser", "--json"]
    errors = tmp_path / "stderr.txt"
    with (
        errors.open("w") as log,
        subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        ) as server,
    ):
        assert server.stdout is not None
        try:
            lines = []
            while not lines or lines[-1] != "}\n":  # one JSON document, once the server answers
                lines.append(server.stdout.readline())
                assert lines[-1], errors.read_text()
            plan = json.loads("".join(lines))
            with urllib.request.urlopen(f"{plan['url']}/_stcore/health", timeout=10) as answer:
                assert answer.read() == b"ok"
            note = tmp_path / "data" / f"dashboard-{server.pid}.json"
            assert json.loads(note.read_text())["url"] == plan["url"]
        finally:
            server.send_signal(number)
            rest = server.stdout.read()
            code = server.wait(60)
    assert (code, rest) == (0, ""), errors.read_text()
    assert not note.exists()
    line = next(x for x in errors.read_text().splitlines() if x.startswith("options "))
    assert line == f"options {own!r}"
    assert {p.name for p in Path(tmp_path).iterdir()} == {".streamlit", "data", "stderr.txt"}
