"""Beat's sweep of vectors that nobody compares any more: those of encoders that were fine-tuned here and withdrawn.

They would be deleted with their users at the latest. An encoder that comes to stand again has its vectors made anew.
"""

from typing import Final

from django.db.models import Exists, OuterRef

from retrieval_app.models import Embedding
from retrieval_app.pools import withdrawn_encoders

EVERY_SECONDS: Final = 60
_AT_ONCE: Final = 2_000
_CHUNKS_A_SWEEP: Final = 5


def sweep_embeddings() -> None:
    """Delete some of the vectors of withdrawn encoders; the next sweeps delete the rest."""
    left = Embedding.objects.filter(encoder=OuterRef("pk"))
    withdrawn = list(withdrawn_encoders().filter(Exists(left)).values_list("pk", flat=True))
    if not withdrawn:
        return
    for _ in range(_CHUNKS_A_SWEEP):
        some = list(Embedding.objects.filter(encoder__in=withdrawn).values_list("pk", flat=True)[:_AT_ONCE])
        # Looked at again: a training may have come to one of these encoders meanwhile.
        Embedding.objects.filter(pk__in=some, encoder__in=withdrawn_encoders()).delete()
        if len(some) < _AT_ONCE:
            return
