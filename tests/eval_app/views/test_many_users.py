"""Pages of seven tasks, thirteen columns and ten thousand users a task are as quick as any."""

import time

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext

from eval_app.models import Prediction, UserImprovement
from tests.eval_app.many_users import COLUMNS, TASKS, USERS, experiment_of_many
from users_app.models import Membership
from users_app.services import set_role

SECONDS = 1.0
QUERIES = 30
PAGES = [
    "table/",
    "table/?show=gain&show=interval&show=p&show=users&show=n&reference=1&rows=rag:bm25&columns=LaMP-3:MAE",
    "table.csv",
    "table.json",
    "table.tex",
    "figure-1/",
    "figure-1/?task=LaMP-3",
]

pytestmark = pytest.mark.long


@pytest.fixture
def experiment(workspace):
    return experiment_of_many(workspace)


@pytest.fixture
def viewer(client, workspace):
    user = get_user_model().objects.create_user("viewer", is_staff=True)
    set_role(workspace=workspace, user_id=user.pk, role=Membership.Role.VIEWER)
    client.force_login(user)
    return client


def test_pages_answer_within_a_second_with_few_queries(viewer, experiment):
    assert Prediction.objects.filter(run__columns__experiment=experiment).count() == len(TASKS) * COLUMNS * USERS
    assert UserImprovement.objects.count() == len(TASKS) * (COLUMNS - 1) * USERS
    slow = []
    for page in PAGES:
        address = f"/w/acme/experiments/{experiment.pk}/{page}"
        # What a process does once, as reading a template, is not what the page costs.
        assert viewer.get(address).status_code == 200
        with CaptureQueriesContext(connection) as asked:
            begun = time.perf_counter()
            answer = viewer.get(address)
            took = time.perf_counter() - begun
        print(f"{page}: {took:.3f} s, {len(asked)} queries, {len(answer.content):,} bytes")
        if took > SECONDS or len(asked) > QUERIES or answer.status_code != 200:
            slow.append((page, took, len(asked)))
    assert slow == []
