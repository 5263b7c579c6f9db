"""A hunt in a real browser on the real demo base: started, watched, read, and found again after a reload."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.base, pytest.mark.browser]
expect.set_options(timeout=240_000)


def key(page: Page, name: str):
    return page.locator(f".st-key-{name.replace('.', '-')}")


def settled(page: Page) -> None:
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()


def test_an_instant_hunt_is_started_watched_read_and_found_again(server, page, snap):
    page.goto(f"{server}/hunt?mode=instant")
    settled(page)
    key(page, "hunt.run").get_by_role("button").click()
    expect(page).to_have_url(re.compile("job="))
    expect(page.get_by_text("Best so far").first).to_be_visible()  # the race runs
    snap(page, "hunt_race")
    headline = page.get_by_text(re.compile("STRING FOUND|WEAK EVIDENCE|No string found with this budget"))
    expect(headline.first).to_be_visible()
    said = headline.first.inner_text()
    expect(page.get_by_role("link", name="Show its look-alikes")).to_be_visible()
    snap(page, "hunt")
    page.get_by_role("tab", name="Race").click()
    expect(page.get_by_text("takes the lead").first).to_be_visible()
    page.reload()
    expect(headline.first).to_have_text(said)
    page.get_by_role("link", name="Open in the Playground").click()
    expect(page).to_have_url(re.compile("/playground"))
    settled(page)
