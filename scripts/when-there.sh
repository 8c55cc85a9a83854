#!/usr/bin/env bash
# Runs a suite, or says loudly that it is not there and ends with 77 (skipped).
#
# usage: scripts/when-there.sh FILE [ARGUMENT]...
set -euo pipefail

if [ ! -e "$1" ]; then
    echo "SKIPPED: there is no $1"
    exit 77
fi
case "$1" in
*.py) exec python3 "$@" ;;
*) exec bash "$@" ;;
esac
