#!/bin/sh
# Installs the Debian packages that building, testing and running need, if any is missing. Says so when it cannot.
# `packages.sh browser`: also what drives the web UI's test, and the virtual machine that Sampan is tried in under systemd.
# These tests say that they skip where that cannot be had.
set -eu

packages='mold nftables iproute2 conntrack busybox-static docker-registry skopeo protobuf-compiler containerd containernetworking-plugins etcd-server etcd-client'
welcome=''
# With fonts for what the pages say in Japanese and Chinese.
[ "${1-}" != browser ] || welcome='chromium fonts-noto-cjk qemu-system-x86 systemd'
missing_of() {
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || printf ' %s' "$package"
    done
}
# shellcheck disable=SC2086
missing=$(missing_of $packages)
# shellcheck disable=SC2086
wished=$(missing_of $welcome)
[ -z "$missing$wished" ] && exit 0
if [ "$(id -u)" != 0 ]; then
    [ -z "$wished" ] || echo "tests will skip without, as root: apt-get install$wished" >&2
    [ -z "$missing" ] && exit 0
    echo "missing packages; as root: apt-get install$missing" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# The packages' own services must not start: nothing here uses them, and a registry would take a port.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
if ! apt-get update -qq; then
    echo 'the package lists could not be fetched' >&2
    [ -z "$missing" ] && exit 0
    exit 1
fi
# shellcheck disable=SC2086
[ -z "$missing" ] || apt-get install -y -qq --no-install-recommends $missing >/dev/null
for package in $wished; do
    apt-get install -y -qq --no-install-recommends "$package" >/dev/null ||
        echo "$package could not be installed: a test will skip" >&2
done
