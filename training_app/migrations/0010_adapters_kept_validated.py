"""The constraint of 0009 holds for the rows that were there before, too."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("training_app", "0009_adapters_kept")]

    operations = [ValidateConstraint(model_name="retrainingpolicy", name="retraining_policy_keeps_an_adapter")]
