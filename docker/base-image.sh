#!/usr/bin/env bash
# Makes a minimal base image of this machine's own Debian or Ubuntu release, for where no image registry can be reached,
# with the libraries that the given programs need. The result is a tar file for `docker import`; it is kept, and made
# anew when the list of packages changes.
#
# usage: docker/base-image.sh TAR PROGRAM...
# Needs root (debootstrap makes device files and changes its root) and takes about half a minute.
set -euo pipefail

tar_file=$1
shift

codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
id=$(. /etc/os-release && echo "$ID")
[ -n "$codename" ] || { echo "no Debian or Ubuntu: its release has no code name" >&2 && exit 1; }

# The packages that own the libraries the programs load. Asking for the file's name keeps this right where a release
# renamed a package (libuv1t64).
packages=$(ldd "$@" | sed -n 's/^\t\([^ ]*\) => \/.*/\1/p' | sort -u |
    while read -r library; do dpkg-query -S "*/$library" 2>/dev/null | sed 's/:.*//' | head -n 1; done |
    sort -u | paste -sd, -)

list="$tar_file.packages"
if [ -s "$tar_file" ] && [ "$(cat "$list" 2>/dev/null)" = "$codename $packages" ]; then
    exit 0
fi

# The mirror that apt uses here, when it is known.
mirror=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk -v name="$codename" '$1 == name { print $2; exit }')

components=main
[ "$id" = ubuntu ] && components=main,universe

work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
mkdir -p "$(dirname "$tar_file")"
echo "base image: $id $codename with $packages"
if ! timeout 300 debootstrap --variant=minbase --components="$components" --include="$packages" \
    "$codename" "$work/tree" ${mirror:+"$mirror"} >"$work/log" 2>&1 </dev/null; then
    tail -n 20 "$work/log" >&2
    echo "debootstrap could not make a base image" >&2
    exit 1
fi
rm -rf "$work"/tree/var/cache/apt/archives/*.deb "$work"/tree/var/lib/apt/lists/* \
    "$work"/tree/usr/share/{doc,man,info,locale}/*
tar -C "$work/tree" --numeric-owner -cf "$tar_file.part" .
mv "$tar_file.part" "$tar_file"
echo "$codename $packages" >"$list"
