#!/bin/bash
# Is the program in this container well? The proxy is when it answers operators. A server (it has a name) is when its
# event loop turns: it answers at its own port, if only that it was sent no frame. Whether it is in sync is another
# question: one that is brought up to date would otherwise be restarted, and never be done.
set -eu

if [ -z "${TWINSPACE_NAME:-}" ]; then
    exec twinspace --operators 127.0.0.1:7402 --timeout 3s --output json status >/dev/null
fi

port=${TWINSPACE_LISTEN##*:}
# A port that the system has chosen is not known here.
[ "$port" -ne 0 ] || exit 0
answer=$(timeout 3 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port && printf health >&3 && head -c 4 <&3" 2>/dev/null) || true
[ "$answer" = TWSP ] && exit 0
echo "$TWINSPACE_NAME does not answer at port $port within 3 s"
exit 1
