//! Kustomizations built by ours: to the byte what upstream's client makes of them, and refused where it refuses.
//!
//! `expected.yaml` is upstream's output; where upstream's client is at hand, that is checked too, and so are the words
//! of errors and warnings.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const UPSTREAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools/kubectl-1.37/kubectl");
const OURS: &str = env!("CARGO_BIN_EXE_kubectl");
const TESTDATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kustomize/testdata");

fn run(program: &str, folder: &Path) -> Output {
    let mut command = Command::new(program);
    // No cluster is asked.
    command.arg("kustomize").arg(folder).env("KUBECONFIG", "/dev/null").output().unwrap()
}

fn upstream(folder: &Path) -> Option<Output> {
    Path::new(UPSTREAM).exists().then(|| run(UPSTREAM, folder))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> =
        std::fs::read_dir(TESTDATA).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    assert!(cases.len() >= 9, "{cases:?}");
    cases
}

#[test]
fn every_kustomization_is_built_as_upstream_builds_it() {
    let mut different = Vec::new();
    for case in cases() {
        let expected = std::fs::read_to_string(case.join("expected.yaml")).unwrap();
        let ours = run(OURS, &case);
        if let Some(theirs) = upstream(&case) {
            assert_eq!(text(&theirs.stdout), expected, "expected.yaml of {} is not upstream's", case.display());
            assert_eq!(text(&ours.stderr), text(&theirs.stderr), "{}", case.display());
        }
        if text(&ours.stdout) != expected {
            different.push(format!(
                "{}: {}\n{}",
                case.display(),
                text(&ours.stderr),
                first_difference(&text(&ours.stdout), &expected)
            ));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// What `-k` reads is what `kustomize` prints, in its order; `label --local` asks no server.
#[test]
fn commands_read_kustomizations() {
    let folder = Path::new(TESTDATA).join("generators");
    let label = |program: &str, flags: &[&str]| {
        let mut command = Command::new(program);
        command.args(["label", "--local", "x=y", "-o", "name", "-k"]).arg(&folder).args(flags);
        command.env("KUBECONFIG", "/dev/null").output().unwrap()
    };
    let expected = std::fs::read_to_string(folder.join("expected.yaml")).unwrap();
    let ours = text(&label(OURS, &[]).stdout);
    assert_eq!(ours.lines().count(), expected.matches("\nkind: ").count(), "{ours}");
    for flags in [&[][..], &["-f", "x.yaml"], &["-R"]] {
        let ours = label(OURS, flags);
        if Path::new(UPSTREAM).exists() {
            let theirs = label(UPSTREAM, flags);
            assert_eq!((text(&ours.stdout), text(&ours.stderr)), (text(&theirs.stdout), text(&theirs.stderr)));
        }
    }
}

fn first_difference(ours: &str, expected: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (ours.lines().collect(), expected.lines().collect());
    let line = (0..a.len().max(b.len())).find(|line| a.get(*line) != b.get(*line)).unwrap_or_default();
    let around =
        |lines: &[&str]| lines.iter().skip(line.saturating_sub(4)).take(9).copied().collect::<Vec<_>>().join("\n");
    format!("line {}\n--- ours\n{}\n--- upstream's\n{}", line + 1, around(&a), around(&b))
}

/// A kustomization, what else is in its folder, and a part of the refusal; `true` where it is upstream's to the letter.
const REFUSED: [(&str, &[(&str, &str)], &str, bool); 17] = [
    ("foo: bar", &[], "invalid Kustomization: json: unknown field \"foo\"", true),
    ("resources: [none.yaml]", &[], "no such file or directory", true),
    ("resources: [../outside.yaml]", &[], "security; file", true),
    ("resources: [link.yaml]", &[], "security; file", true),
    ("resources: [below]", &[("below/kustomization.yaml", "resources: [..]")], "cycle detected", true),
    ("resources: [a.yaml, b.yaml]", &[("a.yaml", CONFIG), ("b.yaml", CONFIG)], "already registered id", true),
    ("kind: Other\nresources: []", &[], "kind should be Kustomization or Component", true),
    (
        "components: [c]",
        &[("c/kustomization.yaml", "resources: []\nnamePrefix: x-")],
        "expected kind 'Component'",
        false,
    ),
    ("configMapGenerator: [{name: a, files: [../outside.yaml]}]", &[], "security; file", false),
    ("resources: ['file:///nowhere/repository//base?ref=v1']", &[], "failed to run", false),
    (
        "resources: [a.yaml]\nvars: [{name: A, objref: {kind: ConfigMap, name: gone, apiVersion: v1}}]",
        &[("a.yaml", CONFIG)],
        "var '{A ConfigMap.v1.[noGrp] {metadata.name}}' cannot be mapped to a field in the set of known resources",
        false,
    ),
    (
        "generators: [g.yaml]",
        &[("g.yaml", FOREIGN)],
        "external plugins disabled; unable to load external plugin 'Foo'",
        true,
    ),
    (
        "transformers: [g.yaml]",
        &[("g.yaml", FOREIGN)],
        "external plugins disabled; unable to load external plugin 'Foo'",
        true,
    ),
    (
        "resources: [a.yaml]\nvalidators: [g.yaml]",
        &[
            ("a.yaml", CONFIG),
            (
                "g.yaml",
                "apiVersion: builtin\nkind: PrefixTransformer\nmetadata: {name: x}\nprefix: p-\nfieldSpecs: [{path: metadata/name}]",
            ),
        ],
        "validator shouldn't modify the resource map",
        false,
    ),
    ("helmCharts: [{name: x}]", &[], "must specify --enable-helm", true),
    ("helmCharts: [{name: x}]\nhelmGlobals: {chartHome: home}", &[], "must specify --enable-helm", false),
    ("openapi: {path: x.json}", &[], "schemas of your own are not built in", false),
];
const FOREIGN: &str = "apiVersion: example.com/v1\nkind: Foo\nmetadata: {name: x}\n";
const CONFIG: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n";

#[test]
fn what_cannot_be_built_is_refused_with_the_reason() {
    for (kustomization, files, part, same) in REFUSED {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("k");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(outer.path().join("outside.yaml"), CONFIG).unwrap();
        std::os::unix::fs::symlink("../outside.yaml", folder.join("link.yaml")).unwrap();
        std::fs::write(folder.join("kustomization.yaml"), kustomization).unwrap();
        for (name, content) in files {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let ours = run(OURS, &folder);
        let said = text(&ours.stderr);
        assert_eq!(ours.status.code(), Some(1), "{kustomization}: {}", text(&ours.stdout));
        assert!(said.contains(part) && ours.stdout.is_empty(), "{kustomization}: {said}");
        if let Some(theirs) = upstream(&folder).filter(|_| same) {
            assert_eq!(said, text(&theirs.stderr), "{kustomization}");
        }
    }
    let nowhere = run(OURS, Path::new("/nowhere"));
    assert!(text(&nowhere.stderr).contains("evalsymlink failure on '/nowhere'"), "{}", text(&nowhere.stderr));
}

/// Runs git in a folder, as somebody without a configuration.
fn git(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=somebody", "-c", "user.email=somebody@example.com"]).args(arguments);
    command.current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", text(&output.stderr));
}

#[test]
fn bases_in_repositories_are_fetched_by_git() {
    if Command::new("git").arg("--version").output().is_err() {
        return eprintln!("skipped: there is no git on this machine");
    }
    let outer = tempfile::tempdir().unwrap();
    let (repository, own) = (outer.path().join("repository"), outer.path().join("own"));
    for (path, content) in [
        ("repository/base/kustomization.yaml", "resources: [o.yaml, ../beside]"),
        ("repository/base/o.yaml", CONFIG),
        ("repository/beside/kustomization.yaml", "configMapGenerator: [{name: made, literals: [a=1]}]"),
        ("repository/out/kustomization.yaml", "resources: [../../own]"),
        ("own/o.yaml", CONFIG),
    ] {
        let path = outer.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    git(&repository, &["init", "-q", "."]);
    git(&repository, &["add", "."]);
    git(&repository, &["commit", "-q", "-m", "first"]);
    git(&repository, &["tag", "v1"]);
    std::fs::write(repository.join("base/o.yaml"), CONFIG.replace("name: c", "name: newer")).unwrap();
    git(&repository, &["commit", "-q", "-a", "-m", "second"]);
    let place = repository.display();
    for (name, part) in [("base?ref=v1", "name: x-c\n"), ("base", "name: x-newer\n")] {
        let kustomization = format!("namePrefix: x-\nresources: ['file://{place}//{name}']");
        std::fs::write(own.join("kustomization.yaml"), kustomization).unwrap();
        let ours = run(OURS, &own);
        assert!(text(&ours.stdout).contains(part), "{name}: {} {}", text(&ours.stdout), text(&ours.stderr));
        assert!(text(&ours.stdout).contains("name: x-made-"), "{}", text(&ours.stdout));
        if let Some(theirs) = upstream(&own) {
            assert_eq!(text(&ours.stdout), text(&theirs.stdout), "{name}");
        }
    }
    let direct = run(OURS, Path::new(&format!("file://{place}//base?ref=v1")));
    assert!(text(&direct.stdout).contains("name: c\n"), "{}", text(&direct.stderr));
    let kustomization = format!("resources: ['file://{place}//out']");
    std::fs::write(own.join("kustomization.yaml"), kustomization).unwrap();
    let outside = run(OURS, &own);
    assert!(!outside.status.success(), "{}", text(&outside.stdout));
}

/// Where helm was fetched for tests.
const HELM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools/helm/helm");

#[test]
fn charts_are_rendered_by_helm() {
    if !Path::new(HELM).exists() {
        return eprintln!("skipped: no helm at {HELM}");
    }
    let folder = tempfile::tempdir().unwrap();
    let templates = folder.path().join("charts/app/templates");
    std::fs::create_dir_all(&templates).unwrap();
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}-c'}\n\
        data: {word: '{{ .Values.word }}', rest: {{ .Values.m | toJson | quote }}, kube: '{{ .Capabilities.KubeVersion }}'}\n";
    for (path, content) in [
        ("charts/app/Chart.yaml", "apiVersion: v2\nname: app\nversion: 0.1.0\n"),
        ("charts/app/values.yaml", "word: a\nm: {x: 1, z: 2}\n"),
        ("charts/app/templates/c.yaml", template),
        ("more.yaml", "word: more\n"),
        (
            "g.yaml",
            "apiVersion: builtin\nkind: HelmChartInflationGenerator\nmetadata: {name: any}\nname: app\nreleaseName: g\n",
        ),
    ] {
        std::fs::write(folder.path().join(path), content).unwrap();
    }
    for kustomization in [
        "helmCharts: [{name: app, releaseName: r, namespace: n1, valuesInline: {word: b, m: {q: 3}}}]",
        "helmCharts: [{name: app, releaseName: r, valuesInline: {word: b, m: {x: 3}}, valuesMerge: merge}]",
        "helmCharts: [{name: app, releaseName: r, valuesInline: {word: b}, valuesMerge: replace}]",
        "helmCharts: [{name: app, nameTemplate: abc, additionalValuesFiles: [more.yaml], kubeVersion: v1.30.1}]",
        "helmCharts: [{name: app, valuesMerge: odd}]",
        "helmCharts: [{name: gone}]",
        "generators: [g.yaml]\nnamePrefix: p-\nbuildMetadata: [originAnnotations]",
    ] {
        std::fs::write(folder.path().join("kustomization.yaml"), kustomization).unwrap();
        let run = |program: &str| {
            let mut command = Command::new(program);
            command.args(["kustomize", "--enable-helm", "--helm-command", HELM]).arg(folder.path());
            command.env("KUBECONFIG", "/dev/null").output().unwrap()
        };
        let ours = run(OURS);
        let seen = |output: &Output| (output.status.code(), text(&output.stdout), text(&output.stderr));
        let fails = kustomization.contains("odd") || kustomization.contains("gone");
        assert_eq!(ours.status.success(), !fails, "{kustomization}: {:?}", seen(&ours));
        if Path::new(UPSTREAM).exists() {
            assert_eq!(seen(&ours), seen(&run(UPSTREAM)), "{kustomization}");
        }
    }
}
