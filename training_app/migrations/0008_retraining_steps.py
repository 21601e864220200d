from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('training_app', '0007_retraining'),
    ]

    operations = [
        migrations.AddField(
            model_name='retraining',
            name='settings',
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.AddIndex(
            model_name='adapter',
            index=models.Index(condition=models.Q(('is_trial', True)), fields=['id'], name='adapter_trials'),
        ),
    ]
