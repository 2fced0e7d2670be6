//! Any kind behind one object-safe door, and the table of all built-in kinds.

use crate::field::FieldError;
use crate::kind::{FieldValues, Kind};
use crate::resource::{ResourceDef, Subresource};
use crate::schema;
use crate::schema::decode::{Checked, DecodeError};
use crate::table::Cell;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use std::any::Any;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

/// An object of whatever kind, as the registry handles it. `old` is always of the same kind.
pub trait Object: Any + Send + Sync + std::fmt::Debug {
    fn meta(&self) -> &ObjectMeta;
    fn meta_mut(&mut self) -> &mut ObjectMeta;
    fn defaults(&mut self);
    fn prepare_create(&mut self);
    fn prepare_update(&mut self, old: &dyn Object);
    fn prepare_status(&mut self, old: &dyn Object);
    fn validate(&self) -> Vec<FieldError>;
    fn validate_create(&self) -> Vec<FieldError> {
        Vec::new()
    }
    fn validate_update(&self, old: &dyn Object) -> Vec<FieldError>;
    /// As `prepare_status`, for a subresource other than `status` that shares the object's body.
    fn prepare_subresource(&mut self, _subresource: Subresource, old: &dyn Object) {
        self.prepare_status(old);
    }
    /// Instead of `validate_update`, for a change through a subresource.
    fn validate_subresource(&self, _subresource: Subresource, old: &dyn Object) -> Vec<FieldError> {
        self.validate_update(old)
    }
    fn has_generation(&self) -> bool;
    fn spec_differs(&self, old: &dyn Object) -> bool;
    fn fields(&self) -> FieldValues;
    fn row(&self, now: Timestamp) -> Vec<Cell>;
    fn default_grace_seconds(&self) -> Option<i64>;
    fn deletes_at_once(&self, grace_seconds: i64) -> bool;
    /// JSON with `apiVersion`, `kind` and `metadata` first, which the splice of `resourceVersion` relies on.
    fn encode(&self) -> Result<Vec<u8>, serde_json::Error>;
    fn to_value(&self) -> Result<serde_json::Value, serde_json::Error>;
    fn equals(&self, other: &dyn Object) -> bool;
    fn boxed(&self) -> Box<dyn Object>;
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl dyn Object {
    /// The typed object, if it is of kind `K`.
    pub fn downcast<K: Kind>(&self) -> Option<&K> {
        self.as_any().downcast_ref()
    }
    pub fn downcast_mut<K: Kind>(&mut self) -> Option<&mut K> {
        self.as_any_mut().downcast_mut()
    }
    pub fn name(&self) -> &str {
        self.meta().name.as_deref().unwrap_or_default()
    }
    pub fn namespace(&self) -> &str {
        self.meta().namespace.as_deref().unwrap_or_default()
    }
}

/// Writes whole floating numbers as upstream does, `1` for `1.0`: clients that compare texts or types see no change.
struct WholeNumbers;

impl serde_json::ser::Formatter for WholeNumbers {
    fn write_f64<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, value: f64) -> std::io::Result<()> {
        /// Beyond it not every whole number is one of this type.
        const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
        if value.fract() == 0.0 && value.abs() <= EXACT_MAX {
            return write!(writer, "{value:.0}");
        }
        serde_json::ser::CompactFormatter.write_f64(writer, value)
    }
}

/// An object's JSON.
pub(crate) fn json(object: &impl serde::Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::with_capacity(512);
    object.serialize(&mut serde_json::Serializer::with_formatter(&mut out, WholeNumbers))?;
    Ok(out)
}

fn same<K: Kind>(old: &dyn Object) -> &K {
    old.downcast().expect("the registry compares objects of one resource only")
}

impl<K: Kind> Object for K {
    fn meta(&self) -> &ObjectMeta {
        self.metadata()
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.metadata_mut()
    }
    fn defaults(&mut self) {
        Kind::defaults(self)
    }
    fn prepare_create(&mut self) {
        Kind::prepare_create(self)
    }
    fn prepare_update(&mut self, old: &dyn Object) {
        Kind::prepare_update(self, same(old))
    }
    fn prepare_status(&mut self, old: &dyn Object) {
        Kind::prepare_status(self, same(old))
    }
    fn validate(&self) -> Vec<FieldError> {
        Kind::validate(self)
    }
    fn validate_create(&self) -> Vec<FieldError> {
        Kind::validate_create(self)
    }
    fn validate_update(&self, old: &dyn Object) -> Vec<FieldError> {
        Kind::validate_update(self, same(old))
    }
    fn prepare_subresource(&mut self, subresource: Subresource, old: &dyn Object) {
        Kind::prepare_subresource(self, subresource, same(old))
    }
    fn validate_subresource(&self, subresource: Subresource, old: &dyn Object) -> Vec<FieldError> {
        Kind::validate_subresource(self, subresource, same(old))
    }
    fn has_generation(&self) -> bool {
        K::GENERATION
    }
    fn spec_differs(&self, old: &dyn Object) -> bool {
        Kind::spec_differs(self, same(old))
    }
    fn fields(&self) -> FieldValues {
        Kind::fields(self)
    }
    fn row(&self, now: Timestamp) -> Vec<Cell> {
        Kind::row(self, now)
    }
    fn default_grace_seconds(&self) -> Option<i64> {
        Kind::default_grace_seconds(self)
    }
    fn deletes_at_once(&self, grace_seconds: i64) -> bool {
        Kind::deletes_at_once(self, grace_seconds)
    }
    fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        json(self)
    }
    fn to_value(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::to_value(self)
    }
    fn equals(&self, other: &dyn Object) -> bool {
        other.downcast::<K>() == Some(self)
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

/// A kind that can be decoded without knowing its type: one per row of the table.
pub trait Registered: Send + Sync {
    fn def(&self) -> &'static ResourceDef;
    fn decode(&self, json: &[u8]) -> Result<Box<dyn Object>, serde_json::Error>;
    #[expect(clippy::wrong_self_convention, reason = "the row stands for the type that is made")]
    fn from_value(&self, value: serde_json::Value) -> Result<Box<dyn Object>, serde_json::Error>;
    /// Complaints about a name (or, with `prefix_only`, a `generateName`), in upstream's words.
    fn validate_name(&self, name: &str, prefix_only: bool) -> Vec<String>;
    /// The row of the version in which the objects are stored; `None` where that is this one.
    fn stored(&self) -> Option<&'static dyn Registered> {
        None
    }
    /// A stored object's JSON as this version shows it. Asked only where the kind `converts`.
    fn present(&self, stored: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
        Ok(stored.to_vec())
    }
    /// Whether a stored object is of this version, so that there is nothing to present. Asked only where the kind
    /// `converts`.
    fn is_own(&self, _stored: &[u8]) -> bool {
        false
    }
    /// An encoded object as it is to be stored.
    fn keep(&self, own: Vec<u8>) -> Result<Vec<u8>, serde_json::Error> {
        Ok(own)
    }
    /// A stored object as its kind has it today; `None` where that is how it is stored.
    fn normalized(&self, _stored: &[u8]) -> Option<Vec<u8>> {
        None
    }
    /// What this version holds a written object to, beyond what its kind does; `old` is `None` of a new one.
    fn validate_version(&self, _new: &dyn Object, _old: Option<&dyn Object>) -> Vec<FieldError> {
        Vec::new()
    }
    /// What is to be said to whoever asks for this version.
    fn deprecation(&self) -> Option<String> {
        let words = self.def().deprecation;
        (!words.is_empty()).then(|| words.to_owned())
    }
    /// What the stored kind calls one of this version's selectable fields, where the names differ.
    fn stored_field(&self, _own: &str) -> Option<&'static str> {
        None
    }
    /// Whether stored objects are to be presented: they may be of another version.
    fn converts(&self) -> bool {
        self.stored().is_some()
    }
    /// Checks a body that is to be decoded.
    fn check<'a>(&self, json: &'a [u8]) -> Result<Checked<'a>, DecodeError> {
        schema::check(self.def().message, json)
    }
    /// The schema in OpenAPI's form, for kinds that the table of messages does not have.
    fn open_schema(&self) -> Option<Arc<serde_json::Value>> {
        None
    }
    /// Whether the kind is going, so that no new object may come.
    fn is_ending(&self) -> bool {
        false
    }
    /// Whether clients may ask for this version: objects may be stored in one that is served no more.
    fn is_served(&self) -> bool {
        true
    }
}

/// The row of a built-in kind.
pub struct Builtin<K: Kind> {
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> Builtin<K> {
    pub const fn row() -> Self {
        Builtin { kind: PhantomData }
    }
}

impl<K: Kind> Registered for Builtin<K> {
    fn def(&self) -> &'static ResourceDef {
        &K::DEF
    }
    fn decode(&self, json: &[u8]) -> Result<Box<dyn Object>, serde_json::Error> {
        serde_json::from_slice::<K>(json).map(|object| Box::new(object) as Box<dyn Object>)
    }
    fn from_value(&self, value: serde_json::Value) -> Result<Box<dyn Object>, serde_json::Error> {
        serde_json::from_value::<K>(value).map(|object| Box::new(object) as Box<dyn Object>)
    }
    fn validate_name(&self, name: &str, prefix_only: bool) -> Vec<String> {
        K::validate_name(name, prefix_only)
    }
}

/// Every built-in kind in every version, in discovery's order.
pub fn builtin() -> &'static [&'static dyn Registered] {
    crate::kind_table::KINDS
}

/// The built-in kinds by their objects: each once, in the version in which it is stored.
pub fn stored() -> impl Iterator<Item = &'static dyn Registered> {
    builtin().iter().copied().filter(|row| row.stored().is_none())
}

/// The built-in row of a resource path.
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static dyn Registered> {
    static BY_PATH: OnceLock<HashMap<(&'static str, &'static str, &'static str), &'static dyn Registered>> =
        OnceLock::new();
    let table = BY_PATH.get_or_init(|| {
        builtin().iter().map(|row| ((row.def().group, row.def().version, row.def().plural), *row)).collect()
    });
    table.get(&(group, version, plural)).copied()
}

/// The built-in row of an `apiVersion` and `kind`.
pub fn find_kind(api_version: &str, kind: &str) -> Option<&'static dyn Registered> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    builtin().iter().copied().find(|row| {
        let def = row.def();
        def.kind == kind && def.group == group && def.version == version
    })
}
