"""Choices of what serves, as retrainings leave them behind."""

from tests.people import TWEETS
from tests.training_app.adapters import a_base_model
from training_app.models import Adapter, BaseModel, ServingChoice
from users_app.models import EndUser


def chosen(
    end_user: EndUser,
    adapter: Adapter | None,
    *,
    better_than_none: bool | None = None,
    base_model: BaseModel | None = None,
) -> ServingChoice:
    """That this adapter serves, or none."""
    return ServingChoice.objects.create(
        end_user=end_user,
        task=TWEETS,
        base_model=base_model or a_base_model(),
        adapter=adapter,
        serves_none=adapter is None,
        by=ServingChoice.By.RETRAINING,
        better_than_none=better_than_none,
        reason="It was measured.",
    )
