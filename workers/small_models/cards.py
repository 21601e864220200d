"""The model cards (README.md in each folder), written from the recipe and what was measured."""

from __future__ import annotations

from collections.abc import Mapping

from transformers import PreTrainedModel

from workers.small_models.measuring import ADAPTERS, MEASURED_SEED, WAYS, Scores
from workers.small_models.recipe import Part, Recipe, Round, Teacher
from workers.small_models.selector_measuring import (
    MEASURED,
    Measured,
    mean_share,
    table,
)
from workers.small_models.selector_measuring import (
    MEASURED_SEED as SELECTORS_SEED,
)

REBUILD = """Rebuild with
  `make small-models` (`python -m workers.small_models`); the recipe is seeded and goes on after an interruption."""

LICENSE = """- **License**: that of this repository. The data is generated; nothing of LaMP or of any other corpus
  is in it."""


def t5_card(recipe: Recipe, model: PreTrainedModel, measured: Mapping[str, Mapping[str, Scores]]) -> str:
    """The small T5's card."""
    entries = ", then ".join(str(count) for _, count in recipe.t5_entries)
    size, pieces = f"{model.num_parameters():,}", model.config.vocab_size
    parts = "\n".join(f"  {number}. {_part(part)}" for number, part in enumerate(recipe.t5_parts, start=1))
    matrices, others = recipe.t5_matrix_learning_rate, recipe.t5_learning_rate
    users, questions = recipe.measured_users, round(1.25 * recipe.measured_users)
    epochs, adapter_rate = ADAPTERS.epochs, ADAPTERS.learning_rate
    return f"""# Small T5

A base model small enough to live in the repository, for demonstrations and tests: it answers the seven tasks
of the synthetic LaMP benchmark (`lamp.synthetic`) and can use profile entries that stand in its prompt.

- **Architecture**: T5 with gated GELU (FlanT5's family), {size} parameters, width 128,
  3 + 3 layers, 4 heads of 32, feed-forward 320, tied embeddings, float32. It starts from weights that can already copy
  (`initial.py`).
- **Tokenizer**: byte-level BPE, {pieces} pieces, trained on the same kind of text. Any text
  has an encoding and comes back as it was; text outside the synthetic language costs many tokens.
- **Data**: synthetic users of training seeds that no generated benchmark may use; all tasks mixed; half of the
  prompts without a profile, half with documents by BM25, of the newest or any ({entries} entries
  as training goes on).
- **Recipe**: {recipe.t5_steps} steps of {recipe.t5_batch} samples in the parts below. Muon for the matrices between the
  layers (learning rate {matrices}), AdamW for the rest ({others}, β₂ 0.98). Each part begins with a warm-up of
  {recipe.t5_warmup} steps and ends with a cosine to 2 %. Labels weigh {recipe.t5_label_weight:g} times; bfloat16
  autocast, one CPU thread; seed {recipe.seed}. {REBUILD}
{parts}
{LICENSE}

## Measured
Dev questions of `manage.py lamp synthesize --users {users} --seed {MEASURED_SEED}`, 4 beams. *none*: the
question alone. *rag:bm25*: with four documents of the user. *peft:8*: with an adapter trained on the user's
documents ({epochs} epochs at {adapter_rate}, as in the demonstration). *stranger*: the same with the documents, or the
adapter, of another user.
*In form*: the share of answers without a profile that have the task's form.
About {questions} questions a task, so differences of a few hundredths mean nothing.

{_table(measured)}

## Limits
Made to show effects, not to be used: it knows only the invented language of the benchmark, its English frames
and prompts of up to about 400 tokens. On real text its answers mean nothing. The recipe was chosen by looking at
questions like the measured ones, so the numbers are a little flattering.
"""


def encoder_card(recipe: Recipe, model: PreTrainedModel, measured: Scores) -> str:
    """The small encoder's card."""
    size, pieces = f"{model.num_parameters():,}", model.config.vocab_size
    steps, batch, rate = recipe.encoder_steps, recipe.encoder_batch, recipe.encoder_learning_rate
    return f"""# Small encoder

A text encoder small enough to live in the repository, for demonstrations and tests of dense retrieval in the
manner of Contriever.

- **Architecture**: BERT, {size} parameters, width 128, 2 layers, 4 heads, feed-forward 384,
  512 positions, float32. An embedding is the mean over the tokens' last states, compared by dot product. The
  pooler is there for completeness and untrained.
- **Tokenizer**: byte-level BPE, {pieces} pieces, `[CLS]` and `[SEP]` around each text.
- **Data**: documents of {recipe.encoder_users} synthetic users a task, of training seeds that no generated
  benchmark may use.
- **Recipe**: Contriever's: two random crops of a document (30 % to 70 % of its tokens, a tenth of them deleted)
  belong together, InfoNCE with the batch as negatives. {steps} steps of
  {batch} documents, AdamW, learning rate {rate} falling linearly, seed {recipe.seed}. {REBUILD}
{LICENSE}

## Measured
The words of each of 200 unseen documents of all tasks were dealt at random into two halves. A half finds its
other half among the 200: **{measured["encoder"]:.1%}** by this encoder, {measured["BM25"]:.1%} by BM25,
0.5 % by chance.

## Limits
It knows the invented language of the synthetic benchmark; on real text its ranking is hardly better than chance.
"""


def selector_card(
    recipe: Recipe,
    model: PreTrainedModel,
    reads: str,
    measured: Mapping[str, Measured],
    *,
    drift_alone: Mapping[str, Measured],
    without_traits: Mapping[str, Measured],
) -> str:
    """The card of one of the small selectors; `drift_alone` was measured on users of one manner each, `without_traits`
    where the pool's members are of equal worth.
    """
    size = f"{model.num_parameters():,}"
    what = {
        "pre": "the prompt with a retriever's documents",
        "post": "the prompt with a retriever's documents and the output that it gave",
    }[reads]
    crowds = "; ".join(f"{crowd.users} of {crowd.setting}" for crowd in recipe.selector_crowds)
    rounds = "\n".join(
        f"  {number}. {_round(recipe, one)}" for number, one in enumerate(recipe.selector_rounds, start=1)
    )
    users, questions = recipe.measured_selector_users, sum(one.questions for one in measured.values())
    better = sum(1 for one in measured.values() if (one.chosen[reads].share or 0) > 0)
    return f"""# Small selector ({reads.capitalize()})

Chooses for each question which retriever's documents the small T5 gets (RSPG-{reads.capitalize()}, Salemi et
al., SIGIR 2024). It reads {what}, scores each candidate by itself, and the highest score is chosen.

- **Architecture**: `BertForSequenceClassification` with one label, {size} parameters; the small encoder's tokenizer,
  lower-casing. Half of the attention heads begin with equal weights for queries and keys, so that a word finds
  itself elsewhere.
- **Pool**: the newest documents and the small encoder's, four each.
- **Data**: the small T5's answers to all questions of synthetic users of each task ({crowds}), of training seeds that
  no generated benchmark may use. One user of {recipe.selector_picked_every} was kept to pick the best step by.
- **Recipe**: first {recipe.selector_counting_steps} steps of counting how often each word and pair of words stands in
  the prompt, and {recipe.selector_comparing_steps:,} of comparing its entries: how alike they are written, and how near
  they are to the question. Then the platform's own trainer, in the rounds below, each from the best step of the one
  before. The selector is the mean of what rounds {recipe.selector_mean_from + 1} to {len(recipe.selector_rounds)}
  reached. The feedback is the outputs' utilities: KL divergence from their softmax over
  {recipe.selector_label_temperature:g} (the source divides by nothing; here texts' utilities differ by a tenth) to that
  of the scores. The tutor is small networks over the comparisons, which learned from the feedback what they are worth.
  AdamW (the source's 1e-5 is for a large model), {recipe.selector_batch} questions a step, seed {recipe.seed}.
  {REBUILD}
{rounds}
{LICENSE}

## Measured
Dev questions of `manage.py lamp synthesize --users {users} --seed {SELECTORS_SEED} --strength {MEASURED.strength:g}
--drift {MEASURED.drift:g} --manners {MEASURED.manners:g}` ({questions} in all);
`python -m workers.small_models.selector_measuring --users {users}` measures it again. Bold: the best single retriever.
*share*: how much of the gap between it and the oracle (each question's best output of the pool) the selector
gets. *p*: of the difference from the best single retriever, paired by user. This selector is better than the best
single retriever in {better} of {len(measured)} tasks, and gets {mean_share(measured, reads):.0%} of the gap on average
over the tasks that have one.

{table(measured)}

The same without manners, where of all users the newest documents are about as good as those that are about the question
and most of the gap is luck (`--manners 0 --users {users // 2}`): {mean_share(drift_alone, reads):+.0%} of the gap on
average.

{table(drift_alone)}

The same at strength 0, where profiles say nothing and no retriever is worth more than another
(`--strength 0 --users {users // 2}`): {mean_share(without_traits, reads):+.0%} of the gap on average.

{table(without_traits)}

## Limits
It knows the small T5's answers to the synthetic benchmark and nothing else. LaMP-1 is there for completeness: the small
T5 answers it alike whatever stands in the prompt, so nothing can be chosen. Where a share
above is negative, always taking the best single retriever does better. `docs/synthetic.md` says what is known of why.
"""


def _part(part: Part) -> str:
    rates = "the full rates" if part.rate == 1 else f"{part.rate:g} of the rates"
    shares = " and ".join(f"{count} users of {task}" for task, count in part.users)
    crowd = f"with {shares} for each one of another task" if shares else "of all tasks alike"
    return f"{part.steps} steps at {rates}, falling from {part.falls_from:.0%} on, {crowd}"


def _round(recipe: Recipe, one: Round) -> str:
    learned = {
        Teacher.TUTOR: "what the tutor says of each candidate",
        Teacher.EVEN_TUTOR: "what the tutor says, stretched so that tasks weigh alike",
        Teacher.FEEDBACK: "the feedback",
    }[one.teacher]
    epochs = "1 epoch" if one.epochs == 1 else f"{one.epochs} epochs"
    return f"{learned}: {epochs} at {recipe.selector_learning_rate * one.rate:g}"


def _table(measured: Mapping[str, Mapping[str, Scores]]) -> str:
    lines = [f"| task | metric | {' | '.join(WAYS)} | in form |", "|---|---|" + "---|" * (len(WAYS) + 1)]
    for task, methods in measured.items():
        in_form = f"{methods['none']['in form']:.0%}"
        for metric in methods["none"]:
            if metric != "in form":
                values = " | ".join(f"{methods[way][metric]:.3f}" for way in WAYS)
                lines.append(f"| {task} | {metric} | {values} | {in_form} |")
    return "\n".join(lines)
