"""Rules of the firewall: what can be wrong with an adapter's folder."""

from __future__ import annotations

from lorabench.results.rule import Rule

FILE_RULES: tuple[Rule, ...] = ()
