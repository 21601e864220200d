"""The end users of a workspace."""

from typing import Any, Final

from common.keyset_lists import keyset_page
from users_app.selectors import end_users
from users_app.views.base import WorkspacePage

_CHARACTERS_MOST: Final = 500


class PeoplePage(WorkspacePage):
    """All of them by their ids, or those whose id begins with what is asked for; nothing counts them."""

    template_name = "eval_app/people.html"
    title = "People"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        # A NUL stands in no text of the database.
        beginning = self.request.GET.get("q", "").replace("\x00", "")[:_CHARACTERS_MOST]
        people = end_users(workspace=self.workspace)
        if beginning:
            # The second says nothing more, but lets the index begin where they do.
            people = people.filter(external_id__startswith=beginning, external_id__gte=beginning)
        page = keyset_page(people, order=("external_id",), query=self.request.GET, bound_to=f"people {beginning}")
        return super().get_context_data(page=page, beginning=beginning, **context)
