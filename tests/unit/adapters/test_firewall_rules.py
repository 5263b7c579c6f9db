"""Every rule that the firewall can name is in the catalogue, with a level and full sentences."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from lorabench import adapters
from lorabench.adapters.lora_fields import REFUSED_FIELDS
from lorabench.results.file_rules import FILE_RULES
from lorabench.results.rules import RULES

FOLDER = Path(adapters.__file__).parent
_RAISERS = {"AdapterRefusedError", "_refused", "refused", "note"}


def rules_of(tree: ast.Module) -> Iterator[str]:
    """Give the first argument of every call that raises or notes a rule; names are looked up."""
    assigned: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            assigned.setdefault(node.targets[0].id, []).append(node.value)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in _RAISERS:
            yield from texts_of(node.args[0], assigned)


def texts_of(node: ast.expr, assigned: dict[str, list[ast.expr]]) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from texts_of(node.body, assigned)
        yield from texts_of(node.orelse, assigned)
    elif isinstance(node, ast.Name):
        for value in assigned.get(node.id, []):
            yield from texts_of(value, assigned)


def raised() -> set[str]:
    found = {rule for _, rule, _, _ in REFUSED_FIELDS.values()}
    for path in FOLDER.glob("*.py"):
        found |= set(rules_of(ast.parse(path.read_text(encoding="utf-8"))))
    return found | FLAGS


FLAGS = {"template-code", "template-condition", "template-text", "disguised-file"}  # named in tables


def test_the_source_is_understood():
    found = raised()
    assert len(found) > 90
    assert {"header-too-long", "overlap", "auto-mapping", "zip-bomb", "bad-head", "remote-code"} <= found


@pytest.mark.parametrize("rule", sorted(raised()))
def test_every_raised_rule_is_in_the_catalogue(rule):
    assert RULES[rule].stage == "file"


def test_no_rule_is_there_in_vain():
    unused = {rule.id for rule in FILE_RULES} - raised()
    assert unused == set()
    assert set(RULES) >= FLAGS


def test_rules_are_whole():
    assert len({rule.id for rule in FILE_RULES}) == len(FILE_RULES)
    for rule in FILE_RULES:
        assert rule.help.endswith("."), rule
        assert rule.title
        assert not rule.title.endswith("."), rule
        assert all(c.startswith("CWE-") for c in rule.cwe)
        assert all(a.startswith("AML.T") for a in rule.atlas)
        assert rule.level == "info" or rule.owasp


def test_what_imports_or_executes_blocks():
    blocking = {rule.id for rule in FILE_RULES if rule.level == "block"}
    assert blocking == {
        "auto-mapping", "megatron-config", "megatron-core", "remote-code", "pickle-in-disguise",
        "zip-in-disguise", "disguised-file", "unsafe-path", "special-member", "special-file", "zip-bomb",
        "template-code",
    }  # fmt: skip
