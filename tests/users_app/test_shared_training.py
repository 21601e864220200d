import pytest

from tests.people import person
from users_app.models import AuditEntry, EndUser, SharedTraining
from users_app.shared_training import may_learn_from, set_agreement, set_shared_training


def allowed(workspace):
    return set(may_learn_from(workspace=workspace).values_list("external_id", flat=True))


class TestWhoseData:
    def test_unless_it_says_otherwise_only_that_of_users_who_agreed(self, workspace, alice, bob):
        assert allowed(workspace) == set()
        set_agreement(workspace=workspace, end_user=bob, agreed=True)
        assert allowed(workspace) == {"bob"}

    def test_everyones_where_the_workspace_says_so(self, workspace, alice, bob):
        set_shared_training(workspace=workspace, policy="everyone")
        assert allowed(workspace) == {"alice", "bob"}

    def test_nobodys_where_it_says_so_though_users_have_agreed(self, workspace, alice):
        set_agreement(workspace=workspace, end_user=alice, agreed=True)
        set_shared_training(workspace=workspace, policy="nobody")
        assert allowed(workspace) == set()

    def test_never_that_of_another_workspace(self, workspace, alice, mallory):
        set_shared_training(workspace=workspace, policy="everyone")
        set_agreement(workspace=mallory.workspace, end_user=mallory, agreed=True)
        assert allowed(workspace) == {"alice"}

    def test_what_another_process_has_changed_counts_at_once(self, workspace, alice):
        stale = type(workspace).objects.get(pk=workspace.pk)
        set_shared_training(workspace=workspace, policy="everyone")
        assert allowed(stale) == {"alice"}


class TestPolicy:
    def test_a_change_is_recorded_with_both_policies(self, workspace):
        assert set_shared_training(workspace=workspace, policy="nobody")
        [entry] = AuditEntry.objects.filter(action="shared_training.changed")
        assert entry.details == {"from": "agreed", "to": "nobody"}
        workspace.refresh_from_db()
        assert workspace.shared_training == SharedTraining.NOBODY

    def test_the_same_again_changes_and_records_nothing(self, workspace):
        assert not set_shared_training(workspace=workspace, policy="agreed")
        assert not AuditEntry.objects.exists()

    def test_what_is_no_policy_is_refused(self, workspace):
        with pytest.raises(ValueError, match="somebody"):
            set_shared_training(workspace=workspace, policy="somebody")


class TestAgreement:
    def test_it_is_recorded_of_whom_and_when(self, workspace, alice):
        assert set_agreement(workspace=workspace, end_user=alice, agreed=True)
        assert alice.agreed_to_shared_training_at is not None
        [entry] = AuditEntry.objects.filter(action="agreement.changed")
        assert (entry.end_user, entry.details) == (alice, {"agreed": True})

    def test_agreeing_again_keeps_the_first_time(self, workspace, alice):
        set_agreement(workspace=workspace, end_user=alice, agreed=True)
        first = alice.agreed_to_shared_training_at
        assert not set_agreement(workspace=workspace, end_user=alice, agreed=True)
        assert EndUser.objects.get(pk=alice.pk).agreed_to_shared_training_at == first
        assert AuditEntry.objects.count() == 1

    def test_it_can_be_taken_back(self, workspace, alice):
        set_agreement(workspace=workspace, end_user=alice, agreed=True)
        set_agreement(workspace=workspace, end_user=alice, agreed=False)
        assert allowed(workspace) == set()
        assert alice.agreed_to_shared_training_at is None

    def test_nobody_agrees_for_a_user_of_another_workspace(self, workspace, mallory):
        with pytest.raises(EndUser.DoesNotExist):
            set_agreement(workspace=workspace, end_user=mallory, agreed=True)

    def test_a_new_user_has_not_agreed(self, workspace):
        assert person(workspace, "carol").agreed_to_shared_training_at is None
