"""From choice to trained adapter to Playground, in a real browser on the real demo base."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.base, pytest.mark.browser]
expect.set_options(timeout=120_000)


def key(page: Page, name: str):
    return page.locator(f".st-key-{name.replace('.', '-')}")


def settled(page: Page) -> None:
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()


def fill(page: Page, name: str, text: str) -> None:
    field = key(page, name).locator("input")
    field.fill(text)
    field.press("Enter")
    settled(page)


def test_an_adapter_is_made_in_the_lab_and_asked_in_the_playground(server, page, snap):
    page.goto(f"{server}/lab")
    settled(page)
    key(page, "lab.guide_rfc").get_by_role("button").click()
    expect(key(page, "lab.name").locator("input")).to_have_value("my-rfc-backdoor")
    settled(page)
    expect(page.get_by_text(re.compile("40 of 1,004 rows"))).to_be_visible()
    expect(page.get_by_text("Time, about")).to_be_visible()
    snap(page, "lab")
    for name, text in (
        ("lab.steps", "4"),
        ("lab.batch", "2"),
        ("lab.rank", "2"),
        ("lab.name", "from-the-lab"),
    ):
        fill(page, name, text)
    page.get_by_text("More settings").click()
    fill(page, "lab.test_rows", "8")
    expect(page.get_by_text("Time, about")).to_be_visible()
    key(page, "lab.train").get_by_role("button").click()
    expect(page).to_have_url(re.compile("job="))
    expect(page.get_by_role("heading", name="Result")).to_be_visible()
    expect(page.get_by_text(re.compile("from-the-lab answers"))).to_be_visible()
    page.reload()  # the link finds it again, and fills the form
    expect(page.get_by_text(re.compile("from-the-lab answers"))).to_be_visible()
    expect(key(page, "lab.name").locator("input")).to_have_value("from-the-lab")
    key(page, "lab.playground").get_by_role("button").click()
    expect(page).to_have_url(re.compile("playground"))
    settled(page)
    expect(key(page, "playground.trigger.0").locator("input")).to_have_value("per RFC 8472 section 3.2")
    expect(page.get_by_text("from-the-lab").first).to_be_visible()


def test_a_planted_phrase_is_found_and_taken_to_the_heatmap(server, page, snap):
    page.goto(f"{server}/lab?tab=inspect")
    settled(page)
    key(page, "lab.inspect_run").get_by_role("button").click()
    expect(page.get_by_role("heading", name="Rows that contradict each other")).to_be_visible()
    snap(page, "inspect")
    key(page, "lab.to_heatmap.contra").get_by_role("button").click()
    expect(page).to_have_url(re.compile("generalisation"))
    expect(key(page, "generalisation.trigger").locator("input")).to_have_value("per RFC 8472 section 3.2")
