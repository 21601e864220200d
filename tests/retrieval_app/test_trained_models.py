"""Which trained model is used for what, and what an erasure or a withdrawn agreement does to it."""

import pytest
from django.db.models.functions import Now

from retrieval_app.models import Participant, TrainedModel
from retrieval_app.trained_models import trained_model_for, trained_models
from tests.eval_app.trained import BASE_MODEL, a_trained_model
from tests.retrieval_app.vectors import an_encoder
from users_app.erasure import erase_document, erase_end_user
from users_app.models import ProfileEntry
from users_app.shared_training import set_agreement


def found(workspace, *, kind="rspg-pre", task="LaMP-7", task_version="v2", base_model=BASE_MODEL):
    return trained_model_for(
        workspace=workspace, kind=kind, task=task, task_version=task_version, base_model=base_model
    )


def fine_tuned(workspace, *, revision):
    return a_trained_model(workspace, kind="ropg-kd", pool=[], encoder=an_encoder(revision=revision))


def member(model):
    return {"retriever": "ropg-kd", "encoder": model.encoder.name, "encoder_revision": model.encoder.revision}


def withdraw(model):
    TrainedModel.objects.filter(pk=model.pk).update(withdrawn_at=Now())


class TestWhichIsUsed:
    def test_the_newest_of_the_workspace(self, workspace):
        a_trained_model(workspace)
        newer = a_trained_model(workspace)
        assert found(workspace) == newer

    def test_its_own_before_one_that_came_with_lamppost(self, workspace):
        own = a_trained_model(workspace)
        shipped = a_trained_model(None)
        assert found(workspace) == own
        own.delete()
        assert found(workspace) == shipped

    def test_never_one_of_another_workspace(self, workspace, mallory):
        a_trained_model(mallory.workspace)
        assert found(workspace) is None
        assert not trained_models(workspace=workspace).exists()

    def test_none_that_was_withdrawn(self, workspace):
        a_trained_model(workspace, withdrawn_at=Now())
        assert found(workspace) is None

    def test_no_selector_whose_pool_names_an_encoder_that_was_withdrawn(self, workspace):
        shipped, older = a_trained_model(None), a_trained_model(workspace)
        encoder = fine_tuned(workspace, revision="1")
        choosing = a_trained_model(workspace, pool=[{"retriever": "none"}, member(encoder)])
        assert found(workspace) == choosing
        withdraw(encoder)
        assert found(workspace) == older
        withdraw(older)
        assert found(workspace) == shipped
        withdraw(shipped)
        assert found(workspace) is None

    def test_another_revision_of_the_encoder_does_not_count(self, workspace):
        encoder, other = fine_tuned(workspace, revision="1"), fine_tuned(workspace, revision="2")
        choosing = a_trained_model(workspace, pool=[{"retriever": "none"}, member(encoder)])
        withdraw(other)
        assert found(workspace) == choosing

    def test_an_encoder_that_another_trained_model_stands_for_is_not_withdrawn(self, workspace):
        encoder = fine_tuned(workspace, revision="1")
        choosing = a_trained_model(workspace, pool=[{"retriever": "none"}, member(encoder)])
        withdraw(encoder)
        a_trained_model(workspace, kind="ropg-kd", pool=[], encoder=encoder.encoder)
        assert found(workspace) == choosing

    @pytest.mark.parametrize(
        "wanted", [{"kind": "rspg-post"}, {"task": "LaMP-4"}, {"base_model": "some/t5@2"}], ids=str
    )
    def test_none_of_another_kind_task_or_base_model(self, workspace, wanted):
        a_trained_model(workspace)
        assert found(workspace, **wanted) is None

    def test_none_that_learned_from_another_version_of_the_task(self, workspace):
        of_before = a_trained_model(workspace, task_versions={"LaMP-7": "v1", "LaMP-4": "v2"})
        assert found(workspace) is None
        assert found(workspace, task_version="v1") == of_before

    def test_one_of_which_the_task_s_version_is_not_known(self, workspace):
        unknown = a_trained_model(workspace, task_versions={"LaMP-4": "v1"})
        assert found(workspace) == unknown

    def test_one_of_several_tasks_serves_each(self, workspace):
        model = a_trained_model(workspace, tasks=["LaMP-4", "LaMP-7"])
        assert found(workspace) == found(workspace, task="LaMP-4") == model


class TestErasure:
    @pytest.fixture
    def model(self, workspace, alice, bob):
        return a_trained_model(workspace, alice, bob)

    def test_erasing_a_participant_marks_it_and_keeps_it_in_use(self, model, workspace, alice, bob):
        receipt = erase_end_user(workspace=workspace, end_user=alice)
        model.refresh_from_db()
        assert (model.erasures, found(workspace)) == (1, model)
        assert [one.end_user for one in Participant.objects.all()] == [bob]
        assert receipt.removed["participants"] == 1

    def test_erasing_somebody_who_took_no_part_does_not(self, workspace, alice, bob):
        model = a_trained_model(workspace, bob)
        erase_end_user(workspace=workspace, end_user=alice)
        model.refresh_from_db()
        assert model.erasures == 0

    @pytest.mark.parametrize(("tasks", "marked"), [(["LaMP-7", "LaMP-4"], 1), (["LaMP-4"], 0)], ids=str)
    def test_erasing_a_document_marks_the_models_of_its_task(self, workspace, alice, tasks, marked):
        model = a_trained_model(workspace, alice, tasks=tasks)
        entry = ProfileEntry.objects.filter(end_user=alice).first()
        erase_document(workspace=workspace, end_user=alice, task="LaMP-7", client_id=entry.client_id)
        model.refresh_from_db()
        assert model.erasures == marked
        assert Participant.objects.filter(end_user=alice).exists()

    def test_each_erasure_counts(self, model, workspace, alice, bob):
        for one in (alice, bob):
            erase_end_user(workspace=workspace, end_user=one)
        assert TrainedModel.objects.get(pk=model.pk).erasures == 2


class TestAgreement:
    def test_taking_it_back_marks_what_learned_from_them_and_keeps_it_in_use(self, workspace, alice, bob):
        set_agreement(workspace=workspace, end_user=alice, agreed=True)
        model, other = a_trained_model(workspace, alice), a_trained_model(workspace, bob, kind="rspg-post")
        set_agreement(workspace=workspace, end_user=alice, agreed=False)
        model.refresh_from_db()
        other.refresh_from_db()
        assert (model.erasures, other.erasures, found(workspace)) == (1, 0, model)
        assert Participant.objects.filter(end_user=alice).exists()

    def test_it_marks_once_and_agreeing_does_not(self, workspace, alice):
        model = a_trained_model(workspace, alice)
        for agreed in (True, False, False):
            set_agreement(workspace=workspace, end_user=alice, agreed=agreed)
        model.refresh_from_db()
        assert model.erasures == 1
