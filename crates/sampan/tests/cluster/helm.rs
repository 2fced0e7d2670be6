//! helm 4 with containers that run: a chart whose job comes first, whose pods become ready, and whose test passes.

use crate::harness::{Cluster, Machine, possible, run, said};
use crate::image;
use api::Kind;
use api::k8s_openapi::api::batch::v1::Job;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const CHART: &[(&str, &str)] = &[
    ("Chart.yaml", include_str!("helm/chart/Chart.yaml")),
    ("values.yaml", include_str!("helm/chart/values.yaml")),
    ("templates/NOTES.txt", include_str!("helm/chart/templates/NOTES.txt")),
    ("templates/answers.yaml", include_str!("helm/chart/templates/answers.yaml")),
    ("templates/prepare.yaml", include_str!("helm/chart/templates/prepare.yaml")),
    ("templates/web.yaml", include_str!("helm/chart/templates/web.yaml")),
];

struct Helm<'m> {
    machine: &'m Machine,
    program: PathBuf,
    folder: PathBuf,
}

impl Helm<'_> {
    /// `None`, said aloud, where it is missing.
    fn program() -> Option<PathBuf> {
        let program = crate::kubectl_verbs::tools().join("helm/helm");
        if program.exists() {
            return Some(program);
        }
        eprintln!("SKIPPED: helm is not at {} (scripts/tools.sh)", program.display());
        None
    }

    fn new(machine: &Machine, program: PathBuf) -> Helm<'_> {
        let folder = machine.data_dir.join("helm");
        for (path, text) in CHART {
            let path = folder.join("chart").join(path);
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Helm { machine, program, folder }
    }

    fn command(&self, words: &str) -> Command {
        let mut command = self.machine.inside(&self.program);
        command.args(words.split(' ')).args(["--namespace", "shop"]).current_dir(&self.folder);
        command.env("HOME", &self.folder);
        command
    }

    fn try_run(&self, words: &str) -> Output {
        run(&mut self.command(words))
    }

    fn ok(&self, words: &str) -> String {
        let output = self.try_run(words);
        assert!(output.status.success(), "helm {words}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn fails(&self, words: &str, says: &str) {
        let output = self.try_run(words);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains(says), "helm {words} is to say {says:?}: {}", said(&output));
    }

    /// Images of the Deployment, and how many pods are ready on them.
    fn state(&self) -> String {
        let fields = "{.spec.template.spec.containers[*].image} {.status.updatedReplicas} {.status.readyReplicas}";
        self.machine.kubectl_args(&["get", "deployment", "web", "-n", "shop", "-o", &format!("jsonpath={fields}")])
    }
}

#[test]
fn a_release_waits_for_its_pods_and_is_tested() {
    let Some(program) = Helm::program().filter(|_| possible()) else { return };
    let cluster = Cluster::up(&[]);
    let machine = cluster.first();
    image::import(machine, "v1.0");
    image::import(machine, "v2.0");
    let helm = Helm::new(machine, program);
    let jobs = format!("--set jobs={}", !Job::DEF.unattended);
    let wait = "--wait --timeout 60s";

    let notes = helm.ok(&format!("install web chart --create-namespace {jobs} {wait}"));
    assert!(notes.contains("2 pods of v1.0 answer."), "{notes}");
    assert_eq!(helm.state(), "user-center:v1.0 2 2", "it waited for them");
    let tested = helm.ok("test web --logs --timeout 60s");
    assert!(tested.contains("Phase:          Succeeded"), "{tested}");
    assert!(tested.contains("POD LOGS: web-answers") && tested.contains("asking\n"), "{tested}");
    assert!(tested.contains("v1.0"), "what the service answers: {tested}");

    helm.ok(&format!("upgrade web chart --set version=v2.0,replicas=3 {jobs} {wait}"));
    assert_eq!(helm.state(), "user-center:v2.0 3 3");
    let tested = helm.ok("test web --logs --timeout 60s");
    assert!(tested.contains("v2.0"), "{tested}");

    // What comes first fails, and nothing else happens.
    helm.fails(&format!("upgrade web chart --set replicas=5,prepared=7 {jobs} {wait}"), "pre-upgrade hooks failed");
    assert_eq!(helm.state(), "user-center:v2.0 3 3");
    // What never becomes ready is taken back.
    let never = "upgrade web chart --set version=v9 --rollback-on-failure --wait --timeout 6s";
    helm.fails(&format!("{never} {jobs}"), "context deadline exceeded");
    helm.machine.until("the revision before", |_| match helm.state() {
        state if state == "user-center:v2.0 3 3" => Ok(()),
        state => Err(state),
    });

    helm.ok(&format!("rollback web 1 {wait}"));
    assert_eq!(helm.state(), "user-center:v1.0 2 2");
    let history = helm.ok("history web");
    assert!(history.contains("Rollback to 1"), "{history}");
    assert_eq!(history.lines().filter(|line| line.contains("failed")).count(), 2, "{history}");

    helm.ok(&format!("uninstall web {wait}"));
    let all = "get pods,deployments,replicasets,services,jobs,endpointslices,secrets -n shop -o name";
    machine.until("nothing is left", |machine| match machine.kubectl(all) {
        left if left.is_empty() => Ok(()),
        left => Err(left),
    });
    assert_eq!(machine.kubectl("get configmaps -n shop -o name"), "configmap/kube-root-ca.crt\n");
    cluster.finish();
}
