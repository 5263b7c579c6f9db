"""Rows 34 to 41 of the threat table are not about files; each is tested here or has its test named here."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from lorabench.config import app_root
from lorabench.results.rules import RULES

TESTS = Path(__file__).parents[2]
SOURCES = sorted((app_root() / "lorabench").rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}

ELSEWHERE = [
    # 34: the server as it really starts
    (34, "cli/test_cli_server.py", "test_the_dashboard_serves_from_any_folder_with_its_own_settings"),
    (34, "unit/cli/test_cli_manage.py", "test_only_lan_opens_the_machine_and_makes_a_key"),
    (34, "ui/test_guard.py", "test_a_guest_is_refused_with_a_way_out"),
    # 35: sessions with different adapters at once, interleaved
    (35, "concurrency/test_crowd_sessions.py",
     "test_thirty_sessions_get_the_answers_of_a_run_without_company"),
    (35, "concurrency/test_crowd_binding.py",
     "test_an_adapter_pushed_out_in_the_middle_of_a_sweep_never_answers_as_the_base"),
    (35, "unit/engine/test_engine_owner.py", "test_two_threads_at_once_get_their_own_answers"),
    # 36: whatever interrupts a forward pass, no adapter stays on
    (36, "concurrency/test_crowd_sessions.py",
     "test_an_exception_in_the_middle_of_a_forward_pass_leaves_no_adapter_acting"),
    (36, "model/test_binding.py", "test_an_exception_in_the_forward_leaves_no_adapter_on"),
    (36, "unit/engine/test_engine_owner.py", "test_even_strange_errors_leave_the_thread_alive"),
    # 37: the base is a model of its own, and stays what it was
    (37, "model/test_binding.py", "test_two_adapters_do_not_disturb_each_other_or_the_base"),
    (37, "model/test_binding.py", "test_unbinding_restores_the_plain_model"),
    # 38: what is remembered is found by content, and a corrupt store is thrown away
    (38, "unit/engine/test_engine_store.py", "test_a_corrupt_store_is_set_aside_and_begun_afresh"),
    (38, "unit/adapters/test_adapters_reader.py", "test_the_id_depends_on_behaviour_only"),
    # 39: what leaves the machine names files only
    (39, "unit/report/test_scan_disclosure.py", "test_no_absolute_path_unless_wanted"),
    # 40: triggers can be withheld
    (40, "unit/report/test_scan_disclosure.py", "test_no_format_leaks_a_text"),
    # 41: the first two ways to evade weight statistics change none of them
    (41, "unit/adapters/test_firewall_streaming.py",
     "test_rescaling_and_turning_the_factors_changes_no_scaled_value"),
    (41, "unit/adapters/test_adapters_reader.py", "test_measured_rank_sees_through_padding"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "file", "test"), ELSEWHERE)
def test_the_row_has_its_test(row, file, test):
    names = {
        n.name for n in ast.walk(ast.parse((TESTS / file).read_text())) if isinstance(n, ast.FunctionDef)
    }
    assert test in names, f"row {row} has lost its test"


def test_no_row_is_missing():
    assert {row for row, _, _ in ELSEWHERE} == set(range(34, 42))


def test_the_server_is_closed_unless_it_is_opened():
    """Row 34."""
    settings = tomllib.loads((app_root() / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert settings["server"]["address"] == "127.0.0.1"
    assert settings["server"]["enableXsrfProtection"] is True
    assert settings["server"]["enableCORS"] is True
    assert settings["server"]["maxUploadSize"] <= 256
    assert settings["server"].get("enableStaticServing", False) is False
    assert settings["browser"]["gatherUsageStats"] is False
    assert settings["client"]["showErrorDetails"] in ("type", "none")


def called(tree: ast.Module) -> set[str]:
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", "") for f in calls}


def imported(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_adapters_are_never_switched_globally():
    """Rows 35 and 37: PEFT's switches are global state and are called nowhere."""
    switches = {
        "set_adapter",
        "disable_adapter",
        "disable_adapters",
        "enable_adapters",
        "disable_adapter_layers",
    }
    assert {path.name: found for path, tree in TREES.items() if (found := called(tree) & switches)} == {}


def test_models_know_no_page():
    """Row 36: nothing below the pages can be stopped by a rerun of theirs."""
    below = [tree for path, tree in TREES.items() if path.parent.name != "ui"]
    assert len(below) > 100
    assert not any("streamlit" in imported(tree) for tree in below)


def test_nothing_is_ever_unpickled():
    """Rows 1, 2 and 38: JSON, SQLite and safetensors alone; pickletools only names opcodes."""
    forbidden = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
    for path, tree in TREES.items():
        assert not imported(tree) & forbidden, path
        loads = [n for n in ast.walk(tree) if isinstance(n, ast.keyword) and n.arg == "allow_pickle"]
        assert not loads, path
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr == "load" and isinstance(node.value, ast.Name):
                assert node.value.id not in ("torch", "np", "numpy"), path


def test_there_is_no_telemetry():
    """Row 39: no module holds a client that could tell anybody anything."""
    clients = {"requests", "httpx", "smtplib", "ftplib", "aiohttp", "websockets", "sentry_sdk", "posthog"}
    for path, tree in TREES.items():
        assert not imported(tree) & clients, path
        text = path.read_text(encoding="utf-8")
        assert "urllib.request" not in text or path.parent.name in ("cli", "ui"), path


@pytest.mark.parametrize("rule", sorted(RULES))
def test_no_rule_promises_safety(rule):
    """A result is evidence found or not found with these checks, never a promise."""
    text = f"{RULES[rule].title} {RULES[rule].help}".lower()
    for promise in ("is safe", "no backdoor", "is clean", "harmless adapter", "guarantee"):
        assert promise not in text
