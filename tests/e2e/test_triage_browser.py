"""From an adapter to a verdict, a case and a report, in a real browser on the real demo base."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.base, pytest.mark.browser]
expect.set_options(timeout=120_000)


def key(page: Page, name: str):
    return page.locator(f".st-key-{name.replace('.', '-')}")


def settled(page: Page) -> None:
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()


def test_an_adapter_is_scanned_kept_decided_and_reported(server, page, snap, tmp_path):
    page.goto(f"{server}/triage")
    settled(page)
    page.get_by_text("Files and weights only").first.click()
    settled(page)
    key(page, "triage.scan").get_by_role("button").click()
    expect(page).to_have_url(re.compile("job="))
    expect(page.get_by_text("INCONCLUSIVE", exact=True)).to_be_visible()
    expect(page.get_by_text("Only a static scan was asked for.").first).to_be_visible()
    page.get_by_role("tab", name=re.compile("Weights")).click()
    expect(page.get_by_text("A layer's spectrum")).to_be_visible()
    snap(page, "triage")
    with page.expect_download() as download:
        page.get_by_role("button", name="SARIF").click()
    path = tmp_path / "report.sarif"
    download.value.save_as(path)
    assert json.loads(path.read_text())["version"] == "2.1.0"
    key(page, "triage.keep").get_by_role("button").click()
    expect(page.get_by_text("Case 0001").first).to_be_visible()
    page.get_by_label("Note, or the reason of a decision").fill("Seen by nobody <b>yet</b>.")
    page.get_by_role("button", name="Write").click()
    expect(page.get_by_text("Seen by nobody <b>yet</b>.").first).to_be_visible()
    page.reload()
    expect(page.get_by_text("INCONCLUSIVE", exact=True)).to_be_visible()
    page.get_by_text("Case book").click()
    expect(page.get_by_text(re.compile("Search names"))).to_be_visible()
