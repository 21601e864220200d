from django.apps import AppConfig


class CommonConfig(AppConfig):
    name = "common"

    def ready(self) -> None:
        from common.api import converters
        from common.monitoring import readiness
        from common.monitoring.parts import DATABASE, OBJECT_STORE

        converters.register()
        readiness.register(DATABASE)
        readiness.register(OBJECT_STORE)
