from django.db import migrations, models
from django.db.models import F
from django.db.models.functions import Abs


class Migration(migrations.Migration):
    dependencies = [
        ("eval_app", "0009_experiment_comparisons"),
    ]

    operations = [
        migrations.AddField(
            model_name="userimprovement",
            name="gain",
            field=models.GeneratedField(
                db_persist=True,
                expression=F("direction") * Abs(F("score") - F("baseline_score")),
                output_field=models.FloatField(),
            ),
        ),
        migrations.AddIndex(
            model_name="userimprovement",
            index=models.Index(fields=["run", "baseline", "gain", "end_user"], name="improvement_by_gain"),
        ),
        migrations.AddIndex(
            model_name="userimprovement",
            index=models.Index(fields=["run", "baseline", "profile_size", "end_user"], name="improvement_by_size"),
        ),
        migrations.AddIndex(
            model_name="userimprovement",
            index=models.Index(
                fields=["run", "baseline", "direction", "profile_size", "end_user"], name="improvement_by_way_and_size"
            ),
        ),
    ]
