"""What this app erases of a person: vectors, their number in jobs over many people, and indexes in memory.

A model that was trained over many people stays, marked: it should be trained anew (`retrieval_app.trained_models`).
"""

from jobs.models import Job
from retrieval_app.kinds import EMBED_DOCUMENTS
from retrieval_app.models import Embedding, Participant
from retrieval_app.trained_models import mark_what_learned_from
from users_app.erasers import Eraser, Erasing, ErasingDocuments


def _erase_end_user(erasing: Erasing) -> None:
    erasing.delete_own(Embedding)
    mark_what_learned_from(end_user=erasing.end_user)
    erasing.delete_own(Participant)
    _leave_jobs_of_many(erasing.end_user.pk)


def _erase_documents(erasing: ErasingDocuments) -> None:
    vectors, _ = Embedding.objects.filter(end_user=erasing.end_user, document__in=erasing.gone).delete()
    erasing.count(Embedding, vectors)
    mark_what_learned_from(end_user=erasing.end_user, tasks=[erasing.task])


def _leave_jobs_of_many(end_user_id: int) -> None:
    """Take the end user out of jobs that name several."""
    jobs = Job.objects.filter(kind=EMBED_DOCUMENTS.name, payload__end_user_ids__contains=[end_user_id])
    for job in jobs.select_for_update(no_key=True).order_by("pk"):
        left = [one for one in job.payload["end_user_ids"] if one != end_user_id]
        Job.objects.filter(pk=job.pk).update(payload={**job.payload, "end_user_ids": left})


ERASER = Eraser(
    name="retrieval_app",
    models=(Embedding, Participant),
    end_user=_erase_end_user,
    documents=_erase_documents,
)
