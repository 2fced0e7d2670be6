#!/bin/sh
# Makes the example image from files on this machine: busybox's web server, which answers with its version, pod and node.
# Usage: make.sh VERSION OUT.tar   (a docker archive, named user-center:VERSION)
set -eu

version=$1
out=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

root=$work/root
mkdir -p "$root/bin" "$root/www/cgi-bin" "$root/tmp" "$root/etc"
cp /bin/busybox "$root/bin/busybox"
for applet in sh httpd wget cat sleep nslookup ls env id ps kill echo tar touch rm mkdir; do
    ln -s busybox "$root/bin/$applet"
done
echo 'root:x:0:0:root:/:/bin/sh' >"$root/etc/passwd"
cat >"$root/www/cgi-bin/index.cgi" <<EOF
#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n'
printf 'user-center %s pod=%s node=%s\n' '$version' "\$POD_NAME" "\$NODE_NAME"
EOF
chmod 755 "$root/www/cgi-bin/index.cgi"
chmod 1777 "$root/tmp"

# A fixed time and order, so that the same files give the same digests.
tar -C "$root" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$work/layer.tar" .
diff_id=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
cat >"$work/config.json" <<EOF
{"architecture":"amd64","os":"linux","created":"1970-01-01T00:00:00Z",
 "config":{"Env":["PATH=/bin"],"Cmd":["httpd","-f","-p","8080","-h","/www"],"ExposedPorts":{"8080/tcp":{}}},
 "rootfs":{"type":"layers","diff_ids":["sha256:$diff_id"]},
 "history":[{"created":"1970-01-01T00:00:00Z","created_by":"examples/user-center/image/make.sh"}]}
EOF
config=$(sha256sum "$work/config.json" | cut -d' ' -f1)
mv "$work/config.json" "$work/$config.json"
cat >"$work/manifest.json" <<EOF
[{"Config":"$config.json","RepoTags":["user-center:$version"],"Layers":["layer.tar"]}]
EOF
tar -C "$work" --sort=name --owner=0 --group=0 --mtime=@0 -cf "$out" manifest.json "$config.json" layer.tar
