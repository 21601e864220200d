"""Many users' adapters in one beam search, against peft user by user, peft's mixed batch, and the bare base model.

Each user asks one prompt, 4 beams, all adapters are loaded before the clock runs, and every side tokenizes, generates
and decodes. The baselines are peft with transformers' `generate`:

- `sequential`: `set_adapter`, then `generate`, user by user;
- `peft_mixed`: one padded batch, `generate(adapter_names=[...])`;
- `no_adapter`: our own beam search without any adapter, over the same prompts. Here the adapters are scaled so small
  that they change no token, so both sides make the same steps and the ratio is what the adapters cost.

`small` is the model of the repository with LaMP-7-like prompts and adapters that were trained a little, so that
answers differ and end by themselves; `512` has flan-t5-small's shape with random weights, where no answer ends before
the limit. Equal answers, token for token, are asserted before the clock counts. Repeat with
`python -m benchmarks serving`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from benchmarks.figures import Figure, side_by_side
from benchmarks.serving_models import Workload, flan_t5_small_workload, small_workload
from workers.engine.adapters import AdapterWeights, adapter_weights
from workers.engine.generation import GeneratedText, GenerationRow, Generator
from workers.engine.threads import limit_threads

USERS = (8, 16, 32)
BEAMS = 4
ROUNDS = 5
# Both sides are ours and near each other, so more rounds are needed to tell them apart.
ROUNDS_NO_ADAPTER = 21
# Too small a scale to change a token.
UNFELT_ALPHA = 1e-9


def run() -> list[Figure]:
    limit_threads(1)
    figures: list[Figure] = []
    small = small_workload(max(USERS))
    for users in USERS:
        figures += [_sequential(small, users), _peft_mixed(small, users)]
    figures.append(_no_adapter(small, 16, rounds=ROUNDS_NO_ADAPTER))
    larger = flan_t5_small_workload(16)
    figures += [_sequential(larger, 16), _peft_mixed(larger, 16), _no_adapter(larger, 16, rounds=ROUNDS)]
    return figures


def _sequential(load: Workload, users: int) -> Figure:
    def one_by_one() -> list[str]:
        answers = []
        for user, row in enumerate(load.rows[:users]):
            load.peft.set_adapter(str(user))
            answers += _by_transformers(load, [row.prompt])
        return answers

    return _compared(load, users, "sequential", one_by_one, "set_adapter + generate user by user")


def _peft_mixed(load: Workload, users: int) -> Figure:
    names = [str(user) for user in range(users)]
    prompts = [row.prompt for row in load.rows[:users]]

    def mixed() -> list[str]:
        return _by_transformers(load, prompts, adapter_names=names)

    return _compared(load, users, "peft_mixed", mixed, "peft's generate(adapter_names)")


def _compared(load: Workload, users: int, against: str, baseline: Callable[[], list[str]], described: str) -> Figure:
    rows = load.rows[:users]
    generator = Generator(load.base)

    def ours() -> list[GeneratedText]:
        return generator.generate(rows, num_beams=BEAMS, max_output_tokens=load.max_output_tokens)

    answers = ours()
    assert [answer.text for answer in answers] == baseline(), "the answers differ"
    timing = side_by_side(baseline, ours, rounds=ROUNDS)
    tokens = sum(answer.output_tokens for answer in answers)
    return Figure(
        name=f"serve_{users}_vs_{against}{_suffix(load)}",
        ratio=timing.ratio,
        median=tokens / timing.ours,
        unit="tokens/s",
        detail=f"{load.name}, {described}: {tokens / timing.baseline:,.0f} tokens/s; {tokens} tokens, the same",
    )


def _no_adapter(load: Workload, users: int, *, rounds: int) -> Figure:
    generator = Generator(load.base)
    bare = [replace(row, adapter=None) for row in load.rows[:users]]
    unfelt = [replace(row, adapter=_unfelt(row.adapter)) for row in load.rows[:users]]

    def answers(rows: Sequence[GenerationRow]) -> list[GeneratedText]:
        return generator.generate(rows, num_beams=BEAMS, max_output_tokens=load.max_output_tokens)

    expected = answers(bare)
    assert [answer.text for answer in answers(unfelt)] == [answer.text for answer in expected], "the answers differ"
    timing = side_by_side(lambda: answers(bare), lambda: answers(unfelt), rounds=rounds)
    tokens = sum(answer.output_tokens for answer in expected)
    return Figure(
        name=f"serve_{users}_vs_no_adapter{_suffix(load)}",
        ratio=timing.ratio,
        median=tokens / timing.ours,
        unit="tokens/s",
        detail=f"{load.name}, {users} different adapters, the bare model: {tokens / timing.baseline:,.0f} tokens/s",
    )


def _suffix(load: Workload) -> str:
    return "" if load.name == "small" else f"_{load.name}"


def _unfelt(adapter: Any) -> AdapterWeights:
    return adapter_weights(adapter.tensors, rank=adapter.rank, alpha=UNFELT_ALPHA)


@torch.inference_mode()
def _by_transformers(load: Workload, prompts: Sequence[str], **options: Any) -> list[str]:
    tokenizer = load.base.tokenizer
    source = tokenizer(list(prompts), padding=True, return_tensors="pt")
    output = load.peft.generate(
        input_ids=source.input_ids,
        attention_mask=source.attention_mask,
        num_beams=BEAMS,
        do_sample=False,
        max_new_tokens=load.max_output_tokens,
        **options,
    )
    texts: list[str] = tokenizer.batch_decode(output, skip_special_tokens=True)
    return texts
