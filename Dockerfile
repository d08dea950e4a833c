# The agent and the aggregator: Debian slim with Debian's Python, and Debian's pyverbs, whose private ABI no wheel matches.
#
# `make image` builds it for amd64 and arm64 without a registry, and lists what is in it (docs/supply-chain.md).
#
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) \
#       --build-arg BASE=debian@sha256:… --tag nvtopo:0.1.0 .
#
# Two builds of one commit differ in what Debian changed between them and in nothing else: each Python package is accepted
# by its hash only (image/requirements.txt), byte code is checked by content and not by time, and all files bear the
# commit's time. BASE has no default, and what has no digest is refused; BUILD_BASE is the base of the machine that builds.
ARG BASE
ARG BUILD_BASE=${BASE}

FROM --platform=$BUILDPLATFORM ${BUILD_BASE} AS build
ARG BUILD_BASE
ARG SOURCE_DATE_EPOCH=0
RUN test "${BUILD_BASE#*@sha256:}" != "${BUILD_BASE}" \
    && apt-get update && apt-get install --yes --no-install-recommends python3 python3-pip python3-venv
COPY image/requirements.txt image/requirements-build.txt /src/
# What builds nvtopo's own wheel.
RUN python3 -m venv /build \
    && /build/bin/pip install --no-cache-dir --disable-pip-version-check --only-binary :all: \
        --require-hashes --requirement /src/requirements-build.txt
# Nothing here runs a program of the target, so that no part of this stage is emulated: pip takes the wheels of the target's
# machine, and nvtopo's own has no machine. Without pip in it; of the kubernetes package without the half that is for asyncio,
# which nvtopo does not import. Debian's own packages (pyverbs) come into sight only once everything is installed, so that
# none of them stands in for a pinned one.
ARG TARGETARCH
RUN machine="$(python3 -c "print({'amd64': 'x86_64', 'arm64': 'aarch64'}['${TARGETARCH}'])")" \
    && python3 -m venv --without-pip /opt/nvtopo \
    && python3 -m pip install --no-cache-dir --no-compile --disable-pip-version-check --no-deps \
        --only-binary :all: --platform "manylinux_2_28_${machine}" --platform "manylinux2014_${machine}" \
        --target "$(echo /opt/nvtopo/lib/python3*/site-packages)" \
        --require-hashes --requirement /src/requirements.txt \
    && rm -rf /opt/nvtopo/lib/python3*/site-packages/bin /opt/nvtopo/lib/python3*/site-packages/kubernetes/aio
COPY setup.cfg pyproject.toml README.md LICENSE /src/
COPY nvtopo /src/nvtopo
RUN /build/bin/pip wheel --no-cache-dir --disable-pip-version-check --no-build-isolation --no-deps --wheel-dir /wheels /src \
    && pip --python /opt/nvtopo/bin/python install --no-compile --disable-pip-version-check --no-deps \
        --no-index --find-links /wheels nvtopo \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/nvtopo/lib \
    && sed -i 's/^include-system-site-packages = .*/include-system-site-packages = true/' /opt/nvtopo/pyvenv.cfg \
    && find /opt/nvtopo -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} +

FROM ${BASE}
ARG BASE
ARG SOURCE_DATE_EPOCH=0
# What installing leaves behind names the time of the build, and nobody reads it; files made meanwhile get the commit's.
# Nothing in here needs to become another user.
RUN test "${BASE#*@sha256:}" != "${BASE}" \
    && touch /began \
    && apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-pyverbs libudev1 \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/debconf/* /var/cache/ldconfig/aux-cache /tmp/* \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
    && find /bin /etc /lib /opt /root /sbin /srv /usr /var -xdev -newer /began \
        -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} + \
    && rm /began
COPY --from=build /opt/nvtopo /opt/nvtopo
# Manual pages of all verbs, for who copies them out or installs man in an image of their own; none names a date.
RUN PYTHONDONTWRITEBYTECODE=1 /opt/nvtopo/bin/nvtopo man --output /opt/nvtopo/share/man/man1 \
    && find /opt/nvtopo/share -exec touch --date="@${SOURCE_DATE_EPOCH}" {} + \
    && touch --date="@${SOURCE_DATE_EPOCH}" /opt/nvtopo
ENV PATH=/opt/nvtopo/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
ENTRYPOINT ["nvtopo"]
CMD ["agent"]
