"""Django settings, one module a concern. Everything that differs between machines comes from the environment."""

from config.settings.api import *  # noqa: F403
from config.settings.apps import *  # noqa: F403
from config.settings.audit import *  # noqa: F403
from config.settings.backups import *  # noqa: F403
from config.settings.database import *  # noqa: F403
from config.settings.environment import BASE_DIR as BASE_DIR
from config.settings.environment import VAR_DIR as VAR_DIR
from config.settings.experiments import *  # noqa: F403
from config.settings.generations import *  # noqa: F403
from config.settings.imports import *  # noqa: F403
from config.settings.logging import *  # noqa: F403
from config.settings.migrations import *  # noqa: F403
from config.settings.models import *  # noqa: F403
from config.settings.monitoring import *  # noqa: F403
from config.settings.queue import *  # noqa: F403
from config.settings.quotas import *  # noqa: F403
from config.settings.storage import *  # noqa: F403
from config.settings.web import *  # noqa: F403
from config.settings.webhooks import *  # noqa: F403
