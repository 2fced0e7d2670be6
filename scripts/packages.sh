#!/bin/sh
# Installs the Debian packages that building, testing and running need, if any is missing. Says so when it cannot.
set -eu

packages='mold nftables iproute2 conntrack busybox-static docker-registry skopeo protobuf-compiler containerd'
missing=''
for package in $packages; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ]; then
    echo "missing packages; as root: apt-get install$missing" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# A package's own service must not start: nothing here uses it.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d.sampan
chmod 755 /usr/sbin/policy-rc.d.sampan
[ -e /usr/sbin/policy-rc.d ] || { mv /usr/sbin/policy-rc.d.sampan /usr/sbin/policy-rc.d; ours=1; }
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
rm -f /usr/sbin/policy-rc.d.sampan
[ -z "${ours:-}" ] || rm -f /usr/sbin/policy-rc.d
