"""What backups need to know of imports: the files that wait for one, and those that were kept beside a split.

None of them need be there: an upload may not have come yet, and whether a split's files were kept no row says. What is
deleted while a backup is taken was imported, or has expired.
"""

from collections.abc import Iterator

from common.backups.contributions import Contribution, NamedObjects
from eval_app.import_requests import kept_prefixes, sources_of_waiting_imports
from eval_app.models import Upload


def _objects() -> Iterator[NamedObjects]:
    prefixes = {*Upload.objects.values_list("object_key", flat=True), *kept_prefixes(), *sources_of_waiting_imports()}
    for prefix in sorted(prefixes):
        yield NamedObjects(prefix)


CONTRIBUTION = Contribution(name="eval_app", objects=_objects)
