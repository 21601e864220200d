from django.apps import AppConfig


class RetrievalAppConfig(AppConfig):
    name = "retrieval_app"
    verbose_name = "Retrieval"

    def ready(self) -> None:
        from jobs import kinds
        from retrieval_app.kinds import EMBED_DOCUMENTS

        kinds.register(EMBED_DOCUMENTS)
