from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('retrieval_app', '0002_trained_models'),
    ]

    operations = [
        migrations.AddField(
            model_name='trainedmodel',
            name='task_versions',
            field=models.JSONField(blank=True, default=dict),
        ),
    ]
