# Two images, without root and without build tools:
#   docker build --target core -t escalometer .         # profile, compare and gate tables of decisions
#   docker build --target full -t escalometer:full .    # evaluate and train models too, on the CPU
#
#   docker run --rm -v "$PWD:/work" escalometer gate decisions.parquet --cost-ratio 4
#   docker run --rm -v "$PWD:/work" -v escalometer-weights:/cache -e OPENAI_API_KEY escalometer:full \
#       evaluate gpt-5-mini --max-cost 5
#
# /work is the folder of the caller, /cache holds downloaded weights. Files in /work belong to the
# user 10001; add `--user "$(id -u):$(id -g)"` to keep them yours.
ARG BASE=python:3.12-slim-bookworm

FROM ${BASE} AS tools
WORKDIR /src
COPY requirements-uv.lock ./
RUN python3 -m venv /opt/uv \
    && /opt/uv/bin/python -m pip install --no-cache-dir --require-hashes --no-deps -r requirements-uv.lock
ENV PATH=/opt/uv/bin:$PATH UV_LINK_MODE=copy UV_NO_CACHE=1
RUN uv venv --python "$(command -v python3)" /opt/escalometer
ENV VIRTUAL_ENV=/opt/escalometer

FROM tools AS wheel
COPY . .
RUN uv build --wheel --out-dir /dist

FROM tools AS core-packages
COPY requirements-core.lock ./
RUN uv pip install --require-hashes --no-deps -r requirements-core.lock
COPY --from=wheel /dist /dist
RUN uv pip install --no-deps /dist/*.whl

FROM tools AS full-packages
COPY requirements.lock ./
COPY --from=wheel /dist /dist
ARG TORCH=torch==2.13.0
ARG TORCH_BACKEND=cpu
# The lock as a constraint: without the developers' tools, which are in it too.
RUN uv pip install --torch-backend="${TORCH_BACKEND}" --constraint requirements.lock "${TORCH}" \
    "$(ls /dist/*.whl)[all]"

FROM ${BASE} AS person
RUN useradd --uid 10001 --create-home escalometer \
    && install -d -o escalometer -g escalometer /work /cache
ENV PATH=/opt/escalometer/bin:$PATH \
    ESCALOMETER_CACHE=/cache \
    MLFLOW_DISABLE_TELEMETRY=true \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    PYTHONUNBUFFERED=1
WORKDIR /work
VOLUME ["/cache"]
ENTRYPOINT ["escalometer"]
CMD ["--help"]

FROM person AS core
COPY --from=core-packages /opt/escalometer /opt/escalometer
USER 10001

FROM person AS full
# git: DVC keeps a project in it.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/*
COPY --from=full-packages /opt/escalometer /opt/escalometer
USER 10001
