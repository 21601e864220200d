from django.apps import AppConfig


class EvalAppConfig(AppConfig):
    name = "eval_app"
    verbose_name = "Evaluation"

    def ready(self) -> None:
        from common import navigation
        from eval_app import experiments, import_requests, import_sweeps, runs
        from eval_app.destinations import DESTINATIONS
        from eval_app.erasing import ERASER
        from eval_app.exports import EXPORTER
        from eval_app.kinds import ADVANCE_EXPERIMENT, DELETE_DATASET, IMPORT_DATASET, RECORD_PROVENANCE, SCORE_RUN
        from eval_app.webhook_events import OF_EXPERIMENTS
        from jobs import kinds, origins, sweeps
        from training_app import finishers
        from users_app import erasers, exporting, webhook_events

        for kind in (IMPORT_DATASET, DELETE_DATASET, ADVANCE_EXPERIMENT, RECORD_PROVENANCE, SCORE_RUN):
            kinds.register(kind)
        finishers.register("run", runs.collect_generation)
        origins.register("run", experiments.advance_after)
        origins.register(experiments.ORIGIN, experiments.step_ended)
        origins.register(import_requests.ORIGIN, import_requests.import_ended)
        sweeps.register(experiments.advance_stalled)
        sweeps.register(import_requests.sweep_sources)
        webhook_events.tell_of_jobs(IMPORT_DATASET.name)
        webhook_events.register(OF_EXPERIMENTS)
        sweeps.register(import_sweeps.sweep_uploads)
        erasers.register(ERASER)
        exporting.register(EXPORTER)
        for destination in DESTINATIONS:
            navigation.register(destination)
