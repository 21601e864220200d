from django.apps import AppConfig


class EvalAppConfig(AppConfig):
    name = "eval_app"
    verbose_name = "Evaluation"

    def ready(self) -> None:
        from common import navigation
        from common.backups import contributions
        from eval_app import (
            experiments,
            import_checks,
            import_requests,
            import_sweeps,
            model_sweep,
            model_trainings,
            runs,
            training_kinds,
        )
        from eval_app.backups import CONTRIBUTION
        from eval_app.destinations import DESTINATIONS
        from eval_app.encoder_trainings import ENCODERS
        from eval_app.erasing import ERASER
        from eval_app.exports import EXPORTER
        from eval_app.kinds import IMPORT_DATASET, KINDS
        from eval_app.selector_runs import SELECTORS
        from eval_app.webhook_events import OF_EXPERIMENTS, OF_MODEL_TRAININGS
        from jobs import kinds, origins, sweeps
        from retrieval_app.retrievers import FINE_TUNED, SELECTING
        from training_app import finishers
        from users_app import erasers, exporting, webhook_events

        for kind in KINDS:
            kinds.register(kind)
        finishers.register("run", runs.collect_generation)
        origins.register("run", experiments.advance_after)
        origins.register(experiments.ORIGIN, experiments.step_ended)
        origins.register(import_requests.ORIGIN, import_requests.import_ended)
        origins.register(import_checks.ORIGIN, import_checks.check_ended)
        origins.register(model_trainings.ORIGIN, model_trainings.jobs_ended)
        sweeps.register(experiments.advance_stalled)
        sweeps.register(model_trainings.advance_stalled)
        sweeps.register(model_sweep.sweep_model_objects, every_seconds=model_sweep.EVERY_SECONDS)
        experiments.hear_of_ends(model_trainings.experiment_ended)
        for kind_of_selector in sorted(SELECTING):
            training_kinds.register(kind_of_selector, SELECTORS)
        for kind_of_encoder in sorted(FINE_TUNED):
            training_kinds.register(kind_of_encoder, ENCODERS)
        sweeps.register(import_requests.sweep_sources, every_seconds=600)
        webhook_events.tell_of_jobs(IMPORT_DATASET.name)
        webhook_events.register(OF_EXPERIMENTS)
        webhook_events.register(OF_MODEL_TRAININGS)
        sweeps.register(import_sweeps.sweep_uploads, every_seconds=600)
        erasers.register(ERASER)
        exporting.register(EXPORTER)
        contributions.register(CONTRIBUTION)
        for destination in DESTINATIONS:
            navigation.register(destination)
