"""From files on a program's disk to a table over HTTP, and then somebody is erased."""

import pytest

from common.objects import get_store
from eval_app.models import Experiment
from jobs.runner import run_waiting
from tests.conftest import KINDS
from tests.eval_app.api.uploading import uploaded
from tests.eval_app.stored import small_t5
from tests.lamp.lamp_files import outputs, tweet_question
from tests.people import OF_ALICE, OF_BOB
from tests.whereabouts import traces
from users_app.erasure import erase_end_user
from users_app.models import EndUser

pytestmark = pytest.mark.django_db(transaction=True)

QUESTIONS = [
    tweet_question(
        str(number),
        user_id=user,
        profile=[{"id": f"{user}-{at}", **entry} for at, entry in enumerate(entries)],
    )
    for number, (user, entries) in enumerate([("alice", OF_ALICE), ("bob", OF_BOB), ("alice", OF_ALICE[1:])], start=1)
]
GOLDS = outputs("LaMP_7", {"1": "rain on my roses again", "2": "my bike loves mud", "3": "garden gloves gone again"})


@pytest.fixture
def drive(settings):
    settings.DEFAULT_BASE_MODEL = "small"
    settings.JOBS_BACKOFF_SECONDS = 0
    small_t5()
    return lambda: run_waiting(["import_dataset", *KINDS])


def test_from_files_to_a_table_and_on_to_an_erasure(api, drive):
    # What other tests have left.
    before = set(get_store().list("uploads/"))
    ask = {"dataset": "mine", "split": "dev", "questions": uploaded(api, QUESTIONS), "outputs": uploaded(api, GOLDS)}
    job = api.post("/api/v1/imports", ask)
    drive()
    assert api.get(job["Location"]).json()["state"] == "done"
    [dataset] = api.get("/api/v1/datasets").json()["data"]
    [split] = api.get(f"/api/v1/datasets/{dataset['id']}").json()["splits"]
    assert (split["task"], split["separation"], split["questions"], split["users"]) == ("LaMP-7", "time", 3, 2)

    started = api.post(
        "/api/v1/experiments",
        {
            "name": "first",
            "dataset": "mine",
            "methods": ["none", "rag:bm25", "peft:4"],
            "controls": ["swapped"],
            "k": 2,
            "num_beams": 1,
            "max_input_tokens": 128,
            "max_output_tokens": 4,
            "hyperparameters": {"epochs": 1},
        },
    )
    assert started.status_code == 202
    drive()
    experiment = api.get(started["Location"]).json()
    assert (experiment["state"], experiment["error"]) == ("done", None)
    table = api.get(f"{started['Location']}/table").json()
    cells = table["rows"][0]["cells"]
    assert list(cells) == ["none", "rag:bm25", "peft:4"]
    assert {cell["n"] for cell in cells.values()} == {3}
    assert set(cells["rag:bm25"]["control"]) >= {"value", "p_value"}

    runs = {row["method"]: row["run"]["id"] for row in api.get(f"{started['Location']}/runs").json()["data"]}
    answers = api.get(f"/api/v1/runs/{runs['rag:bm25']}/predictions?include=prompt,documents").json()["data"]
    assert [answer["question"] for answer in answers] == ["1", "2", "3"]
    assert {len(answer["documents"]) for answer in answers} == {2}
    assert all(document["id"].startswith("bob-") for document in answers[1]["documents"])
    changed = api.get(f"/api/v1/runs/{runs['peft:4']}/improvements").json()["data"]
    assert [one["user"] for one in changed] == ["mine/LaMP-7/alice", "mine/LaMP-7/bob"]

    alice = EndUser.objects.get(external_id="mine/LaMP-7/alice")
    texts = [entry["text"] for entry in OF_ALICE]
    assert traces(end_user_id=alice.pk, words=[alice.external_id, *texts])
    erase_end_user(workspace=alice.workspace, end_user=alice)
    assert traces(end_user_id=alice.pk, words=[alice.external_id, *texts]) == []
    assert set(get_store().list("uploads/")) <= before
    assert Experiment.objects.get().report is not None
    left = api.get(f"/api/v1/runs/{runs['rag:bm25']}/predictions").json()["data"]
    assert [answer["user"] for answer in left] == ["mine/LaMP-7/bob"]
