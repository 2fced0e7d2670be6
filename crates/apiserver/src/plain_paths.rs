//! The paths that are no resources: health, version, metrics, keys, and what is served.

use crate::backend::Backend;
use crate::catalog::Catalog;
use crate::http::{Answer, Query, RequestInfo};
use crate::{authn, authz, custom_resources, discovery};
use api::{KUBERNETES_VERSION, Status};
use exposition::labels;
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use std::sync::Arc;

const HEALTH: [&str; 3] = ["healthz", "livez", "readyz"];

fn text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// `host` as the client reached the server: `10.0.0.1:6443`.
pub(crate) fn answer(
    backend: &Arc<Backend>,
    info: &RequestInfo<'_>,
    query: &Query,
    headers: &HeaderMap,
    host: &str,
) -> Result<Answer, Status> {
    // Who balances load may ask for no more than the head.
    let is_head = info.verb == "head" && HEALTH.iter().any(|endpoint| info.path.strip_prefix('/') == Some(*endpoint));
    if info.verb != "get" && !is_head {
        return Err(if known(info.path) { Status::method_not_allowed() } else { Status::no_such_path() });
    }
    let path = info.path;
    match path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path) {
        "/version" => return version(),
        "/metrics" => return Ok(metrics(backend)),
        authn::CONFIGURATION_PATH => {
            let server = format!("https://{host}");
            return Answer::serialized(&backend.parts()?.authn.openid_configuration(&server));
        }
        authn::KEYS_PATH => {
            let mut answer = Answer::serialized(&backend.parts()?.authn.jwks())?;
            answer.content_type = "application/jwk-set+json";
            return Ok(answer);
        }
        "/" => return paths(backend),
        _ => {}
    }
    for endpoint in HEALTH {
        let own = path.strip_prefix('/').and_then(|path| path.strip_prefix(endpoint));
        if let Some(rest) = own.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
            return Ok(health(backend, endpoint, rest.trim_matches('/'), query));
        }
    }
    let catalog = Catalog::of(backend);
    let accept = text(headers, header::ACCEPT);
    let if_none_match = text(headers, header::IF_NONE_MATCH);
    let table = backend.aggregation.table();
    if let Some(answer) = discovery::answer(&catalog.defs, &table, path, accept, host, if_none_match) {
        return answer;
    }
    let document = backend.documents.answer(&catalog, &table, path, query.get("hash"), accept, if_none_match);
    document.unwrap_or_else(|| Err(Status::no_such_path()))
}

fn known(path: &str) -> bool {
    const ROOTS: &[&str] = &["/version", "/metrics", "/healthz", "/livez", "/readyz", "/api", "/apis", "/openapi"];
    ROOTS.iter().any(|root| path == *root || path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/')))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    major: &'static str,
    minor: &'static str,
    git_version: &'static str,
    git_commit: &'static str,
    git_tree_state: &'static str,
    build_date: &'static str,
    go_version: &'static str,
    compiler: &'static str,
    platform: String,
}

fn version() -> Result<Answer, Status> {
    Answer::serialized(&built())
}

fn build_info(out: &mut String) {
    let Version { major, minor, git_version, git_commit, git_tree_state, build_date, go_version, compiler, platform } =
        built();
    let pairs = [
        ("build_date", build_date),
        ("compiler", compiler),
        ("git_commit", git_commit),
        ("git_tree_state", git_tree_state),
        ("git_version", git_version),
        ("go_version", go_version),
        ("major", major),
        ("minor", minor),
        ("platform", &platform),
    ];
    let name = "kubernetes_build_info";
    let labels = labels(&pairs);
    let help = "What this server was built as. The count is always 1.";
    out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name}{{{labels}}} 1\n"));
}

fn built() -> Version {
    let (major, minor, git_version) = KUBERNETES_VERSION;
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    Version {
        major,
        minor,
        git_version,
        // What a build does not know it does not say.
        git_commit: "",
        git_tree_state: "",
        build_date: "",
        go_version: "",
        compiler: "rustc",
        platform: format!("linux/{machine}"),
    }
}

fn metrics(backend: &Backend) -> Answer {
    let mut objects: Vec<(String, usize)> = backend
        .registry
        .resources()
        .iter()
        .filter(|resource| resource.def.verbs == api::resource::Verbs::Full)
        .map(|resource| (resource.def.group_resource(), resource.snapshot().objects.len()))
        .collect();
    objects.sort();
    let mut text = backend.metrics.render(backend.registry.revision().0, &objects);
    build_info(&mut text);
    if let Ok(parts) = backend.parts() {
        parts.admission.metrics(&mut text);
        let families = [authz::CONDITIONS, custom_resources::CONVERSIONS].concat();
        if parts.callout.series().write(&families, &mut text).is_err() {
            tracing::error!("metrics of webhooks did not render");
        }
    }
    backend.write_metrics_beside(&mut text);
    backend.aggregation.table().metrics(&mut text);
    if let Some(fairness) = backend.fairness() {
        fairness.metrics(&mut text);
    }
    if let Some(audit) = backend.audit() {
        audit.metrics(&mut text);
    }
    let mut answer = Answer::text(text);
    answer.content_type = "text/plain; version=0.0.4; charset=utf-8";
    answer
}

#[derive(Serialize)]
struct Paths {
    paths: Vec<String>,
}

fn paths(backend: &Backend) -> Result<Answer, Status> {
    let fixed = ["/.well-known/openid-configuration", "/api", "/apis", "/healthz", "/livez", "/metrics"];
    let more = ["/openapi/v2", "/openapi/v3", "/openid/v1/jwks", "/readyz", "/version"];
    let mut paths: Vec<String> = fixed.into_iter().chain(more).map(str::to_owned).collect();
    for def in Catalog::of(backend).defs {
        paths.push(format!("/{}", api::openapi::document_path(def)));
        if !def.group.is_empty() {
            paths.push(format!("/apis/{}", def.group));
        }
    }
    for (group, version, _) in backend.aggregation.table().remotes() {
        paths.extend([format!("/apis/{group}"), format!("/apis/{group}/{version}")]);
    }
    paths.sort();
    paths.dedup();
    Answer::serialized(&Paths { paths })
}

/// `ok`, or each check on a line of its own when asked or when one fails.
fn health(backend: &Backend, endpoint: &str, only: &str, query: &Query) -> Answer {
    let mut checks = backend.checks();
    if endpoint == "livez" {
        // A server that is still starting is alive.
        checks.retain(|(name, _)| matches!(*name, "ping" | "store"));
    }
    if !only.is_empty() {
        checks.retain(|(name, _)| *name == only);
        if checks.is_empty() {
            return Answer::error(&Status::no_such_path());
        }
    }
    let mut report = String::new();
    let mut failed = false;
    for (name, result) in &checks {
        let excluded = query.all("exclude").any(|other| other == *name);
        match result {
            _ if excluded => report.push_str(&format!("[+]{name} excluded: ok\n")),
            Ok(()) => report.push_str(&format!("[+]{name} ok\n")),
            Err(why) => {
                failed = true;
                report.push_str(&format!("[-]{name} failed: {why}\n"));
            }
        }
    }
    let unknown: Vec<String> = query
        .all("exclude")
        .filter(|other| !checks.iter().any(|(name, _)| other == name))
        .map(|other| format!("{other:?}"))
        .collect();
    if !unknown.is_empty() {
        let unknown = unknown.join(",");
        report.push_str(&format!("warn: some health checks cannot be excluded: no matches for {unknown}\n"));
    }
    if failed {
        report.push_str(&format!("{endpoint} check failed\n"));
        return Answer::text(report).code(StatusCode::INTERNAL_SERVER_ERROR);
    }
    if query.find("verbose").is_some() {
        report.push_str(&format!("{endpoint} check passed\n"));
        return Answer::text(report);
    }
    Answer::text("ok")
}
