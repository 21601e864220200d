"""The list of a workspace's experiments."""

from common.keyset_lists import keyset_page
from eval_app.models import Run
from tests.eval_app.stored import answered_run, ended

ADDRESS = "/w/acme/experiments/"


def test_each_says_how_many_of_its_columns_have_ended(browser, dev):
    runs = {
        "none": answered_run(dev, ["a", "b", "c"]),
        "rag:bm25": answered_run(dev, ["d", "e", "f"], method="rag:bm25"),
        "rag:recency": "refused",
    }
    experiment = ended(dev, runs)
    Run.objects.filter(retriever="bm25").update(state=Run.State.FAILED)
    Run.objects.filter(retriever="").update(state=Run.State.GENERATING)
    [(one, columns)] = browser.get(ADDRESS).context["rows"]
    assert one == experiment
    assert (columns.ended, columns.failed, columns.total) == (2, 1, 3)


def test_each_leads_to_its_page_and_the_list_to_the_builder(browser, dev):
    experiment = ended(dev, {"none": answered_run(dev, ["a", "b", "c"])})
    page = browser.get(ADDRESS).content.decode()
    assert f'href="/w/acme/experiments/{experiment.pk}/"' in page
    assert 'href="/w/acme/experiments/new/"' in page


def test_a_longer_list_asks_the_database_no_more_often(browser, dev, django_assert_max_num_queries):
    run = answered_run(dev, ["a", "b", "c"])
    for number in range(4):
        ended(dev, {"none": run}, name=f"experiment {number}")
    with django_assert_max_num_queries(8):
        browser.get(ADDRESS)


def test_the_way_back_to_the_first_page_keeps_the_filter(browser, dev, monkeypatch):
    monkeypatch.setattr(keyset_page, "__kwdefaults__", {**keyset_page.__kwdefaults__, "size": 2})
    run = answered_run(dev, ["a", "b", "c"])
    for number in range(5):
        ended(dev, {"none": run}, name=f"experiment {number}")
    first = browser.get(ADDRESS, {"state": "done"}).context["page"]
    second = browser.get(f"{ADDRESS}?{first.following}").context["page"]
    assert [one.name for one in [*first.rows, *second.rows]] == [f"experiment {number}" for number in (4, 3, 2, 1)]
    assert second.first == "state=done"
