"""Which migrations are released: whoever upgrades has applied these, and may run the version that goes with them."""

# The last of each app, as of the last release; `manage.py check_migrations` judges what came since. Before the first
# release nobody runs a version before, so all that there is counts as released. At a release it is set to what
# `manage.py check_migrations --newest` prints.
RELEASED_MIGRATIONS: dict[str, str | None] = {
    "common": "0002_counted_samples",
    "eval_app": "0012_document_feedback",
    "jobs": "0003_failed_jobs",
    "retrieval_app": "0003_task_versions",
    "training_app": "0008_retraining_steps",
    "users_app": "0033_choices_of_serving_in_the_audit_log",
}
