"""Deleting one document: what was learned from it is used no more, and is learned again without it."""

from dataclasses import replace

import pytest

from common.objects import ObjectStore, ObjectStoreUnavailable, get_store
from eval_app.models import Run
from jobs.models import Job
from retrieval_app.models import Embedding
from retrieval_app.services import retrieve
from tests.eval_app.stored import small_t5, start
from tests.people import OF_ALICE, TWEETS, give, person, questions_of, split_of, tweets_of
from tests.training_app.serving import chosen
from tests.workers.asked import ask, ask_for_adapter, plan
from training_app.adapters import request_adapters
from training_app.models import Adapter, Generation
from training_app.object_keys import versions_prefix
from users_app.erasure import erase_document, finish_erasure
from users_app.models import Document, EndUser, ErasureReceipt, ProfileEntry
from users_app.profiles import NewDocument, put_documents
from users_app.selectors import visible_documents
from workers import generating, loaded, training
from workers.adapter_cache import adapter_cache


def erase(end_user, client_id):
    return erase_document(workspace=end_user.workspace, end_user=end_user, task=TWEETS, client_id=client_id)


def texts(end_user):
    found = visible_documents(workspace=end_user.workspace, end_user=end_user, task=TWEETS)
    return [document.fields["text"] for document in found]


def put(end_user, client_id, text):
    put_documents(
        workspace=end_user.workspace, end_user=end_user, documents=[NewDocument(TWEETS, client_id, {"text": text})]
    )


@pytest.fixture
def train(in_process):
    """Train the adapter of all of a user's documents; the adapter."""

    def train(end_user, **changed):
        identity = ask_for_adapter(end_user, **changed)
        in_process("train_adapter")
        return Adapter.objects.get(identity=identity, withdrawn_at=None)

    return train


class TestTheDocument:
    def test_leaves_the_profile_and_the_database(self, alice):
        receipt = erase(alice, "alice-1")
        assert texts(alice) == [OF_ALICE[at]["text"] for at in (0, 2, 3, 4)]
        assert not Document.objects.filter(fields__text=OF_ALICE[1]["text"]).exists()
        assert receipt.removed == {"documents": 1, "objects": 0, "profile entries": 1}

    def test_goes_with_whatever_stood_under_its_id_before(self, alice):
        put(alice, "x", "first words")
        put(alice, "x", "second thoughts")
        erase(alice, "x")
        assert not Document.objects.filter(fields__text__in=["first words", "second thoughts"]).exists()
        assert not ProfileEntry.objects.filter(client_id="x").exists()

    def test_stays_where_another_id_stands_for_the_same(self, alice):
        put(alice, "x", "twice")
        put(alice, "y", "twice")
        erase(alice, "x")
        assert texts(alice)[-1:] == ["twice"]

    def test_goes_though_another_id_has_stood_for_the_same_once(self, alice):
        put(alice, "y", "once")
        put(alice, "y", "now something else")
        put(alice, "x", "once")
        erase(alice, "x")
        assert not Document.objects.filter(fields__text="once").exists()
        assert texts(alice)[-1:] == ["now something else"]

    def test_that_is_not_there_says_so(self, alice):
        with pytest.raises(ProfileEntry.DoesNotExist):
            erase(alice, "nothing")
        assert not ErasureReceipt.objects.exists()

    def test_of_another_workspaces_person_is_not_reached(self, alice, mallory):
        with pytest.raises(EndUser.DoesNotExist):
            erase_document(workspace=mallory.workspace, end_user=alice, task=TWEETS, client_id="alice-1")

    def test_takes_its_vector_along(self, alice, in_process, settings):
        settings.DEFAULT_BASE_MODEL = "small"
        put(alice, "x", "to be embedded")
        in_process("embed_documents")
        assert Embedding.objects.filter(end_user=alice).count() == 6
        erase(alice, "x")
        assert Embedding.objects.filter(end_user=alice).count() == 5

    def test_is_no_longer_in_an_index_in_memory(self, alice):
        from retrieval_app.services import _bm25_indexes

        documents = visible_documents(workspace=alice.workspace, end_user=alice, task=TWEETS)
        retrieve(
            workspace=alice.workspace,
            end_user=alice,
            task=TWEETS,
            documents=documents,
            retriever="bm25",
            query="rain",
            count=2,
        )
        assert any(key[0] == alice.pk for key in _bm25_indexes.by_use())
        erase(alice, "alice-1")
        assert not any(key[0] == alice.pk for key in _bm25_indexes.by_use())


class TestWhatWasAsked:
    def test_a_prompt_that_quotes_it_is_emptied(self, alice, in_process):
        quoting = ask(alice, OF_ALICE[1]["text"], retriever="bm25", documents_wanted=1)
        other = ask(alice, OF_ALICE[0]["text"], retriever="bm25", documents_wanted=1)
        in_process("generate")
        quoting.refresh_from_db(), other.refresh_from_db()
        assert "tomatoes" in quoting.prompt
        erase(alice, "alice-1")
        quoting.refresh_from_db(), other.refresh_from_db()
        assert quoting.prompt == ""
        assert OF_ALICE[0]["text"][:20] in other.prompt

    def test_a_question_that_waits_is_answered_without_it(self, alice, in_process):
        waiting = ask(alice, "planted tomatoes", retriever="bm25", documents_wanted=5)
        [document] = [one for one in tweets_of(alice) if "tomatoes" in one.fields["text"]]
        erase(alice, "alice-1")
        in_process("generate")
        waiting.refresh_from_db()
        assert waiting.finished_at is not None
        assert len(waiting.retrieved_document_ids) == 4
        assert document.pk not in waiting.retrieved_document_ids

    def test_a_run_that_comes_later_asks_with_what_is_left_of_the_snapshot(self, alice, bob, in_process):
        split = split_of(questions_of(alice, bob))
        erase(alice, "alice-1")
        start(split, "rag:bm25", encoder=None)
        in_process()
        assert set(Run.objects.values_list("state", flat=True)) == {"done"}


class TestAnAdapterThatSawIt:
    def test_is_withdrawn_with_its_files_and_digests(self, alice, train):
        adapter = train(alice)
        prefix = adapter.object_prefix
        assert list(get_store().list(prefix))
        receipt = erase(alice, "alice-1")
        adapter.refresh_from_db()
        assert adapter.withdrawn_at is not None
        assert adapter.document_digests == []
        assert not list(get_store().list(prefix))
        assert (receipt.removed["adapters"], receipt.removed["objects"]) == (1, 2)

    def test_is_in_no_memory_any_more(self, alice, train, in_process):
        adapter = train(alice)
        ask(alice, adapter=adapter)
        in_process("generate")
        generator = loaded.generator(small_t5(), dtype="float32")
        assert adapter.content_digest in generator.digests()
        assert adapter.identity in {identity for identity, _ in adapter_cache._memory.held()}
        erase(alice, "alice-1")
        assert adapter.content_digest not in generator.digests()
        assert adapter.identity not in {identity for identity, _ in adapter_cache._memory.held()}

    def test_is_trained_anew_from_what_is_left(self, alice, train, in_process):
        adapter = train(alice)
        erase(alice, "alice-1")
        in_process("train_adapter")
        anew = Adapter.objects.get(end_user=alice, withdrawn_at=None)
        assert anew.document_ids == [document.pk for document in tweets_of(alice)]
        assert (anew.rank, anew.hyperparameters, anew.seed) == (adapter.rank, adapter.hyperparameters, adapter.seed)

    def test_of_other_settings_is_trained_anew_each(self, alice, train, in_process):
        train(alice), train(alice, rank=4), train(alice, rank=4, epochs=2)
        erase(alice, "alice-1")
        in_process("train_adapter")
        anew = Adapter.objects.filter(end_user=alice, withdrawn_at=None)
        assert sorted((one.rank, one.hyperparameters["epochs"]) for one in anew) == [(4, 1), (4, 2), (8, 1)]

    def test_on_its_way_is_cancelled_and_asked_for_without_it(self, alice, in_process):
        before = ask_for_adapter(alice)
        erase(alice, "alice-1")
        assert not Job.objects.filter(payload__identity=before).exists()
        in_process("train_adapter")
        assert Adapter.objects.get(end_user=alice).identity != before

    def test_leaves_nothing_by_which_its_documents_could_be_guessed(self, alice, train):
        identity = train(alice).identity
        erase(alice, "alice-1")
        adapter = Adapter.objects.get()
        assert identity not in (adapter.identity, *adapter.object_prefix.split("/"))
        assert not Job.objects.filter(dedupe_key__contains=identity).exists()

    def test_under_way_goes_on_where_it_learns_from_what_is_left(self, alice, in_process):
        put(alice, "y", "twice")
        identity = ask_for_adapter(alice)
        put(alice, "z", "twice")
        erase(alice, "z")
        in_process("train_adapter")
        made = Adapter.objects.get(end_user=alice, withdrawn_at=None)
        assert made.identity == identity
        assert Job.objects.get(kind="train_adapter").state == "done"

    def test_of_a_job_of_an_earlier_version_keeps_nobody_from_erasing(self, alice):
        Job.objects.create(
            kind="train_adapter",
            workspace_id=alice.workspace_id,
            end_user_id=alice.pk,
            payload={"task": TWEETS, "document_ids": [document.pk for document in tweets_of(alice)]},
        )
        erase(alice, "alice-1")
        assert not Job.objects.filter(state="waiting").exists()

    def test_that_was_trained_again_keeps_its_files_when_the_store_comes_back(self, alice, train, monkeypatch):
        def away(*_):
            raise ObjectStoreUnavailable("away")

        train(alice)
        with monkeypatch.context() as patch:
            patch.setattr(ObjectStore, "delete_prefix", away)
            receipt = erase(alice, "alice-1")
        again = train(alice)
        # As if the profile had become again what it was.
        receipt.prefixes += [again.object_prefix, versions_prefix(identity=again.identity)]
        finish_erasure(receipt)
        assert list(get_store().list(again.object_prefix))

    def test_is_not_recorded_where_its_training_was_to_be_cancelled(self, alice, in_process, monkeypatch):
        identity = ask_for_adapter(alice)
        real = training.record_adapter

        def cancelled_meanwhile(**named):
            Job.objects.filter(state="running").update(cancel_requested=True)
            return real(**named)

        monkeypatch.setattr(training, "record_adapter", cancelled_meanwhile)
        in_process("train_adapter")
        assert not Adapter.objects.exists()
        assert Job.objects.get().state == "cancelled"
        assert not list(get_store().list(versions_prefix(identity=identity)))

    def test_answers_nothing_that_is_kept_where_it_was_withdrawn_meanwhile(self, alice, train, in_process, monkeypatch):
        asked = ask(alice, adapter=train(alice))
        real = generating.record_answers

        def withdrawn_meanwhile(answers):
            Adapter.objects.update(withdrawn_at="2026-01-01T00:00:00Z")
            return real(answers)

        monkeypatch.setattr(generating, "record_answers", withdrawn_meanwhile)
        in_process("generate")
        asked.refresh_from_db()
        assert asked.output is None
        job = Job.objects.get(kind="generate")
        assert (job.state, "was withdrawn" in job.error_message) == ("failed", True)

    def test_is_not_trained_anew_where_nothing_is_left(self, workspace, train):
        carol = person(workspace, "carol", OF_ALICE[:1])
        train(carol)
        erase(carol, "carol-0")
        assert not Job.objects.filter(kind="train_adapter", state="waiting").exists()

    def test_alone_is_concerned(self, alice, bob, train):
        his = train(bob)
        hers = train(alice)
        give(alice, [{"text": "seen by no adapter", "date": "2020"}])
        erase(alice, "alice-5")
        assert Adapter.objects.filter(withdrawn_at=None).count() == 2
        erase(alice, "alice-0")
        assert Adapter.objects.get(withdrawn_at=None) == his
        assert hers.pk != his.pk


def test_unlearning_is_exact(alice, workspace, train, in_process):
    """To the byte what training without the document makes, of this person and of one who never had it."""
    train(alice, exact=True, epochs=3)
    erase(alice, "alice-1")
    in_process("train_adapter")
    unlearned = Adapter.objects.get(end_user=alice, withdrawn_at=None)

    Generation.objects.all().delete(), Adapter.objects.all().delete()
    never_seen = train(alice, exact=True, epochs=3)
    assert (never_seen.identity, never_seen.content_digest) == (unlearned.identity, unlearned.content_digest)
    assert never_seen.loss_curve == unlearned.loss_curve

    twin = person(workspace, "twin", [OF_ALICE[at] for at in (0, 2, 3, 4)])
    assert train(twin, exact=True, epochs=3).content_digest == unlearned.content_digest


def test_an_adapter_that_a_choice_has_passed_over_is_not_trained_again(alice, train, in_process):
    lost = train(alice)
    chosen(alice, None, base_model=small_t5())
    erase(alice, "alice-1")
    in_process("train_adapter")
    lost.refresh_from_db()
    assert lost.withdrawn_at is not None
    assert not Adapter.objects.filter(withdrawn_at=None).exists()


def test_a_trial_is_not_trained_again_and_least_of_all_as_an_adapter_that_may_answer(alice, train, in_process):
    train(alice)
    Adapter.objects.update(is_trial=True)
    request_adapters(plans=[replace(plan(alice, rank=4), is_trial=True)])
    erase(alice, "alice-1")
    assert not Job.objects.filter(state="waiting").exists()
    assert not Adapter.objects.filter(withdrawn_at=None).exists()


def test_a_question_that_a_retraining_has_made_of_it_goes_with_it(alice):
    gone, stays = tweets_of(alice)[1:3]
    for document in (gone, stays):
        ask(alice, profile_document_ids=[document.pk], origin=f"retraining:1/none/{document.pk}")
    erase(alice, "alice-1")
    assert [one.profile_document_ids for one in Generation.objects.all()] == [[stays.pk]]
