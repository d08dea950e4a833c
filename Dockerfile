# The agent and the aggregator: Debian slim with Debian's Python, and Debian's pyverbs, whose private ABI no wheel matches.
FROM debian:bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-venv
COPY setup.cfg pyproject.toml constraints.txt README.md LICENSE /src/
COPY nvtopo /src/nvtopo
RUN python3 -m venv --system-site-packages /opt/nvtopo \
    && /opt/nvtopo/bin/pip install --no-cache-dir --constraint /src/constraints.txt '/src[kubernetes,aggregator]'

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-pyverbs libudev1 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/nvtopo /opt/nvtopo
ENV PATH=/opt/nvtopo/bin:$PATH PYTHONUNBUFFERED=1
USER 65532:65532
ENTRYPOINT ["nvtopo"]
CMD ["agent"]
