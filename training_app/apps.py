from django.apps import AppConfig


class TrainingAppConfig(AppConfig):
    name = "training_app"
    verbose_name = "Personalized models"

    def ready(self) -> None:
        from django.db.models.signals import post_delete

        from common import navigation
        from common.backups import contributions
        from common.monitoring import exposition
        from jobs import kinds, origins, sweeps
        from training_app.backups import CONTRIBUTION
        from training_app.destinations import DESTINATIONS
        from training_app.erasing import ERASER
        from training_app.exports import EXPORTER
        from training_app.generation_sweep import conclude_forsaken, forget_old_generations
        from training_app.generations import ORIGIN, conclude
        from training_app.kinds import GENERATE, RECORD_DEFAULT_MODELS, SWEEP_RETRAINING, TRAIN_ADAPTER
        from training_app.measures import adapters
        from training_app.object_sweep import EVERY_SECONDS, sweep_objects
        from training_app.retraining import steps
        from training_app.retraining import sweeps as retraining_sweeps
        from training_app.retraining.models import RetrainingPolicy
        from training_app.retraining.schedules import policy_deleted
        from training_app.webhook_events import OF_GENERATIONS
        from users_app import erasers, exporting, webhook_events

        exposition.register(adapters)
        kinds.register(TRAIN_ADAPTER)
        kinds.register(GENERATE)
        kinds.register(RECORD_DEFAULT_MODELS)
        kinds.register(SWEEP_RETRAINING)
        sweeps.register(sweep_objects, every_seconds=EVERY_SECONDS)
        erasers.register(ERASER)
        exporting.register(EXPORTER)
        origins.register_for_many(ORIGIN, conclude)
        sweeps.register(conclude_forsaken)
        sweeps.register(retraining_sweeps.advance_stalled)
        post_delete.connect(policy_deleted, sender=RetrainingPolicy, dispatch_uid="training_app.policy_deleted")
        sweeps.register(forget_old_generations, every_seconds=60)
        webhook_events.register(OF_GENERATIONS)
        origins.register(steps.ORIGIN, steps.jobs_ended)
        sweeps.register(steps.advance_stalled)
        sweeps.register(steps.forget_forsaken, every_seconds=60)
        retraining_sweeps.on_begin(steps.begin)
        steps.on_end(retraining_sweeps.retraining_ended)
        # An evaluation run's trainings are steps of an experiment, thousands of them; so are a sweep's.
        webhook_events.tell_of_jobs(TRAIN_ADAPTER.name, unless_asked_by=["run", steps.ORIGIN])
        contributions.register(CONTRIBUTION)
        for destination in DESTINATIONS:
            navigation.register(destination)
