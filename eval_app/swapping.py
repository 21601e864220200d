"""Who is swapped with whom: the one place where a user's questions meet another user's data, and on purpose.

A control asks what a method's gain is worth: it answers every question of a user with the profile, the adapter or both
of another user of the same run. That is done only for runs that are controls, so only inside an experiment, and among
the users of one workspace. Everything below reads one user's data as ever: the question is asked as if the other user
had asked it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from eval_app.models import Run
from eval_app.selectors import run_questions
from users_app.selectors import end_users

# Part of what names a control's run: another rule makes other runs.
RULE = "ring-1"
LEAST_USERS = 2
TOO_FEW_USERS = "a control needs another user to swap with, and these are the questions of one alone"


@dataclass(frozen=True)
class Profile:
    """Whose, and which of their documents, in order."""

    end_user_id: int
    document_ids: list[int]


def partners(names: Mapping[int, str]) -> dict[int, int]:
    """Each user's partner, by ids; `names` are the users' external ids. Nobody is their own, and each is one's only.

    The users stand in a ring in the order of the SHA-256 of their external ids, and each one's partner is the next. So
    it is the same on every installation and in whatever order users come, and one who goes changes only whose partner
    they were. Empty where there are fewer than two users.
    """
    if len(names) < LEAST_USERS:
        return {}
    ring = sorted(names, key=lambda user: (hashlib.sha256(names[user].encode()).digest(), names[user]))
    return dict(pairwise([*ring, ring[0]]))


def swapped_profiles(*, run: Run) -> dict[int, Profile]:
    """The profile with which each user's questions in `run` are answered instead of their own, by the user's id.

    It is their partner's as of the partner's newest question: the largest of the snapshots that the run's questions
    hold. Raises ValueError for a run that is no control.
    """
    if not run.control:
        raise ValueError(f"run {run.pk} is no control: nobody is swapped in it")
    newest = dict(
        run_questions(run=run)
        .order_by("end_user_id", "-document_ids__len", "-position")
        .distinct("end_user_id")
        .values_list("end_user_id", "document_ids")
    )
    users = end_users(workspace=run.workspace).filter(pk__in=list(newest))
    names = dict(users.values_list("pk", "external_id"))
    return {user: Profile(other, newest[other]) for user, other in partners(names).items()}
