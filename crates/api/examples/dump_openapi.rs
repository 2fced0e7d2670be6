use std::collections::BTreeSet;
fn main() {
    let defs: Vec<&api::ResourceDef> = api::object::builtin().iter().map(|r| r.def()).collect();
    let paths: BTreeSet<String> = defs.iter().map(|d| api::openapi::document_path(d)).collect();
    let mut index = vec![];
    std::fs::create_dir_all("/tmp/oa/v3").unwrap();
    for p in &paths {
        let t = std::time::Instant::now();
        let doc = api::openapi::v3(p, &defs);
        eprintln!("{p} {} bytes {:?}", doc.len(), t.elapsed());
        index.push((p.clone(), api::openapi::hash(&doc)));
        std::fs::write(format!("/tmp/oa/v3/{}", p.replace('/', "_")), doc).unwrap();
    }
    std::fs::write("/tmp/oa/v3index", api::openapi::v3_index(index.iter().map(|(a, b)| (a.as_str(), b.as_str())))).unwrap();
    let t = std::time::Instant::now();
    let v2 = api::openapi::v2(&defs);
    eprintln!("v2 {} {:?}", v2.len(), t.elapsed());
    std::fs::write("/tmp/oa/v2", v2).unwrap();
    let rows: Vec<_> = defs.iter().map(|d| serde_json::json!({"group": d.group, "version": d.version, "kind": d.kind, "plural": d.plural, "singular": d.singular, "namespaced": d.namespaced(), "verbs": d.verbs.names()})).collect();
    std::fs::write("/tmp/oa/rows", serde_json::to_vec(&rows).unwrap()).unwrap();
    let text = std::fs::read("/tmp/pod.json").unwrap_or_default();
    if !text.is_empty() {
        let n = 2000;
        let t = std::time::Instant::now();
        for _ in 0..n { std::hint::black_box(api::schema::check("k8s.io.api.core.v1.Pod", &text).unwrap()); }
        eprintln!("check {} bytes: {:?}", text.len(), t.elapsed() / n);
    }
}
