#!/bin/sh
# Is the program in this container well? The proxy is when it answers operators. A server (it has a name) is when the
# proxy counts it among the servers that have every acknowledged write.
set -eu

if [ -z "${TWINSPACE_NAME:-}" ]; then
    exec twinspace --operators 127.0.0.1:7402 --timeout 3s --output json status >/dev/null
fi

status=$(twinspace --timeout 3s --output json status)
insync=$(printf '%s' "$status" | tr -d ' \n' | sed -n 's/.*"insync":\[\([^]]*\)\].*/\1/p')
case ",$insync," in
*",\"$TWINSPACE_NAME\","*) exit 0 ;;
esac
echo "$TWINSPACE_NAME is not among the servers in sync: $insync"
exit 1
