# The programs as this machine built them, on the stage `base` of docker/Dockerfile; see docker/image.sh. The context
# holds the three programs and nothing else.
ARG RUNTIME_BASE=twinspace-base
FROM ${RUNTIME_BASE}
COPY twinspace twinspace-proxy twinspace-server /usr/local/bin/
