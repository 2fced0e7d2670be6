//! What a container sees, and what it cannot reach.

use std::os::unix::fs::symlink;

use cri::v1::{self, NamespaceMode};

use crate::support::{own_pid, secured, sh, with_image, with_node};

/// The capabilities of containerd's default, as far as this machine has them.
fn default_capabilities() -> String {
    format!("{:016x}", 0xa804_25fb & kernel::capability::bounding().unwrap())
}

#[tokio::test]
async fn privileges_are_containerds_defaults() {
    with_node(async |node| {
        let pod = node.pod().await;
        let (_, text) = node.script(&pod, "grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/self/status").await;
        let field = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).unwrap().trim().to_owned();
        for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
            assert_eq!(field(set), default_capabilities(), "{set}");
        }
        assert_eq!((field("CapInh:").as_str(), field("CapAmb:").as_str()), ("0000000000000000", "0000000000000000"));
        assert_eq!((field("Seccomp:").as_str(), field("NoNewPrivs:").as_str()), ("2", "0"));
        let script = "unshare -n true 2>&1 || echo refused; mount -t tmpfs x /tmp 2>&1 || echo refused; chmod 600 /etc/passwd && echo allowed";
        let (_, text) = node.script(&pod, script).await;
        assert_eq!(text.matches("refused").count(), 2, "{text}");
        assert!(text.contains("allowed"));
        let config = secured(sh("grep CapEff /proc/self/status; unshare -u true && echo allowed"), |context| {
            context.privileged = true;
        });
        let (_, text) = node.run_to_end(&pod, config).await;
        let all = format!("{:016x}", kernel::capability::bounding().unwrap());
        assert!(text.contains(&all) && text.contains("allowed"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn kernel_files_are_hidden_or_read_only() {
    with_node(async |node| {
        let pod = node.pod().await;
        let script = "
            cat /proc/keys | wc -c; ls /sys/firmware | wc -l; cat /proc/timer_list | wc -c
            (echo 1 > /proc/sys/net/ipv4/ip_forward) 2>/dev/null || echo kept
            (echo b > /proc/sysrq-trigger) 2>/dev/null || echo kept
            mkdir /sys/fs/cgroup/x 2>/dev/null || mkdir /sys/fs/cgroup/memory/x 2>/dev/null || echo kept
            ls /dev | sort | tr '\\n' ' '; echo
            mknod /tmp/disk b 254 0 && (head -c 1 /tmp/disk > /dev/null) 2>/dev/null || echo no disk
            mknod /tmp/mem c 1 1 && (head -c 1 /tmp/mem > /dev/null) 2>/dev/null || echo no memory
            head -c 3 /dev/urandom | wc -c";
        let (_, text) = node.script(&pod, script).await;
        let expected = "0\n0\n0\nkept\nkept\nkept\ncore fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero \nno disk\nno memory\n3\n";
        assert_eq!(text, expected);
        let (code, text) = node
            .run_to_end(&pod, secured(sh("touch /x 2>/dev/null || echo read-only; touch /dev/shm/x"), |context| {
                context.readonly_rootfs = true;
            }))
            .await;
        assert_eq!((code, text.as_str()), (0, "read-only\n"));
    })
    .await;
}

#[tokio::test]
async fn nothing_of_the_host_is_in_sight() {
    with_node(async |node| {
        let pod = node.pod().await;
        let secret = node.directory.join("secret");
        std::fs::write(&secret, "x").unwrap();
        let script = format!(
            "ls {0} 2>/dev/null; ls /proc | grep -c '^[0-9]'; cat /proc/1/cmdline | tr '\\0' ' '; echo; \
             grep {1} /proc/self/mountinfo | grep -vc ' /etc/'; ls -l /proc/self/fd 2>/dev/null | grep -c 'sock\\|{1}'",
            secret.display(),
            node.directory.display()
        );
        let (_, text) = node.script(&pod, &script).await;
        let lines: Vec<_> = text.lines().collect();
        // The shell, ls and grep; mounts of the pod's own files name their source's directory, nothing else does.
        assert!(lines[0].parse::<u32>().unwrap() <= 3, "{text}");
        assert!(lines[1].starts_with("sh -c"), "{text}");
        assert_eq!(lines[2..], ["0", "0"], "{text}");
    })
    .await;
}

#[tokio::test]
async fn mounts_on_links_of_the_image_stay_inside() {
    let escape = std::env::temp_dir().join(format!("runtime-escape-{}", std::process::id()));
    let target = escape.clone();
    let prepare = move |root: &std::path::Path| {
        // A link out of the root, and one to nothing, as images with `/var/run -> /run` have.
        symlink("/../../../../../../..".to_owned() + target.to_str().unwrap(), root.join("out")).unwrap();
        std::fs::create_dir(root.join("var")).unwrap();
        symlink("/run", root.join("var/run")).unwrap();
    };
    with_image(prepare, async |node| {
        let pod = node.pod().await;
        let volume = node.directory.join("volume");
        std::fs::create_dir(&volume).unwrap();
        std::fs::write(volume.join("file"), "inside").unwrap();
        let mount = |path: &str| v1::Mount {
            container_path: path.into(),
            host_path: volume.to_str().unwrap().into(),
            ..Default::default()
        };
        let mut config = sh(&format!("cat /out/x/file /run/secrets/file {}/x/file", escape.display()));
        config.mounts = vec![mount("/out/x"), mount("/var/run/secrets")];
        let (code, text) = node.run_to_end(&pod, config).await;
        assert_eq!((code, text.as_str()), (0, "insideinsideinside"));
        assert!(!escape.exists(), "nothing was made on the host");
    })
    .await;
}

#[tokio::test]
async fn pods_share_memory_network_and_name_but_not_processes() {
    with_node(async |node| {
        let pod = node.pod().await;
        let writer = node.run(&pod, sh("echo shared > /dev/shm/x; nc -l -p 7 127.0.0.1 & echo up; sleep 60")).await;
        node.wait_for_log(&writer, "up").await;
        let (_, text) = node
            .script(&pod, "cat /dev/shm/x; df -k /dev/shm | tail -1 | awk '{print $2}'; ps -o comm | grep -c sleep")
            .await;
        assert_eq!(text, "shared\n65536\n0\n");
        let other = node.run_pod(node.pod_config("other")).await;
        let (_, text) = node.script(&other, "ls /dev/shm; hostname; ip link | grep -c UP").await;
        assert_eq!(text, "other\n1\n");
    })
    .await;
}

#[tokio::test]
async fn a_shared_process_namespace_has_an_inert_first_process() {
    with_node(async |node| {
        let mut config = node.pod_config("shared");
        let shared = v1::NamespaceOption { pid: NamespaceMode::Pod as i32, ..Default::default() };
        let linux = config.linux.as_mut().unwrap();
        linux.security_context.as_mut().unwrap().namespace_options = Some(shared.clone());
        let pod = node.run_pod(config).await;
        let in_pod = |script: &str| secured(sh(script), |context| context.namespace_options = Some(shared.clone()));
        let first = node.run(&pod, in_pod("sh -c 'sleep 0.05 &'; echo up; exec sleep 61")).await;
        node.wait_for_log(&first, "up").await;
        let script = "
            cat /proc/1/comm; grep -E 'Uid|CapPrm|CapEff' /proc/1/status | tr '\\t' ' '
            ls /proc/1/root/ 2>/dev/null | wc -l; ls /proc/1/fd 2>/dev/null | wc -l; cat /proc/1/environ 2>/dev/null | wc -c
            ps -o args | grep -c '^sleep 61'
            kill -9 1; sleep 0.2; cat /proc/1/comm; ps -o stat | grep -c Z";
        let (_, text) = node.run_to_end(&pod, in_pod(script)).await;
        let expected = "pause\nUid: 65534 65534 65534 65534\nCapPrm: 0000000000000000\nCapEff: 0000000000000000\n0\n0\n0\n1\npause\n0\n";
        assert_eq!(text, expected);
        // What a container leaves behind is killed with it, the others live.
        let (code, _) = node.run_to_end(&pod, in_pod("sleep 62 & exit 0")).await;
        assert_eq!(code, 0);
        let left = node.exec(&first, &["ps", "-o", "args"], 0).await.unwrap().stdout;
        let left = String::from_utf8(left).unwrap();
        assert!(left.contains("sleep 61") && !left.contains("sleep 62"), "{left}");
    })
    .await;
}

#[tokio::test]
async fn host_namespaces_and_targets_are_joined_when_asked() {
    with_node(async |node| {
        let mut config = node.pod_config("host");
        let host = v1::NamespaceOption {
            network: NamespaceMode::Node as i32,
            pid: NamespaceMode::Node as i32,
            ipc: NamespaceMode::Node as i32,
            ..Default::default()
        };
        config.linux.as_mut().unwrap().security_context.as_mut().unwrap().namespace_options = Some(host.clone());
        let pod = node.run_pod(config).await;
        let links = "for kind in net pid ipc uts mnt; do readlink /proc/self/ns/$kind; done";
        let config = secured(sh(links), |context| context.namespace_options = Some(host));
        let (_, text) = node.run_to_end(&pod, config).await;
        let own =
            |kind: &str| std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().to_str().unwrap().to_owned();
        let lines: Vec<_> = text.lines().collect();
        for (line, kind) in lines.iter().zip(["net", "pid", "ipc", "uts"]) {
            assert_eq!(**line, own(kind));
        }
        assert_ne!(lines[4], own("mnt"));
        assert!(node.network.calls.lock().unwrap().is_empty(), "nothing to connect");

        let pod = node.pod().await;
        let target = node.run(&pod, sh("exec sleep 63")).await;
        let config = secured(sh("ps -o args | grep -c '^sleep 63'"), |context| {
            context.namespace_options =
                Some(v1::NamespaceOption { pid: NamespaceMode::Target as i32, target_id: target.clone(), ..own_pid() });
        });
        assert_eq!(node.run_to_end(&pod, config).await.1, "1\n");
    })
    .await;
}

#[tokio::test]
async fn filters_of_the_pod_are_applied() {
    with_node(async |node| {
        let pod = node.pod().await;
        let profile = node.directory.join("profile.json");
        let text = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":28}]}"#;
        std::fs::write(&profile, text).unwrap();
        let with = |kind: i32| {
            secured(sh("mkdir /x 2>&1; grep Seccomp: /proc/self/status"), |context| {
                let localhost_ref = profile.to_str().unwrap().to_owned();
                context.seccomp = Some(v1::SecurityProfile { profile_type: kind, localhost_ref });
            })
        };
        let (_, text) = node.run_to_end(&pod, with(2)).await;
        assert!(text.contains("No space left") && text.contains("Seccomp:\t2"), "{text}");
        let (_, text) = node.run_to_end(&pod, with(1)).await;
        assert_eq!(text, "Seccomp:\t0\n");
        std::fs::remove_file(&profile).unwrap();
        assert!(node.create(&pod, with(2)).await.is_err(), "a missing profile is no filter at all");
    })
    .await;
}

#[tokio::test]
async fn sysctls_are_the_pods_own() {
    with_node(async |node| {
        let mut config = node.pod_config("pod");
        let sysctls = &mut config.linux.as_mut().unwrap().sysctls;
        sysctls.insert("net.ipv4.ip_unprivileged_port_start".into(), "80".into());
        sysctls.insert("kernel.shm_rmid_forced".into(), "1".into());
        let pod = node.run_pod(config).await;
        let read = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced";
        assert_eq!(node.script(&pod, read).await.1, "80\n1\n");
        assert_eq!(kernel::sysctl::read("net.ipv4.ip_unprivileged_port_start").unwrap(), "1024");
    })
    .await;
}
