"""`/v1/models`, `/v1/completions` and `/v1/chat/completions`, as the clients of OpenAI's API call them."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from common import stopping
from common.api.event_stream import EVENT_STREAMS, KEEP_ALIVE, KEEP_ALIVE_SECONDS, EventStream
from common.api.field_errors import field_errors
from common.api.problems import FieldError, Problem, found_or_404, invalid_input, malformed_body
from retrieval_app.chosen import Chosen
from training_app import asking
from training_app.api.openai_shaped import answers, bodies
from training_app.api.openai_shaped.errors import RETRY_HEADER, error_of, exception_handler
from training_app.api.openai_shaped.messages import input_of_messages
from training_app.api.openai_shaped.parameters import without_foreign
from training_app.api.questions import named_end_user
from training_app.base_models import asked_base_model, base_models
from training_app.default_task import only_task
from training_app.generation_selectors import chosen_in, generation_by_id
from training_app.models import BaseModel, Generation
from training_app.waiting import wait_for, wait_paced
from users_app.api.base import WorkspaceView
from users_app.models import EndUser, Scope
from users_app.tasks import task_of

# Half of what the official client waits for an answer.
_WAIT_SECONDS: Final = 300.0


class _JSONWhateverIsAccepted(DefaultContentNegotiation):
    """Clients of that API ask for JSON and take an event stream, or the other way round."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """The first one."""
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class OpenAIView(WorkspaceView):
    """A view whose problems have the shape of OpenAI's errors."""

    content_negotiation_class = _JSONWhateverIsAccepted
    # The client's names for fields of ours, in errors.
    param_names: ClassVar[Mapping[str, str]] = {}

    def get_exception_handler(self) -> Callable[..., Response]:
        """Errors in the other shape."""
        return exception_handler

    def base_model_or_404(self, name: str) -> BaseModel:
        """The base model that the client calls so; raises `Problem` 404, and 409 while none is loaded yet."""
        try:
            return asked_base_model(name)
        except Problem as problem:
            if problem.slug != "invalid-input":
                raise
            [error] = problem.errors
            raise Problem(
                404,
                "model-not-found",
                error.message,
                errors=[FieldError("/model", error.message, "Use a name that GET /v1/models lists.")],
            ) from None


class ModelsView(OpenAIView):
    """The base models, each under its name."""

    scopes: ClassVar = {"GET": Scope.GENERATE}

    def get(self, request: Request) -> Response:
        """The newest revision of each, the newest first."""
        newest: dict[str, BaseModel] = {}
        for model in base_models():
            newest.setdefault(model.public_name, model)
        return Response({"object": "list", "data": [_model(model) for model in newest.values()]})


class ModelView(OpenAIView):
    """One base model."""

    scopes: ClassVar = {"GET": Scope.GENERATE}

    def get(self, request: Request, name: str) -> Response:
        return Response(_model(self.base_model_or_404(name)))


class NothingHereView(OpenAIView):
    """Every other address of that API."""

    scopes: ClassVar = dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE"), Scope.GENERATE)

    def get(self, request: Request, **_: Any) -> Response:
        raise Problem(
            404,
            "unknown-url",
            "Of OpenAI's API there are /v1/models, /v1/completions and /v1/chat/completions here. What else Lamppost "
            "does is below /api/v1/; see /api/v1/docs/.",
        )

    post = put = patch = delete = get


class _AnswerView(OpenAIView, ABC):
    """Asks for one text, and waits for it."""

    scopes: ClassVar = {"POST": Scope.GENERATE}
    form: ClassVar[answers.Form]
    serializer: ClassVar[type[BaseSerializer]]

    @abstractmethod
    def input_of(self, body: Mapping[str, Any]) -> str:
        """The text that the model shall see."""

    def post(self, request: Request) -> Response | EventStream:
        """Store the question, and answer it whole or as a stream."""
        body = self._read()
        text = self.input_of(body)
        model = self.base_model_or_404(body["model"])
        question = self._question(body, text=text, model=model, end_user=named_end_user(self, body["user"]))

        def create() -> dict[str, Any]:
            [generation] = asking.ask(workspace=self.workspace, questions=[question], api_key_id=self.api_key.pk)
            return {"generation_id": generation.pk}

        # Before anything is recorded that nobody would get.
        place = EVENT_STREAMS.take() if body["stream"] else None
        try:
            made, _ = self.once(end_user=question.end_user, create=create)
            generation = self._generation(made["generation_id"])
        except BaseException:
            if place is not None:
                place.release()
            raise
        if place is not None:
            with_usage = body.get("stream_options", {}).get("include_usage", False)
            return EventStream(self._events(generation, with_usage=with_usage), place=place)
        wait_for([generation.pk], seconds=_WAIT_SECONDS)
        answered = self._answered(generation.pk)
        return Response(self.form.whole(answered, chosen=self._chosen(answered)))

    def _read(self) -> dict[str, Any]:
        data = self.request.data
        if not isinstance(data, dict):
            raise malformed_body("The body must be a JSON object.")
        reader = self.serializer(data=without_foreign(data), context={"view": self})
        if not reader.is_valid():
            raise invalid_input(*field_errors(reader.errors))
        read: dict[str, Any] = reader.validated_data
        return read

    def _question(self, body: Mapping[str, Any], *, text: str, model: BaseModel, end_user: EndUser) -> asking.Question:
        task = body.get("task") or only_task(workspace=self.workspace, end_user=end_user)
        limit = {"max_output_tokens": body["max_tokens"]} if "max_tokens" in body else {}
        try:
            return asking.question(
                end_user=end_user,
                task=task,
                input=text,
                method=body["method"],
                retriever=body.get("retriever"),
                k=body.get("k"),
                base_model=f"{model.name}@{model.revision}",
                num_beams=body["num_beams"],
                seed=body["seed"],
                **limit,
            )
        except Problem as problem:
            raise self._about_the_input(problem, task) from None

    def _about_the_input(self, problem: Problem, task: str) -> Problem:
        """The same, with a remedy that can be followed here, where no fields can be sent in place of the text."""
        if not any(error.field == "/input" for error in problem.errors):
            return problem
        form = task_of(workspace=self.workspace, key=task).input.source
        remedy = f"Send the task's whole input, which is written so: {form}"
        return invalid_input(
            *(FieldError(error.field, error.message, remedy) if error.field == "/input" else error
              for error in problem.errors)
        )  # fmt: skip

    def _events(self, generation: Generation, *, with_usage: bool) -> Iterator[bytes]:
        yield from self.form.opening(generation)
        until = time.monotonic() + _WAIT_SECONDS
        while not wait_paced([generation.pk], seconds=KEEP_ALIVE_SECONDS) and time.monotonic() < until:
            if not stopping.seconds_left():
                break
            yield KEEP_ALIVE
        try:
            answered = self._answered(generation.pk)
            chosen = self._chosen(answered)
        except Problem as problem:
            # The status has gone out already.
            yield answers.error_event(error_of(problem, names=self.param_names))
            return
        yield from self.form.closing(answered, chosen=chosen, with_usage=with_usage)

    def _answered(self, generation_id: int) -> Generation:
        """The generation once it is done. Raises `Problem` where it has failed, is gone, or is not done yet."""
        generation = self._generation(generation_id)
        if generation.state == Generation.State.ASKED and stopping.told():
            raise Problem(
                503,
                "stopping",
                "This server is being stopped. The answer is still being made: see GET "
                f"/api/v1/generations/{generation.pk}.",
                headers={RETRY_HEADER: "false"},
            )
        if generation.state == Generation.State.ASKED:
            raise Problem(
                504,
                "not-answered-yet",
                "The answer takes longer than a request may wait. It is still being made: see GET "
                f"/api/v1/generations/{generation.pk}.",
                # Another try would ask for another answer.
                headers={RETRY_HEADER: "false"},
            )
        if generation.state != Generation.State.DONE:
            raise Problem(500, generation.problem_slug, generation.problem_detail, headers={RETRY_HEADER: "false"})
        return generation

    def _chosen(self, generation: Generation) -> Chosen | None:
        """What a selector chose for the answer; None where its retriever is none that chooses."""
        return chosen_in(workspace=self.workspace, generations=[generation]).get(generation.pk)

    def _generation(self, generation_id: int) -> Generation:
        return found_or_404(generation_by_id(workspace=self.workspace, generation_id=generation_id))


class CompletionsView(_AnswerView):
    """A text for a prompt. The prompt is the task's input."""

    form = answers.COMPLETION
    serializer = bodies.CompletionBody
    param_names: ClassVar = {"input": "prompt", "base_model": "model", "max_output_tokens": "max_tokens"}

    def input_of(self, body: Mapping[str, Any]) -> str:
        return str(body["prompt"])


class ChatCompletionsView(_AnswerView):
    """A message for a conversation. The last message, the user's, is the task's input."""

    form = answers.CHAT
    serializer = bodies.ChatBody
    param_names: ClassVar = {"input": "messages", "base_model": "model", "max_output_tokens": "max_completion_tokens"}

    def input_of(self, body: Mapping[str, Any]) -> str:
        return input_of_messages(body["messages"])


def _model(model: BaseModel) -> dict[str, Any]:
    return {
        "id": model.public_name,
        "object": "model",
        "created": int(model.created_at.timestamp()),
        "owned_by": "lamppost",
    }
