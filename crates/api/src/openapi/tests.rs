//! What clients look for in the documents.

use super::*;
use crate::resource::{Scope, Subresource, Verbs};
use std::collections::BTreeSet;

fn none(_: &ResourceDef) -> Option<std::sync::Arc<Value>> {
    None
}

fn deployment() -> ResourceDef {
    let mut def = ResourceDef::new(
        "apps",
        "v1",
        "Deployment",
        "deployments",
        "deployment",
        Scope::Namespaced,
        "k8s.io.api.apps.v1.Deployment",
    );
    def.subresources = &[Subresource::Status, Subresource::Scale];
    def
}

fn pod() -> ResourceDef {
    let mut def = ResourceDef::new("", "v1", "Pod", "pods", "pod", Scope::Namespaced, "k8s.io.api.core.v1.Pod");
    def.subresources = Subresource::ALL;
    def
}

fn node() -> ResourceDef {
    ResourceDef::new("", "v1", "Node", "nodes", "node", Scope::Cluster, "k8s.io.api.core.v1.Node")
}

fn review() -> ResourceDef {
    let message = "k8s.io.api.authorization.v1.SubjectAccessReview";
    let (kind, plural, singular) = ("SubjectAccessReview", "subjectaccessreviews", "subjectaccessreview");
    let mut def = ResourceDef::new("authorization.k8s.io", "v1", kind, plural, singular, Scope::Cluster, message);
    def.verbs = Verbs::CreateOnly;
    def
}

fn custom() -> ResourceDef {
    ResourceDef::new("stable.example.com", "v1", "CronTab", "crontabs", "crontab", Scope::Namespaced, "")
}

fn parsed(document: &[u8]) -> Value {
    serde_json::from_slice(document).expect("JSON")
}

/// Every `$ref` must lead somewhere.
fn check_references(value: &Value, root: &Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                let pointer = reference.trim_start_matches('#');
                assert!(root.pointer(pointer).is_some_and(Value::is_object), "{reference} leads nowhere");
            }
            members.values().for_each(|value| check_references(value, root));
        }
        Value::Array(elements) => elements.iter().for_each(|value| check_references(value, root)),
        _ => {}
    }
}

fn operation_ids(document: &Value) -> Vec<String> {
    let paths = document["paths"].as_object().expect("paths");
    let operations = paths.values().flat_map(|item| item.as_object().expect("a path item").values());
    operations.filter_map(|operation| Some(operation.get("operationId")?.as_str()?.to_owned())).collect()
}

#[test]
fn a_group_version_has_the_paths_and_ids_that_clients_generate_from() {
    let document = parsed(&v3("apis/apps/v1", &[&deployment(), &pod()], &none));
    let paths: Vec<&String> = document["paths"].as_object().expect("paths").keys().collect();
    assert_eq!(
        paths,
        [
            "/apis/apps/v1/",
            "/apis/apps/v1/deployments",
            "/apis/apps/v1/namespaces/{namespace}/deployments",
            "/apis/apps/v1/namespaces/{namespace}/deployments/{name}",
            "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale",
            "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/status",
        ]
    );
    assert_eq!(
        operation_ids(&document),
        [
            "getAppsV1APIResources",
            "listAppsV1DeploymentForAllNamespaces",
            "listAppsV1NamespacedDeployment",
            "createAppsV1NamespacedDeployment",
            "deleteAppsV1CollectionNamespacedDeployment",
            "readAppsV1NamespacedDeployment",
            "replaceAppsV1NamespacedDeployment",
            "patchAppsV1NamespacedDeployment",
            "deleteAppsV1NamespacedDeployment",
            "readAppsV1NamespacedDeploymentScale",
            "replaceAppsV1NamespacedDeploymentScale",
            "patchAppsV1NamespacedDeploymentScale",
            "readAppsV1NamespacedDeploymentStatus",
            "replaceAppsV1NamespacedDeploymentStatus",
            "patchAppsV1NamespacedDeploymentStatus",
        ]
    );
}

#[test]
fn a_patch_offers_field_validation_for_its_kind() {
    let document = parsed(&v3("apis/apps/v1", &[&deployment()], &none));
    let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    assert_eq!(
        patch["x-kubernetes-group-version-kind"],
        json!({"group": "apps", "version": "v1", "kind": "Deployment"})
    );
    assert_eq!(patch["x-kubernetes-action"], "patch");
    let names: Vec<&str> =
        patch["parameters"].as_array().expect("a list").iter().filter_map(|p| p["name"].as_str()).collect();
    assert_eq!(names, ["dryRun", "fieldManager", "fieldValidation", "force", "pretty"]);
    let content = patch["requestBody"]["content"].as_object().expect("bodies");
    assert!(content.contains_key("application/strategic-merge-patch+json"));
}

#[test]
fn schemas_carry_merge_facts_and_descriptions() {
    let document = parsed(&v3("api/v1", &[&pod()], &none));
    let schemas = &document["components"]["schemas"];
    let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["type"], "array");
    assert_eq!(containers["items"]["allOf"][0]["$ref"], "#/components/schemas/io.k8s.api.core.v1.Container");
    assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
    assert_eq!(containers["x-kubernetes-list-type"], "map");
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(containers["x-kubernetes-patch-strategy"], "merge");
    assert!(containers["description"].as_str().is_some_and(|text| text.starts_with("List of containers")));
    let volumes = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["volumes"];
    assert_eq!(volumes["x-kubernetes-patch-strategy"], "merge,retainKeys");
    let pod = &schemas["io.k8s.api.core.v1.Pod"];
    assert_eq!(pod["x-kubernetes-group-version-kind"], json!([{"group": "", "version": "v1", "kind": "Pod"}]));
    assert!(pod["description"].as_str().is_some_and(|text| text.starts_with("Pod is a collection of containers")));
    let volume = schemas["io.k8s.api.core.v1.Volume"]["properties"].as_object().expect("properties");
    assert!(volume.contains_key("hostPath") && !volume.contains_key("volumeSource"));
    let limits = &schemas["io.k8s.api.core.v1.ResourceRequirements"]["properties"]["limits"];
    assert_eq!(
        limits["additionalProperties"],
        json!({"allOf": [{"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.api.resource.Quantity"}]})
    );
    assert!(schemas.get("io.k8s.api.core.v1.PodList").is_some());
    assert!(schemas.get("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions").is_some());
}

#[test]
fn every_reference_leads_somewhere_and_ids_are_unique() {
    let defs = [deployment(), pod(), node(), review(), custom()];
    let defs: Vec<&ResourceDef> = defs.iter().collect();
    let mut documents = vec![parsed(&v2(&defs, &none))];
    for path in ["api/v1", "apis/apps/v1", "apis/authorization.k8s.io/v1", "apis/stable.example.com/v1"] {
        documents.push(parsed(&v3(path, &defs, &none)));
    }
    for document in &documents {
        check_references(document, document);
        let ids = operation_ids(document);
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        assert!(ids.len() > 1);
    }
}

#[test]
fn the_second_version_has_references_and_special_types_of_its_own() {
    let document = parsed(&v2(&[&deployment(), &pod()], &none));
    assert_eq!(document["swagger"], "2.0");
    let definitions = &document["definitions"];
    assert_eq!(
        definitions["io.k8s.api.apps.v1.Deployment"]["properties"]["spec"]["$ref"],
        "#/definitions/io.k8s.api.apps.v1.DeploymentSpec"
    );
    assert_eq!(definitions["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]["format"], "int-or-string");
    let create = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments"]["post"];
    assert_eq!(create["parameters"][0]["in"], "body");
    assert_eq!(create["responses"]["201"]["schema"]["$ref"], "#/definitions/io.k8s.api.apps.v1.Deployment");
}

#[test]
fn custom_kinds_are_open_objects_of_their_own_name() {
    let document = parsed(&v3("apis/stable.example.com/v1", &[&custom()], &none));
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["com.example.stable.v1.CronTab"]["x-kubernetes-preserve-unknown-fields"], true);
    assert_eq!(schemas["com.example.stable.v1.CronTabList"]["required"], json!(["items"]));
    let ids = operation_ids(&document);
    assert!(ids.contains(&"patchStableExampleComV1NamespacedCronTab".to_owned()), "{ids:?}");
}

#[test]
fn paths_that_are_no_resources_are_documented() {
    let defs = [deployment(), pod(), review(), custom()];
    let defs: Vec<&ResourceDef> = defs.iter().collect();
    let whole = parsed(&v2(&defs, &none));
    let mut documents = BTreeSet::from(["api/v1", "apis/apps/v1", "apis/authorization.k8s.io/v1"].map(str::to_owned));
    documents.insert("apis/stable.example.com/v1".to_owned());
    for (document, id, tag, answer) in [
        (".well-known/openid-configuration", "getServiceAccountIssuerOpenIDConfiguration", "WellKnown", ""),
        ("api", "getCoreAPIVersions", "core", "io.k8s.apimachinery.pkg.apis.meta.v1.APIVersions"),
        ("apis", "getAPIVersions", "apis", "io.k8s.apimachinery.pkg.apis.meta.v1.APIGroupList"),
        ("apis/apps", "getAppsAPIGroup", "apps", "io.k8s.apimachinery.pkg.apis.meta.v1.APIGroup"),
        (
            "apis/authorization.k8s.io",
            "getAuthorizationAPIGroup",
            "authorization",
            "io.k8s.apimachinery.pkg.apis.meta.v1.APIGroup",
        ),
        ("openid/v1/jwks", "getServiceAccountIssuerOpenIDKeyset", "openid", ""),
        ("version", "getCodeVersion", "version", "io.k8s.apimachinery.pkg.version.Info"),
    ] {
        documents.insert(document.to_owned());
        let path = format!("/{document}/");
        let own = parsed(&v3(document, &defs, &none));
        check_references(&own, &own);
        assert_eq!(own["paths"].as_object().expect("paths").keys().collect::<Vec<_>>(), [&path]);
        for operation in [&own["paths"][&path]["get"], &whole["paths"][&path]["get"]] {
            assert_eq!((&operation["operationId"], &operation["tags"]), (&json!(id), &json!([tag])), "{path}");
        }
        let schema = &whole["paths"][&path]["get"]["responses"]["200"]["schema"];
        match answer {
            "" => assert_eq!(schema["type"], "string", "{path}"),
            answer => assert_eq!(schema["$ref"], format!("#/definitions/{answer}"), "{path}"),
        }
    }
    assert_eq!(v3_paths(&defs).into_iter().collect::<BTreeSet<_>>(), documents);
}

#[test]
fn what_is_proxied_to_has_a_path_below_and_every_method() {
    let document = parsed(&v3("api/v1", &[&pod()], &none));
    let proxy = "/api/v1/namespaces/{namespace}/pods/{name}/proxy";
    for (path, end, parameters) in [
        (proxy.to_owned(), "NamespacedPodProxy", &["name", "namespace", "path"][..]),
        (format!("{proxy}/{{path}}"), "NamespacedPodProxyWithPath", &["name", "path", "namespace", "path"]),
    ] {
        let item = &document["paths"][&path];
        for method in ["Delete", "Get", "Head", "Options", "Patch", "Post", "Put"] {
            let operation = &item[method.to_lowercase()];
            assert_eq!(operation["operationId"], format!("connectCoreV1{method}{end}"));
            assert_eq!(operation["x-kubernetes-action"], "connect");
            assert_eq!(operation["x-kubernetes-group-version-kind"]["kind"], "PodProxyOptions");
            assert_eq!(operation["tags"], json!(["core_v1"]));
        }
        let names: Vec<&str> =
            item["parameters"].as_array().expect("a list").iter().filter_map(|own| own["name"].as_str()).collect();
        assert_eq!(names, parameters, "{path}");
    }
}

#[test]
fn streams_are_told_what_their_options_are() {
    let document = parsed(&v2(&[&pod()], &none));
    for (subresource, message) in [
        (Subresource::Attach, "PodAttachOptions"),
        (Subresource::Exec, "PodExecOptions"),
        (Subresource::Log, "PodLogOptions"),
        (Subresource::PortForward, "PodPortForwardOptions"),
        (Subresource::Proxy, "PodProxyOptions"),
    ] {
        let path = format!("/api/v1/namespaces/{{namespace}}/pods/{{name}}/{}", subresource.name());
        let parameters = document["paths"][&path]["parameters"].as_array().expect("a list");
        let shown: BTreeSet<&str> =
            parameters.iter().filter(|own| own["in"] == "query").filter_map(|own| own["name"].as_str()).collect();
        let message = crate::schema::message(&format!("k8s.io.api.core.v1.{message}")).expect("in the table");
        let scalar = |field: &&crate::schema::Field| !matches!(field.kind, crate::schema::Type::Message(_));
        let wanted: BTreeSet<&str> = message.fields.iter().filter(scalar).map(|field| field.name).collect();
        assert_eq!(shown, wanted, "{path}");
    }
}

#[test]
fn documents_are_named_by_their_content() {
    let once = v3("api/v1", &[&pod(), &node()], &none);
    assert_eq!(once, v3("api/v1", &[&pod(), &node()], &none));
    assert_eq!(hash(&once), hash(&once.clone()));
    assert_ne!(hash(&once), hash(&v3("api/v1", &[&pod()], &none)));
    assert_eq!(
        parsed(&v3_index([("api/v1", "AB")])),
        json!({"paths": {"api/v1": {"serverRelativeURL": "/openapi/v3/api/v1?hash=AB"}}})
    );
}

#[test]
fn every_described_definition_is_known() {
    let descriptions = Descriptions::read();
    let pod = descriptions.definition("io.k8s.api.core.v1.PodOS");
    assert_eq!(pod.as_deref(), Some("PodOS defines the OS parameters of a pod."));
    let undescribed: Vec<String> = crate::schema::messages()
        .filter(|message| message.openapi)
        .map(|message| message.openapi_name())
        .filter(|name| descriptions.definition(name).is_none())
        .collect();
    assert!(undescribed.len() < 10, "{undescribed:?}");
}

/// The fields of a protobuf message: their numbers with the bytes of those that have a length.
fn fields(bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = bytes.split_first().expect("more");
            *bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut rest = bytes;
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let tag = varint(&mut rest);
        let content = varint(&mut rest);
        match tag & 7 {
            0 => fields.push((tag >> 3, vec![content as u8])),
            2 => {
                let (taken, after) = rest.split_at(usize::try_from(content).expect("a length"));
                rest = after;
                fields.push((tag >> 3, taken.to_vec()));
            }
            other => panic!("wire type {other}"),
        }
    }
    fields
}

/// The value that a list of named values has for a name.
fn named(list: &[u8], number: u64, name: &str) -> Vec<u8> {
    let pairs = fields(list).into_iter().filter(|(n, _)| *n == number).map(|(_, pair)| fields(&pair));
    let found = pairs.filter(|pair| pair[0] == (1, name.as_bytes().to_vec())).map(|pair| pair[1].1.clone()).next();
    found.unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn the_protobuf_of_the_second_version_says_what_its_json_says() {
    let defs = [deployment(), pod()];
    let defs: Vec<&ResourceDef> = defs.iter().collect();
    let document = fields(&v2_protobuf(&v2_document(&defs, &none)));
    assert_eq!(document.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2, 8, 9, 12, 13]);
    assert_eq!(document[0].1, b"2.0");
    let spec = named(&document[3].1, 1, "io.k8s.api.apps.v1.DeploymentSpec");
    let spec = fields(&spec);
    let properties = &spec.iter().find(|(number, _)| *number == 25).expect("properties").1;
    let template = fields(&named(properties, 1, "template"));
    assert_eq!(template[0], (1, b"#/definitions/io.k8s.api.core.v1.PodTemplateSpec".to_vec()));
    let pod = fields(&named(&document[3].1, 1, "io.k8s.api.core.v1.Pod"));
    let kind = fields(&pod.last().expect("an extension").1);
    assert_eq!(kind[0].1, b"x-kubernetes-group-version-kind");
    assert_eq!(fields(&kind[1].1)[0].1, b"[{\"group\":\"\",\"version\":\"v1\",\"kind\":\"Pod\"}]\n");
    let item = fields(&named(&document[2].1, 2, "/api/v1/namespaces/{namespace}/pods/{name}"));
    assert_eq!(item.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 3, 5, 8, 9, 9]);
}
