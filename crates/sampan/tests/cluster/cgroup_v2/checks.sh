#!/bin/sh
# What this machine, which has systemd and only control groups v2, makes of Sampan: a line `ok NAME` for each check that
# holds, in their order. Ends the machine behind the last, or behind the first that does not hold.
set -u

export KUBECONFIG=/var/lib/sampan/admin.kubeconfig
groups=/sys/fs/cgroup
# By its path: busybox's shell has one of its own.
ip=$(find /sbin /usr/sbin /bin /usr/bin -name ip | head -n 1)
kubectl() { sampan kubectl "$@"; }

end() {
    echo "$1"
    sync
    poweroff -f
    exit
}

# Says why, and what the machine looks like.
fail() {
    echo "FAILED: $*"
    systemctl status --no-pager sampan
    kubectl get events,pods -A -o wide
    find "$groups"/sampan-* -type d
    tail -n 60 /var/log/sampan
    end 'checks failed'
}

ok() { echo "ok $1 at $(cut -d' ' -f1 /proc/uptime)"; }

same() { [ "$2" = "$3" ] || fail "$1: $2, not $3"; }

# within_five_percent WHAT ONE OTHER
within_five_percent() {
    echo "$1: $2 beside $3"
    awk "BEGIN { off = $2 - $3; exit !($3 > 0 && off * off <= 0.0025 * $3 * $3) }" || fail "$1: $2 is not $3"
}

# until_is VALUE COMMAND…
until_is() {
    wanted=$1
    shift
    tries=0
    while seen=$("$@" 2>&1); [ "$seen" != "$wanted" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || fail "$*: $seen, not $wanted"
        sleep 1
    done
}

field() { kubectl get "$1" -o "jsonpath={$2}"; }

# The folder of a container's group, of the newest instance.
group_of() {
    id=$(field "pod/$1" ".status.containerStatuses[?(@.name=='$2')].containerID")
    found=$(find "$groups"/sampan-*/kubepods -type d -name "${id##*/}")
    [ -n "$found" ] || fail "no group of $1's $2, $id"
    echo "$found"
}

# What keeps a pod's life: ids, starts and restarts.
lives() {
    kubectl get pods -o 'jsonpath={range .items[*]}{.metadata.name} {range .status.containerStatuses[*]}{.containerID} {.restartCount} {.state.running.startedAt} {end}{"\n"}{end}'
}

service_ready() { [ "$(systemctl is-active sampan)" = active ] && kubectl get --raw /readyz; }

begins_as_a_unit() {
    for line in 'link set lo up' 'link add eth0 type veth peer name eth1' 'addr add 192.0.2.1/24 dev eth0' 'link set eth0 up' 'link set eth1 up'; do
        # shellcheck disable=SC2086
        $ip $line || fail "ip $line"
    done
    same 'the file system of control groups' "$(stat -f -c %t "$groups")" 63677270
    sampan service install --data-dir /var/lib/sampan --node-ip 192.0.2.1 --metrics-interval 5 || fail 'service install'
    until_is ok service_ready
    sampan image import /root/image.tar || fail 'image import'
    main=$(systemctl show -p MainPID --value sampan)
    same "the unit's group" "$(cat "/proc/$main/cgroup")" 0::/system.slice/sampan.service
    ok begins_as_a_unit
}

runs_pods() {
    until kubectl get serviceaccount default >/dev/null 2>&1; do sleep 0.2; done
    kubectl apply -f /root/pods.yaml || fail apply
    kubectl wait --for=condition=Ready pod/web pod/busy --timeout=100s || fail 'pods are ready'
    until_is Failed field pod/ended .status.phase
    same 'exit code' "$(field pod/ended '.status.containerStatuses[0].state.terminated.exitCode')" 7
    same log "$(kubectl logs ended)" 'said before the end'
    same exec "$(kubectl exec web -- cat /proc/self/cgroup)" 0::/
    ok runs_pods
}

kills_what_takes_too_much_memory() {
    last='.status.containerStatuses[0].lastState.terminated'
    until_is 'OOMKilled 137 1' field pod/hungry "$last.reason} {$last.exitCode} {.status.containerStatuses[0].restartCount"
    kubectl wait --for=condition=Ready pod/hungry --timeout=100s || fail 'the killed container is back'
    ok kills_what_takes_too_much_memory
}

limits_in_the_files_of_v2() {
    burn=$(group_of busy burn)
    hold=$(group_of busy hold)
    files='memory.max memory.oom.group memory.min memory.high cpu.max cpu.weight'
    # shellcheck disable=SC2086
    set -- "$(cd "$burn" && cat $files | tr '\n' ' ')" "$(kubectl exec busy -c burn -- sh -c "cd /sys/fs/cgroup && cat $files" | tr '\n' ' ')"
    same "$files" "$1" '33554432 1 0 max 10000 100000 17 '
    same "$files as the container sees them" "$2" "$1"
    same "the pod's memory.max" "$(cat "${burn%/*}/memory.max")" 100663296
    same "best effort's cpu.weight" "$(cat "$groups"/sampan-*/kubepods/besteffort/cpu.weight)" 1
    awk '$1 == "nr_throttled" { exit !($2 > 0) }' "$burn/cpu.stat" || fail 'the processor limit throttles nobody'
    ok limits_in_the_files_of_v2
}

cadvisor() { kubectl get --raw /api/v1/nodes/guest/proxy/metrics/cadvisor; }

# amount PAGE NAME CONTAINER POD: value and time in milliseconds.
amount() {
    echo "$1" | sed -n "s/^$2{container=\"$3\",.*,pod=\"$4\"} //p"
}

used() { awk '$1 == "usage_usec" { print $2 / 1000000 }' "$burn/cpu.stat"; }

# Two samples that follow each other, each between two looks at the kernel's own counter, and what the API made of them.
measures_the_processor() {
    before=$(used)
    then=
    while :; do
        page=$(cadvisor)
        set -- $(amount "$page" container_cpu_usage_seconds_total burn busy)
        if [ $# = 2 ] && [ "$2" != "${then#* }" ]; then
            told=$(kubectl get --raw /apis/metrics.k8s.io/v1beta1/namespaces/default/pods/busy)
            again=$(amount "$(cadvisor)" container_cpu_usage_seconds_total burn busy)
            if [ -n "$then" ] && [ "$again" = "$1 $2" ]; then break; fi
            [ "$again" != "$1 $2" ] || then="$1 $2"
        fi
        sleep 0.5
    done
    awk "BEGIN { exit !($before <= $1 && $1 <= $(used)) }" || fail "the counter says $1, and was $before before, $(used) after"
    api=$(echo "$told" | sed 's/.*"name":"burn","usage":{"cpu":"\([0-9]*\)n".*/\1/')
    within_five_percent "nanocores of the API and of two samples" "$api" \
        "$(awk "BEGIN { print ($1 - ${then% *}) / ($2 - ${then#* }) * 1e12 }")"
}

measures() {
    measures_the_processor
    current=$(cat "$hold/memory.current")
    inactive=$(awk '$1 == "inactive_file" { print $2 }' "$hold/memory.stat")
    set -- $(amount "$page" container_memory_working_set_bytes hold busy)
    within_five_percent 'memory of the sample and of the group' "$1" "$((current - inactive))"
    for name in container_cpu_cfs_throttled_seconds_total container_cpu_cfs_throttled_periods_total container_pressure_cpu_waiting_seconds_total; do
        set -- $(amount "$page" "$name" burn busy)
        awk "BEGIN { exit !(${1:-0} > 0) }" || fail "$name is ${1:-absent}"
    done
    set -- $(amount "$page" container_oom_events_total '' hungry)
    awk "BEGIN { exit !(${1:-0} >= 1) }" || fail "OOM kills of the pod: ${1:-absent}"
    kubectl top pods --containers --no-headers | grep -q '^busy .*burn .*m ' || fail 'top pods'
    kubectl top nodes | grep '^guest .*%' || fail 'top nodes'
    ok measures
}

answers_at_a_service() {
    address=$(field service/front .spec.clusterIP)
    until_is 'user-center v1.0 pod=web node=' wget -q -O - "http://$address/cgi-bin/index.cgi"
    same 'from a pod, by name' "$(kubectl exec web -- wget -q -O - http://front/cgi-bin/index.cgi)" 'user-center v1.0 pod=web node='
    ok answers_at_a_service
}

restarts_below_its_containers() {
    before=$(lives)
    for how in 'kill --kill-who=all --signal=KILL' restart stop; do
        main=$(systemctl show -p MainPID --value sampan)
        # shellcheck disable=SC2086
        systemctl $how sampan || fail "systemctl $how"
        [ "$how" != stop ] || systemctl start sampan || fail 'systemctl start'
        until [ "$(systemctl show -p MainPID --value sampan)" != "$main" ]; do sleep 0.2; done
        until_is ok service_ready
        until_is "$before" lives
    done
    systemctl daemon-reload
    systemctl daemon-reexec
    for controller in cpu memory pids io cpuset; do
        grep -qw "$controller" "$burn/cgroup.controllers" || fail "$controller was taken away from $burn"
    done
    same 'exec in a container from before' "$(kubectl exec web -- echo here)" here
    same 'what ran' "$(lives)" "$before"
    ok restarts_below_its_containers
}

leaves_nothing() {
    kubectl delete pods --all --timeout=100s || fail delete
    until_is '' find "$groups"/sampan-* -type d -name 'pod*'
    sampan service uninstall --data-dir /var/lib/sampan || fail 'service uninstall'
    sampan reset --yes --data-dir /var/lib/sampan || fail reset
    same 'control groups' "$(find "$groups" -name '*sampan*')" ''
    same 'the data directory' "$(ls -A /var/lib)" ''
    same interfaces "$($ip -o link | cut -d: -f2 | cut -d@ -f1 | sort | tr -d '\n')" ' eth0 eth1 lo'
    same tables "$(nft list tables)" ''
    ok leaves_nothing
}

begins_as_a_unit
runs_pods
kills_what_takes_too_much_memory
limits_in_the_files_of_v2
measures
answers_at_a_service
restarts_below_its_containers
leaves_nothing
end 'all checks hold'
