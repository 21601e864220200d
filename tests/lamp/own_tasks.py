"""Definitions of a workspace's own tasks, as their staff would write them."""

from copy import deepcopy
from typing import Any

REPLIES = {
    "key": "replies",
    "title": "Replies to customers",
    "kind": "generation",
    "fields": ["question", "reply"],
    "input": "Write a reply to the following question: {question}",
    "query": {"form": "after", "marker": "question:"},
    "document": "{question} {reply}",
    "entry": {"template": 'to "{question}" the reply was "{reply}" ', "cut": "question"},
    "prompt": {"form": "around", "template": "{entries}. Write as before. {input}"},
    "pair": {"input": "Write a reply to the following question: {question}", "output": "{reply}"},
    "metrics": ["rouge-1", "rouge-L"],
}

MOODS = {
    "key": "moods",
    "title": "The mood of a diary's page",
    "kind": "classification",
    "fields": ["page", "mood"],
    "input": "Which mood, calm or cross, has this page? {page}",
    "query": {"form": "whole"},
    "document": "{page}",
    "entry": {"template": 'a {mood} page: "{page}" ', "cut": "page", "fixed": 'a {mood} page: "" '},
    "prompt": {"form": "inserted-after", "word": "page", "template": " (like {entries})"},
    "pair": {"input": "Which mood, calm or cross, has this page? {page}", "output": "{mood}"},
    "labels": ["calm", "cross"],
    "metrics": ["accuracy", "f1"],
}

STARS = {
    "key": "stars",
    "title": "Stars for a recipe",
    "kind": "rating",
    "fields": ["recipe", "stars"],
    "input": "How many stars? {recipe}",
    "query": {"form": "after", "marker": "stars?"},
    "document": "{recipe}",
    "entry": {"template": '{stars} for "{recipe}" ', "cut": "recipe"},
    "prompt": {"form": "around", "template": "{entries}. {input}"},
    "completion": {"text": "{recipe}", "input": "Go on: {first}"},
    "rating": {"field": "stars", "lowest": 0, "highest": 3},
    "labels": ["0", "1", "2", "3"],
    "metrics": ["MAE"],
}


def changed(definition: dict[str, Any], pointer: str, value: Any) -> dict[str, Any]:
    """A copy in which another value stands at `pointer`; None there takes the part out."""
    copy = deepcopy(definition)
    *path, last = pointer.removeprefix("/").split("/")
    part: Any = copy
    for name in path:
        part = part[int(name) if isinstance(part, list) else name]
    if isinstance(part, list):
        part[int(last)] = value
    elif value is None:
        part.pop(last)
    else:
        part[last] = value
    return copy
