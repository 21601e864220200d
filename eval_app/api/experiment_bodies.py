"""What clients send to ask for experiments, and to find them."""

from rest_framework import serializers

from common.api.pagination import PageQuery
from common.api.serializers import (
    BooleanField,
    ChoiceField,
    IntegerField,
    Invalid,
    ListField,
    NumberField,
    QuerySerializer,
    StrictSerializer,
    StringField,
)
from eval_app.experiment_settings import HYPERPARAMETERS, METHODS_MOST, NAME_CHARACTERS_MOST, NUMBERS, TASKS_MOST
from eval_app.exporting import FORMS
from eval_app.methods import BEST, CONTROLS, RETRIEVERS
from eval_app.models import DatasetSplit, Experiment
from training_app.hyperparameters import HYPERPARAMETERS as PAPERS
from training_app.hyperparameters import Bounds


def _hyperparameter(bounds: Bounds) -> serializers.Field:
    told = f"{bounds.default:g} unless said."
    if bounds.whole:
        return IntegerField(min_value=int(bounds.least), max_value=int(bounds.most), required=False, help_text=told)
    return NumberField(min_value=bounds.least, max_value=bounds.most, required=False, help_text=told)


def _number(name: str, help_text: str | None = None) -> IntegerField:
    """A field for one of the numbers; what adapters are trained with is bounded for all clients alike."""
    number = NUMBERS[name]
    least = max(number.least, int(PAPERS[name].least)) if name in PAPERS else number.least
    chosen = {"required": False} if number.default is None else {"default": number.default}
    return IntegerField(min_value=least, max_value=number.most_shared, help_text=help_text, **chosen)


# How adapters are trained; what is left out takes the paper's value. The rank is part of the method.
ExperimentHyperparametersBody = type(
    "ExperimentHyperparametersBody",
    (StrictSerializer,),
    {name: _hyperparameter(PAPERS[name]) for name in HYPERPARAMETERS} | {"__doc__": "", "__module__": __name__},
)


class ExperimentBody(StrictSerializer):
    name = StringField(
        max_length=NAME_CHARACTERS_MOST, help_text="What stands under it already is gone on with, if it is the same."
    )
    dataset = StringField(max_length=100, help_text="A name that `GET /datasets` lists.")
    split = ChoiceField(choices=DatasetSplit.Split.values, default=DatasetSplit.Split.DEV.value)
    tasks = ListField(
        child=StringField(max_length=100),
        min_length=1,
        max_length=TASKS_MOST,
        required=False,
        help_text="Every task of the dataset unless said.",
    )
    methods = ListField(
        child=StringField(max_length=100),
        min_length=1,
        max_length=METHODS_MOST,
        help_text="`none`, `rag:RETRIEVER`, `peft:RANK`, `peft-rag:RETRIEVER:RANK`; a retriever is "
        f"{', '.join(f'`{name}`' for name in RETRIEVERS)}, or `{BEST}`: the one that was best on the dev split. Those "
        "of ROPG and RSPG need a model that was trained for the task and the base model: where there is none, the "
        "column is refused and says so.",
    )
    controls = ListField(
        child=ChoiceField(choices=CONTROLS),
        max_length=len(CONTROLS),
        default=list,
        help_text="`swapped`: beside each personalized method the same with another user's profile or adapter.",
    )
    base_model = StringField(
        max_length=300,
        required=False,
        help_text="A name that `GET /base-models` lists, with @REVISION for another than the newest.",
    )
    k = _number("documents_wanted", "How many documents are retrieved.")
    hyperparameters = ExperimentHyperparametersBody(
        required=False, help_text="How adapters are trained. What is left out takes the paper's value."
    )
    users = _number("users", "Only the first so many users of the split, with all of their questions.")
    seed = _number("seed", "Of the adapters' training.")
    num_beams = _number("num_beams")
    max_input_tokens = _number("max_input_tokens", "What prompts and training inputs are cut to.")
    max_output_tokens = _number("max_output_tokens")
    exact = BooleanField(
        default=False, help_text="One user or row a pass, so that the same bytes can be made again; slower."
    )
    reference = BooleanField(default=False, help_text="Show the paper's published numbers beside the table.")

    def validate_name(self, value: str) -> str:
        if not value.strip():
            raise Invalid("This holds nothing but blanks.", remedy="Send a name.")
        return value


class ExperimentsQuery(PageQuery):
    state = ChoiceField(choices=Experiment.State.values, required=False)
    name = StringField(max_length=NAME_CHARACTERS_MOST, required=False, help_text="The one of this name.")


class TableQuery(QuerySerializer):
    format = ChoiceField(
        choices=tuple(FORMS), required=False, help_text="What `Accept` says unless said here; JSON where neither does."
    )
    reference = BooleanField(default=False, help_text="Show the paper's published numbers beside.")
