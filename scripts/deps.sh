#!/usr/bin/env bash
# Installs the system packages that are missing, by name, and nothing else. Silent and quick when all are there.
#
# usage: scripts/deps.sh [--] PACKAGE...
set -euo pipefail

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    missing=()
    for library in libuv libpcre2-8 libmicrohttpd libedit; do
        pkg-config --exists "$library" 2>/dev/null || missing+=("$library")
    done
    command -v python3 >/dev/null || missing+=("python3")
    if [ ${#missing[@]} -eq 0 ]; then
        exit 0
    fi
    cat >&2 <<TEXT
This is no Debian or Ubuntu, so the missing packages cannot be installed from here.
pkg-config and the tools find no: ${missing[*]}
Needed, with headers and pkg-config files: libuv >= 1.44, PCRE2 (8-bit) >= 10.42, libmicrohttpd >= 0.9.75, libedit,
and python3 for the tests. \`make demo\` also reads the IEEE OUI registry (Debian's package ieee-data).
TEXT
    exit 1
fi

missing=()
for package in "$@"; do
    [ "$package" = "--" ] && continue
    state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = "installed" ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "missing packages: ${missing[*]}; run as root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi

echo "installing: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# An index that cannot be renewed (one of several sources is down, say) need not be in the way.
timeout 600 "${as_root[@]}" apt-get update -q >"$log" 2>&1 </dev/null || true
if ! timeout 1200 "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "${missing[@]}" >>"$log" 2>&1 </dev/null; then
    tail -n 30 "$log" >&2
    echo "could not install: ${missing[*]}" >&2
    exit 1
fi
