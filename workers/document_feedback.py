"""The job that has the base model judge documents for ROPG (LaMP reference §3): each question's first documents by the
initial encoder, one prompt with each of them alone, and how much the output is worth.

Prompts of several questions share passes of the base model. What was judged is kept before the next questions are
looked at, so that an interruption costs little; between the two, whoever else waits for the base model comes first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from eval_app.document_feedback import FeedbackSettings, questions_to_judge, record_feedback, settings_from
from eval_app.models import Question
from jobs.batches import Batch, ClaimedJob, Permanent
from lamp.queries import query_of
from lamp.utility import utility
from retrieval_app.prompts import build_prompt
from retrieval_app.retrievers import CONTRIEVER
from retrieval_app.services import retrieve
from users_app.models import Document, Workspace
from users_app.selectors import documents_of
from workers import loaded
from workers.embedding import embed_missing
from workers.engine.encoder import encode
from workers.engine.generation import GenerationRow, Generator
from workers.workspaces import workspace_of

# So many prompts, or a few more, are answered before what they say is kept: some full passes of the base model.
_PROMPTS_AT_ONCE: Final = 64


@dataclass(frozen=True)
class _Ranked:
    """A question with its first documents, best first, each once."""

    question: Question
    documents: Sequence[Document]


def handle(batch: Batch) -> None:
    """Judge what waits of each job's questions."""
    for job in batch:
        with job.isolated():
            _judge(job, batch)


def _judge(job: ClaimedJob, batch: Batch) -> None:
    workspace = workspace_of(job)
    settings = settings_from(job.payload)
    if settings is None:
        raise Permanent("What this feedback was asked for with is gone, or has another version here by now.")
    asked = job.payload["question_ids"]
    waiting = questions_to_judge(
        workspace=workspace, question_ids=asked, settings_digest=job.payload["settings_digest"]
    )
    done = len(asked) - len(waiting)
    generator = loaded.generator(settings.base_model, dtype=settings.parameters["dtype"])
    for some in _portions(workspace, waiting, settings, job):
        job.report(done, len(asked), f"judging documents for {settings.task.key}")
        _judge_together(workspace, some, settings, generator, job)
        done += len(some)
        if done < len(asked) and batch.others_wait():
            job.give_back(delay_seconds=0)
            return
    with job.finishing(result={"questions": len(waiting)}):
        pass


def _portions(
    workspace: Workspace, waiting: Sequence[Question], settings: FeedbackSettings, job: ClaimedJob
) -> Iterator[list[_Ranked]]:
    """The questions with their documents, some at a time."""
    some: list[_Ranked] = []
    for question in waiting:
        job.check()
        some.append(_ranked(workspace, question, settings))
        if sum(len(one.documents) for one in some) >= _PROMPTS_AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def _ranked(workspace: Workspace, question: Question, settings: FeedbackSettings) -> _Ranked:
    """The first documents of the profile as of the question, as retrieval with the initial encoder ranks them."""
    task, encoder, end_user = settings.task, settings.encoder, question.end_user
    own = documents_of(workspace=workspace, end_user=end_user, task=task.key).in_bulk(question.document_ids)
    # What was erased since is named by the snapshot still.
    profile = [own[document_id] for document_id in question.document_ids if document_id in own]
    embed_missing(end_user=end_user, task=task, encoder=encoder, among=own.keys())
    query = query_of(task, question.input)
    ranked = retrieve(
        workspace=workspace,
        end_user=end_user,
        task=task.key,
        documents=profile,
        retriever=CONTRIEVER,
        query=query,
        count=len(profile),
        encoder=encoder,
        query_vector=encode(loaded.encoder(encoder), [query])[0],
    )
    # A document that stands in the profile several times is judged once.
    distinct = {one.document.pk: one.document for one in ranked}
    return _Ranked(question, list(distinct.values())[: settings.documents])


def _judge_together(
    workspace: Workspace, some: Sequence[_Ranked], settings: FeedbackSettings, generator: Generator, job: ClaimedJob
) -> None:
    """One prompt a document, all of them answered in shared passes; then every question's feedback is kept."""
    parameters = settings.parameters
    limit = parameters["max_input_tokens"]
    places = [(one, document) for one in some for document in one.documents]
    rows = [
        GenerationRow(
            prompt=build_prompt(
                settings.task,
                one.question.input,
                [document.fields],
                tokenizer=generator.base.tokenizer,
                max_input_tokens=limit,
            )
        )
        for one, document in places
    ]
    worth: dict[tuple[int, int], float] = {}
    for answered in generator.answers(
        rows,
        num_beams=parameters["num_beams"],
        max_input_tokens=limit,
        max_output_tokens=parameters["max_output_tokens"],
        exact=parameters["exact"],
    ):
        job.check()
        for answer in answered:
            one, document = places[answer.row]
            worth[one.question.pk, document.pk] = utility(
                settings.task, output=answer.result().text, gold=one.question.gold or ""
            )
    for one in some:
        record_feedback(
            workspace=workspace,
            question=one.question,
            settings_digest=settings.digest,
            document_ids=[document.pk for document in one.documents],
            utilities=[worth[one.question.pk, document.pk] for document in one.documents],
        )
