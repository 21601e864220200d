import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval_app.models import Prediction, Question, Run
from eval_app.runs import adapter_plans, cancel_run, collect_generation, restart_run, step_run
from eval_app.swapping import partners, swapped_profiles
from tests import people
from tests.eval_app.stored import a_run
from tests.people import ASK, Asked, questions_of, split_of, tweets_of
from tests.training_app.adapters import facts
from training_app.adapters import record_adapter
from training_app.models import Adapter, Generation

NAMES = st.dictionaries(st.integers(1, 10_000), st.text(min_size=1), max_size=30).filter(
    lambda names: len(set(names.values())) == len(names)
)


class TestPartners:
    @given(NAMES)
    def test_nobody_is_their_own_partner_and_everybody_is_the_partner_of_one(self, names):
        found = partners(names)
        if len(names) < 2:
            assert found == {}
            return
        assert set(found) == set(found.values()) == set(names)
        assert all(user != other for user, other in found.items())

    @given(NAMES, st.randoms())
    def test_the_order_in_which_users_come_does_not_matter(self, names, draw):
        shuffled = list(names.items())
        draw.shuffle(shuffled)
        assert partners(dict(shuffled)) == partners(names)

    def test_it_is_the_same_on_every_installation(self):
        names = {pk: f"synthetic/LaMP-2/{user}" for pk, user in zip((9, 4, 7, 1), "1234", strict=True)}
        elsewhere = {pk: f"synthetic/LaMP-2/{user}" for pk, user in zip((1, 2, 3, 4), "1234", strict=True)}
        here = {names[user]: names[other] for user, other in partners(names).items()}
        assert here == {elsewhere[user]: elsewhere[other] for user, other in partners(elsewhere).items()}

    @given(NAMES.filter(lambda names: len(names) > 2))
    def test_one_who_goes_changes_only_whose_partner_they_were(self, names):
        before = partners(names)
        gone = min(names)
        after = partners({user: name for user, name in names.items() if user != gone})
        assert {user for user in after if after[user] != before[user]} == {
            user for user, other in before.items() if other == gone
        }


@pytest.fixture
def carol(workspace):
    return people.person(
        workspace, "carol", [{"text": f"soup number {at} of carol", "date": 2010 + at} for at in (1, 2)]
    )


@pytest.fixture
def split(alice, bob, carol):
    """Two questions of Alice's with snapshots of one size, one of Bob's, two of Carol's, the first with the larger."""
    ones = tweets_of(carol)
    hers = [Asked(carol, ASK + "soup", "soup", ones), Asked(carol, ASK + "more soup", "soup", ones[:1])]
    return split_of([*questions_of(alice, bob), *hers])


def a_control(split, method="rag:bm25@swapped", **changed):
    return a_run(split, method, **changed)


def asked_of(run):
    """Question id → the generation that was asked for."""
    return {
        int(generation.origin.rpartition("/")[2]): generation
        for generation in Generation.objects.filter(origin__startswith=f"run:{run.pk}/")
    }


def partner_of(user, split):
    """By the ring, over all users of the split."""
    names = dict(Question.objects.filter(split=split).values_list("end_user", "end_user__external_id"))
    return partners(names)[user.pk]


class TestProfiles:
    def test_it_is_the_largest_snapshot_of_the_partner(self, split, alice, bob, carol):
        profiles = swapped_profiles(run=a_control(split))
        largest = {alice.pk: 4, bob.pk: 4, carol.pk: 2}
        for user in (alice, bob, carol):
            assert profiles[user.pk].end_user_id == partner_of(user, split)
            assert len(profiles[user.pk].document_ids) == largest[partner_of(user, split)]

    def test_of_equally_large_ones_the_later(self, split, alice, bob, carol):
        [profile] = [one for one in swapped_profiles(run=a_control(split)).values() if one.end_user_id == alice.pk]
        assert profile.document_ids == [document.pk for document in tweets_of(alice)[1:]]

    def test_only_users_whose_questions_the_run_answers_are_swapped(self, split, alice, bob, carol):
        profiles = swapped_profiles(run=a_control(split, user_limit=2))
        assert {user: profile.end_user_id for user, profile in profiles.items()} == {
            alice.pk: bob.pk,
            bob.pk: alice.pk,
        }

    def test_a_run_that_is_no_control_swaps_nobody(self, split):
        with pytest.raises(ValueError, match="is no control"):
            swapped_profiles(run=a_control(split, "rag:bm25"))


class TestIdentity:
    @pytest.mark.parametrize("method", ["rag:bm25", "peft:8", "peft-rag:bm25:8"])
    def test_a_control_is_a_run_of_its_own(self, split, method):
        control = a_control(split, f"{method}@swapped")
        assert control != a_control(split, method)
        assert (control.control, a_control(split, method).control) == ("swapped", "")
        assert control == a_control(split, f"{method}@swapped")

    def test_runs_without_a_control_are_named_as_ever(self, split, monkeypatch):
        before = a_control(split, "rag:bm25").identity
        monkeypatch.setattr("eval_app.runs.RULE", "another")
        assert a_control(split, "rag:bm25").identity == before
        assert a_control(split).identity != a_control(split, "rag:bm25").identity

    def test_another_rule_of_swapping_makes_another_run(self, split, monkeypatch):
        before = a_control(split)
        monkeypatch.setattr("eval_app.runs.RULE", "another")
        assert a_control(split) != before


class TestSteps:
    def test_each_question_is_asked_as_by_the_partner_with_the_partners_documents(self, split, alice, bob, carol):
        run = step_run(run_id=a_control(split).pk)
        assert run.state == "generating"
        asked = asked_of(run)
        for question in Question.objects.filter(split=split):
            generation = asked[question.pk]
            assert generation.input == question.input
            assert generation.end_user_id == partner_of(question.end_user, split)
            own = {document.pk for document in tweets_of(generation.end_user)}
            assert set(generation.profile_document_ids) <= own

    def test_every_question_of_a_user_has_the_same_partner(self, split, alice):
        asked = asked_of(step_run(run_id=a_control(split).pk))
        hers = Question.objects.filter(split=split, end_user=alice).values_list("pk", flat=True)
        assert len(hers) == 2
        assert len({asked[pk].end_user_id for pk in hers}) == 1

    def test_it_uses_the_adapters_of_its_own_column_and_the_partners_one(self, split, alice, bob, carol):
        own = a_control(split, "peft:8")
        for plan in adapter_plans(run=own):
            user = next(one for one in (alice, bob, carol) if one.pk == plan.end_user_id)
            record_adapter(end_user=user, plan=plan, facts=facts(str(user.pk)))
        run = step_run(run_id=a_control(split, "peft:8@swapped").pk)
        assert run.state == "generating"
        assert Adapter.objects.count() == 3
        for pk, generation in asked_of(run).items():
            partner = partner_of(Question.objects.get(pk=pk).end_user, split)
            assert generation.adapter.end_user_id == generation.end_user_id == partner

    def test_a_partner_with_nothing_to_learn_from_lends_no_adapter(self, workspace):
        users = [people.person(workspace, name) for name in ("one", "other")]
        split = split_of([Asked(user, ASK + "hello", "hi", []) for user in users])
        run = step_run(run_id=a_control(split, "peft:8@swapped").pk)
        assert {generation.adapter for generation in asked_of(run).values()} == {None}

    def test_what_was_answered_before_an_interruption_stays_and_the_rest_keeps_its_partners(self, split):
        run = step_run(run_id=a_control(split).pk)
        before = {pk: one.end_user_id for pk, one in asked_of(run).items()}
        first = next(iter(asked_of(run).values()))
        first.prompt = first.output = "answered"
        collect_generation(first)
        cancel_run(run=run)
        run.refresh_from_db()
        restart_run(run=run)
        after = {pk: one.end_user_id for pk, one in asked_of(step_run(run_id=run.pk)).items()}
        assert len(after) == len(before) - 1
        assert after.items() <= before.items()

    def test_an_answer_is_the_askers_prediction_and_says_whose_profile_it_was(self, split):
        run = step_run(run_id=a_control(split).pk)
        for generation in asked_of(run).values():
            generation.prompt = generation.output = "answered"
            collect_generation(generation)
        for prediction in Prediction.objects.filter(run=run).select_related("question__end_user"):
            assert prediction.end_user_id == prediction.question.end_user_id
            assert prediction.swapped_with_id == partner_of(prediction.question.end_user, split)

    def test_an_own_answer_is_swapped_with_nobody(self, split):
        run = step_run(run_id=a_control(split, "rag:bm25").pk)
        for generation in asked_of(run).values():
            generation.prompt = generation.output = "answered"
            collect_generation(generation)
        assert set(Prediction.objects.filter(run=run).values_list("swapped_with", flat=True)) == {None}

    def test_who_goes_takes_along_what_was_answered_with_their_profile(self, split, alice, bob, carol):
        run = step_run(run_id=a_control(split).pk)
        for generation in asked_of(run).values():
            generation.prompt = generation.output = "answered"
            collect_generation(generation)
        alice.delete()
        assert not Prediction.objects.filter(swapped_with=alice.pk).exists()
        assert Prediction.objects.filter(run=run).exists()

    def test_a_run_whose_users_have_gone_but_one_fails_and_says_why(self, split, bob, carol):
        run = a_control(split)
        bob.delete()
        carol.delete()
        assert step_run(run_id=run.pk).state == "failed"
        assert "a control needs another user" in Run.objects.get(pk=run.pk).error
