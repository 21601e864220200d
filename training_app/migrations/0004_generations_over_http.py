from django.db import migrations, models


def mark_the_answered(apps, schema_editor):
    """What has an answer is done."""
    answered = apps.get_model('training_app', 'Generation').objects.filter(finished_at__isnull=False)
    answered.update(state='done')


class Migration(migrations.Migration):

    dependencies = [
        ('training_app', '0003_generation_task_version'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='generation',
            name='generation_finished_has_output',
        ),
        migrations.AddField(
            model_name='generation',
            name='api_key_id',
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='generation',
            name='asked_method',
            field=models.CharField(blank=True, default='', max_length=20),
        ),
        migrations.AddField(
            model_name='generation',
            name='feedback_client_id',
            field=models.TextField(blank=True, default=''),
        ),
        migrations.AddField(
            model_name='generation',
            name='kind',
            field=models.CharField(choices=[('answer', 'an output'), ('preview', 'a preview')], default='answer', max_length=10),
        ),
        migrations.AddField(
            model_name='generation',
            name='problem_detail',
            field=models.CharField(blank=True, default='', max_length=600),
        ),
        migrations.AddField(
            model_name='generation',
            name='problem_slug',
            field=models.CharField(blank=True, default='', max_length=60),
        ),
        migrations.AddField(
            model_name='generation',
            name='rated_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='generation',
            name='rating',
            field=models.CharField(blank=True, choices=[('accepted', 'accepted'), ('corrected', 'corrected'), ('rejected', 'rejected')], default='', max_length=10),
        ),
        migrations.AddField(
            model_name='generation',
            name='reason',
            field=models.CharField(blank=True, default='', max_length=300),
        ),
        migrations.AddField(
            model_name='generation',
            name='seed',
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='generation',
            name='state',
            field=models.CharField(choices=[('asked', 'asked'), ('done', 'done'), ('failed', 'failed'), ('cancelled', 'cancelled')], default='asked', max_length=10),
        ),
        migrations.RunPython(mark_the_answered, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name='generation',
            index=models.Index(condition=models.Q(('state', 'asked'), models.Q(('asked_method', ''), _negated=True)), fields=['id'], name='generation_under_way'),
        ),
        migrations.AddIndex(
            model_name='generation',
            index=models.Index(condition=models.Q(('finished_at__isnull', False), models.Q(('asked_method', ''), _negated=True)), fields=['finished_at'], name='generation_by_end'),
        ),
        migrations.AddConstraint(
            model_name='generation',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['answer', 'preview'])), name='generation_kind_is_known'),
        ),
        migrations.AddConstraint(
            model_name='generation',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', True), ('problem_slug', ''), ('state', 'asked')), models.Q(('finished_at__isnull', False), ('problem_slug', ''), ('prompt__isnull', False), ('state', 'done'), models.Q(('output__isnull', False), ('kind', 'preview'), _connector='OR')), models.Q(('finished_at__isnull', False), ('state__in', ['failed', 'cancelled']), models.Q(('problem_slug', ''), _negated=True)), _connector='OR'), name='generation_state_has_its_parts'),
        ),
        migrations.AddConstraint(
            model_name='generation',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('feedback_client_id', ''), ('rated_at__isnull', True), ('rating', '')), models.Q(('kind', 'answer'), ('rated_at__isnull', False), ('rating__in', ['accepted', 'corrected']), ('state', 'done')), models.Q(('feedback_client_id', ''), ('kind', 'answer'), ('rated_at__isnull', False), ('rating', 'rejected'), ('state', 'done')), _connector='OR'), name='generation_rating_is_of_an_answer'),
        ),
    ]
