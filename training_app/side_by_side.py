"""One question of one user, answered by each method: what the playground asks and shows."""

from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Final, NamedTuple

from django.db import transaction

from common.api.problems import not_found
from training_app.asking import Question, ask
from training_app.models import Generation
from training_app.serving_selectors import serving_adapter
from users_app.models import EndUser, Workspace
from users_app.selectors import lock_end_users

FAMILIES: Final = tuple(Generation.Family)
ADAPTING: Final = (Generation.Family.PEFT, Generation.Family.PEFT_RAG)
RETRIEVING: Final = (Generation.Family.RAG, Generation.Family.PEFT_RAG)


class Piece(NamedTuple):
    """A part of an output; `differs` where another output says something else."""

    text: str
    differs: bool


@transaction.atomic
def ask_side_by_side(*, workspace: Workspace, questions: Sequence[Question]) -> list[Generation]:
    """Ask these questions, which differ by their method alone; those that need an adapter only if the user has one.

    What was asked, in the questions' order. Raises `Problem` as `training_app.asking.ask`.
    """
    first = questions[0]
    try:
        lock_end_users(workspace=workspace, end_user_ids=[first.end_user.pk])
    except EndUser.DoesNotExist:
        raise not_found() from None
    adapter = serving_adapter(
        workspace=workspace,
        end_user=first.end_user,
        task=first.task.key,
        task_version=first.task.version,
        base_model=first.base_model,
    )
    available = [one for one in questions if adapter is not None or one.method not in ADAPTING]
    return ask(workspace=workspace, questions=available, api_key_id=None)


def differences(output: str, *, against: str) -> list[Piece]:
    """`output` in pieces, of which those differ whose words do not stand in `against` in the same order.

    The pieces together are `output`.

    >>> differences("rain on my roses", against="rain on the roses")
    [Piece(text='rain on ', differs=False), Piece(text='my', differs=True), Piece(text=' roses', differs=False)]
    """
    words, others = output.split(" "), against.split(" ")
    if output == against or not output:
        return [Piece(output, False)]
    same = [False] * len(words)
    for start, _, size in SequenceMatcher(a=words, b=others, autojunk=False).get_matching_blocks():
        same[start : start + size] = [True] * size
    ends = [0, *(at for at in range(1, len(words)) if same[at] != same[at - 1]), len(words)]
    pieces: list[Piece] = []
    for start, end in pairwise(ends):
        text, differs = " ".join(words[start:end]), not same[start]
        # The blank between two pieces belongs to the one that is common.
        if pieces and differs:
            pieces[-1] = Piece(pieces[-1].text + " ", False)
        elif pieces:
            text = " " + text
        pieces.append(Piece(text, differs))
    return pieces
