"""`/experiments/{id}/table`: the table in the form that is asked for."""

import csv
import io
import json

import pytest

from eval_app.export import to_csv, to_json, to_latex, to_markdown
from eval_app.models import Experiment
from eval_app.reports import experiment_table
from tests.eval_app.stored import answered_run, ended


@pytest.fixture
def experiment(dev):
    poor, better = ["rain", "bike", "nothing"], ["rain on my roses", "bike", "garden gloves"]
    return ended(dev, {"none": answered_run(dev, poor), "rag:bm25": answered_run(dev, better, method="rag:bm25")})


@pytest.fixture
def table(experiment):
    return f"/api/v1/experiments/{experiment.pk}/table"


FORMS = [
    ("json", "application/json", to_json),
    ("csv", "text/csv", to_csv),
    ("markdown", "text/markdown", to_markdown),
    ("latex", "application/x-latex", to_latex),
]


@pytest.mark.parametrize(("form", "media_type", "written"), FORMS, ids=[form for form, *_ in FORMS])
def test_it_comes_as_the_query_says_or_as_the_client_accepts(api, experiment, table, form, media_type, written):
    experiment.refresh_from_db()
    expected = written(experiment_table(experiment=experiment)).encode()
    for answer in (api.get(f"{table}?format={form}"), api.get(table, headers={"accept": media_type})):
        assert (answer.status_code, answer.content) == (200, expected)
        assert answer["Content-Type"] == f"{media_type}; charset=utf-8"
    assert api.head(f"{table}?format={form}").status_code == 200


def test_json_is_what_comes_unasked_and_has_the_report_s_form(api, table):
    answer = api.get(table)
    assert set(answer.json()) == {"rows", "average_relative_improvement", "figure_1", "reference"}
    assert set(answer.json()["rows"][0]["cells"]) == {"none", "rag:bm25"}
    assert answer.json()["reference"] is None


def test_csv_has_a_line_a_cell(api, table):
    rows = list(csv.DictReader(io.StringIO(api.get(f"{table}?format=csv").content.decode())))
    assert [(row["metric"], row["method"]) for row in rows] == [
        ("rouge-1", "none"),
        ("rouge-1", "rag:bm25"),
        ("rouge-L", "none"),
        ("rouge-L", "rag:bm25"),
    ]


def test_the_published_numbers_stand_beside_where_that_is_asked(api, table):
    assert api.get(f"{table}?reference=true").json()["reference"]["published"] is True


def test_one_that_is_known_is_not_sent_again(api, table):
    etag = api.get(table)["ETag"]
    assert api.get(table, headers={"if-none-match": etag}).status_code == 304
    assert api.get(table, headers={"if-none-match": f'"x", W/{etag}'}).status_code == 304
    assert api.get(f"{table}?format=csv", headers={"if-none-match": etag}).status_code == 200


@pytest.mark.parametrize("query", ["?format=xml", "?reference=1", "?form=csv"])
def test_what_is_no_form_is_refused(api, table, query):
    answer = api.get(table + query)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == query.partition("=")[0]


def test_what_is_not_accepted_is_a_problem_and_so_are_errors_to_who_accepts_csv(api, table):
    assert api.get(table, headers={"accept": "image/png"}).status_code == 406
    wrong = api.get(f"{table}?format=xml", headers={"accept": "text/csv"})
    assert (wrong.status_code, wrong["Content-Type"]) == (400, "application/problem+json")
    assert json.loads(wrong.content)["type"] == "urn:lamppost:problem:invalid-input"


@pytest.mark.parametrize("state", ["active", "cancelled"])
def test_before_the_end_there_is_none(api, experiment, table, state):
    finished = None if state == "active" else experiment.created_at
    Experiment.objects.update(state=state, finished_at=finished, report=None)
    answer = api.get(table)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:lamppost:problem:experiment-not-done")
    assert answer.json()["state"] == state


def test_while_it_goes_on_again_the_old_one_is_not_shown(api, experiment, table):
    Experiment.objects.update(state="active", finished_at=None)
    assert api.get(table).status_code == 409


def test_one_that_failed_has_a_table_that_says_what_is_missing(api, dev):
    experiment = ended(dev, {"none": "it broke"})
    Experiment.objects.update(state="failed")
    cells = api.get(f"/api/v1/experiments/{experiment.pk}/table").json()["rows"][0]["cells"]
    assert cells["none"]["reason"] == "it broke"


def test_a_stranger_sees_none(stranger_api, table):
    assert stranger_api.get(table).status_code == 404
