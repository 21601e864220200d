"""How Celery is told to behave; read when it is first used, after the Django settings."""

from django.conf import settings
from kombu import Queue

broker_url = settings.BROKER_URL
# Celery's commands take the variable BROKER_URL for an option of theirs and put it before `broker_url`: without the
# password, where that is in a file.
broker_read_url = broker_write_url = settings.BROKER_URL
broker_connection_retry_on_startup = True
broker_connection_max_retries = None  # A worker waits for its broker however long that is away.
# A broker that does not answer must not hold up whoever enqueues: the row is stored, and the sweep rings later.
broker_connection_timeout = 3
broker_transport_options = {
    "socket_connect_timeout": 3,
    "socket_timeout": 10,
    "socket_keepalive": True,
    # A bell is gone from Redis once it is taken; that it was answered is not written there. Celery only logs an
    # acknowledgement that fails, and the bell would count against the prefetch limit for ever: a worker that was busy
    # when Redis went away would never listen again. A bell that dies with its worker is one that the sweep rings.
    "ack_emulation": False,
}

# Jobs keep their own state, attempts, schedule and results.
task_ignore_result = True
result_backend = None
task_store_errors_even_if_ignored = False

accept_content = ["json"]
task_serializer = "json"
event_serializer = "json"

# A process takes one bell at a time, and a busy one reserves none: it would keep it from an idle one. As it is
# acknowledged late, a bell counts as taken until it was answered.
worker_prefetch_multiplier = 1
task_acks_late = True
task_reject_on_worker_lost = False

task_queues = [Queue("cpu"), Queue("model"), Queue("training")]
task_default_queue = "cpu"
task_create_missing_queues = False

# A worker is a row with a heartbeat (jobs.models.Worker): liveness needs no remote control over the broker.
worker_enable_remote_control = False
worker_send_task_events = False
worker_hijack_root_logger = False

# A job's run may take one bell; connections to the database last over several.
CELERY_DB_REUSE_MAX = 100

# Schedules stand in the database, where the admin edits them; the sweep is not among them (see jobs.sweeper).
beat_scheduler = "django_celery_beat.schedulers:DatabaseScheduler"
timezone = settings.TIME_ZONE
enable_utc = True
