from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('training_app', '0002_exact_and_stored_dtype'),
    ]

    operations = [
        migrations.AddField(
            model_name='generation',
            name='task_version',
            field=models.CharField(blank=True, default='', max_length=64),
        ),
    ]
