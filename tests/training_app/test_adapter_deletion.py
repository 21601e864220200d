import pytest

from common.objects import get_store
from tests.people import tweets_of
from tests.training_app.adapters import a_base_model, facts, plan_of
from training_app.adapter_deletion import AdapterInUse, delete_adapter
from training_app.adapters import record_adapter, request_adapters, withdraw_adapter
from training_app.models import Adapter, Generation


@pytest.fixture
def adapter(alice):
    get_store().put_bytes("adapters/c1/weights", b"w")
    return record_adapter(end_user=alice, plan=plan_of(alice, tweets_of(alice)), facts=facts())


@pytest.fixture
def delete(django_capture_on_commit_callbacks):
    """Delete an adapter, and do what follows its commit."""

    def delete(adapter):
        with django_capture_on_commit_callbacks(execute=True):
            delete_adapter(adapter=adapter)

    return delete


def files():
    return [info.key for info in get_store().list("adapters/c1/")]


def generation(end_user, adapter, **fields):
    return Generation.objects.create(
        end_user=end_user,
        task="LaMP-7",
        base_model=a_base_model(),
        family="peft",
        adapter=adapter,
        parameters={},
        input="?",
        profile_document_ids=[],
        **fields,
    )


def test_the_row_and_its_files_go(adapter, delete):
    delete(adapter)
    assert not Adapter.objects.exists()
    assert files() == []


def test_what_it_has_answered_stays(alice, adapter, delete):
    answered = generation(alice, adapter, prompt="?", output="!", state="done", finished_at="2024-01-01T00:00Z")
    delete(adapter)
    answered.refresh_from_db()
    assert (answered.output, answered.adapter_id) == ("!", None)


def test_one_that_an_output_waits_for_stays(alice, adapter):
    waiting = generation(alice, adapter)
    with pytest.raises(AdapterInUse, match=str(waiting.pk)):
        delete_adapter(adapter=adapter)
    assert Adapter.objects.exists()


def test_files_that_another_stands_for_stay(alice, adapter, delete):
    withdraw_adapter(adapter=adapter)
    record_adapter(end_user=alice, plan=plan_of(alice, tweets_of(alice)), facts=facts())
    delete(adapter)
    assert files() == ["adapters/c1/weights"]


def test_files_that_a_training_may_be_putting_there_stay(alice, adapter, delete):
    request_adapters(plans=[plan_of(alice, tweets_of(alice))])
    delete(adapter)
    assert files() == ["adapters/c1/weights"]


def test_a_store_that_is_away_keeps_nobody_from_deleting(adapter, delete, settings):
    settings.S3_ENDPOINT = "http://127.0.0.1:9"
    delete(adapter)
    assert not Adapter.objects.exists()
