"""Memberships that a form of the admin adds, changes and deletes: the services do it, and record who asked."""

from django.db import transaction
from django.forms import BaseInlineFormSet
from django.http import HttpRequest

from users_app.audit import actor_of_staff
from users_app.models import Membership
from users_app.services import end_membership, set_role


@transaction.atomic
def save_memberships(request: HttpRequest, formset: BaseInlineFormSet) -> None:
    """Do what the forms of `formset`, which are valid, ask for."""
    by = actor_of_staff(request)
    wanted: list[Membership] = formset.save(commit=False)
    kept = {(one.workspace_id, one.user_id) for one in wanted}
    changed = Membership.objects.filter(pk__in=[one.pk for one in wanted if one.pk is not None])
    # A row that is given to somebody else takes the membership from who had it.
    replaced = [held for held in changed if (held.workspace_id, held.user_id) not in kept]
    for gone in [*formset.deleted_objects, *replaced]:
        end_membership(workspace=gone.workspace, user_id=gone.user_id, by=by)
    for one in wanted:
        set_role(workspace=one.workspace, user_id=one.user_id, role=one.role, by=by)
