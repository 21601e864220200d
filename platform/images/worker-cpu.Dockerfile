# The image of workers without a GPU. TORCH_INDEX names the index of torch's builds for CPUs; left out, pip's own is asked,
# whose torch brings some gigabytes of libraries for GPUs. Built from the repository's root:
#   docker build --file platform/images/worker-cpu.Dockerfile --build-arg TORCH_INDEX=… --tag lamppost-worker-cpu .
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
# Another index of packages than pip's own, such as a mirror; and the one that torch's build comes from.
ARG PIP_INDEX_URL
ARG TORCH_INDEX
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PATH=/opt/venv/bin:$PATH
RUN python -m venv /opt/venv
COPY platform/images/build.lock platform/images/worker.lock platform/images/torch.txt /locks/
# Everything, also what builds those packages that come as source, is of the lock and has its digest; torch's version is,
# and what it needs beside its build for this machine.
RUN pip install --no-deps --require-hashes --requirement /locks/build.lock \
    && pip install --no-deps --require-hashes --no-build-isolation --requirement /locks/worker.lock \
    && pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} --requirement /locks/torch.txt \
    && pip check
WORKDIR /app
COPY manage.py ./
COPY platform ./platform
COPY users_app ./users_app
COPY retrieval_app ./retrieval_app
COPY training_app ./training_app
COPY eval_app ./eval_app
COPY workers ./workers
# Compiled here, since the running container cannot write.
RUN python -m compileall -q manage.py platform users_app retrieval_app training_app eval_app workers

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 lamppost \
    && useradd --uid 10001 --gid lamppost --home-dir /var/lib/lamppost --create-home --shell /usr/sbin/nologin lamppost \
    && install --directory --owner lamppost --group lamppost /var/lib/lamppost/hub /var/lib/lamppost/scratch
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app:/app/platform \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DJANGO_SETTINGS_MODULE=config.settings \
    LAMPPOST_VAR=/var/lib/lamppost \
    HF_HOME=/var/lib/lamppost/hub \
    TMPDIR=/var/lib/lamppost/scratch \
    MODEL_DEVICE=cpu
WORKDIR /app
USER 10001:10001
CMD ["celery", "--app", "config", "worker", "--loglevel", "INFO", "--hostname", "worker@%h", "--without-gossip", \
     "--without-mingle", "--without-heartbeat", "--queues", "cpu", "--pool", "prefork", "--concurrency", "2"]
