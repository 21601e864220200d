from django.apps import AppConfig


class TrainingAppConfig(AppConfig):
    name = "training_app"
    verbose_name = "Personalized models"

    def ready(self) -> None:
        from jobs import kinds, sweeps
        from training_app.kinds import GENERATE, TRAIN_ADAPTER
        from training_app.object_sweep import sweep_objects

        kinds.register(TRAIN_ADAPTER)
        kinds.register(GENERATE)
        sweeps.register(sweep_objects)
