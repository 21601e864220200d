from django.apps import AppConfig


class TrainingAppConfig(AppConfig):
    name = "training_app"
    verbose_name = "Personalized models"

    def ready(self) -> None:
        from jobs import kinds
        from training_app.kinds import GENERATE, TRAIN_ADAPTER

        kinds.register(TRAIN_ADAPTER)
        kinds.register(GENERATE)
