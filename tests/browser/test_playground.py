"""A member who is no staff of the installation asks one question by each method, in a browser."""

import json
import urllib.request

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.browsing import window
from tests.people import OF_ALICE

pytestmark = [pytest.mark.long, pytest.mark.browser, pytest.mark.timeout(1800)]

SHOP = "shop"
SCRIPT = "<script>document.body.dataset.harmed = 1</script> roses and rain in my garden"


@pytest.fixture(scope="module")
def alice(lamppost):
    """An end user with documents, of which one would like to be a script."""
    key = lamppost.command("create_api_key", "--workspace", SHOP, "--name", "test", "--scopes", "all").strip()

    def put(method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{lamppost.address}/api/v1{path}", data, headers, method=method)
        urllib.request.urlopen(request).close()

    put("PUT", "/users/alice")
    for number, document in enumerate([*OF_ALICE, {"text": SCRIPT, "date": "2019-07-01"}]):
        fields = {"id": str(number), "task": "LaMP-7", "fields": {"text": document["text"]}, "date": document["date"]}
        put("POST", "/users/alice/documents", fields)
    return "alice"


@pytest.fixture(scope="module")
def password(lamppost, alice):
    """Of a researcher of the workspace, Rita."""
    return lamppost.command("add_member", "--workspace", SHOP, "--role", "researcher", "--user", "rita").strip()


@pytest.fixture
def rita(lamppost, browser, password):
    """A window in which she is logged in."""
    with window(browser, lamppost, user="rita", password=password) as watched:
        yield watched


def faults(page):
    return [one["id"] for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]


def test_one_question_is_answered_by_each_method_side_by_side(rita, alice):
    page, done = rita.page, rita.page.locator(".answer .badge.done")
    rita.go(f"/w/{SHOP}/playground/?task=LaMP-7")
    page.locator("#id_user").press_sequentially("al")
    expect(page.locator("#users-found option")).to_have_count(1)
    page.fill("#id_user", alice)
    page.fill("[name=field-text]", "roses and rain in my garden")
    page.click("text=Ask all methods")

    expect(done).to_have_count(2, timeout=60_000)
    assert faults(page) == []
    page.click("text=Train an adapter")
    page.click("text=Ask again, with the adapter", timeout=240_000)

    expect(done).to_have_count(4, timeout=60_000)
    expect(page.get_by_text(SCRIPT).first).to_be_visible()
    assert page.evaluate("document.body.dataset.harmed") is None
    assert faults(page) == []
    asked = page.locator(".answer h3").all_inner_texts()
    page.reload()
    expect(done).to_have_count(4)
    assert page.locator(".answer h3").all_inner_texts() == asked == ["None", "RAG", "PEFT", "PEFT-RAG"]
    assert (rita.elsewhere, rita.complaints) == ([], [])


def test_nothing_is_written_into_fields_that_another_task_s_will_replace(rita):
    page, held = rita.page, []
    rita.go(f"/w/{SHOP}/playground/?task=LaMP-7")
    page.route("**/playground/fragments/task/*", lambda route: held.append(route))
    page.select_option("#id_task", "LaMP-2")
    expect(page.locator("[name=field-text]")).to_be_disabled()
    expect(page.get_by_role("button", name="Ask all methods")).to_be_disabled()

    [request] = held
    request.continue_()
    page.fill("[name=field-description]", "a film about roses")
    expect(page.get_by_role("button", name="Ask all methods")).to_be_enabled()
    assert rita.complaints == []
