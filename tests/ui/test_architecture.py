"""Pages are thin: import-linter cannot see scripts, so this test reads them."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py"))]
FORBIDDEN = {"torch", "transformers", "peft", "safetensors", "numpy", "captum", "gguf", "huggingface_hub"}
ALLOWED_ROOMS = {"ui", "figures", "report", "workflows", "results", "data", "config", "errors", "attribution"}


def imported(script: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_no_script_imports_a_model_library(script):
    assert not {n.split(".")[0] for n in imported(script)} & FORBIDDEN


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_scripts_reach_only_the_upper_rooms(script):
    rooms = {n.split(".")[1] for n in imported(script) if n.startswith("lorabench.")}
    assert rooms <= ALLOWED_ROOMS - {"attribution"}


@pytest.mark.parametrize("script", SCRIPTS[1:], ids=lambda p: p.name)
def test_every_page_boots_first(script):
    """`ui.boot()` comes before anything is drawn: a cold deep link must not show a bare page."""
    body = ast.parse(script.read_text(encoding="utf-8")).body
    first = next(node for node in body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call))
    assert ast.unparse(first) == "ui.boot()"


def test_a_page_holds_no_functions_over_prompts():
    """No page loops over prompts: no `for` whose iterable is called prompts or rows."""
    for script in SCRIPTS:
        for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
            if isinstance(node, ast.For):
                assert not {"prompts", "rows"} & set(ast.unparse(node.iter).replace(".", " ").split())


def test_importing_the_ui_loads_no_model_library():
    import subprocess
    import sys

    code = "import lorabench.ui, sys; print(sorted({'torch', 'transformers', 'peft'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
