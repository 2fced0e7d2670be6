//! From creation to removal: states, exit codes, logs, limits, events.

use cri::Runtime;
use cri::v1;
use futures::{StreamExt, stream};

use crate::support::{LOG_BYTES_PER_SECOND, command, limited, sh, until, with_node};

#[tokio::test]
async fn a_container_runs_logs_and_reports_its_exit_code() {
    with_node(async |node| {
        let mut events = node.events().await;
        let pod = node.pod().await;
        assert_eq!(node.sandbox_state(&pod).await, v1::PodSandboxState::SandboxReady);
        let id = node.create(&pod, sh("echo out; echo err >&2; exit 7")).await.unwrap();
        assert_eq!(node.status(&id).await.state(), v1::ContainerState::ContainerCreated);
        node.start(&id).await.unwrap();
        let status = node.wait(&id).await;
        assert_eq!((status.exit_code, status.reason.as_str()), (7, "Error"));
        assert!(status.created_at <= status.started_at && status.started_at <= status.finished_at);
        let mut lines: Vec<_> =
            std::fs::read_to_string(&status.log_path).unwrap().lines().map(|l| l[30..].to_owned()).collect();
        lines.sort();
        assert_eq!(lines, [" stderr F err", " stdout F out"]);
        let error = node.start(&id).await.unwrap_err();
        assert_eq!(error.code(), tonic::Code::FailedPrecondition);
        node.remove_pod(&pod).await;
        let expected = [(&pod, 0), (&pod, 1), (&id, 0), (&id, 1), (&id, 2), (&pod, 2), (&id, 3), (&pod, 3)];
        for (id, kind) in expected {
            let event = events.next().await.unwrap().unwrap();
            assert_eq!((&event.container_id, event.container_event_type), (id, kind));
        }
        let calls = node.network.calls.lock().unwrap().clone();
        assert_eq!(calls, ["setup pod [\"lo\"]", "teardown pod true"]);
    })
    .await;
}

#[tokio::test]
async fn environment_files_and_names_are_those_of_the_pod() {
    with_node(async |node| {
        let pod = node.pod().await;
        let mut config =
            sh("hostname; pwd; echo $FROM_IMAGE $FROM_POD $HOME $HOSTNAME; cat /etc/resolv.conf /etc/hostname; id -G");
        config.envs = vec![v1::KeyValue { key: "FROM_POD".into(), value: "a b".into() }];
        let (code, text) = node.run_to_end(&pod, config).await;
        assert_eq!(text, "pod\n/tmp\nyes a b /root pod\nnameserver 10.43.0.10\npod\n0\n");
        assert_eq!(code, 0);
        let ips = node.runtime().pod_sandbox_status(v1::PodSandboxStatusRequest { pod_sandbox_id: pod, verbose: true });
        let status = ips.await.unwrap().status.unwrap().network.unwrap();
        assert_eq!((status.ip.as_str(), status.additional_ips[0].ip.as_str()), ("10.42.0.7", "fd00::7"));
    })
    .await;
}

#[tokio::test]
async fn users_are_found_in_the_image_and_volumes_are_mounted() {
    with_node(async |node| {
        let pod = node.pod().await;
        let volume = node.directory.join("volume");
        std::fs::create_dir(&volume).unwrap();
        std::fs::write(volume.join("file"), "content\n").unwrap();
        let mount = |target: &str, readonly| v1::Mount {
            container_path: target.into(),
            host_path: volume.to_str().unwrap().into(),
            readonly,
            ..Default::default()
        };
        let mut config =
            sh("id -u; id -G; cat /deep/in/rw/file; echo x > /ro/new || echo kept; echo y > /deep/in/rw/new");
        config = crate::support::secured(config, |context| {
            context.run_as_username = "web".into();
            context.supplemental_groups = vec![99];
        });
        config.mounts = vec![mount("/deep/in/rw", false), mount("/ro", true)];
        std::os::unix::fs::chown(&volume, Some(33), None).unwrap();
        let id = node.run(&pod, config).await;
        let status = node.wait(&id).await;
        let text = node.log(&status.log_path);
        assert!(text.contains("33\n34 63 99\ncontent\n") && text.contains("kept\n"), "{text}");
        assert_eq!(std::fs::read_to_string(volume.join("new")).unwrap(), "y\n");
        let user = status.user.unwrap().linux.unwrap();
        assert_eq!((user.uid, user.gid, user.supplemental_groups), (33, 34, vec![34, 63, 99]));
    })
    .await;
}

#[tokio::test]
async fn a_program_that_cannot_run_is_a_start_error() {
    with_node(async |node| {
        let pod = node.pod().await;
        let check = async |config: v1::ContainerConfig, expected: &str| {
            let id = node.create(&pod, config).await.unwrap();
            let error = node.start(&id).await.unwrap_err();
            assert!(error.message().contains(expected), "{error}");
            let status = node.status(&id).await;
            assert_eq!((status.exit_code, status.reason.as_str()), (128, "StartError"));
            assert!(status.message.contains(expected));
        };
        check(command(&["nonsense"]), "exec: \"nonsense\": executable file not found in $PATH").await;
        check(command(&["/nonsense"]), "exec: \"/nonsense\": no such file or directory").await;
        check(command(&["/etc/passwd"]), "exec: \"/etc/passwd\": permission denied").await;
        let nobody = crate::support::secured(sh("true"), |context| context.run_as_username = "none".into());
        check(nobody, "unable to find user none").await;
        let missing = v1::ImageSpec { image: "missing".into(), ..Default::default() };
        let error = node.create(&pod, v1::ContainerConfig { image: Some(missing), ..sh("true") }).await.unwrap_err();
        assert_eq!(error.code(), tonic::Code::NotFound);
    })
    .await;
}

#[tokio::test]
async fn stopping_asks_first_and_kills_then() {
    with_node(async |node| {
        let pod = node.pod().await;
        let polite = node.run(&pod, sh("trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done")).await;
        let stubborn = node.run(&pod, sh("trap '' TERM; echo ready; while :; do sleep 0.01; done")).await;
        node.wait_for_log(&polite, "ready").await;
        node.wait_for_log(&stubborn, "ready").await;
        let stop = async |id: &str, timeout| {
            node.runtime().stop_container(v1::StopContainerRequest { container_id: id.into(), timeout }).await.unwrap();
            node.status(id).await.exit_code
        };
        assert_eq!(stop(&polite, 10).await, 3);
        assert_eq!(stop(&stubborn, 1).await, 137);
        assert_eq!(stop(&stubborn, 1).await, 137, "again is no error");
        node.stop_pod(&pod).await;
        node.stop_pod(&pod).await;
        assert_eq!(node.sandbox_state(&pod).await, v1::PodSandboxState::SandboxNotready);
        assert_eq!(node.status(&polite).await.exit_code, 3, "codes outlive the shim");
        let error = node.create(&pod, sh("true")).await.unwrap_err();
        assert_eq!(error.code(), tonic::Code::FailedPrecondition);
    })
    .await;
}

#[tokio::test]
async fn long_lines_are_partial_and_logs_rotate() {
    with_node(async |node| {
        let pod = node.pod().await;
        let id = node.run(&pod, sh("head -c 40000 /dev/zero | tr '\\0' x; echo; printf end; cat; echo after")).await;
        let (code, _) = (node.wait(&id).await.exit_code, ());
        assert_eq!(code, 0);
        let text = std::fs::read_to_string(node.status(&id).await.log_path).unwrap();
        let tags: Vec<_> = text.lines().map(|line| (&line[38..39], line.len() - 40)).collect();
        assert_eq!(tags, [("P", 16384), ("P", 16384), ("F", 7232), ("F", 8)]);

        let mut config = sh("echo one; read x; echo two; read x");
        config.stdin = true;
        let id = node.run(&pod, config).await;
        node.wait_for_log(&id, "one").await;
        let path = node.status(&id).await.log_path;
        let old = format!("{path}.1");
        std::fs::rename(&path, &old).unwrap();
        let reopen = v1::ReopenContainerLogRequest { container_id: id.clone() };
        node.runtime().reopen_container_log(reopen).await.unwrap();
        let pid = node.pid(&id).await;
        std::fs::write(format!("/proc/{pid}/fd/0"), "\n").unwrap();
        node.wait_for_log(&id, "two").await;
        assert_eq!(node.log(&old), "one\n");
    })
    .await;
}

#[tokio::test]
async fn a_flood_is_dropped_from_the_middle_and_its_writer_never_waits() {
    with_node(async |node| {
        let pod = node.pod().await;
        let id = node.run(&pod, sh("echo first; yes $(printf '%099d' 0) | head -n 400000; echo the last words")).await;
        let status = node.wait(&id).await;
        assert_eq!((status.exit_code, status.message.as_str()), (0, ""));
        let took = std::time::Duration::from_nanos((status.finished_at - status.started_at) as u64);
        let text = std::fs::read_to_string(&status.log_path).unwrap();
        // A burst is four seconds' worth; what is held and said beside it is little.
        let most = LOG_BYTES_PER_SECOND * (took.as_secs() + 6);
        assert!((text.len() as u64) < most, "{} bytes in {took:?}", text.len());
        let mut lines = text.lines();
        assert!(
            lines.next().unwrap().ends_with(" F first") && lines.next_back().unwrap().ends_with("F the last words")
        );
        assert!(text.contains(" stderr F [sampan: ") && text.contains(" lines were dropped here"), "it is said");
    })
    .await;
}

#[tokio::test]
async fn memory_limits_kill_and_are_told_from_other_ends() {
    with_node(async |node| {
        let pod = node.pod().await;
        let hog = limited(sh("tail /dev/zero"), |limits| limits.memory_limit_in_bytes = 20 << 20);
        let id = node.run(&pod, hog).await;
        let status = node.wait(&id).await;
        assert_eq!((status.exit_code, status.reason.as_str()), (137, "OOMKilled"));
        let id = node.run(&pod, sh("kill -9 $$; sleep 60")).await;
        let pid = node.pid(&id).await;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL).unwrap();
        let status = node.wait(&id).await;
        assert_eq!((status.exit_code, status.reason.as_str()), (137, "Error"));
    })
    .await;
}

#[tokio::test]
async fn limits_are_in_force_and_can_change() {
    with_node(async |node| {
        let pod = node.pod().await;
        let group = kernel::cgroup::Cgroup::at(node.cgroup.join("kubepods/pod")).unwrap();
        group.limit(&kernel::cgroup::Limits { pids_max: Some(10), ..Default::default() }).unwrap();
        let (code, text) = node.script(&pod, "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done; echo all").await;
        assert!(code != 0 && !text.contains("all"), "{code} {text}");
        let config = limited(sh("cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max; sleep 60"), |limits| {
            limits.memory_limit_in_bytes = 64 << 20;
            limits.cpu_quota = 20_000;
            limits.cpu_period = 100_000;
            limits.cpu_shares = 512;
        });
        let id = node.run(&pod, config).await;
        node.wait_for_log(&id, "67108864").await;
        let stats = async || {
            let request = v1::ContainerStatsRequest { container_id: id.clone() };
            node.runtime().container_stats(request).await.unwrap().stats.unwrap()
        };
        let memory = stats().await.memory.unwrap();
        assert!(memory.available_bytes.unwrap().value > 60 << 20 && memory.usage_bytes.unwrap().value > 0);
        let linux = v1::LinuxContainerResources { memory_limit_in_bytes: 128 << 20, ..Default::default() };
        let request = v1::UpdateContainerResourcesRequest {
            container_id: id.clone(),
            linux: Some(linux),
            ..Default::default()
        };
        node.runtime().update_container_resources(request).await.unwrap();
        assert!(stats().await.memory.unwrap().available_bytes.unwrap().value > 120 << 20);
        let kept = node.status(&id).await.resources.unwrap().linux.unwrap();
        assert_eq!((kept.memory_limit_in_bytes, kept.cpu_quota), (128 << 20, 20_000));
    })
    .await;
}

#[tokio::test]
async fn a_failed_sandbox_leaves_nothing() {
    with_node(async |node| {
        node.network.fail.store(true, std::sync::atomic::Ordering::Relaxed);
        let request = v1::RunPodSandboxRequest { config: Some(node.pod_config("pod")), ..Default::default() };
        let error = node.runtime().run_pod_sandbox(request).await.unwrap_err();
        assert!(error.message().contains("no addresses left"), "{error}");
        assert_eq!(node.processes(), Vec::<i32>::new());
        let handler = v1::RunPodSandboxRequest { config: Some(node.pod_config("pod")), runtime_handler: "kata".into() };
        let error = node.runtime().run_pod_sandbox(handler).await.unwrap_err();
        assert!(error.message().contains("kata"));
    })
    .await;
}

#[tokio::test]
async fn the_shim_is_small_and_the_start_is_quick() {
    with_node(async |node| {
        let began = std::time::Instant::now();
        let pod = node.pod().await;
        node.run(&pod, sh("sleep 60")).await;
        eprintln!("first pod running after {:?}", began.elapsed());
        let mut times = Vec::new();
        for number in 0..20 {
            let began = std::time::Instant::now();
            let pod = node.run_pod(node.pod_config(&format!("pod{number}"))).await;
            let sandbox = began.elapsed();
            let id = node.create(&pod, sh("sleep 60")).await.unwrap();
            let created = began.elapsed();
            node.start(&id).await.unwrap();
            times.push((began.elapsed(), sandbox, created - sandbox, began.elapsed() - created));
        }
        times.sort();
        eprintln!("(all, sandbox, create, start): median {:?}, longest {:?}", times[10], times[19]);
        let group = kernel::cgroup::Cgroup::at(node.cgroup.join("shims")).unwrap();
        let shims = group.processes().unwrap();
        assert_eq!(shims.len(), 21);
        let pss = |pid: &i32| {
            let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
            let field = |name: &str| -> u64 {
                let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
                line.trim().trim_end_matches(" kB").parse().unwrap()
            };
            (field("Pss:"), field("Private_Dirty:"))
        };
        let (most, private) = shims.iter().map(pss).max().unwrap();
        eprintln!("shim: PSS {most} kB, of it private and dirty {private} kB");
        assert!(most < 1024, "PSS of a shim is {most} kB");
        until("all pods", || node.processes().len() == 42).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_pods_at_once_come_and_go() {
    with_node(async |node| {
        let node = &*node;
        let began = std::time::Instant::now();
        let start = async |number: usize| {
            let pod = node.run_pod(node.pod_config(&format!("pod{number}"))).await;
            let id = node.run(&pod, sh("sleep 60")).await;
            (pod, id)
        };
        let started: Vec<_> = stream::iter(0..50).map(start).buffer_unordered(8).collect().await;
        eprintln!("50 pods, 8 at once: {:?}", began.elapsed());
        for (_, id) in &started {
            assert_eq!(node.status(id).await.state(), v1::ContainerState::ContainerRunning);
        }
        let children = || {
            let threads = std::fs::read_dir("/proc/self/task").unwrap().map(|thread| thread.unwrap().path());
            let lists = threads.map(|path| std::fs::read_to_string(path.join("children")).unwrap_or_default());
            lists.map(|list| list.split_whitespace().count()).sum::<usize>()
        };
        assert_eq!(children(), 50, "one shim each");
        let began = std::time::Instant::now();
        stream::iter(&started).for_each_concurrent(8, async |(pod, _)| node.remove_pod(pod).await).await;
        eprintln!("removed: {:?}", began.elapsed());
        assert_eq!(children(), 0, "ended shims are reaped");
    })
    .await;
}
