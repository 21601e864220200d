"""What staff see of uploads: that they are there, and no address of them."""

import pytest

from eval_app.uploads import create_upload


@pytest.mark.parametrize("page", ["", "{pk}/change/"], ids=["list", "one"])
def test_uploads_are_shown_without_their_place_in_the_store(admin_client, workspace, page):
    upload = create_upload(workspace=workspace, name="questions.json", size=10)
    shown = admin_client.get("/admin/eval_app/upload/" + page.format(pk=upload.pk))
    assert shown.status_code == 200
    assert "questions.json" in shown.content.decode()
    assert upload.object_key not in shown.content.decode()
