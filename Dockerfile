# docker build --target cpu -t expirespan:cpu .      docker build --target cuda -t expirespan:cuda .
# docker run --rm -v "$PWD/runs:/work/runs" expirespan:cpu train corridor-quick
# docker run --rm --gpus all -v "$PWD/runs:/work/runs" expirespan:cuda train corridor --device cuda
# VERSION is stated where the context has no .git: --build-arg VERSION=0.1.0

ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS wheel
ARG VERSION=""
WORKDIR /source
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev git \
    && rm -rf /var/lib/apt/lists/*
COPY . .
RUN if [ -n "$VERSION" ]; then export SETUPTOOLS_SCM_PRETEND_VERSION="$VERSION"; fi \
    && git config --global --add safe.directory /source \
    && pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:${PYTHON}-slim AS base
ENV PYTHONUNBUFFERED=1 WANDB_MODE=offline
RUN useradd --create-home --uid 1000 user && mkdir -p /work/runs && chown -R user /work
COPY --from=wheel /wheels /wheels
COPY constraints.txt /wheels/constraints.txt

FROM base AS cuda
# PyTorch of PyPI brings the CUDA libraries; the host brings the driver.
RUN pip install --no-cache-dir -c /wheels/constraints.txt /wheels/*.whl
USER 1000
WORKDIR /work
ENTRYPOINT ["expirespan"]
CMD ["--help"]

FROM base AS cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --no-cache-dir -c /wheels/constraints.txt --index-url "$TORCH_INDEX" torch \
    && pip install --no-cache-dir -c /wheels/constraints.txt /wheels/*.whl
USER 1000
WORKDIR /work
ENTRYPOINT ["expirespan"]
CMD ["--help"]
