from tests.training_app.generations import answered, asked
from users_app.selectors import visible_documents


def address(generation):
    return f"/api/v1/generations/{generation.pk}/feedback"


def test_an_accepted_output_becomes_a_document(api, alice):
    generation = answered(alice)
    told = api.post(address(generation), {"rating": "accepted", "document_id": "mine"})
    assert told.status_code == 200
    assert (told.data["feedback"]["rating"], told.data["feedback"]["document_id"]) == ("accepted", "mine")
    newest = visible_documents(workspace=alice.workspace, end_user=alice, task="LaMP-7")[-1]
    assert newest.fields["text"] == "rain on my roses"


def test_a_rejection_is_seen_in_the_generation(api, alice):
    generation = answered(alice)
    api.post(address(generation), {"rating": "rejected"})
    feedback = api.get(f"/api/v1/generations/{generation.pk}").data["feedback"]
    assert (feedback["rating"], feedback["document_id"]) == ("rejected", None)


def test_there_is_nothing_to_say_before_there_is_an_answer(api, alice):
    refused = api.post(address(asked(alice)), {"rating": "rejected"})
    assert (refused.status_code, refused.data["type"]) == (409, "urn:lamppost:problem:not-answered")


def test_a_rating_that_is_none_is_refused(api, alice):
    refused = api.post(address(answered(alice)), {"rating": "so-so"})
    assert (refused.status_code, refused.data["errors"][0]["field"]) == (400, "/rating")
