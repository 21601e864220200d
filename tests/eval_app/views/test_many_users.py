"""No page grows with users: of seven tasks, thirteen columns and ten thousand users a task each makes few queries.

How long they take is measured by `python -m benchmarks pages`.
"""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from eval_app.models import Prediction, UserImprovement
from tests.eval_app.many_users import COLUMNS, TASKS, USERS, experiment_of_many
from tests.members import member_of
from tests.routes import routes

QUERIES = 30

pytestmark = pytest.mark.long


@pytest.fixture
def experiment(workspace):
    return experiment_of_many(workspace)


def test_every_page_makes_few_queries(workspace, experiment):
    viewer = member_of(workspace)
    assert Prediction.objects.filter(run__columns__experiment=experiment).count() == len(TASKS) * COLUMNS * USERS
    assert UserImprovement.objects.count() == len(TASKS) * (COLUMNS - 1) * USERS
    many = {}
    for page in routes(("w/",)):
        address, exists = page.address(workspace)
        if not exists or "GET" not in page.methods():
            continue
        with CaptureQueriesContext(connection) as queries:
            assert viewer.get(address).status_code in (200, 204, 302), address
        many[address] = len(queries)
    assert len(many) > 20
    assert {address: count for address, count in many.items() if count > QUERIES} == {}
