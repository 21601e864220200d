"""People with documents and questions, made through the services that everyone uses."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval_app.models import Dataset, DatasetSplit, Question
from training_app.identity import digest_of
from users_app.models import Document, EndUser, Workspace
from users_app.services import ensure_end_user, ensure_workspace, put_document

TWEETS = "LaMP-7"
ASK = "Paraphrase the following tweet without any explanation before or after it: "

OF_ALICE = [
    {"text": "my garden is full of red tulips and the bees love them so much today", "date": "2019-03-01"},
    {"text": "planted tomatoes in the garden before the rain came down on us all", "date": "2019-04-11"},
    {"text": "the rain never stops and my roses are drowning in the mud out there", "date": "2018-11-30"},
    {"text": "bees everywhere and not one of them wants the lavender i put out", "date": "2019-06-02"},
    {"text": "i cannot find my garden gloves again and the roses have thorns", "date": "2017-01-07"},
]
OF_BOB = [
    {"text": "new record on the mountain bike today and my legs are on fire", "date": "2018-05-05"},
    {"text": "the trail was muddy but the bike held up fine in all that rain", "date": "2018-06-15"},
    {"text": "third flat tire this month and the trail wins every single time", "date": "2019-01-20"},
    {"text": "rode up the hill at dawn and saw nobody but two foxes and a deer", "date": "2018-07-01"},
]
OF_MALLORY = [
    {"text": "nobody reads the small print and that is how the banks always win", "date": "2016-09-09"},
    {"text": "my garden is full of secrets and red tulips nobody has ever seen", "date": "2020-02-02"},
    {"text": "read every letter twice and answer none of them until the morning", "date": "2017-12-24"},
]


@dataclass(frozen=True)
class Asked:
    """A question to be stored: whose, what, the right answer, and the profile as of then."""

    end_user: EndUser
    input: str
    gold: str | None
    documents: Sequence[Document]
    id: str = ""


def person(workspace: Workspace, name: str, tweets: Iterable[Mapping[str, Any]] = (), *, task: str = TWEETS) -> EndUser:
    """An end user with a live profile of these documents."""
    end_user = ensure_end_user(workspace=workspace, external_id=name)
    give(end_user, tweets, task=task)
    return end_user


def give(end_user: EndUser, entries: Iterable[Mapping[str, Any]], *, task: str = TWEETS) -> list[Document]:
    """Add entries to a live profile; the documents that stand for them."""
    before = end_user.profile_entries.filter(task=task).count()
    return [
        put_document(
            workspace=end_user.workspace,
            end_user=end_user,
            task=task,
            client_id=f"{end_user.external_id}-{before + at}",
            fields=fields,
        ).document
        for at, fields in enumerate(entries)
    ]


def tweets_of(end_user: EndUser, *, task: str = TWEETS) -> list[Document]:
    """A user's documents in the order in which they came."""
    return list(Document.objects.filter(end_user=end_user, task=task).order_by("pk"))


def workspace(slug: str) -> Workspace:
    return ensure_workspace(slug=slug)[0]


def split_of(
    questions: Sequence[Asked],
    *,
    dataset: str = "tweets",
    task: str = TWEETS,
    split: str = "dev",
    has_dates: bool = True,
) -> DatasetSplit:
    """Store questions as the next version of a time-based split; ids count from 100 unless told."""
    space = questions[0].end_user.workspace
    found, _ = Dataset.objects.get_or_create(workspace=space, name=dataset)
    version = DatasetSplit.objects.filter(dataset=found, task=task, split=split).count() + 1
    digest = digest_of({"version": version, "questions": [(q.input, q.gold) for q in questions]})
    stored = DatasetSplit.objects.create(
        dataset=found,
        task=task,
        split=split,
        version=version,
        separation="time" if has_dates else "user",
        digest=digest,
        questions_digest=digest,
        outputs_digest=digest,
        question_count=len(questions),
        end_user_count=len({q.end_user.pk for q in questions}),
        document_count=len({document.pk for q in questions for document in q.documents}),
        entry_count=sum(len(q.documents) for q in questions),
        has_golds=all(q.gold is not None for q in questions),
        has_dates=has_dates,
    )
    Question.objects.bulk_create(
        Question(
            split=stored,
            end_user=q.end_user,
            position=at,
            external_id=q.id or str(100 + at),
            id_is_integer=not q.id,
            input=q.input,
            gold=q.gold,
            document_ids=[document.pk for document in q.documents],
            entry_ids=[f"{q.end_user.external_id}-{place}" for place in range(len(q.documents))],
        )
        for at, q in enumerate(questions)
    )
    return stored


def questions_of(alice: EndUser, bob: EndUser) -> list[Asked]:
    """Two of Alice's, whose snapshots differ, and between them one of Bob's."""
    hers, his = tweets_of(alice), tweets_of(bob)
    return [
        Asked(alice, ASK + "roses and rain in my garden", "rain on my roses again", hers[:4]),
        Asked(bob, ASK + "the trail on a mountain bike", "my bike loves the muddy trail", his),
        Asked(alice, ASK + "where are my gloves", "garden gloves gone again", hers[1:]),
    ]
