"""What this app erases of a person: the profile, the jobs, kept answers, and whom the audit log names."""

from common.models import IdempotencyRecord
from jobs.models import Job
from users_app.erasers import Eraser, Erasing
from users_app.models import AuditEntry, Document, EndUser, ProfileEntry, ProfileTally


def _erase_end_user(erasing: Erasing) -> None:
    erasing.delete_own(ProfileEntry)
    erasing.delete_own(ProfileTally)
    erasing.delete_own(Document)
    erasing.delete_own(IdempotencyRecord)
    # That there was an export may still be seen, not of whom.
    AuditEntry.objects.filter(end_user=erasing.end_user).update(end_user=None)
    # A worker that runs one loses its claim with the row, and records nothing.
    erasing.delete_own(Job)


ERASER = Eraser(
    name="users_app",
    models=(EndUser, ProfileEntry, ProfileTally, Document, AuditEntry, IdempotencyRecord, Job),
    end_user=_erase_end_user,
)
