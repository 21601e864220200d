# The image of web, beat and migrate: without torch. Built from the repository's root:
#   docker build --file platform/images/web.Dockerfile --tag lamppost-web .
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
# Another index of packages than pip's own, such as a mirror.
ARG PIP_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PATH=/opt/venv/bin:$PATH
RUN python -m venv /opt/venv
COPY platform/images/build.lock platform/images/web.lock /locks/
# Everything, also what builds those packages that come as source, is of the lock and has its digest.
RUN pip install --no-deps --require-hashes --requirement /locks/build.lock \
    && pip install --no-deps --require-hashes --no-build-isolation --requirement /locks/web.lock \
    && pip uninstall --yes setuptools \
    && pip check
WORKDIR /app
COPY manage.py ./
COPY platform ./platform
COPY users_app ./users_app
COPY retrieval_app ./retrieval_app
COPY training_app ./training_app
COPY eval_app ./eval_app
COPY workers ./workers
ENV PYTHONPATH=/app:/app/platform
# Compiled here, since the running container cannot write. The key signs nothing: collecting files needs none, settings do.
RUN python -m compileall -q manage.py platform users_app retrieval_app training_app eval_app workers \
    && STATIC_ROOT=/app/static SECRET_KEY=while-building python manage.py collectstatic --noinput --verbosity 0

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 lamppost \
    && useradd --uid 10001 --gid lamppost --home-dir /var/lib/lamppost --create-home --shell /usr/sbin/nologin lamppost
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app:/app/platform \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DJANGO_SETTINGS_MODULE=config.settings \
    LAMPPOST_VAR=/var/lib/lamppost \
    STATIC_ROOT=/app/static \
    WEB_BIND=0.0.0.0:8000
WORKDIR /app
USER 10001:10001
EXPOSE 8000
CMD ["gunicorn", "--config", "python:config.gunicorn_options", "--worker-tmp-dir", "/dev/shm"]
