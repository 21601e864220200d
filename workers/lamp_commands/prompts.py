"""Put the best documents of each question's profile into its input: {question id: prompt}."""

import argparse
from collections.abc import Iterator, Mapping
from typing import Any, cast

from django.core.management.base import CommandError

from lamp.json_objects import write_json_object
from lamp.reading import read_questions
from retrieval_app.prompts import Tokenizer, build_prompt
from workers.lamp_commands.arguments import SMALL, add_encoder, add_out, add_questions, at_least
from workers.lamp_commands.rankers import RETRIEVERS, Ranker, make_ranker
from workers.lamp_commands.ranks_files import read_ranks
from workers.quietness import quieten_transformers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_questions(parser)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--ranks", metavar="FILE", help="a file as `lamp rank` writes it, or the first of each list")
    source.add_argument("--retriever", choices=RETRIEVERS)
    add_encoder(parser)
    parser.add_argument("-k", type=at_least(0), default=4, help="documents a prompt at most (default: %(default)s)")
    parser.add_argument(
        "--tokenizer",
        required=True,
        metavar="NAME_OR_DIR",
        help=f"the model's tokenizer: a folder or a hub name, or {SMALL!r}",
    )
    parser.add_argument(
        "--max-input-tokens", type=at_least(1), default=512, help="the prompt's token budget (default: %(default)s)"
    )
    add_out(parser, what="the prompts")


def run(options: Mapping[str, Any]) -> None:
    path = options["questions"]
    questions = read_questions(path, task=options["task"])
    rank: Ranker
    if options["ranks"] is not None:
        rank = read_ranks(options["ranks"])
    else:
        rank = make_ranker(options["retriever"], encoder=options["encoder"], questions=path)
    tokenizer = load_tokenizer(options["tokenizer"])

    def prompts() -> Iterator[tuple[str, str]]:
        for question in questions:
            best = rank(questions.task, question)[: options["k"]]
            yield (
                question.id,
                build_prompt(
                    questions.task,
                    question.input,
                    [question.profile[position].fields for position in best],
                    tokenizer=tokenizer,
                    max_input_tokens=options["max_input_tokens"],
                ),
            )

    write_json_object(options["out"], prompts())


def load_tokenizer(name: str) -> Tokenizer:
    """The tokenizer of a folder or of the model hub; runs none of its code."""
    import transformers

    if name == SMALL:
        from workers.small_models import SMALL_T5

        name = str(SMALL_T5)
    quieten_transformers()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".:")
        raise CommandError(
            f"--tokenizer {name}: can't be loaded ({reason}). Give a folder that holds a tokenizer, "
            f"a name on a model hub that this machine reaches, or {SMALL!r}.",
            returncode=2,
        ) from error
    return cast(Tokenizer, tokenizer)
