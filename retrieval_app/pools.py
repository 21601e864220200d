"""The pool of a selector: which retrievers it chooses among, in which order, each with its encoder where it has one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Exists, OuterRef, QuerySet

from retrieval_app.models import Encoder, TrainedModel
from retrieval_app.retrievers import DENSE, POOL_TITLES

MEMBERS_MOST: Final = 16


class PoolRefused(ValueError):
    """These are no members of a pool; the message says why and what may be one."""

    safe_message = True


@dataclass(frozen=True)
class Member:
    """One candidate of a pool. `encoder` is the name of a dense retriever's encoder, at `encoder_revision`."""

    retriever: str
    encoder: str = ""
    encoder_revision: str = ""

    def as_stored(self) -> dict[str, str]:
        """The form in which rows and files keep it."""
        own = {"retriever": self.retriever}
        return own | {"encoder": self.encoder, "encoder_revision": self.encoder_revision} if self.encoder else own


def read_pool(stored: Any) -> tuple[Member, ...]:
    """The members of a stored pool, in its order. Raises `PoolRefused`."""
    if not isinstance(stored, Sequence) or isinstance(stored, str) or not 2 <= len(stored) <= MEMBERS_MOST:
        raise PoolRefused(f"A pool is a list of 2 to {MEMBERS_MOST} members.")
    members = tuple(_member(one) for one in stored)
    names = [member.retriever for member in members]
    if len(set(names)) != len(names):
        raise PoolRefused("A retriever stands twice in the pool.")
    return members


def _member(stored: Any) -> Member:
    allowed = ", ".join(POOL_TITLES)
    if not isinstance(stored, dict) or not all(isinstance(value, str) for value in stored.values()):
        raise PoolRefused("A member of a pool has a retriever, and a dense one its encoder and encoder_revision.")
    try:
        member = Member(**stored)
    except TypeError:
        raise PoolRefused(
            "A member of a pool has a retriever, and a dense one its encoder and encoder_revision."
        ) from None
    if member.retriever not in POOL_TITLES:
        raise PoolRefused(f"A pool holds {allowed}, and nothing else.")
    if (member.retriever in DENSE) != bool(member.encoder and member.encoder_revision):
        raise PoolRefused(f"A dense retriever of a pool, and no other, names its encoder at a revision: {allowed}.")
    return member


def pool_names(stored: Any) -> list[str]:
    """The names of a stored pool's members, in its order."""
    return [member.retriever for member in read_pool(stored)]


def withdrawn_encoders() -> QuerySet[Encoder]:
    """The encoders that trainings made and that nobody may use any more: every trained model of theirs is withdrawn."""
    made = TrainedModel.objects.filter(encoder=OuterRef("pk"))
    return Encoder.objects.filter(Exists(made), ~Exists(made.filter(withdrawn_at__isnull=True)))


def encoders_of_pool(members: Iterable[Member]) -> dict[str, Encoder]:
    """By retriever, the recorded encoder of each dense member.

    Raises `PoolRefused` where one is not recorded, or was fine-tuned here and withdrawn.
    """
    found: dict[str, Encoder] = {}
    for member in members:
        if not member.encoder:
            continue
        record = Encoder.objects.filter(name=member.encoder, revision=member.encoder_revision).first()
        if record is None:
            raise PoolRefused(f"The encoder of {member.retriever} that the pool names is not recorded here.")
        if withdrawn_encoders().filter(pk=record.pk).exists():
            raise PoolRefused(
                f"The encoder of {member.retriever} that the pool names was withdrawn: train the selector anew."
            )
        found[member.retriever] = record
    return found
