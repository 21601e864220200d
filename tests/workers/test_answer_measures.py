"""What `/metrics` says after answers were given."""

from tests.common.monitoring.scraping import scrape, value
from tests.workers.asked import ask, ask_for_adapter
from training_app.models import Adapter


def test_answers_are_counted_with_their_tokens_and_times(alice, in_process):
    ask_for_adapter(alice)
    in_process("train_adapter")
    before = scrape()
    done = [ask(alice), ask(alice, retriever="bm25"), ask(alice, adapter=Adapter.objects.get())]
    in_process("generate")
    for generation in done:
        generation.refresh_from_db()
    after = scrape()

    def more(name, **labels):
        return value(after, f"lamppost_{name}", **labels) - value(before, f"lamppost_{name}", **labels)

    assert more("tokens_total", direction="input") == sum(one.input_tokens for one in done)
    assert more("tokens_total", direction="output") == sum(one.output_tokens for one in done)
    assert more("generation_seconds_count") == 3
    assert more("generation_seconds_count", family="peft") == 1
    assert more("adapter_seconds_count") == 1
    assert more("adapter_uses_total", place="slots", outcome="miss") == 1
    assert more("retrieval_seconds_count", retriever="bm25") == 1
    assert more("job_attempt_seconds_count", kind="generate", outcome="done") == 3
    assert value(after, "lamppost_adapters") == 1
