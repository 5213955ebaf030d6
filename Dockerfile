# motionrt as a server: docker build -t motionrt . && docker run --rm -p 127.0.0.1:8780:8780 motionrt
# With a GPU: --build-arg EXTRAS=gpu,serve, and run with --gpus all.
FROM python:3.12-slim-bookworm AS wheel
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:3.12-slim-bookworm
ARG EXTRAS=cpu,serve
COPY --from=wheel /wheel /wheel
# The wheel is the one made above, and no pinned release of its own.
# hadolint ignore=DL3013
RUN wheel="$(ls /wheel/*.whl)" \
    && pip install --no-cache-dir "${wheel}[${EXTRAS}]" \
    && rm -r /wheel \
    && useradd --create-home --uid 10001 motionrt
USER 10001
# Bundles lie here, and requests name them as `serve /bundles/soma` or `gen --model soma`.
ENV MOTIONRT_BUNDLE_DIR=/bundles
VOLUME /bundles
EXPOSE 8780
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8780/healthz', timeout=4)"]
ENTRYPOINT ["motionrt"]
CMD ["serve", "--host", "0.0.0.0"]
