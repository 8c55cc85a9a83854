#!/usr/bin/env bash
# Puts the client's completions where bash, zsh and fish look for those of installed programs.
#
# usage: scripts/install-completions.sh CLIENT SHARE_FOLDER
set -euo pipefail

client=$1
share=$2
scratch=$(mktemp)
trap 'rm -f "$scratch"' EXIT

while read -r shell place; do
    timeout 10 "$client" completions "$shell" >"$scratch" </dev/null
    install -D -m 0644 "$scratch" "$share/$place"
    echo "$share/$place"
done <<'PLACES'
bash bash-completion/completions/twinspace
zsh zsh/site-functions/_twinspace
fish fish/vendor_completions.d/twinspace.fish
PLACES
