"""What clients send to have models trained over many users, and to find them."""

from typing import Any

from rest_framework import serializers

from common.api.pagination import PageQuery
from common.api.serializers import (
    BooleanField,
    ChoiceField,
    IntegerField,
    ListField,
    NumberField,
    StrictSerializer,
    StringField,
)
from eval_app.experiment_settings import NUMBERS, TASKS_MOST
from eval_app.models import ModelTraining
from eval_app.selector_runs import DEFAULT_POOL
from retrieval_app.models import TrainedModel
from retrieval_app.pools import MEMBERS_MOST
from retrieval_app.retrievers import POOL_TITLES
from retrieval_app.trained_model_selectors import STATES


class _NumberAsSent(NumberField):
    """A JSON number, whole where it was sent so: which hyperparameters are whole depends on the kind."""

    def to_internal_value(self, data: Any) -> Any:
        super().to_internal_value(data)
        return data


def _number(name: str, help_text: str | None = None) -> IntegerField:
    number = NUMBERS[name]
    chosen = {"required": False} if number.default is None else {"default": number.default}
    return IntegerField(min_value=number.least, max_value=number.most_shared, help_text=help_text, **chosen)


class ModelTrainingBody(StrictSerializer):
    kind = ChoiceField(choices=TrainedModel.Kind.values)
    dataset = StringField(max_length=100, help_text="A name that `GET /datasets` lists, with train and dev splits.")
    tasks = ListField(
        child=StringField(max_length=100),
        min_length=1,
        max_length=TASKS_MOST,
        required=False,
        help_text="A selector serves them all, though the published ones are of one task each; an encoder has one. "
        "Every task that the dataset has both splits of unless said.",
    )
    base_model = StringField(
        max_length=300,
        required=False,
        help_text="Whose feedback is learned from: a name that `GET /base-models` lists, with @REVISION for another "
        "than the newest.",
    )
    pool = ListField(
        child=ChoiceField(choices=list(POOL_TITLES)),
        min_length=2,
        max_length=MEMBERS_MOST,
        required=False,
        help_text=f"What a selector chooses among, of equals the first; {', '.join(DEFAULT_POOL)} unless said. An "
        "encoder has none.",
    )
    k = _number("documents_wanted", "How many documents are retrieved.")
    hyperparameters = serializers.DictField(
        child=_NumberAsSent(),
        required=False,
        help_text="Numbers by name, as `asked` of a training shows them all. What is left out takes its default.",
    )
    users = _number("users", "Only the first so many users of each split.")
    seed = _number("seed")
    num_beams = _number("num_beams", "Of the answers that the feedback is made of, as the next ones.")
    max_input_tokens = _number("max_input_tokens", "What prompts are cut to.")
    max_output_tokens = _number("max_output_tokens")
    exact = BooleanField(default=False, help_text="One row a pass, so that the same bytes can be made again; slower.")


class ModelTrainingsQuery(PageQuery):
    state = ChoiceField(choices=ModelTraining.State.values, required=False)
    kind = ChoiceField(choices=TrainedModel.Kind.values, required=False)


class TrainedModelsQuery(PageQuery):
    kind = ChoiceField(choices=TrainedModel.Kind.values, required=False)
    task = StringField(max_length=100, required=False, help_text="Those that are used for this task.")
    state = ChoiceField(choices=STATES, required=False)
