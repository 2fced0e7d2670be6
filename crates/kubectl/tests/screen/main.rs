//! What people see: the full-screen view and the table that changes in place, on a real terminal against a server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

#[path = "../differential/cluster.rs"]
mod cluster;
#[path = "../differential/kubelet.rs"]
mod kubelet;
mod pty;

use cluster::Cluster;
use pty::{Pty, column_of, is_colored};
use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const OURS: &str = env!("CARGO_BIN_EXE_kubectl");
const NAMESPACE: &str = "sea";
const SEED: &str = include_str!("testdata/seed.yaml");

const SHIPS: &str = "\
{apiVersion: sea.io/v1, kind: Ship, metadata: {name: maru}, captain: 日本丸, harbour: Kobe}
---
{apiVersion: sea.io/v1, kind: Ship, metadata: {name: fram}, captain: Nansen, harbour: Oslo}
";

/// A cluster with the seed's objects.
struct Harbour {
    kubeconfig: PathBuf,
    /// Without preferences of whoever runs the test.
    home: PathBuf,
}

impl Harbour {
    /// Runs a command line to its end; it has to succeed.
    fn run(&self, line: &str, input: &str) {
        let mut command = Command::new(OURS);
        command.args(line.split_whitespace()).env("KUBECONFIG", &self.kubeconfig).env("HOME", &self.home);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn pod(&self, name: &str) {
        let pod = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{app: web}}}},\n\
             spec: {{containers: [{{name: c, image: x}}]}}}}"
        );
        self.run("create --validate=false -f -", &pod);
    }

    fn pty(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Pty {
        let mut all = vec![("KUBECONFIG", self.kubeconfig.as_os_str()), ("HOME", self.home.as_os_str())];
        all.extend(variables.iter().map(|(name, value)| (*name, OsStr::new(*value))));
        Pty::start(OURS, arguments, &all)
    }

    fn screen(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Pty {
        self.pty(&[&["screen"], arguments].concat(), variables)
    }
}

/// Runs a test's blocking part beside a server.
async fn harbour(test: impl FnOnce(&Harbour) + Send + 'static) {
    let cluster = Cluster::start().await;
    kubelet::start(&cluster).await;
    let (kubeconfig, home) = (cluster.kubeconfig(NAMESPACE), cluster.home());
    let outcome = tokio::task::spawn_blocking(move || {
        let harbour = Harbour { kubeconfig, home };
        harbour.run("create namespace sea", "");
        harbour.run("create --validate=false -f -", SEED);
        test(&harbour);
    });
    outcome.await.unwrap();
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_live_filtered_and_descended_into() {
    harbour(|harbour| {
        let mut screen = harbour.screen(&["deploy"], &[]);
        screen.shows("deployments(sea)[1]");
        screen.until("a page of its own", |screen| screen.alternate_screen() && screen.hide_cursor());
        screen.until("a painted screen", is_colored);
        screen.keys("\r");
        screen.shows("pods(sea) of deployment.apps/web[2]");
        assert!(!screen.shows("web-2").contains("other"), "only what the deployment selects");
        harbour.pod("web-3");
        screen.shows("web-3");
        screen.keys("/WEB-[23]");
        screen.shows("[2/3] /WEB-[23]/");
        screen.hides("web-1");
        screen.keys("\r\x1b");
        screen.shows("[3]");
        harbour.run("delete pod web-2 --wait=false --force --grace-period=0", "");
        screen.hides("web-2");
        screen.keys("\x1b");
        screen.shows("deployments(sea)[1]");
        screen.keys(":no\r");
        screen.shows("nodes[1]");
        screen.keys(":nonsense\r");
        screen.shows("the server doesn't have a resource type \"nonsense\"");
        screen.keys(":po default\r");
        screen.shows("pods(default)[0]");
        screen.keys("0");
        screen.shows("NAMESPACE");
        screen.keys("?");
        screen.shows("one step down");
        screen.keys("q:q\r");
        assert!(screen.ended().success());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_read_deleted_and_entered() {
    harbour(|harbour| {
        let mut screen = harbour.screen(&["pods"], &[]);
        screen.shows("pods(sea)[3]");
        screen.keys("jj");
        screen.keys("d");
        screen.shows("description of pod/web-2");
        screen.keys("\x1b");
        screen.shows("pods(sea)[3]");
        screen.keys("y");
        screen.shows("kind: Pod");
        screen.keys("q");
        screen.shows("pods(sea)[3]");
        screen.keys("\x04");
        screen.shows("delete pod/web-2 in \"sea\"?");
        screen.keys("\r");
        screen.shows("nothing was deleted");
        screen.keys("\x04\t\r");
        screen.shows("pod/web-2 deleted");
        // Its node says when a pod is gone, and this node says nothing.
        harbour.run("delete pod web-2 --wait=false --force --grace-period=0 --ignore-not-found", "");
        screen.shows("pods(sea)[2]");
        // The choice went to its neighbour.
        screen.keys("\r");
        screen.shows("containers of sea/web-1[1]");
        screen.keys("\r");
        screen.shows("first line");
        screen.keys("q");
        screen.shows("containers of sea/web-1[1]");
        screen.keys("s");
        screen.shows("a shell");
        screen.keys("x");
        screen.shows("[x]");
        screen.keys("q");
        screen.shows("containers of sea/web-1[1]");
        screen.keys("\x03");
        assert!(screen.ended().success());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_edited_and_an_editor_that_fails_is_told() {
    harbour(|harbour| {
        let editor = "sed -i 's/^  replicas: .*/  replicas: 7/'";
        let mut screen = harbour.screen(&["deploy"], &[("KUBE_EDITOR", editor)]);
        screen.shows("deployments(sea)[1]");
        assert!(!screen.shows("web").contains("/7"), "not yet seven");
        screen.keys("e");
        screen.shows("/7");
        screen.until("the page of its own again", |screen| screen.alternate_screen() && screen.hide_cursor());
        screen.keys("\x03");
        assert!(screen.ended().success());
        let mut screen = harbour.screen(&["deploy"], &[("KUBE_EDITOR", "false")]);
        screen.shows("deployments(sea)[1]");
        screen.keys("e");
        screen.shows("edit ended with exit status: 1; press enter to go back");
        screen.until("the first page with its cursor", |screen| !screen.alternate_screen() && !screen.hide_cursor());
        screen.keys("\r");
        screen.shows("deployments(sea)[1]");
        screen.keys("\x03");
        assert!(screen.ended().success());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn custom_kinds_have_their_own_columns_in_any_script_and_size() {
    harbour(|harbour| {
        let mut screen = harbour.screen(&["crd"], &[("NO_COLOR", "1")]);
        screen.shows("ships.sea.io");
        harbour.run("create --validate=false -f -", SHIPS);
        screen.keys("\r");
        screen.shows("CAPTAIN");
        let text = screen.shows("日本丸");
        let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap().to_owned();
        assert!(line("CAPTAIN").contains("HARBOUR"), "{text}");
        screen.until("one column for all", |screen| {
            let place = |text| column_of(screen, text);
            place("Kobe").is_some() && place("Kobe") == place("Oslo") && place("Kobe") == place("HARBOUR")
        });
        screen.until("no colour", |screen| !is_colored(screen));
        screen.resize(40, 10);
        screen.until("a narrow screen", |screen| {
            let text = screen.contents();
            text.contains("…") && text.contains("CAPTAIN") && text.lines().count() <= 10
        });
        screen.resize(10, 4);
        screen.shows("too small");
        screen.resize(100, 30);
        screen.shows("Oslo");
        rustix::process::kill_process(screen.pid(), rustix::process::Signal::TERM).unwrap();
        assert_eq!(screen.ended().code(), Some(143));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watched_table_changes_in_place() {
    harbour(|harbour| {
        let mut screen = harbour.pty(&["get", "pods", "-w"], &[]);
        let text = screen.shows("web-2");
        assert!(!text.contains("web-3"), "{text}");
        harbour.pod("web-3");
        let text = screen.until("one table of four", |screen| screen.contents().trim_end().lines().count() == 5);
        assert_eq!(text.matches("NAME").count(), 1, "{text}");
        harbour.run("delete pod web-1 --wait=false --force --grace-period=0", "");
        let text = screen.until("one table of three", |screen| screen.contents().trim_end().lines().count() == 4);
        assert!(!text.contains("web-1") && text.contains("web-3"), "{text}");
        screen.until("a painted status", is_colored);
        assert!(!screen.until("no page of its own", |_| true).is_empty());
        screen.keys("\x03");
        assert!(!screen.ended().success());
        let mut appended = harbour.pty(&["get", "pods", "--watch-only"], &[]);
        // Nothing says when a watch has begun: changes are made until it tells of two.
        for tick in 0.. {
            harbour.run(&format!("label pod web-2 --overwrite tick=t{tick}"), "");
            if appended.now().matches("web-2").count() >= 2 {
                break;
            }
            assert!(tick < 1000, "never told of a change: {}", appended.now());
        }
        appended.keys("\x03");
        assert!(!appended.ended().success());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_terminal_there_is_no_screen_and_no_colour() {
    harbour(|harbour| {
        let run = |arguments: &[&str]| {
            let mut command = Command::new(OURS);
            command
                .args(arguments)
                .env("KUBECONFIG", &harbour.kubeconfig)
                .env("HOME", &harbour.home)
                .env_remove("NO_COLOR")
                .stdin(Stdio::null());
            command.output().unwrap()
        };
        let refused = run(&["screen"]);
        assert_eq!(refused.status.code(), Some(1));
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(said.starts_with("error: the full-screen view needs a terminal"), "{said}");
        assert!(refused.stdout.is_empty());
        let listed = run(&["get", "pods"]);
        assert!(!listed.stdout.contains(&0x1b) && !listed.stdout.is_empty());
        let painted = harbour.pty(&["get", "pods"], &[]);
        painted.shows("web-2");
        painted.until("a painted status", is_colored);
        assert!(painted.ended().success());
        let plain = harbour.pty(&["get", "pods"], &[("NO_COLOR", "1")]);
        plain.shows("web-2");
        assert!(plain.ended().success());
    })
    .await;
}
