"""Writes small LaMP files for tests."""

import json
from pathlib import Path


def tweet_input(text="so tired"):
    return f"Paraphrase the following tweet without any explanation before or after it: {text}"


def headline_input(text="a man bit a dog"):
    return f"Generate a headline for the following article: {text}"


def tweet_question(question_id="1", *, profile=None, **more):
    profile = [{"id": f"{question_id}0", "text": "hello"}] if profile is None else profile
    return {"id": question_id, "input": tweet_input(), "profile": profile} | more


def headline_question(question_id="1", *, user="u1", profile=None, **more):
    entry = {"id": f"{question_id}0", "title": "A title", "text": "A text", "date": "2017-01-07"}
    profile = [entry] if profile is None else profile
    return {"id": question_id, "input": headline_input(), "profile": profile, "user_id": user} | more


def write(path: Path, content) -> Path:
    """`content` as it is where it is bytes, as JSON otherwise."""
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def outputs(task, golds):
    return {"task": task, "golds": [{"id": question_id, "output": output} for question_id, output in golds.items()]}


def truth(task, **splits):
    """What the oracle answers by question, a split a keyword, as a generator writes it."""
    answers = {
        split: {"answers": [{"id": question_id, "output": output} for question_id, output in answers.items()]}
        for split, answers in splits.items()
    }
    return {"task": task, "oracle": answers}
