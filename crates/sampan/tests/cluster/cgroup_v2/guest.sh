#!/bin/sh
# Makes a machine with systemd and nothing but control groups v2: FOLDER/initrd and FOLDER/disk, of this machine's own
# programs and a Debian kernel's modules. Usage: guest.sh FOLDER KERNEL SAMPAN
# KERNEL is the content of a kernel's package; FOLDER has image.tar, which the guest's containers are made of.
set -eu

folder=$1
kernel=$2
sampan=$3
here=$(dirname "$(realpath "$0")")
release=$(ls "$kernel/lib/modules")
modules=$kernel/lib/modules/$release
first=$folder/first
root=$folder/root

mkdir -p "$first/bin" "$first/dev" "$first/proc" "$first/sys" "$first/root" "$first/modules"
cp /bin/busybox "$first/bin/"
for applet in sh mount insmod switch_root poweroff; do ln -s busybox "$first/bin/$applet"; done
find "$modules" -name 'virtio*.ko' -exec cp -t "$first/modules" {} +
cp "$here/init.sh" "$first/init"
chmod 755 "$first/init"
(cd "$first" && find . | busybox cpio -o -H newc 2>/dev/null) >"$folder/initrd"

mkdir "$root"
cd "$root"
mkdir -p bin sbin usr/bin usr/sbin dev proc sys run tmp root var/lib var/log etc/systemd/system lib/systemd/system lib64 \
    "lib/modules/$release"
copy() {
    for file in "$@"; do
        [ -e ".$file" ] || { mkdir -p ".$(dirname "$file")" && cp -L "$file" ".$file"; }
    done
}
# What programs are linked to.
libraries() {
    ldd "$@" | grep -v ':$' | grep -o '/[^ ]*' | sort -u
}
cp /bin/busybox bin/
for applet in $(busybox --list); do
    case $applet in busybox | init | ip) ;; *) ln -s busybox "bin/$applet" ;; esac
done
ln -s ../bin/busybox sbin/modprobe
# shellcheck disable=SC2046
{
    set -- /lib/systemd/systemd /lib/systemd/systemd-shutdown /bin/systemctl "$(command -v nft)" "$(command -v conntrack)" \
        "$(command -v ip)"
    copy "$@" $(libraries "$@" "$sampan")
}
# Without what only debuggers want it is half as large.
strip --strip-all -o usr/bin/sampan "$sampan"
for unit in sysinit basic shutdown multi-user network-online slices sockets; do
    cp "/lib/systemd/system/$unit.target" lib/systemd/system/
done
(cd "$modules" && cp -r --parents modules.builtin modules.order kernel/fs/overlayfs kernel/net/netfilter kernel/net/ipv4 \
    kernel/net/ipv6 kernel/lib kernel/drivers/net/veth.ko "$root/lib/modules/$release/")
busybox depmod -b "$root" "$release"
chmod 1777 tmp
echo 'root:x:0:0:root:/root:/bin/sh' >etc/passwd
echo 'root:x:0:' >etc/group
echo guest >etc/hostname
echo '127.0.0.1 localhost guest' >etc/hosts
: >etc/machine-id
: >etc/resolv.conf
cp -r "$here/etc/." etc/
cp "$here/checks.sh" "$here/pods.yaml" "$folder/image.tar" root/
truncate -s 1500M "$folder/disk"
mkfs.ext4 -q -O '^has_journal' -d "$root" "$folder/disk"
