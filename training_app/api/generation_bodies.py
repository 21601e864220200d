"""What clients send to ask for outputs and previews."""

from rest_framework import serializers

from common.api.pagination import PageQuery
from common.api.serializers import (
    BooleanField,
    ChoiceField,
    ExternalIdField,
    IntegerField,
    Invalid,
    ListField,
    QuerySerializer,
    StrictSerializer,
    StringField,
)
from training_app import asking
from training_app.generation_selectors import STATES

INCLUDABLE = ("prompt", "input")


class QuestionBody(StrictSerializer):
    """One question: exactly one of `input` and `fields`."""

    user = ExternalIdField(help_text="Whose profile and adapter.")
    task = StringField(max_length=100, help_text="A key that `GET /tasks` lists.")
    input = StringField(
        required=False,
        max_length=asking.INPUT_CHARACTERS_MOST,
        help_text="The task's input, whole, as the model shall see it. Either this or `fields`.",
    )
    fields = serializers.DictField(  # type: ignore[assignment]  # the metaclass takes it away
        required=False, help_text="The values of the task's input; the task says how they are put together."
    )
    method = ChoiceField(
        choices=asking.METHODS,
        default=asking.AUTO,
        help_text="`auto` uses the best that exists: the adapter beside retrieval for large profiles, retrieval for "
        "small ones, neither for empty ones. Of several usable adapters the newest answers.",
    )
    retriever = ChoiceField(
        choices=asking.RETRIEVERS,
        required=False,
        help_text="bm25 unless said. `ropg-kd` and `ropg-rl` compare meanings as the base model's feedback taught; "
        "`rspg-pre` and `rspg-post` choose one of a pool for each input. These four need a model that was trained for "
        "the task and the base model.",
    )
    k = IntegerField(
        min_value=1,
        max_value=asking.DOCUMENTS_MOST,
        required=False,
        help_text=f"How many documents are retrieved; {asking.DOCUMENTS_DEFAULT} unless said.",
    )
    base_model = StringField(
        required=False,
        max_length=300,
        help_text="A name that `GET /base-models` lists, with @REVISION for another than the newest.",
    )
    max_output_tokens = IntegerField(
        min_value=1, max_value=asking.OUTPUT_TOKENS_MOST, default=asking.OUTPUT_TOKENS_DEFAULT
    )
    num_beams = IntegerField(min_value=1, max_value=asking.BEAMS_MOST, default=asking.BEAMS_DEFAULT)
    seed = IntegerField(
        min_value=0,
        max_value=asking.SEED_MOST,
        default=0,
        help_text="Is recorded. Beam search draws nothing, so it changes no output.",
    )
    exact = BooleanField(
        default=False,
        help_text="Answered alone: the same bytes whoever else asks at the time, and slower under load.",
    )


class QuestionsBody(StrictSerializer):
    """Several questions."""

    generations = ListField(child=QuestionBody(), min_length=1, max_length=asking.QUESTIONS_MOST)


class IncludeQuery(QuerySerializer):
    include = StringField(
        required=False,
        max_length=100,
        help_text=f"Texts to add to the answer, comma-separated: {', '.join(INCLUDABLE)}.",
    )

    def validate_include(self, value: str) -> tuple[str, ...]:
        return _included(value)


class GenerationsQuery(PageQuery):
    user = ExternalIdField(required=False)
    task = StringField(max_length=100, required=False)
    state = ChoiceField(choices=STATES, required=False)
    include = StringField(required=False, max_length=100, help_text="As for one.")

    def validate_include(self, value: str) -> tuple[str, ...]:
        return _included(value)


def _included(value: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in value.split(",")))
    if not set(names) <= set(INCLUDABLE):
        raise Invalid("This names something that cannot be included.", remedy=f"Name {' or '.join(INCLUDABLE)}.")
    return names
