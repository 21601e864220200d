"""The catalogue of tasks: one entry holds all that the platform knows of a task.

Sources: Tables 3 and 4 and appendix B of the paper; LaMP reference §2, §4, §5. φ_q (`lamp.queries`), φ_p
(`retrieval_app.prompts`), CONVERT (`lamp.pairs`), import checks and metrics are generic functions over an entry.
Whoever adds a task adds an entry and a golden file, and touches nothing else.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from lamp.tasks import (
    After,
    Around,
    Completion,
    Entry,
    FieldProblem,
    InsertedAfter,
    InvalidTask,
    Kind,
    Metric,
    Pair,
    Prompt,
    Query,
    Rating,
    Task,
    TwoQuoted,
    Whole,
)
from lamp.templates import Template

__all__ = [
    "ACCURACY",
    "CATALOGUE",
    "F1",
    "MAE",
    "RMSE",
    "ROUGE_1",
    "ROUGE_L",
    "After",
    "Around",
    "Completion",
    "Entry",
    "FieldProblem",
    "InsertedAfter",
    "InvalidTask",
    "Kind",
    "Metric",
    "Pair",
    "Prompt",
    "Query",
    "Rating",
    "Task",
    "Template",
    "TwoQuoted",
    "UnknownTask",
    "Whole",
    "get_task",
]


class UnknownTask(ValueError):
    """No entry of the catalogue has this key."""


ACCURACY = Metric("accuracy", higher_is_better=True)
F1 = Metric("f1", higher_is_better=True)
MAE = Metric("MAE", higher_is_better=False)
RMSE = Metric("RMSE", higher_is_better=False)
ROUGE_1 = Metric("rouge-1", higher_is_better=True)
ROUGE_L = Metric("rouge-L", higher_is_better=True)

_FOLLOWING = "Following the given patterns"

LAMP_1_INPUT = (
    'For an author who has written the paper with the title "{title}", which reference is related? '
    'Just answer with [1] or [2] without explanation. [1]: "{first_reference}" [2]: "{second_reference}"'
)

LAMP_1 = Task(
    key="LaMP-1",
    title="Personalized Citation Identification",
    kind=Kind.CLASSIFICATION,
    fields=("title", "abstract"),
    input=Template(LAMP_1_INPUT),
    query=TwoQuoted(opening='[1]: "', middle='" [2]: "'),
    document=Template("{title} {abstract}"),
    entry=Entry(Template('"{title}"'), cut="title", fixed=2),
    prompt=InsertedAfter("title", Template(", and {entries}")),
    pair=Pair(Template("Write an abstract for this title: {title}"), Template("{abstract}")),
    metrics=(ACCURACY,),
    labels=("[1]", "[2]"),
)

LAMP_2_TAGS = (
    "sci-fi",
    "based on a book",
    "comedy",
    "action",
    "twist ending",
    "dystopia",
    "dark comedy",
    "classic",
    "psychology",
    "fantasy",
    "romance",
    "thought-provoking",
    "social commentary",
    "violence",
    "true story",
)
LAMP_2_INPUT = Template(
    "Which tag does this movie relate to among the following tags? "
    "Just answer with the tag name without further explanation. "
    f"tags: [{', '.join(LAMP_2_TAGS)}] description: {{description}}"
)

LAMP_2 = Task(
    key="LaMP-2",
    title="Personalized Movie Tagging",
    kind=Kind.CLASSIFICATION,
    fields=("description", "tag"),
    input=LAMP_2_INPUT,
    query=After("description:"),
    document=Template("{description}"),
    entry=Entry(
        Template('the tag for the movie: "{description}" is "{tag}" '),
        cut="description",
        fixed=Template('the tag for the movie: " " is "{tag}" '),
    ),
    prompt=Around(Template("{entries}. {input}")),
    pair=Pair(LAMP_2_INPUT, Template("{tag}")),
    metrics=(ACCURACY, F1),
    labels=LAMP_2_TAGS,
)

LAMP_2N_CATEGORIES = (
    "women",
    "religion",
    "politics",
    "style & beauty",
    "entertainment",
    "culture & arts",
    "sports",
    "science & technology",
    "travel",
    "business",
    "crime",
    "education",
    "healthy living",
    "parents",
    "food & drink",
)
LAMP_2N_INPUT = Template(
    "Which category does this article relate to among the following categories? "
    "Just answer with the category name without further explanation. "
    f"categories: [{', '.join(LAMP_2N_CATEGORIES)}] article: {{text}}"
)

LAMP_2N = Task(
    key="LaMP-2N",
    title="Personalized News Categorization",
    kind=Kind.CLASSIFICATION,
    fields=("text", "title", "category"),
    input=LAMP_2N_INPUT,
    query=After("article:"),
    document=Template("{title} {text}"),
    entry=Entry(
        Template('the category for the article: "{text}" is "{category}" '),
        cut="text",
        fixed=Template('the category for the article: " " is "{category}" '),
    ),
    prompt=Around(Template("{entries}. {input}")),
    pair=Pair(LAMP_2N_INPUT, Template("{category}")),
    metrics=(ACCURACY, F1),
    labels=LAMP_2N_CATEGORIES,
)

LAMP_3_INPUT = Template(
    "What is the score of the following review on a scale of 1 to 5? "
    "just answer with 1, 2, 3, 4, or 5 without further explanation. review: {text}"
)

LAMP_3 = Task(
    key="LaMP-3",
    title="Personalized Product Rating",
    kind=Kind.RATING,
    fields=("text", "score"),
    input=LAMP_3_INPUT,
    query=After("review:"),
    document=Template("{text}"),
    entry=Entry(
        Template('{score} is the score for "{text}" '), cut="text", fixed=Template('{score} is the score for " " ')
    ),
    prompt=Around(Template("{entries}. {input}")),
    pair=Pair(LAMP_3_INPUT, Template("{score}")),
    metrics=(MAE, RMSE),
    labels=("1", "2", "3", "4", "5"),
    rating=Rating("score", lowest=1, highest=5),
)

LAMP_4_INPUT = Template("Generate a headline for the following article: {text}")

LAMP_4 = Task(
    key="LaMP-4",
    title="Personalized News Headline Generation",
    kind=Kind.GENERATION,
    fields=("text", "title"),
    input=LAMP_4_INPUT,
    query=After("article:"),
    document=Template("{title} {text}"),
    entry=Entry(
        Template('"{title}" is the title for "{text}" '), cut="text", fixed=Template('"{title}" is the title for " " ')
    ),
    prompt=Around(Template("{entries}. {input}")),
    pair=Pair(LAMP_4_INPUT, Template("{title}")),
    metrics=(ROUGE_1, ROUGE_L),
)

LAMP_5_INPUT = Template("Generate a title for the following abstract of a paper: {abstract}")

LAMP_5 = Task(
    key="LaMP-5",
    title="Personalized Scholarly Title Generation",
    kind=Kind.GENERATION,
    fields=("title", "abstract"),
    input=LAMP_5_INPUT,
    query=After("paper:"),
    document=Template("{title} {abstract}"),
    # What is counted differs from what is written: the published numbers were made so.
    entry=Entry(
        Template('"{title}" is the title for "{abstract}" '),
        cut="abstract",
        fixed=Template('"{title}" is a title " " '),
    ),
    prompt=Around(Template("{entries}. " + _FOLLOWING + " {input}"), reserved_for=_FOLLOWING),
    pair=Pair(LAMP_5_INPUT, Template("{title}")),
    metrics=(ROUGE_1, ROUGE_L),
)

LAMP_6_INPUT = Template("Generate a subject for the following email: {text}")

LAMP_6 = Task(
    key="LaMP-6",
    title="Personalized Email Subject Generation",
    kind=Kind.GENERATION,
    fields=("text", "title"),
    input=LAMP_6_INPUT,
    query=After(":"),
    document=Template("{text}"),
    entry=Entry(
        Template('"{title}" is the title for "{text}" '), cut="text", fixed=Template('"{title}" is the title for " " ')
    ),
    prompt=Around(Template("{entries}. {input}")),
    pair=Pair(LAMP_6_INPUT, Template("{title}")),
    metrics=(ROUGE_1, ROUGE_L),
)

LAMP_7 = Task(
    key="LaMP-7",
    title="Personalized Tweet Paraphrasing",
    kind=Kind.GENERATION,
    fields=("text",),
    input=Template("Paraphrase the following tweet without any explanation before or after it: {text}"),
    query=After(":"),
    document=Template("{text}"),
    entry=Entry(Template('"{text}" '), cut="text", fixed=Template('"" ')),
    # What is counted differs from what is written: the published numbers were made so.
    prompt=Around(
        Template("{entries} are written by a person. " + _FOLLOWING + " {input}"),
        reserved_for="are written by user. " + _FOLLOWING,
    ),
    pair=Completion(Template("{text}"), Template("Complete the following tweet: {first}")),
    metrics=(ROUGE_1, ROUGE_L),
)

CATALOGUE: Mapping[str, Task] = MappingProxyType(
    {task.key: task for task in (LAMP_1, LAMP_2, LAMP_2N, LAMP_3, LAMP_4, LAMP_5, LAMP_6, LAMP_7)}
)

_BY_FOLDED_KEY = {key.casefold(): task for key, task in CATALOGUE.items()}


def get_task(key: str) -> Task:
    """The task of this key, in any of the usual spellings (`LaMP-4`, `LaMP_4`, `lamp_4`); raises `UnknownTask`."""
    task = _BY_FOLDED_KEY.get(key.strip().casefold().replace("_", "-"))
    if task is None:
        raise UnknownTask(f"there is no task {key[:40]!r}; the tasks are {', '.join(CATALOGUE)}")
    return task


def task_versions(keys: Iterable[str]) -> dict[str, str]:
    """The version of each of these tasks, by key; raises `UnknownTask`."""
    return {key: get_task(key).version for key in keys}
