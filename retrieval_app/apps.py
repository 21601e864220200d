from django.apps import AppConfig


class RetrievalAppConfig(AppConfig):
    name = "retrieval_app"
    verbose_name = "Retrieval"

    def ready(self) -> None:
        from common.backups import contributions
        from jobs import kinds, sweeps
        from retrieval_app import embedding_sweep
        from retrieval_app.backups import CONTRIBUTION
        from retrieval_app.embedding_requests import embed_new_documents
        from retrieval_app.erasing import ERASER
        from retrieval_app.exports import EXPORTER
        from retrieval_app.kinds import EMBED_DOCUMENTS
        from retrieval_app.services import forget_gone_indexes
        from retrieval_app.trained_models import mark_what_learned_from
        from users_app import caches, erasers, exporting, listeners

        kinds.register(EMBED_DOCUMENTS)
        listeners.on_documents_added(embed_new_documents)
        listeners.on_agreement_taken_back(mark_what_learned_from)
        erasers.register(ERASER)
        exporting.register(EXPORTER)
        caches.register(forget_gone_indexes)
        contributions.register(CONTRIBUTION)
        sweeps.register(embedding_sweep.sweep_embeddings, every_seconds=embedding_sweep.EVERY_SECONDS)
