#!/usr/bin/env bash
# Builds the image.
#
# usage: docker/image.sh source TAG          from the sources, in the Swift image
#        docker/image.sh prebuilt TAG BIN    from the programs in BIN, on a base image that is pulled or, where no registry
#                                            can be reached, made here
#        docker/image.sh auto TAG BIN        the first, or where the Swift image cannot be had, the second
#
# PULL=no asks no registry. CACHE is the folder for base images that were made here.
set -euo pipefail
cd "$(dirname "$0")/.."

how=$1
tag=$2
bin=${3:-.build/release}
cache=${CACHE:-.build/docker}
swift_image=$(sed -n 's/^ARG SWIFT_IMAGE=//p' docker/Dockerfile)

# An image that is here already counts as pulled.
have() {
    docker image inspect "$1" >/dev/null 2>&1 ||
        { [ "${PULL:-yes}" = yes ] && timeout 900 docker pull "$1" >/dev/null 2>&1; }
}

from_source() {
    docker build --file docker/Dockerfile --tag "$tag" .
}

from_programs() {
    # The programs are linked with this machine's C library: they run on its own release, or a newer one.
    local id codename base
    id=$(. /etc/os-release && echo "$ID")
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    case "$id" in
    debian) base=debian:$codename-slim ;;
    *) base=$id:$codename ;;
    esac
    if ! have "$base"; then
        base=twinspace-debootstrap:$codename
        docker/base-image.sh "$cache/base-$codename.tar" "$bin"/twinspace "$bin"/twinspace-proxy "$bin"/twinspace-server
        docker import "$cache/base-$codename.tar" "$base" >/dev/null
    fi

    docker build --file docker/Dockerfile --target base --build-arg BASE_IMAGE="$base" --tag "$tag-base" .

    context=$(mktemp -d)
    trap 'rm -rf "$context"' EXIT
    cp "$bin"/twinspace "$bin"/twinspace-proxy "$bin"/twinspace-server "$context/"
    docker build --file docker/prebuilt.Dockerfile --build-arg RUNTIME_BASE="$tag-base" --tag "$tag" "$context"
}

case "$how" in
source) from_source ;;
prebuilt) from_programs ;;
auto)
    if have "$swift_image"; then
        from_source
    else
        echo "the image $swift_image cannot be had; the programs in $bin are used instead"
        from_programs
    fi
    ;;
*)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
