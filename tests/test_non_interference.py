"""A user is a wall: whatever becomes of everyone else, one user's ranks, prompts, adapter and outputs stay the same.

The whole way is gone twice, through the real jobs and the small models in exact mode: first with the people as they
are, then after everyone else's documents were changed and more people have come, in another order, in a process whose
caches are full of the others. What was found of Alice must be the same to the byte.
"""

import pytest

from eval_app.models import Experiment, ExperimentRun, Prediction, Question
from jobs.models import Job
from lamp.catalogue import get_task
from lamp.queries import query_of
from retrieval_app.models import Embedding
from retrieval_app.services import retrieve
from tests import people
from tests.eval_app.stored import HYPERPARAMETERS, small_encoder, small_t5, start
from tests.people import ASK, OF_BOB, OF_MALLORY, TWEETS, Asked, questions_of, split_of, tweets_of
from tests.workers.asked import TAUGHT, ask, ask_for_adapter
from tests.workers.plain_peft import answers_in_plain_peft
from training_app.models import Adapter, Generation
from users_app.models import Document, EndUser, ProfileEntry
from workers import loaded
from workers.adapter_cache import download_adapter
from workers.engine.encoder import encode

RETRIEVERS = ("bm25", "recency", "contriever")
METHODS = "none,rag:bm25,rag:recency,rag:contriever,peft:8,peft-rag:bm25:8"
EXACT = {"num_beams": 2, "max_input_tokens": 128, "max_output_tokens": 8, "exact": True, "dtype": "float32"}


@pytest.fixture
def compare(in_process):
    """Run every method on a split to its end, amid the controls that read other users' data on purpose."""

    def compare(split, name):
        hyperparameters = {**HYPERPARAMETERS, "epochs": 4, "learning_rate": 3e-2}
        experiment = start(
            split,
            METHODS,
            controls=["swapped"],
            name=name,
            encoder=small_encoder(),
            parameters=EXACT,
            hyperparameters=hyperparameters,
        )
        in_process()
        assert Experiment.objects.get(pk=experiment.pk).state == "done"
        return experiment

    return compare


def ranks_of(end_user, split):
    """Question → retriever → the user's documents, best first, with their scores, as bytes would show them."""
    task, encoder = get_task(TWEETS), small_encoder()
    found = {}
    for question in Question.objects.filter(split=split, end_user=end_user):
        query = query_of(task, question.input)
        documents = Document.objects.in_bulk(question.document_ids)
        for retriever in RETRIEVERS:
            ranked = retrieve(
                workspace=end_user.workspace,
                end_user=end_user,
                task=TWEETS,
                documents=[documents[document_id] for document_id in question.document_ids],
                retriever=retriever,
                query=query,
                count=10,
                encoder=encoder,
                query_vector=encode(loaded.encoder(encoder), [query])[0],
            )
            found[question.input, retriever] = [(one.position, one.document.pk, one.score.hex()) for one in ranked]
    return found


def answers_of(end_user, experiment):
    """Question and method → prompt, documents with scores, output and its score, of the methods themselves."""
    own = ExperimentRun.objects.filter(experiment=experiment, run__control="")
    columns = dict(own.values_list("run", "method"))
    return {
        (one.question.input, columns[one.run_id]): (
            one.prompt,
            one.retrieved_document_ids,
            [score.hex() for score in one.retrieved_scores],
            one.output,
            one.sequence_score.hex(),
        )
        for one in Prediction.objects.filter(run__in=columns, end_user=end_user).select_related("question")
    }


def adapter_of(end_user):
    """What was trained of the user: the digest of its files, and how the training went."""
    adapter = Adapter.objects.get(end_user=end_user)
    return adapter.identity, adapter.content_digest, adapter.loss_curve, adapter.document_digests


def vectors_of(end_user):
    stored = Embedding.objects.filter(end_user=end_user).order_by("document_id")
    return [one.vector.tobytes() if hasattr(one.vector, "tobytes") else list(one.vector) for one in stored]


def everything_of(end_user, split, experiment):
    return {
        "ranks": ranks_of(end_user, split),
        "answers": answers_of(end_user, experiment),
        "adapter": adapter_of(end_user),
        "vectors": vectors_of(end_user),
    }


def change_everyone_but(alice, *, words):
    """Every other user's documents become others, and each has more of them."""
    for end_user in EndUser.objects.exclude(pk=alice.pk):
        ProfileEntry.objects.filter(end_user=end_user).delete()
        Document.objects.filter(end_user=end_user).delete()
        people.give(end_user, [{"text": f"{words} {end_user.external_id} {at}", "date": 2000 + at} for at in range(9)])


def ask_each(*users):
    """One question of each user, over all that they have now."""
    return [Asked(user, ASK + "roses and rain in my garden", "rain again", tweets_of(user)) for user in users]


def test_whatever_becomes_of_everyone_else_alice_stays_the_same_to_the_byte(alice, bob, mallory, compare):
    elsewhere = split_of([Asked(mallory, ASK + "my garden", "gardens", tweets_of(mallory))])
    split = split_of(questions_of(alice, bob))
    compare(elsewhere, "before")
    before = everything_of(alice, split, compare(split, "before"))
    hers = [one for one in questions_of(alice, bob) if one.end_user == alice]

    # Words of Alice's own, so that any index over more than her profile would weigh them otherwise.
    change_everyone_but(alice, words="roses and rain in my garden")
    newcomers = [people.person(alice.workspace, f"newcomer {at}", OF_BOB[at:] + OF_MALLORY) for at in range(2)]
    namesake = people.person(
        people.workspace("a third"), "alice", [{"text": f"{at} roses for my namesake", "date": at} for at in range(6)]
    )
    # Of what was made of Alice nothing is left to be found again: it is all made anew, after and amid the others.
    Adapter.objects.filter(end_user=alice).delete()
    Embedding.objects.filter(end_user=alice).delete()
    compare(split_of(ask_each(namesake)), "after")
    later = split_of([*ask_each(*newcomers, bob), *reversed(hers)])
    after = everything_of(alice, later, compare(later, "after"))

    assert after["ranks"] == before["ranks"]
    assert after["vectors"] == before["vectors"]
    assert after["adapter"] == before["adapter"]
    assert after["answers"] == before["answers"]
    # It was no comparison of nothing with nothing.
    assert len(before["answers"]) == 2 * 6
    assert len({answer[3] for answer in before["answers"].values()}) > 2


def test_the_others_did_change(alice, bob, compare):
    """The test above would see it: what is asked of Bob gives other answers once his documents are others."""
    split = split_of(questions_of(alice, bob))
    before = everything_of(bob, split, compare(split, "before"))
    change_everyone_but(alice, words="roses and rain in my garden")
    [his] = [one for one in questions_of(alice, bob) if one.end_user == bob]
    later = split_of([his])
    Adapter.objects.all().delete()
    after = everything_of(bob, later, compare(later, "after"))
    assert after["ranks"] != before["ranks"]
    assert after["adapter"] != before["adapter"]
    assert after["answers"] != before["answers"]


class TestThreeInOneProcess:
    PROMPT = ASK + "roses and rain in my garden"

    @pytest.fixture
    def three(self, alice, bob, mallory, in_process):
        """Adapters of three people, trained one after the other in this process."""
        wanted = {user: ask_for_adapter(user, exact=True, **TAUGHT) for user in (alice, bob, mallory)}
        in_process("train_adapter")
        return {user: Adapter.objects.get(identity=identity) for user, identity in wanted.items()}

    @pytest.fixture
    def outputs(self, three, alice, in_process):
        """What the base model and each of the three answer to one prompt."""
        asked = [ask(alice, parameters=EXACT)]
        asked += [ask(user, adapter=adapter, parameters=EXACT) for user, adapter in three.items()]
        in_process("generate")
        return [Generation.objects.get(pk=one.pk).output for one in asked]

    def test_each_differs_from_the_base_and_from_the_others(self, three, outputs):
        assert len(set(outputs)) == 4
        assert len({adapter.content_digest for adapter in three.values()}) == 3

    def test_each_reloads_from_the_object_store_in_plain_peft_with_equal_output(self, three, outputs, tmp_path):
        folders = []
        for at, adapter in enumerate(three.values()):
            folders.append(tmp_path / str(at))
            folders[-1].mkdir()
            download_adapter(adapter, folder=folders[-1])
        search = {"num_beams": EXACT["num_beams"], "max_new_tokens": EXACT["max_output_tokens"]}
        answers = answers_in_plain_peft(folders, prompt=self.PROMPT, search=search)
        assert [answer.text for answer in answers] == outputs

    def test_each_is_what_training_alone_makes(self, three, in_process):
        digests = {user: adapter.content_digest for user, adapter in three.items()}
        for user in reversed(three):
            Adapter.objects.all().delete()
            ask_for_adapter(user, exact=True, **TAUGHT)
            in_process("train_adapter")
            assert Adapter.objects.get().content_digest == digests[user]


def test_a_base_model_is_the_same_before_and_after_training(alice, in_process):
    first = ask(alice, parameters=EXACT)
    in_process("generate")
    ask_for_adapter(alice, **TAUGHT)
    in_process("train_adapter")
    again = ask(alice, parameters=EXACT)
    in_process("generate")
    one, other = (Generation.objects.get(pk=generation.pk) for generation in (first, again))
    assert (one.output, one.sequence_score) == (other.output, other.sequence_score)
    assert small_t5().revision == loaded.base_model(small_t5(), dtype="float32").revision
    assert set(Job.objects.values_list("state", flat=True)) == {"done"}
