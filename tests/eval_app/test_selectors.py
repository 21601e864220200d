from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval_app.models import Experiment, Run
from eval_app.selectors import (
    NotFound,
    dataset_by_name,
    experiment_by_name,
    experiment_progress,
    first_end_users,
    newest_splits,
    run_questions,
    training_documents,
    unanswered_questions,
    visible_to_every_question,
)
from jobs import claims, kinds
from jobs.models import Job
from jobs.services import JobSpec, enqueue
from tests.eval_app.stored import answered_run, ended
from tests.people import Asked, questions_of, split_of, tweets_of

SNAPSHOTS = st.lists(st.lists(st.integers(0, 6), max_size=8), min_size=1, max_size=4)


class TestVisibleToEveryQuestion:
    @given(SNAPSHOTS)
    def test_each_document_stands_as_often_as_in_the_snapshot_that_has_it_least(self, snapshots):
        kept = Counter(visible_to_every_question(snapshots))
        for document in range(7):
            assert kept[document] == min(snapshot.count(document) for snapshot in snapshots)

    @given(SNAPSHOTS)
    def test_no_question_is_answered_from_what_it_may_not_see(self, snapshots):
        kept = Counter(visible_to_every_question(snapshots))
        assert all(kept <= Counter(snapshot) for snapshot in snapshots)

    @given(SNAPSHOTS)
    def test_what_is_kept_stands_in_the_first_snapshots_order(self, snapshots):
        following = iter(snapshots[0])
        assert all(document in following for document in visible_to_every_question(snapshots))

    @given(st.lists(st.integers(0, 6), max_size=8))
    def test_one_question_sees_its_whole_snapshot(self, snapshot):
        assert visible_to_every_question([snapshot]) == snapshot

    @given(SNAPSHOTS, st.randoms())
    def test_the_later_questions_order_does_not_matter(self, snapshots, random):
        first, *others = snapshots
        shuffled = random.sample(others, len(others))
        assert visible_to_every_question([first, *shuffled]) == visible_to_every_question(snapshots)

    def test_no_question_sees_nothing(self):
        assert visible_to_every_question([]) == []


def a_run(split, **fields):
    return Run.objects.create(
        workspace=split.dataset.workspace, split=split, identity="x", family="none", question_count=3, **fields
    )


def asked_ids(questions):
    return list(questions.order_by("position").values_list("external_id", flat=True))


def test_a_run_asks_everyone(dev):
    assert asked_ids(run_questions(run=a_run(dev))) == ["100", "101", "102"]


def test_a_limit_takes_the_first_users_of_the_file_and_all_of_their_questions(dev, alice, bob):
    assert first_end_users(split=dev, limit=1) == [alice.pk]
    assert first_end_users(split=dev, limit=None) == [alice.pk, bob.pk]
    assert asked_ids(run_questions(run=a_run(dev, user_limit=1))) == ["100", "102"]


def test_what_is_answered_is_not_asked_again(dev):
    run = answered_run(dev, ["one", "two"])
    assert asked_ids(unanswered_questions(run=run)) == ["102"]


def test_an_adapter_learns_from_what_all_of_its_users_questions_may_see(dev, alice, bob):
    documents = dict(training_documents(run=a_run(dev)))
    hers = tweets_of(alice)[1:4]
    assert [document_id for document_id, _ in documents[alice.pk]] == [document.pk for document in hers]
    assert [digest for _, digest in documents[alice.pk]] == [bytes(document.digest).hex() for document in hers]
    assert len(documents[bob.pk]) == len(tweets_of(bob))


def test_a_user_whose_questions_share_nothing_has_nothing_to_learn_from(alice):
    first, second, *_ = tweets_of(alice)
    split = split_of([Asked(alice, "a: b", "c", [first]), Asked(alice, "a: d", "e", [second])])
    assert dict(training_documents(run=a_run(split))) == {alice.pk: []}


def test_questions_are_not_seen_through_another_workspace(dev, mallory):
    run = a_run(dev)
    run.workspace = mallory.workspace
    assert not run_questions(run=run).exists()


def test_the_newest_version_of_a_split_is_the_one_that_counts(dev, alice, bob):
    newer = split_of(questions_of(alice, bob)[:2])
    workspace = dev.dataset.workspace
    assert newest_splits(workspace=workspace, dataset=dev.dataset, split="dev") == {"LaMP-7": newer}
    assert newest_splits(workspace=workspace, dataset=dev.dataset, split="test") == {}


def test_splits_are_not_seen_through_another_workspace(dev, mallory):
    assert newest_splits(workspace=mallory.workspace, dataset=dev.dataset, split="dev") == {}


def test_a_dataset_that_is_not_there_is_answered_with_those_that_are(dev, workspace, mallory):
    assert dataset_by_name(workspace=workspace, name="tweets") == dev.dataset
    with pytest.raises(NotFound, match="There are: tweets"):
        dataset_by_name(workspace=workspace, name="twets")
    with pytest.raises(NotFound, match="import_lamp"):
        dataset_by_name(workspace=mallory.workspace, name="tweets")


def test_an_experiment_is_found_within_its_workspace_alone(dev, workspace, mallory):
    experiment = ended(dev, {})
    assert experiment_by_name(workspace=workspace, name="first") == experiment
    with pytest.raises(NotFound, match="no experiment “first” in workspace “elsewhere”"):
        experiment_by_name(workspace=mallory.workspace, name="first")


def test_progress_says_how_far_each_column_is(dev):
    generating = answered_run(dev, ["one", "two"])
    Run.objects.filter(pk=generating.pk).update(state=Run.State.GENERATING, question_count=3)
    done = answered_run(dev, ["one", "two", "three"], method="rag:bm25")
    experiment = ended(dev, {"none": generating, "rag:bm25": done, "rag:recency": "it has no dates"})
    told = {one.method: (one.state, one.done, one.total) for one in experiment_progress(experiment=experiment)}
    assert told == {"none": ("generating", 2, 3), "rag:bm25": ("done", 3, 3), "rag:recency": ("refused", 0, 0)}


def test_a_run_that_prepares_tells_how_far_its_jobs_are(dev):
    run = answered_run(dev, ["one"], method="peft:8")
    experiment = ended(dev, {"peft:8": run})
    Run.objects.filter(pk=run.pk).update(state="preparing")
    jobs = [enqueue(JobSpec(kind="train_adapter", origin=f"run:{run.pk}", payload={"n": n})) for n in range(4)]
    claims.claim(kinds.get("train_adapter"))
    Job.objects.filter(pk=jobs[0].pk).update(progress_done=40, progress_total=50)
    [column] = experiment_progress(experiment=experiment)
    assert column.activity.endswith("0 of 4 jobs, 4 running, 20%")


def test_progress_is_of_one_experiment(dev):
    ended(dev, {"none": answered_run(dev, ["one"])}, name="another")
    assert experiment_progress(experiment=ended(dev, {})) == []
    assert Experiment.objects.count() == 2
