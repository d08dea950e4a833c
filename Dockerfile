# The agent and the aggregator: Debian slim with Debian's Python, and Debian's pyverbs, whose private ABI no wheel matches.
#
# `make image` builds it without a registry, and lists what is in it.
#
#   docker build --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) --tag nvtopo:0.1.0 .
#
# Two builds of one commit differ in what Debian and PyPI changed between them and in nothing of ours: Python packages are
# pinned by constraints.txt, byte code is checked by content and not by time, and all files bear the commit's time. For the
# same base too, pin it: --build-arg BASE=debian@sha256:…
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
ARG SOURCE_DATE_EPOCH=0
RUN apt-get update && apt-get install --yes --no-install-recommends python3 python3-pip python3-venv
COPY setup.cfg pyproject.toml constraints.txt README.md LICENSE /src/
COPY nvtopo /src/nvtopo
# Without pip in it; of the kubernetes package without the half that is for asyncio, which nvtopo does not import. Debian's
# own packages (pyverbs) come into sight only once everything is installed, so that none of them stands in for a pinned one.
RUN python3 -m venv --without-pip /opt/nvtopo \
    && pip --python /opt/nvtopo/bin/python install --no-cache-dir --no-compile --disable-pip-version-check \
        --constraint /src/constraints.txt '/src[kubernetes,aggregator]' \
    && rm -rf /opt/nvtopo/lib/python3*/site-packages/kubernetes/aio \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/nvtopo/lib \
    && sed -i 's/^include-system-site-packages = .*/include-system-site-packages = true/' /opt/nvtopo/pyvenv.cfg \
    && find /opt/nvtopo -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} +

FROM ${BASE}
ARG SOURCE_DATE_EPOCH=0
# What installing leaves behind names the time of the build, and nobody reads it; files made meanwhile get the commit's.
# Nothing in here needs to become another user.
RUN touch /began \
    && apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-pyverbs libudev1 \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/debconf/* /var/cache/ldconfig/aux-cache /tmp/* \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
    && find /bin /etc /lib /opt /root /sbin /srv /usr /var -xdev -newer /began \
        -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} + \
    && rm /began
COPY --from=build /opt/nvtopo /opt/nvtopo
ENV PATH=/opt/nvtopo/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
ENTRYPOINT ["nvtopo"]
CMD ["agent"]
