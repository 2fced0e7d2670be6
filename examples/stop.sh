#!/bin/sh
# Ends the cluster that run.sh started, and its registry, without trace.
set -eu

sampan=${SAMPAN:-sampan}
export SAMPAN_DATA_DIR="${SAMPAN_DATA_DIR:-/var/lib/sampan}"
registry_dir=$SAMPAN_DATA_DIR-example-registry

if [ -f "$registry_dir/pid" ]; then
    pid=$(cat "$registry_dir/pid")
    # The pid may be another process by now: only a registry is ended.
    if tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q "docker-registry serve $registry_dir"; then
        kill "$pid"
    fi
fi
rm -rf "$registry_dir"
[ -x "$sampan" ] || { echo "no binary at $sampan: make build" >&2; exit 1; }
"$sampan" reset --yes
