//! What survives this process, and what is said when a shim does not.

use cri::Runtime;
use cri::v1;
use futures::StreamExt;

use crate::support::{sh, until, with_node};

#[tokio::test]
async fn containers_outlive_the_runtime() {
    with_node(async |node| {
        let pod = node.pod().await;
        let running = node
            .run(&pod, sh("echo up; while :; do sleep 0.01; test -e /tmp/go && echo later && rm /tmp/go; done"))
            .await;
        let ending = node.run(&pod, sh("while ! test -e /tmp/go; do sleep 0.01; done; echo last words; exit 42")).await;
        let created = node.create(&pod, sh("echo begun")).await.unwrap();
        node.wait_for_log(&running, "up").await;
        let before = node.status(&running).await;
        let (pid, ending_pid) = (node.pid(&running).await, node.pid(&ending).await);
        let sandbox = v1::PodSandboxStatusRequest { pod_sandbox_id: pod.clone(), verbose: false };
        let sandbox_before = node.runtime().pod_sandbox_status(sandbox.clone()).await.unwrap().status;
        node.close();
        // Meanwhile, one ends and the other writes.
        for pid in [pid, ending_pid] {
            std::fs::write(format!("/proc/{pid}/root/tmp/go"), "").unwrap();
        }
        until("the end", || !std::path::Path::new(&format!("/proc/{ending_pid}")).exists()).await;
        node.open().await;
        assert_eq!(node.runtime().pod_sandbox_status(sandbox).await.unwrap().status, sandbox_before);
        assert_eq!(node.status(&running).await, before, "same id, state and times");
        assert_eq!(node.pid(&running).await, pid);
        let ended = node.status(&ending).await;
        assert_eq!((ended.exit_code, ended.reason.as_str()), (42, "Error"));
        assert!(ended.finished_at > ended.started_at);
        assert_eq!(node.log(&ended.log_path), "last words\n");
        node.wait_for_log(&running, "later").await;
        // Everything works as before: start, exec, events, stop.
        let mut events = node.events().await;
        node.start(&created).await.unwrap();
        node.wait_for_log(&created, "begun").await;
        assert_eq!(node.exec(&running, &["echo", "hi"], 5).await.unwrap().stdout, b"hi\n");
        let kinds: Vec<_> = events.by_ref().take(2).map(|event| event.unwrap().container_event_type).collect().await;
        assert_eq!(kinds, [1, 2]);
        node.remove_pod(&pod).await;
        assert_eq!(node.network.calls.lock().unwrap().last().unwrap(), "teardown pod true");
    })
    .await;
}

#[tokio::test]
async fn a_killed_shim_is_a_failed_sandbox() {
    with_node(async |node| {
        let pod = node.pod().await;
        let id = node.run(&pod, sh("sleep 60 & exec sleep 60")).await;
        let mut events = node.events().await;
        let shim = kernel::cgroup::Cgroup::at(node.cgroup.join("shims")).unwrap().processes().unwrap()[0];
        kill(shim);
        let event = events.next().await.unwrap().unwrap();
        assert_eq!((event.container_id.as_str(), event.container_event_type), (id.as_str(), 2));
        let event = events.next().await.unwrap().unwrap();
        assert_eq!((event.container_id.as_str(), event.container_event_type), (pod.as_str(), 2));
        assert_eq!(node.sandbox_state(&pod).await, v1::PodSandboxState::SandboxNotready);
        let status = node.status(&id).await;
        assert_eq!((status.exit_code, status.reason.as_str()), (255, "Unknown"));
        assert_eq!(node.processes(), Vec::<i32>::new(), "nothing runs on without its shim");
        node.stop_pod(&pod).await;
        assert_eq!(node.network.calls.lock().unwrap().len(), 2, "its addresses are free");
    })
    .await;
}

#[tokio::test]
async fn what_died_while_nobody_looked_is_found() {
    with_node(async |node| {
        let pod = node.pod().await;
        let id = node.run(&pod, sh("exec sleep 60")).await;
        let unfinished = node.run_pod(node.pod_config("unfinished")).await;
        let lost = node.run_pod(node.pod_config("lost")).await;
        node.close();
        // One shim is killed, one sandbox was never finished, one has lost its record.
        let root = node.directory.join("root/sandboxes");
        let shims = kernel::cgroup::Cgroup::at(node.cgroup.join("shims")).unwrap().processes().unwrap();
        let of = |id: &str| {
            let is = |pid: &&i32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap().contains(id);
            *shims.iter().find(is).unwrap()
        };
        kill(of(&pod));
        let record = root.join(&unfinished).join("sandbox.json");
        let text = std::fs::read_to_string(&record).unwrap().replace("\"Ready\"", "\"Creating\"");
        std::fs::write(&record, text).unwrap();
        std::fs::write(root.join(&lost).join("sandbox.json"), "torn {").unwrap();
        node.open().await;
        let pods = node.runtime().list_pod_sandbox(v1::ListPodSandboxRequest::default()).await.unwrap().items;
        let ids: Vec<_> = pods.iter().map(|pod| pod.id.clone()).collect();
        assert_eq!(ids, std::slice::from_ref(&pod));
        assert_eq!(pods[0].state(), v1::PodSandboxState::SandboxNotready);
        assert_eq!(node.status(&id).await.reason, "Unknown");
        assert_eq!(node.processes(), Vec::<i32>::new());
        // The cgroup of the pod whose record was lost is the kubelet's to remove.
        let left = kernel::cgroup::Cgroup::at(node.cgroup.join("kubepods/lost")).unwrap();
        left.remove().unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_full_log_disk_stops_nothing() {
    with_node(async |node| {
        let pod = node.pod().await;
        let mut config = sh("for i in 1 2 3; do echo $i; done; exit 6");
        std::os::unix::fs::symlink("/dev/full", node.directory.join("logs/full.log")).unwrap();
        config.log_path = "full.log".into();
        let id = node.run(&pod, config).await;
        let status = node.wait(&id).await;
        assert_eq!(status.exit_code, 6);
        assert_eq!(status.message, "3 log lines could not be written");
    })
    .await;
}

#[tokio::test]
async fn others_reach_it_through_a_socket() {
    with_node(async |node| {
        let pod = node.pod().await;
        let socket = node.directory.join("cri.sock");
        let (runtime, path) = (node.runtime().clone(), socket.clone());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = tokio::spawn(async move {
            runtime::serve_cri(runtime, &path, async {
                stopped.await.ok();
            })
            .await
        });
        until("the socket", || socket.exists()).await;
        let remote = cri::Remote::at(&socket).unwrap();
        let items = remote.list_pod_sandbox(v1::ListPodSandboxRequest::default()).await.unwrap().items;
        assert_eq!(items[0].id, pod);
        drop(remote);
        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
    })
    .await;
}

fn kill(pid: i32) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL).unwrap();
}
