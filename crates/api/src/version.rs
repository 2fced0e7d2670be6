//! Kinds that are served in more versions than the one they are stored in.
//!
//! Invariants: an object is stored once, in one version; every other version is a view that converts on the way in and
//! out, so that nothing of an object is lost by reading it in one version and writing it in another; a row of the kind
//! table is all that a version needs, and a custom resource's versions come from rows made at run time.

use crate::field::FieldError;
use crate::kind::Kind;
use crate::object::{Builtin, Object, Registered, json};
use crate::resource::ResourceDef;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Error, Value};
use std::borrow::Cow;
use std::marker::PhantomData;

/// A further version of a stored kind, over its `k8s-openapi` struct.
pub trait Version: Serialize + DeserializeOwned + Send + Sync + 'static {
    type Stored: Kind;
    const DEF: ResourceDef;

    /// Selectable fields by this version's name and the stored kind's, where they differ.
    const FIELDS: &'static [(&'static str, &'static str)] = &[];

    fn from_stored(stored: Self::Stored) -> Self;
    fn into_stored(self) -> Self::Stored;

    /// What this version holds new objects to, beyond what the kind does.
    fn validate_create(_new: &Self::Stored) -> Vec<FieldError> {
        Vec::new()
    }

    /// As `validate_create`, of a change.
    fn validate_update(_new: &Self::Stored, _old: &Self::Stored) -> Vec<FieldError> {
        Vec::new()
    }
}

/// The row of a further version.
pub struct Served<V: Version> {
    version: PhantomData<fn() -> V>,
}

impl<V: Version> Served<V> {
    pub const fn row() -> Self {
        Served { version: PhantomData }
    }
}

#[derive(Deserialize)]
struct ApiVersion<'a> {
    #[serde(borrow, rename = "apiVersion")]
    api_version: Option<Cow<'a, str>>,
}

/// Whether the object says that it is of this version.
fn is_of(json: &[u8], def: &ResourceDef) -> Result<bool, Error> {
    let own: ApiVersion<'_> = serde_json::from_slice(json)?;
    Ok(own.api_version.is_some_and(|own| own == def.api_version()))
}

impl<V: Version> Registered for Served<V> {
    fn def(&self) -> &'static ResourceDef {
        &V::DEF
    }

    /// Of either version: a body is of this one, what lies in the store of the stored one.
    fn decode(&self, json: &[u8]) -> Result<Box<dyn Object>, Error> {
        if is_of(json, &V::Stored::DEF)? {
            return serde_json::from_slice::<V::Stored>(json).map(|object| Box::new(object) as Box<dyn Object>);
        }
        let own: V = serde_json::from_slice(json)?;
        Ok(Box::new(own.into_stored()))
    }

    fn from_value(&self, value: Value) -> Result<Box<dyn Object>, Error> {
        if value["apiVersion"].as_str() == Some(&V::Stored::DEF.api_version()) {
            return serde_json::from_value::<V::Stored>(value).map(|object| Box::new(object) as Box<dyn Object>);
        }
        let own: V = serde_json::from_value(value)?;
        Ok(Box::new(own.into_stored()))
    }

    fn validate_name(&self, name: &str, prefix_only: bool) -> Vec<String> {
        V::Stored::validate_name(name, prefix_only)
    }

    fn stored(&self) -> Option<&'static dyn Registered> {
        Some(const { &Builtin::<V::Stored>::row() })
    }

    fn present(&self, stored: &[u8]) -> Result<Vec<u8>, Error> {
        let object: V::Stored = serde_json::from_slice(stored)?;
        json(&V::from_stored(object))
    }

    fn validate_version(&self, new: &dyn Object, old: Option<&dyn Object>) -> Vec<FieldError> {
        match (new.downcast::<V::Stored>(), old.and_then(|old| old.downcast::<V::Stored>())) {
            (Some(new), Some(old)) => V::validate_update(new, old),
            (Some(new), None) => V::validate_create(new),
            (None, _) => Vec::new(),
        }
    }

    fn stored_field(&self, own: &str) -> Option<&'static str> {
        V::FIELDS.iter().find(|(name, _)| *name == own).map(|(_, stored)| *stored)
    }
}
