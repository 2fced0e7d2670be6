//! What a stream's query asks, as the options object that judges see: `PodExecOptions` and the like.
//!
//! Such an object has no metadata and is never stored; what judges change of it is what the stream is opened with.

use crate::call::Call;
use crate::subresources::admit::Admitting;
use api::field::FieldError;
use api::kind::FieldValues;
use api::object::Registered;
use api::resource::{ResourceDef, Scope};
use api::schema::decode::{Checked, DecodeError};
use api::table::Cell;
use api::{Object, Status, Subresource};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use registry::Operation;
use serde_json::{Error, Map, Value};
use std::any::Any;
use std::borrow::Cow;

/// A kind of options; all are of the core group's `v1`.
struct Kind {
    def: &'static ResourceDef,
}

const fn def(name: &'static str) -> ResourceDef {
    ResourceDef::new("", "v1", name, "", "", Scope::Namespaced, "")
}

static EXEC: Kind = Kind { def: &def("PodExecOptions") };
static ATTACH: Kind = Kind { def: &def("PodAttachOptions") };
static PORT_FORWARD: Kind = Kind { def: &def("PodPortForwardOptions") };
static POD_PROXY: Kind = Kind { def: &def("PodProxyOptions") };
static SERVICE_PROXY: Kind = Kind { def: &def("ServiceProxyOptions") };
static NODE_PROXY: Kind = Kind { def: &def("NodeProxyOptions") };

/// Options of a stream.
#[derive(Clone, Debug)]
pub(super) struct Options {
    kind: &'static str,
    /// Empty: there is none.
    meta: ObjectMeta,
    fields: Map<String, Value>,
}

impl Options {
    pub(super) fn flag(&self, name: &str) -> bool {
        self.fields.get(name).and_then(Value::as_bool).unwrap_or_default()
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn list(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.fields.get(name).and_then(Value::as_array).into_iter().flatten()
    }

    fn whole(&self) -> Value {
        let mut whole = Map::new();
        whole.insert("kind".to_owned(), self.kind.into());
        whole.insert("apiVersion".to_owned(), "v1".into());
        whole.extend(self.fields.clone());
        Value::Object(whole)
    }
}

/// What the query asks, of a stream to a pod.
fn of_query(call: &Call<'_>, kind: &'static Kind) -> Options {
    let mut fields = Map::new();
    let query = call.query;
    if std::ptr::eq(kind, &PORT_FORWARD) {
        let ports = query.all("ports").chain(query.all("port")).flat_map(|list| list.split(','));
        let ports: Vec<Value> = ports.filter_map(|port| port.parse::<i32>().ok()).map(Value::from).collect();
        fields.extend((!ports.is_empty()).then(|| ("ports".to_owned(), Value::Array(ports))));
        return Options { kind: kind.def.kind, meta: ObjectMeta::default(), fields };
    }
    for name in ["stdin", "stdout", "stderr", "tty"] {
        fields.extend(query.flag(name).then(|| (name.to_owned(), true.into())));
    }
    let container = query.find("container").filter(|name| !name.is_empty());
    fields.extend(container.map(|name| ("container".to_owned(), name.into())));
    let command: Vec<Value> = query.all("command").map(Value::from).collect();
    if std::ptr::eq(kind, &EXEC) && !command.is_empty() {
        fields.insert("command".to_owned(), Value::Array(command));
    }
    Options { kind: kind.def.kind, meta: ObjectMeta::default(), fields }
}

/// The options of a stream to a pod, as the judges leave them.
pub(super) async fn of_stream(call: &Call<'_>, subresource: Subresource) -> Result<Options, Status> {
    let kind = match subresource {
        Subresource::Exec => &EXEC,
        Subresource::Attach => &ATTACH,
        _ => &PORT_FORWARD,
    };
    admit(call, kind, of_query(call, kind)).await
}

/// Has the judges look at a request through a proxy, to `path` at what the call names.
pub(super) async fn of_proxy(call: &Call<'_>, path: &str) -> Result<(), Status> {
    let kind = match call.def().plural {
        "services" => &SERVICE_PROXY,
        "nodes" => &NODE_PROXY,
        _ => &POD_PROXY,
    };
    let path = (!path.is_empty()).then(|| ("path".to_owned(), path.into()));
    let options = Options { kind: kind.def.kind, meta: ObjectMeta::default(), fields: path.into_iter().collect() };
    admit(call, kind, options).await.map(drop)
}

async fn admit(call: &Call<'_>, kind: &'static Kind, options: Options) -> Result<Options, Status> {
    let admitting = Admitting { operation: Operation::Connect, subresource: call.subresource, name: call.info.name };
    let object = admitting.admit(call, kind, None, Box::new(options)).await?;
    let wrong = || Status::internal("a judge has put an object of another kind in place of a stream's options");
    object.as_any().downcast_ref::<Options>().cloned().ok_or_else(wrong)
}

impl Registered for Kind {
    fn def(&self) -> &'static ResourceDef {
        self.def
    }

    fn decode(&self, json: &[u8]) -> Result<Box<dyn Object>, Error> {
        self.from_value(serde_json::from_slice(json)?)
    }

    fn from_value(&self, value: Value) -> Result<Box<dyn Object>, Error> {
        let mut fields: Map<String, Value> = serde_json::from_value(value)?;
        fields.retain(|name, _| !matches!(name.as_str(), "apiVersion" | "kind" | "metadata"));
        Ok(Box::new(Options { kind: self.def.kind, meta: ObjectMeta::default(), fields }))
    }

    fn validate_name(&self, _name: &str, _prefix_only: bool) -> Vec<String> {
        Vec::new()
    }

    fn check<'a>(&self, json: &'a [u8]) -> Result<Checked<'a>, DecodeError> {
        Ok(Checked { json: Cow::Borrowed(json), strict_errors: Vec::new() })
    }
}

/// Of all that objects can do, options can be shown and compared.
impl Object for Options {
    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
    fn defaults(&mut self) {}
    fn prepare_create(&mut self) {}
    fn prepare_update(&mut self, _old: &dyn Object) {}
    fn prepare_status(&mut self, _old: &dyn Object) {}
    fn validate(&self) -> Vec<FieldError> {
        Vec::new()
    }
    fn validate_update(&self, _old: &dyn Object) -> Vec<FieldError> {
        Vec::new()
    }
    fn has_generation(&self) -> bool {
        false
    }
    fn spec_differs(&self, _old: &dyn Object) -> bool {
        false
    }
    fn fields(&self) -> FieldValues {
        FieldValues::new()
    }
    fn row(&self, _now: Timestamp) -> Vec<Cell> {
        Vec::new()
    }
    fn default_grace_seconds(&self) -> Option<i64> {
        None
    }
    fn deletes_at_once(&self, _grace_seconds: i64) -> bool {
        true
    }
    fn encode(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(&self.whole())
    }
    fn to_value(&self) -> Result<Value, Error> {
        Ok(self.whole())
    }
    fn equals(&self, other: &dyn Object) -> bool {
        other.as_any().downcast_ref::<Options>().is_some_and(|other| self.fields == other.fields)
    }
    fn boxed(&self) -> Box<dyn Object> {
        Box::new(self.clone())
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
