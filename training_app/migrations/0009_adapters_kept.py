"""How many earlier adapters of a user stay to roll back to."""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("training_app", "0008_retraining_steps")]

    operations = [
        migrations.AddField(
            model_name="retrainingpolicy",
            name="adapters_kept",
            field=models.PositiveIntegerField(
                db_default=3, default=3, help_text="So many earlier adapters of a user stay, to roll back to."
            ),
        ),
        AddConstraintNotValid(
            model_name="retrainingpolicy",
            constraint=models.CheckConstraint(
                condition=models.Q(("adapters_kept__gte", 1)), name="retraining_policy_keeps_an_adapter"
            ),
        ),
    ]
