//! Keys that stand twice in one JSON object, whatever the JSON is of: what strictness asks of a patch.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use super::decode::STRICT_ERRORS_MAX;

/// `duplicate field "spec.replicas"` for each; of text that is no JSON nothing is said.
pub fn duplicates(json: &[u8]) -> Vec<String> {
    let found = RefCell::new(Vec::new());
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    match (At { path: String::new(), found: &found }).deserialize(&mut deserializer) {
        Ok(()) => found.into_inner(),
        Err(_) => Vec::new(),
    }
}

/// A value, and where it stands.
struct At<'a> {
    path: String,
    found: &'a RefCell<Vec<String>>,
}

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// A scalar has no keys.
macro_rules! scalars {
    ($($visit:ident: $scalar:ty),* $(,)?) => {$(
        fn $visit<E>(self, _value: $scalar) -> Result<(), E> {
            Ok(())
        }
    )*};
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    scalars! { visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut index = 0;
        while items.next_element_seed(At { path: format!("{}[{index}]", self.path), found: self.found })?.is_some() {
            index += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = members.next_key::<String>()? {
            let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            if seen.insert(key) {
                members.next_value_seed(At { path, found: self.found })?;
                continue;
            }
            let mut found = self.found.borrow_mut();
            let text = format!("duplicate field {path:?}");
            if found.len() < STRICT_ERRORS_MAX && !found.contains(&text) {
                found.push(text);
            }
            drop(found);
            members.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_stand_twice_are_named() {
        for (json, wanted) in [
            (r#"{"a":1,"b":{"a":2}}"#, &[][..]),
            (r#"{"a":1,"a":2,"a":3}"#, &["duplicate field \"a\""]),
            (r#"{"a":[{"b":1},{"b":null,"b":"x"}]}"#, &["duplicate field \"a[1].b\""]),
            (r#"[{"op":"add","op":"test"}]"#, &["duplicate field \"[0].op\""]),
            (r#"{"a":1,"a""#, &[]),
        ] {
            assert_eq!(duplicates(json.as_bytes()), wanted, "{json}");
        }
    }
}
