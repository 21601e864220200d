from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0001_initial'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='job',
            index=models.Index(models.F('workspace_id'), models.F('id'), condition=models.Q(('workspace_id__isnull', False)), name='job_of_workspace'),
        ),
    ]
