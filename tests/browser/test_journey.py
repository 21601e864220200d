"""A researcher's way through the pages: from a file to a table, a figure, one answer, and a question of one's own."""

import csv
import io
import json
import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.browsing import window
from tests.browser.serving import PERSON, WORKSPACE, synthesize

pytestmark = [pytest.mark.long, pytest.mark.browser, pytest.mark.timeout(1800)]

TASK = "LaMP-4"
NAME = "journey"
MINUTES = 60_000.0


@pytest.fixture(scope="module")
def files(lamppost):
    return synthesize(lamppost, tasks=(TASK,), users=12, seed=7) / "LaMP_4"


@pytest.fixture(scope="module")
def browsing(lamppost, browser):
    with window(browser, lamppost) as watched:
        yield watched


@pytest.fixture
def page(browsing):
    browsing.page.set_default_timeout(60_000)
    return browsing.page


def go(page: Page, lamppost, path: str) -> None:
    page.goto(f"{lamppost.address}/w/{WORKSPACE}/{path}")


def begin_import(page: Page, lamppost, *, dataset: str) -> None:
    """As far as the page where files are brought."""
    go(page, lamppost, "imports/")
    page.get_by_role("link", name=re.compile("New import", re.I)).first.click()
    page.get_by_label("Dataset").fill(dataset)
    page.get_by_label("Split", exact=True).select_option("dev")
    page.get_by_role("button", name="Continue to the files").click()


def bring(page: Page, place: str, path) -> None:
    """Choose a file, as by its button, and see it arrive."""
    page.set_input_files(f"#choose-{place}", path)
    expect(page.locator(f"section[aria-labelledby=file-{place}] .badge.good")).to_be_visible(timeout=MINUTES)


def downloaded(page: Page, name: str) -> bytes:
    """What the link or button of that name gives to keep."""
    with page.expect_download() as download:
        page.get_by_role("link", name=name, exact=True).click()
    return download.value.path().read_bytes()


def test_a_file_with_faults_is_refused_and_each_is_told_with_its_row(page, lamppost, files, tmp_path):
    questions = json.loads((files / "dev_questions.json").read_text())
    questions[3]["profile"] = "no list"
    questions[5].pop("input")
    broken = tmp_path / "broken_questions.json"
    broken.write_text(json.dumps(questions))
    begin_import(page, lamppost, dataset="broken")
    bring(page, "questions", broken)
    bring(page, "outputs", files / "dev_outputs.json")
    page.get_by_role("button", name="Check the files").click()
    problems = page.get_by_role("region", name="Problems", exact=True)
    expect(problems).to_be_visible(timeout=MINUTES)
    expect(problems).to_contain_text("broken_questions.json")
    rows = list(csv.DictReader(io.StringIO(downloaded(page, "Download all problems (CSV)").decode("utf-8-sig"))))
    assert len(rows) >= 2
    assert page.get_by_role("button", name=re.compile("^Import ")).count() == 0


def test_files_are_checked_and_imported_with_their_progress(page, lamppost, files):
    begin_import(page, lamppost, dataset="journey")
    bring(page, "questions", files / "dev_questions.json")
    bring(page, "outputs", files / "dev_outputs.json")
    here = page.url
    page.get_by_role("button", name="Check the files").click()
    expect(page.get_by_text("The files are in order")).to_be_visible(timeout=MINUTES)
    expect(page.locator("main")).to_contain_text(TASK)
    expect(page.locator("main")).to_contain_text("CC BY-NC-SA")
    # Whoever leaves finds it as it was.
    go(page, lamppost, "experiments/")
    page.goto(here)
    page.get_by_role("button", name=re.compile("^Import ")).click()
    expect(page.get_by_role("region", name="Report")).to_contain_text("Imported", timeout=MINUTES)


def test_an_experiment_is_built_started_and_watched_to_its_end(page, lamppost):
    go(page, lamppost, "experiments/new/?dataset=journey")
    page.get_by_label("Name").fill(NAME)
    page.locator("select[name=dataset]").select_option(label="journey")
    page.locator("select[name=split]").select_option("dev")
    for family in ("none", "rag"):
        page.locator(f"input[name=families][value={family}]").check()
    for family in ("peft", "peft-rag"):
        page.locator(f"input[name=families][value={family}]").uncheck()
    page.locator("input[name=retrievers][value=bm25]").check()
    page.locator("input[name=retrievers][value=recency]").check()
    expect(page.locator("#estimate")).to_contain_text(re.compile("run", re.I))
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url(re.compile(r"/experiments/\d+/"))
    expect(page.locator("h1 .badge")).to_have_text(re.compile("active|done"))
    expect(page.get_by_role("link", name="Table", exact=True)).to_be_visible(timeout=3 * MINUTES)


def test_the_table_is_read_compared_with_another_baseline_and_kept(page, lamppost):
    page.get_by_role("link", name="Table", exact=True).click()
    table = page.get_by_role("region", name="Comparison table")
    expect(table).to_contain_text(TASK)
    page.locator("select#baseline").select_option("rag:bm25")
    page.get_by_role("button", name="Compare with it").click()
    expect(page.locator("th", has_text="BM25").first).to_contain_text("baseline", timeout=MINUTES)
    rows = list(csv.DictReader(io.StringIO(downloaded(page, "CSV").decode())))
    assert {row["task"] for row in rows} == {TASK}
    assert "tabular" in downloaded(page, "LaTeX").decode()
    assert downloaded(page, "PNG").startswith(b"\x89PNG")


def test_figure_1_is_drawn(page, lamppost):
    go(page, lamppost, "experiments/")
    page.get_by_role("link", name="first", exact=True).click()
    page.get_by_role("link", name="Figure 1", exact=True).first.click()
    expect(page.locator(".plot .main-svg").first).to_be_visible()
    assert downloaded(page, "PDF").startswith(b"%PDF")


def test_from_a_cell_to_one_answer(page, lamppost):
    page.get_by_role("link", name="Table", exact=True).first.click()
    page.get_by_role("region", name="Comparison table").locator("td a").last.click()
    expect(page).to_have_url(re.compile(r"/runs/\d+/users/"))
    page.locator("main table a[href*='/answers/']").first.click()
    expect(page).to_have_url(re.compile(r"/runs/\d+/answers/"))
    page.locator("main a[href*='/questions/']").first.click()
    expect(page).to_have_url(re.compile(r"/experiments/\d+/questions/\d+/"))
    expect(page.locator("main")).to_contain_text("Gold")


def test_the_playground_answers_side_by_side(page, lamppost):
    go(page, lamppost, "people/")
    page.get_by_role("link", name=PERSON, exact=True).click()
    page.locator("a[href*='/playground/?']").first.click()
    expect(page.locator("#id_user")).to_have_value(PERSON)
    page.get_by_label("Task", exact=True).select_option("LaMP-7")
    page.locator("#task-fields input, #task-fields textarea").first.fill("roses in the rain")
    page.get_by_role("button", name="Ask all methods").click()
    expect(page).to_have_url(re.compile(r"/playground/\d+"))
    expect(page.locator(".answer .badge.done").first).to_be_visible(timeout=MINUTES)
    expect(page.locator(".answer .badge.done")).to_have_count(4, timeout=MINUTES)
    expect(page.locator("main")).to_contain_text("Retrieved (4)")


def test_nothing_went_wrong_in_the_browser_on_the_way(browsing):
    assert browsing.elsewhere == []
    assert browsing.complaints == []
