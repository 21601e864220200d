from django.db import migrations, models
import django.db.models.deletion
import django.db.models.functions.datetime


class Migration(migrations.Migration):

    dependencies = [
        ('users_app', '0002_api_keys'),
    ]

    operations = [
        migrations.CreateModel(
            name='WorkspaceTask',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=100)),
                ('number', models.PositiveIntegerField()),
                ('version', models.CharField(max_length=64)),
                ('definition', models.JSONField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='users_app.apikey')),
                ('workspace', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='tasks', to='users_app.workspace')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('workspace', 'key', 'number'), name='workspace_task_number_once'), models.CheckConstraint(condition=models.Q(('number__gte', 1)), name='workspace_task_number_counts_from_one'), models.CheckConstraint(condition=models.Q(('key', ''), _negated=True), name='workspace_task_has_a_key')],
            },
        ),
    ]
