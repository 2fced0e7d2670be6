#!/bin/sh
# The first program of the guest: finds the disk, and leaves the rest to systemd.
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk; do
    # A kernel may have it built in.
    [ ! -e "/modules/$module.ko" ] || insmod "/modules/$module.ko"
done
if ! mount -t ext4 /dev/vda /root; then
    echo 'FAILED: no disk'
    poweroff -f
fi
for place in dev proc sys; do mount -o move /$place /root/$place; done
exec switch_root /root /lib/systemd/systemd
