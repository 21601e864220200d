"""Who hears of changes to profiles and of agreements taken back.

Apps above this one, which it may not import, register here at their start.

A listener runs in the transaction of the change, so what it asks for is asked for exactly if the change stands.
"""

from collections.abc import Set
from typing import Protocol

from users_app.models import EndUser, Workspace


class AddedListener(Protocol):
    """Told that an end user has new documents for these tasks."""

    def __call__(self, *, workspace: Workspace, end_user: EndUser, tasks: Set[str]) -> object: ...


class TakenBackListener(Protocol):
    """Told that an end user no longer agrees to shared training."""

    def __call__(self, *, end_user: EndUser) -> object: ...


_added: list[AddedListener] = []
_taken_back: list[TakenBackListener] = []


def on_documents_added(listener: AddedListener) -> None:
    """Call `listener` whenever documents are put whose content is new. Registering it again changes nothing."""
    if listener not in _added:
        _added.append(listener)


def documents_added(*, workspace: Workspace, end_user: EndUser, tasks: Set[str]) -> None:
    """Tell every listener."""
    for listener in tuple(_added):
        listener(workspace=workspace, end_user=end_user, tasks=tasks)


def on_agreement_taken_back(listener: TakenBackListener) -> None:
    """Call `listener` whenever an end user takes back their agreement. Registering it again changes nothing."""
    if listener not in _taken_back:
        _taken_back.append(listener)


def agreement_taken_back(*, end_user: EndUser) -> None:
    """Tell every listener."""
    for listener in tuple(_taken_back):
        listener(end_user=end_user)
