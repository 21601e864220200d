"""The form in which an experiment is put together: what may be typed, and what it comes to."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django import forms
from django.http import QueryDict

from eval_app.experiment_plans import Asked
from eval_app.experiment_settings import (
    HYPERPARAMETERS,
    METHODS_MOST,
    NAME_CHARACTERS_MOST,
    NUMBERS,
    needs_encoder,
    search_parameters,
)
from eval_app.methods import BEST, CONTROLS, MAX_RANK, RETRIEVERS, Family, Method, MethodError, parse_method
from eval_app.models import DatasetSplit, Experiment
from eval_app.views.choosing_forms import ChoosingForm
from eval_app.views.number_fields import hyperparameter_field, number_field
from retrieval_app.encoders import default_encoder
from training_app.base_models import default_dtype
from training_app.hyperparameters import complete_hyperparameters
from users_app.models import Workspace

SEEDS_MOST: Final = 10
_RANKS_MOST: Final = 20

_FAMILIES: Final = {
    Family.NONE: "None: no personalization, which the others are compared with",
    Family.RAG: "RAG: retrieved documents in the prompt",
    Family.PEFT: "PEFT: an adapter for each user",
    Family.PEFT_RAG: "PEFT-RAG: both",
}
# The fields in which a refusal of `start_experiment` is shown, by what it is about.
REFUSED_AT: Final = {"name": "name", "dataset": "dataset", "split": "split", "tasks": "tasks", "methods": "families"}


def _whole_numbers(text: str, *, least: int, most: int, count: int) -> list[int]:
    """The whole numbers of a list with commas, each once. Raises `forms.ValidationError`."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    remedy = f"Write whole numbers from {least} to {most}, with commas between them."
    if not all(part.isascii() and part.isdecimal() and len(part) < 20 for part in parts):
        raise forms.ValidationError(remedy)
    numbers = list(dict.fromkeys(int(part) for part in parts))
    if not all(least <= number <= most for number in numbers):
        raise forms.ValidationError(remedy)
    if len(numbers) > count:
        raise forms.ValidationError(f"Write {count} numbers at most.")
    return numbers


class ExperimentForm(ChoosingForm):
    """What an experiment is asked for with, in one workspace. Reading and checking it makes nothing."""

    name = forms.CharField(
        max_length=NAME_CHARACTERS_MOST,
        help_text="The same name with the same settings goes on with what stands under it.",
        error_messages={
            "required": "Give it a name, by which you find it again.",
            "max_length": f"Write {NAME_CHARACTERS_MOST} characters at most.",
        },
    )
    dataset = forms.ChoiceField(
        error_messages={
            "required": "Choose a dataset; import one first where there is none.",
            "invalid_choice": "There is no such dataset here any more. Choose one that is listed.",
        },
    )
    split = forms.ChoiceField(
        choices=DatasetSplit.Split.choices,
        initial=DatasetSplit.Split.DEV.value,
        error_messages={"invalid_choice": "Choose train, dev or test."},
    )
    tasks = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None chosen: every task that the dataset has in this split.",
        error_messages={"invalid_choice": "No dataset here has the task %(value)s. Choose among those listed."},
    )
    families = forms.MultipleChoiceField(
        label="Families",
        choices=[(family.value, words) for family, words in _FAMILIES.items()],
        initial=[Family.NONE.value, Family.RAG.value],
        widget=forms.CheckboxSelectMultiple,
        error_messages={
            "required": "Choose at least one method.",
            "invalid_choice": "There is no method %(value)s. Choose among those listed.",
        },
    )
    retrievers = forms.MultipleChoiceField(
        required=False,
        initial=["bm25"],
        widget=forms.CheckboxSelectMultiple,
        help_text="For RAG and PEFT-RAG, each with each. “Best” is the one that was best on the dev split. RSPG chooses"
        " one of several for each input, ROPG compares meanings as the base model's feedback taught; both need a model "
        "that was trained for the task and the base model.",
        error_messages={"invalid_choice": "There is no retriever %(value)s. Choose among those listed."},
    )
    ranks = forms.CharField(
        required=False,
        initial="8",
        max_length=200,
        help_text="For PEFT and PEFT-RAG, each with each, with commas between them.",
        error_messages={"max_length": "Write fewer ranks."},
    )
    controls = forms.MultipleChoiceField(
        required=False,
        choices=[(CONTROLS[0], "Swapped: beside each personalized method the same with another user's profile")],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"invalid_choice": "There is no control %(value)s. Choose among those listed."},
    )
    base_model = forms.ChoiceField(
        required=False,
        error_messages={"invalid_choice": "That base model is not known here. Choose one that is listed."},
    )
    users = number_field("users")
    seeds = forms.CharField(
        label="Seeds",
        initial="0",
        max_length=300,
        help_text="Of the adapters' training. Several, with commas between them, make an experiment each.",
        error_messages={"required": "Write at least one seed, such as 0.", "max_length": "Write fewer seeds."},
    )
    documents_wanted = number_field("documents_wanted")
    num_beams = number_field("num_beams")
    max_input_tokens = number_field("max_input_tokens")
    max_output_tokens = number_field("max_output_tokens")
    epochs = hyperparameter_field("epochs")
    learning_rate = hyperparameter_field("learning_rate")
    alpha = hyperparameter_field("alpha")
    dropout = hyperparameter_field("dropout")
    weight_decay = hyperparameter_field("weight_decay")
    batch_size = hyperparameter_field("batch_size")
    exact = forms.BooleanField(
        required=False, label="Exact: one user or row a pass, so that the same bytes can be made again; slower"
    )
    reference = forms.BooleanField(required=False, label="Show the paper's published numbers beside the table")

    def __init__(self, *args: Any, workspace: Workspace, **more: Any) -> None:
        super().__init__(*args, workspace=workspace, **more)
        self.methods: list[Method] = []
        self.offer("retrievers", [*RETRIEVERS.items(), (BEST, "Best")])

    @property
    def training_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in HYPERPARAMETERS]

    @property
    def search_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in ("documents_wanted", "num_beams", "max_input_tokens", "max_output_tokens")]

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not name.isprintable():
            raise forms.ValidationError("Write letters, digits and signs alone, on one line.")
        return name

    def clean_ranks(self) -> list[int]:
        return _whole_numbers(self.cleaned_data["ranks"], least=1, most=MAX_RANK, count=_RANKS_MOST)

    def clean_seeds(self) -> list[int]:
        seed = NUMBERS["seed"]
        seeds = _whole_numbers(self.cleaned_data["seeds"], least=seed.least, most=seed.most_shared, count=SEEDS_MOST)
        if not seeds:
            raise forms.ValidationError("Write at least one seed, such as 0.")
        return seeds

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        families = [Family(value) for value in cleaned.get("families", [])]
        if any(family.retrieves for family in families) and cleaned.get("retrievers") == []:
            self.add_error("retrievers", "RAG and PEFT-RAG need a retriever: choose at least one, or leave them out.")
        if any(family.adapts for family in families) and cleaned.get("ranks") == []:
            self.add_error("ranks", "PEFT and PEFT-RAG need a rank: write at least one, such as 8, or leave them out.")
        self.methods = grid(families, cleaned.get("retrievers", []), cleaned.get("ranks", []))
        if len(self.methods) > METHODS_MOST:
            self.add_error(
                "families",
                f"These are {len(self.methods)} methods, and an experiment has {METHODS_MOST} at most: choose fewer "
                "retrievers or ranks, or make two experiments; runs that are equal are shared.",
            )
        name, seeds = cleaned.get("name", ""), cleaned.get("seeds", [])
        if any(len(own) > NAME_CHARACTERS_MOST for own in names(name, seeds)):
            self.add_error("name", "With the seed added it becomes too long: choose a shorter name.")
        return cleaned

    def asked(self, *, seed: int) -> Asked:
        """What is asked for with one of the seeds; the encoder is the default one where any is needed and loaded."""
        cleaned = self.cleaned_data
        limits = {name: cleaned[name] for name in ("max_input_tokens", "max_output_tokens")}
        hyperparameters = complete_hyperparameters({**{name: cleaned[name] for name in HYPERPARAMETERS}, **limits})
        # It is part of the method.
        del hyperparameters["rank"]
        return Asked(
            workspace=self.workspace,
            dataset=self.chosen_dataset(),
            split=cleaned["split"],
            tasks=cleaned["tasks"] or None,
            methods=self.methods,
            controls=cleaned["controls"],
            base_model=cleaned["base_model"],
            encoder=default_encoder() if self.needs_encoder() else None,
            documents_wanted=cleaned["documents_wanted"],
            hyperparameters=hyperparameters,
            parameters=search_parameters(
                num_beams=cleaned["num_beams"], **limits, exact=cleaned["exact"], dtype=default_dtype()
            ),
            seed=seed,
            user_limit=cleaned["users"],
        )

    def needs_encoder(self) -> bool:
        return needs_encoder(self.methods, split=self.cleaned_data["split"])


def grid(families: Sequence[Family], retrievers: Sequence[str], ranks: Sequence[int]) -> list[Method]:
    """Each family with each retriever and each rank that it takes.

    >>> [method.key for method in grid([Family.NONE, Family.PEFT_RAG], ["bm25", "best"], [8])]
    ['none', 'peft-rag:bm25:8', 'peft-rag:best:8']
    """
    return [
        Method(family, retriever, rank)
        for family in families
        for retriever in (retrievers if family.retrieves else [None])
        for rank in (ranks if family.adapts else [None])
    ]


def names(name: str, seeds: Sequence[int]) -> list[str]:
    """What the experiments of these seeds are called.

    >>> names("first", [0]), names("first", [0, 7])
    (['first'], ['first seed 0', 'first seed 7'])
    """
    return [name] if len(seeds) == 1 else [f"{name} seed {seed}" for seed in seeds]


def initial_of_query(query: QueryDict) -> dict[str, Any]:
    """What the form begins with, as a query string says it: an address may say a whole form."""
    several = {"tasks", "families", "retrievers", "controls"}
    known = ExperimentForm.base_fields
    return {name: query.getlist(name) if name in several else query[name] for name in known if name in query}


def initial_of_experiment(experiment: Experiment) -> dict[str, Any]:
    """What the form begins with to make another like `experiment`."""
    stored: Mapping[str, Any] = experiment.configuration
    methods = []
    for key in stored["methods"]:
        try:
            methods.append(parse_method(key))
        except MethodError:
            # Of a retriever that is registered no more.
            continue
    return {
        **{name: stored["hyperparameters"][name] for name in HYPERPARAMETERS if name in stored["hyperparameters"]},
        **{name: stored["parameters"][name] for name in stored["parameters"] if name != "dtype"},
        "dataset": experiment.dataset.name,
        "split": experiment.split,
        "tasks": list(stored["splits"]),
        "families": list(dict.fromkeys(method.family.value for method in methods)),
        "retrievers": list(dict.fromkeys(method.retriever for method in methods if method.retriever)),
        "ranks": ", ".join(dict.fromkeys(str(method.rank) for method in methods if method.rank)),
        "controls": stored.get("controls", []),
        "base_model": str(stored["base_model_id"]),
        "users": stored["user_limit"],
        "seeds": str(stored["seed"]),
        "documents_wanted": stored["documents_wanted"],
        "reference": stored["reference"],
    }
