"""What is told of how a run was made."""

from eval_app.run_settings import settings_of
from tests.eval_app.stored import a_run
from tests.eval_app.unloaded import DENSE_POOL, unloaded


def test_of_a_selector_it_tells_which_one_and_what_it_chooses_among(dev, workspace):
    selector = unloaded(workspace, pool=DENSE_POOL)
    settings = settings_of(a_run(dev, "rag:rspg-pre", selector=selector))
    assert settings["Selector"] == f"RSPG-Pre selector {selector.pk}"
    assert settings["Selector's digest"] == selector.content_digest
    assert settings["Selector's pool"] == "none, contriever (some/encoder@1), ropg-kd (some/encoder@2)"
    assert "Encoder" not in settings


def test_an_encoder_in_a_folder_of_the_server_is_told_by_its_last_part(dev, workspace):
    pool = [{"retriever": "none"}, DENSE_POOL[1] | {"encoder": "/srv/models/ours"}]
    settings = settings_of(a_run(dev, "rag:rspg-pre", selector=unloaded(workspace, pool=pool)))
    assert settings["Selector's pool"] == "none, contriever (ours@1)"


def test_where_none_chooses_nothing_is_told_of_one(dev):
    assert not any(name.startswith("Selector") for name in settings_of(a_run(dev, "rag:bm25")))
