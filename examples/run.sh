#!/bin/sh
# The main job: a cluster, an image from a registry, 20 containers of it, one name for them. Run again, it is harmless.
# Exits 0 only if all of it holds. SAMPAN: the binary. SAMPAN_DATA_DIR: where the cluster lies.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
sampan=${SAMPAN:-sampan}
export SAMPAN_DATA_DIR="${SAMPAN_DATA_DIR:-/var/lib/sampan}"
registry_port=5443
registry_dir=$SAMPAN_DATA_DIR-example-registry

say() { printf '\n==> %s\n' "$*"; }
fail() { printf 'make run: %s\n' "$*" >&2; exit 1; }
kubectl() { "$sampan" kubectl "$@"; }

[ "$(id -u)" = 0 ] || fail 'run as root: containers need namespaces, mounts and cgroups'
[ -x "$sampan" ] || fail "no binary at $sampan: make build"

say 'starting the cluster'
started=$(date +%s%N)
"$sampan" up --detach
printf 'took %d ms\n' $((($(date +%s%N) - started) / 1000000))

say "an image registry on 127.0.0.1:$registry_port, and the example image in it, as v1.0 and v2.0"
mkdir -p "$registry_dir"
if ! { [ -f "$registry_dir/pid" ] && kill -0 "$(cat "$registry_dir/pid")" 2>/dev/null; }; then
    cat >"$registry_dir/config.yml" <<EOF
version: 0.1
log: { level: error }
storage: { filesystem: { rootdirectory: $registry_dir/data } }
http: { addr: 127.0.0.1:$registry_port }
EOF
    setsid docker-registry serve "$registry_dir/config.yml" >"$registry_dir/log" 2>&1 </dev/null &
    echo $! >"$registry_dir/pid"
fi
for version in v1.0 v2.0; do
    sh "$here/user-center/image/make.sh" "$version" "$registry_dir/user-center-$version.tar"
    skopeo copy --quiet --retry-times 5 --dest-tls-verify=false "docker-archive:$registry_dir/user-center-$version.tar" \
        "docker://127.0.0.1:$registry_port/user-center:$version"
done

say 'applying examples/user-center'
kubectl apply -f "$here/user-center/"
kubectl wait --for=condition=Available deployment/user-center -n user-center --timeout=120s
kubectl wait --for=condition=Ready pod/client -n user-center --timeout=60s
kubectl get deployment,pods,service -n user-center -o wide

vip=$(kubectl get service user-center -n user-center -o 'jsonpath={.spec.clusterIP}')
say "calling the service: from this machine by its VIP $vip, from a pod by its name"
by_vip=$(busybox wget -qO- "http://$vip/") || fail "no answer from http://$vip/"
printf '%s\n' "$by_vip"
by_name=$(kubectl exec -n user-center client -- wget -qO- http://user-center.user-center.svc.cluster.local/) ||
    fail 'no answer by name from the pod "client"'
printf '%s\n' "$by_name"
case "$by_vip$by_name" in
*'user-center v'*'user-center v'*) ;;
*) fail 'the answers are not those of the example image' ;;
esac

cat <<EOF

All of it holds: 20 containers answer at one address.

  kubeconfig   export KUBECONFIG=$SAMPAN_DATA_DIR/admin.kubeconfig
  VIP          http://$vip/
  look         $sampan kubectl get pods -n user-center -o wide
  roll to v2   $sampan kubectl patch deployment user-center -n user-center -p \\
                 '{"spec":{"template":{"spec":{"containers":[{"name":"user-center","image":"127.0.0.1:$registry_port/user-center:v2.0"}]}}}}'
  logs         $sampan kubectl logs -n user-center deployment/user-center
  end it all   make stop
EOF
