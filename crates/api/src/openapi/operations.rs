//! One operation of a path: its parameters, bodies and answers, in either dialect.

use super::Dialect;
use super::paths::capitalized;
use super::schemas::{Schemas, kind_value};
use crate::resource::Subresource;
use serde_json::{Map, Value, json};

/// What a request does, as `x-kubernetes-action` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    List,
    Create,
    DeleteCollection,
    Read,
    Replace,
    Patch,
    Delete,
    /// A stream in the body or in its place, by this method.
    Connect(&'static str),
}

impl Action {
    pub(super) fn method(self) -> &'static str {
        match self {
            Action::List | Action::Read => "get",
            Action::Create => "post",
            Action::Connect(method) => method,
            Action::DeleteCollection | Action::Delete => "delete",
            Action::Replace => "put",
            Action::Patch => "patch",
        }
    }

    fn kubernetes(self) -> &'static str {
        match self {
            Action::List => "list",
            Action::Create => "post",
            Action::DeleteCollection => "deletecollection",
            Action::Read => "get",
            Action::Replace => "put",
            Action::Patch => "patch",
            Action::Delete => "delete",
            Action::Connect(_) => "connect",
        }
    }

    /// The first word of the operation's id.
    fn verb(self) -> &'static str {
        match self {
            Action::List => "list",
            Action::Create => "create",
            Action::DeleteCollection | Action::Delete => "delete",
            Action::Read => "read",
            Action::Replace => "replace",
            Action::Patch => "patch",
            // A connection's method stands behind the group version.
            Action::Connect(_) => "connect",
        }
    }

    /// What stands between group version and subject in the operation's id.
    fn middle(self) -> String {
        match self {
            Action::DeleteCollection => "Collection".to_owned(),
            Action::Connect(method) => capitalized(method),
            _ => String::new(),
        }
    }
}

/// What an operation is about.
pub(super) struct Operation<'a> {
    pub(super) action: Action,
    /// `AppsV1`.
    pub(super) tag_camel: &'a str,
    /// `apps_v1`.
    pub(super) tag: &'a str,
    /// The end of the id: `NamespacedDeploymentStatus`, `DeploymentForAllNamespaces`.
    pub(super) subject: String,
    /// Group, version and kind of what the path holds.
    pub(super) kind: (&'a str, &'a str, &'a str),
    /// The schema of bodies both ways.
    pub(super) body: Value,
    /// Whether a delete answers with the object instead of a status is left open by upstream: it says Status.
    pub(super) answer: Value,
    /// Of a kind without a message: neither protobuf nor patches that need its facts.
    pub(super) is_custom: bool,
}

/// Query parameters: name, JSON type, what it does.
pub(super) type Parameter = (&'static str, &'static str, &'static str);

const PRETTY: Parameter = ("pretty", "string", "Whether the output is indented.");
const DRY_RUN: Parameter = ("dryRun", "string", "`All`: everything is done but storing.");
const FIELD_MANAGER: Parameter = ("fieldManager", "string", "Who makes the change; needed for apply patches.");
const FIELD_VALIDATION: Parameter =
    ("fieldValidation", "string", "`Ignore`, `Warn` or `Strict`: what unknown and duplicate fields lead to.");
const FORCE: Parameter = ("force", "boolean", "Takes over fields that other managers own; for apply patches only.");
const SELECTION: [Parameter; 2] = [
    ("fieldSelector", "string", "Only objects whose fields match."),
    ("labelSelector", "string", "Only objects whose labels match."),
];
const LISTING: [Parameter; 8] = [
    ("allowWatchBookmarks", "boolean", "Whether a watch may send BOOKMARK events."),
    ("continue", "string", "Where a list goes on: the `continue` of the page before."),
    ("limit", "integer", "The size of a page."),
    ("resourceVersion", "string", "How fresh the answer must be, or where a watch begins."),
    ("resourceVersionMatch", "string", "How `resourceVersion` is meant."),
    ("sendInitialEvents", "boolean", "Whether a watch begins with what is there, then a bookmark."),
    ("timeoutSeconds", "integer", "How long a list may take or a watch lasts."),
    ("watch", "boolean", "Changes as they happen instead of a list."),
];
const DELETION: [Parameter; 4] = [
    ("gracePeriodSeconds", "integer", "How long the object has to end; 0 for at once."),
    (
        "ignoreStoreReadErrorWithClusterBreakingPotential",
        "boolean",
        "Deletes an object that cannot be read from the store.",
    ),
    ("orphanDependents", "boolean", "Deprecated: `propagationPolicy` says it."),
    ("propagationPolicy", "string", "`Orphan`, `Background` or `Foreground`: what becomes of dependents."),
];

const CONTAINER: Parameter = ("container", "string", "Which container; needed where there are several.");
const STREAMS: [Parameter; 5] = [
    CONTAINER,
    ("stderr", "boolean", "Whether its standard error is wanted."),
    ("stdin", "boolean", "Whether something is written to it."),
    ("stdout", "boolean", "Whether its standard output is wanted."),
    ("tty", "boolean", "Whether it is a terminal."),
];
const EXECUTION: [Parameter; 6] = [
    ("command", "string", "A word of what is run, once for each; no shell reads them."),
    STREAMS[0],
    STREAMS[1],
    STREAMS[2],
    STREAMS[3],
    STREAMS[4],
];
const LOG: [Parameter; 9] = [
    CONTAINER,
    ("follow", "boolean", "Whether what is written later follows."),
    ("insecureSkipTLSVerifyBackend", "boolean", "Whether the node's certificate is taken unchecked."),
    ("limitBytes", "integer", "How many bytes are read at most."),
    ("previous", "boolean", "Whether it is the log of the container before its last restart."),
    ("sinceSeconds", "integer", "How old a line may be."),
    ("stream", "string", "`All`, `Stdout` or `Stderr`."),
    ("tailLines", "integer", "How many lines before the end it begins."),
    ("timestamps", "boolean", "Whether each line begins with its time."),
];

fn parameters(action: Action) -> Vec<Parameter> {
    let mut parameters = vec![PRETTY];
    match action {
        Action::List => parameters.extend(SELECTION.into_iter().chain(LISTING)),
        Action::Create | Action::Replace => parameters.extend([DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION]),
        Action::Patch => parameters.extend([DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION, FORCE]),
        Action::Delete => parameters.extend([DRY_RUN].into_iter().chain(DELETION)),
        Action::DeleteCollection => {
            // A deletion does not watch.
            let listing = LISTING.into_iter().filter(|(name, ..)| !matches!(*name, "watch" | "allowWatchBookmarks"));
            parameters.extend([DRY_RUN].into_iter().chain(DELETION).chain(SELECTION).chain(listing));
        }
        Action::Read => {}
        // Of all methods alike, and so of the path.
        Action::Connect(_) => parameters.clear(),
    }
    parameters.sort_unstable();
    parameters
}

/// Bodies that a patch may come as; the last one not to custom kinds.
const PATCH_TYPES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];
const TYPES: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
const CUSTOM_TYPES: [&str; 2] = ["application/json", "application/yaml"];
const STREAM_TYPES: [&str; 2] = ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];

impl Operation<'_> {
    /// The value below the method's name.
    pub(super) fn render(self, dialect: Dialect, schemas: &mut Schemas<'_>) -> Value {
        let action = self.action;
        let (group, version, kind) = self.kind;
        let mut operation = json!({
            "description": description(action, kind),
            "operationId": format!("{}{}{}{}", action.verb(), self.tag_camel, action.middle(), self.subject),
            "tags": [self.tag],
            "x-kubernetes-action": action.kubernetes(),
            "x-kubernetes-group-version-kind": kind_value(group, version, kind),
        });
        let body = match action {
            Action::Create | Action::Replace => Some(self.body),
            Action::Patch => Some(schemas.meta("Patch")),
            Action::Delete | Action::DeleteCollection => Some(schemas.meta("DeleteOptions")),
            _ => None,
        };
        let mut list: Vec<Value> = parameters(action).into_iter().map(|parameter| query(parameter, dialect)).collect();
        let members = operation.as_object_mut().expect("just made");
        match dialect {
            Dialect::V3 => bodies_v3(action, self.is_custom, body, self.answer, members),
            Dialect::V2 => bodies_v2(action, self.is_custom, body, self.answer, &mut list, members),
        }
        members.insert("parameters".into(), list.into());
        operation
    }
}

fn description(action: Action, kind: &str) -> String {
    match action {
        Action::List => format!("list or watch objects of kind {kind}"),
        Action::Create => format!("create a {kind}"),
        Action::DeleteCollection => format!("delete collection of {kind}"),
        Action::Read => format!("read the specified {kind}"),
        Action::Replace => format!("replace the specified {kind}"),
        Action::Patch => format!("partially update the specified {kind}"),
        Action::Delete => format!("delete a {kind}"),
        Action::Connect(method) => format!("connect {} requests to {kind}", method.to_ascii_uppercase()),
    }
}

/// Of a stream's path.
pub(super) fn options(subresource: Subresource) -> &'static [Parameter] {
    match subresource {
        Subresource::Attach => &STREAMS,
        Subresource::Exec => &EXECUTION,
        Subresource::Log => &LOG,
        Subresource::PortForward => &[("ports", "integer", "The ports to forward.")],
        Subresource::Proxy => &[("path", "string", "The path that is asked behind the proxy.")],
        _ => &[],
    }
}

pub(super) fn query((name, kind, description): Parameter, dialect: Dialect) -> Value {
    match dialect {
        Dialect::V2 => {
            json!({"name": name, "in": "query", "description": description, "type": kind, "uniqueItems": true})
        }
        Dialect::V3 => json!({
            "name": name, "in": "query", "description": description,
            "schema": {"type": kind, "uniqueItems": true},
        }),
    }
}

/// A parameter of the path, such as `{name}`.
pub(super) fn path_parameter(name: &str, description: &str, dialect: Dialect) -> Value {
    match dialect {
        Dialect::V2 => json!({
            "name": name, "in": "path", "description": description, "required": true,
            "type": "string", "uniqueItems": true,
        }),
        Dialect::V3 => json!({
            "name": name, "in": "path", "description": description, "required": true,
            "schema": {"type": "string", "uniqueItems": true},
        }),
    }
}

/// Codes that an action succeeds with.
fn codes(action: Action) -> &'static [(&'static str, &'static str)] {
    match action {
        Action::Create => &[("200", "OK"), ("201", "Created"), ("202", "Accepted")],
        Action::Replace | Action::Patch => &[("200", "OK"), ("201", "Created")],
        Action::Delete => &[("200", "OK"), ("202", "Accepted")],
        _ => &[("200", "OK")],
    }
}

fn body_types(action: Action, is_custom: bool) -> &'static [&'static str] {
    match action {
        Action::Patch if is_custom => &PATCH_TYPES[..PATCH_TYPES.len() - 1],
        Action::Patch => &PATCH_TYPES,
        _ => &["*/*"],
    }
}

fn answer_types(action: Action, is_custom: bool) -> Vec<&'static str> {
    match action {
        Action::List if is_custom => CUSTOM_TYPES.iter().chain(&STREAM_TYPES[..1]).copied().collect(),
        _ if is_custom => CUSTOM_TYPES.to_vec(),
        Action::List => TYPES.iter().chain(&STREAM_TYPES).copied().collect(),
        Action::Connect(_) => vec!["*/*"],
        _ => TYPES.to_vec(),
    }
}

fn bodies_v3(action: Action, is_custom: bool, body: Option<Value>, answer: Value, members: &mut Map<String, Value>) {
    let content = |types: &[&str], schema: &Value| -> Map<String, Value> {
        types.iter().map(|media| ((*media).to_owned(), json!({"schema": schema}))).collect()
    };
    if let Some(body) = body {
        let mut request = json!({"content": content(body_types(action, is_custom), &body)});
        if !matches!(action, Action::Delete | Action::DeleteCollection) {
            request["required"] = true.into();
        }
        members.insert("requestBody".into(), request);
    }
    let types = answer_types(action, is_custom);
    let mut responses: Map<String, Value> = codes(action)
        .iter()
        .map(|(code, text)| ((*code).to_owned(), json!({"description": text, "content": content(&types, &answer)})))
        .collect();
    responses.insert("401".into(), json!({"description": "Unauthorized"}));
    members.insert("responses".into(), responses.into());
}

fn bodies_v2(
    action: Action,
    is_custom: bool,
    body: Option<Value>,
    answer: Value,
    parameters: &mut Vec<Value>,
    members: &mut Map<String, Value>,
) {
    if let Some(body) = body {
        let mut parameter = json!({"name": "body", "in": "body", "schema": body});
        if !matches!(action, Action::Delete | Action::DeleteCollection) {
            parameter["required"] = true.into();
        }
        parameters.insert(0, parameter);
    }
    members.insert("consumes".into(), json!(body_types(action, is_custom)));
    members.insert("produces".into(), json!(answer_types(action, is_custom)));
    members.insert("schemes".into(), json!(["https"]));
    let mut responses: Map<String, Value> = codes(action)
        .iter()
        .map(|(code, text)| ((*code).to_owned(), json!({"description": text, "schema": answer})))
        .collect();
    responses.insert("401".into(), json!({"description": "Unauthorized"}));
    members.insert("responses".into(), responses.into());
}
