"""What backups need to know of jobs: in a restored installation no worker of the old one holds any."""

from collections.abc import Iterator

from common.backups.contributions import Contribution
from jobs import claims
from jobs.models import Worker


def _restored() -> Iterator[str]:
    # Otherwise they would wait for leases to run out, and the attempt would count: the last one of a job would fail it.
    given_back = claims.give_back_all()
    Worker.objects.all().delete()
    if given_back:
        yield f"Jobs that were running when the backup was taken, and wait for workers again: {len(given_back)}."


CONTRIBUTION = Contribution(name="jobs", restored=_restored)
