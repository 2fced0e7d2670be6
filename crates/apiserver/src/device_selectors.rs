//! Refuses device selectors that do not compile, that are no conditions, or that may cost too much.

use api::devices::expressions;
use api::{FieldError, FieldPath, Kind, Object, ResourceDef, Status};
use cel::{Env, Schema, Type};
use k8s_openapi::api::resource::v1::{DeviceClass, ResourceClaim, ResourceClaimTemplate};
use registry::{Claim, Hook};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, OnceLock};

/// What one selector may cost by estimate.
const COST_MAX: u64 = 1_000_000;
/// Attributes and capacities that a device has together; so many domains, and names in each, there can be.
const ENTRIES_MAX: u64 = 32;
const ATTRIBUTE_LENGTH_MAX: u64 = 64;
const DRIVER_LENGTH_MAX: u64 = 63;

/// The check when a class, a claim or a template is written.
pub(crate) struct SelectorCheck {
    def: &'static ResourceDef,
}

/// Of each kind that has such selectors, by the name of its resource.
pub(crate) fn checks() -> impl Iterator<Item = (String, Arc<dyn Hook>)> {
    let defs = [&DeviceClass::DEF, &ResourceClaim::DEF, &ResourceClaimTemplate::DEF];
    defs.into_iter().map(|def| (def.group_resource(), Arc::new(SelectorCheck { def }) as Arc<dyn Hook>))
}

impl Hook for SelectorCheck {
    /// Claims nothing. An expression that was there before is not judged again.
    fn claim(&self, object: &mut dyn Object, old: Option<&dyn Object>, _: bool) -> Result<Option<Claim>, Status> {
        let before: HashSet<&str> = old.map(expressions).into_iter().flatten().map(|(_, source)| source).collect();
        let new = expressions(object).into_iter().filter(|(_, source)| !before.contains(source));
        let own: Vec<FieldError> = new.filter_map(|(path, source)| judge(path, source)).collect();
        if own.is_empty() {
            return Ok(None);
        }
        let mut errors = object.validate();
        errors.extend(own);
        Err(Status::invalid(self.def, object.name(), &errors))
    }
}

/// `device`: its driver, and what it has, by domain and name.
fn env() -> &'static Env {
    static ENV: OnceLock<Env> = OnceLock::new();
    ENV.get_or_init(|| {
        let by_name = |value: Schema| {
            let names = Arc::new(Schema::map(Arc::new(value), Some(ENTRIES_MAX)));
            Arc::new(Schema::map(names, Some(ENTRIES_MAX)))
        };
        let driver = Schema::string(Some(DRIVER_LENGTH_MAX)).with_size_max(DRIVER_LENGTH_MAX);
        let fields: BTreeMap<Arc<str>, Arc<Schema>> = BTreeMap::from([
            ("driver".into(), Arc::new(driver)),
            ("attributes".into(), by_name(Schema::any().with_size_max(ATTRIBUTE_LENGTH_MAX))),
            ("capacity".into(), by_name(Schema::quantity())),
            ("allowMultipleAllocations".into(), Arc::new(Schema::bool())),
        ]);
        Env::kubernetes().bindings().object("device", Arc::new(Schema::object("kubernetes.DRADevice", fields)))
    })
}

/// What is wrong with an expression. That there is none, or too long a one, is refused by the kind's own validation.
fn judge(path: FieldPath, source: &str) -> Option<FieldError> {
    if source.is_empty() || source.len() > api::devices::EXPRESSION_BYTES_MAX {
        return None;
    }
    let program = match env().compile(source) {
        Ok(program) => program,
        Err(issues) => return Some(FieldError::invalid(path, source, format!("compilation failed: {issues}"))),
    };
    match program.output_type() {
        Type::Bool | Type::Dyn => {}
        other => {
            let detail = format!("must evaluate to bool or the unknown type, not {other}");
            return Some(FieldError::invalid(path, source, detail));
        }
    }
    let is_dear = program.cost_estimate().max > COST_MAX;
    is_dear.then(|| FieldError::forbidden(path, "too complex, exceeds cost limit"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn complaint(source: &str) -> String {
        judge(FieldPath::new("e"), source).map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn selectors_compile_to_conditions_on_a_device() {
        for source in [
            "device.driver == 'dra.example.com'",
            "device.attributes['dra.example.com'].model == 'a100' && device.attributes['dra.example.com'].count > 1",
            "device.attributes['dra.example.com'].healthy",
            "'dra.example.com' in device.attributes && 'model' in device.attributes['dra.example.com']",
            "device.capacity['dra.example.com'].memory.isGreaterThan(quantity('10Gi'))",
            "device.capacity['dra.example.com'].memory.compareTo(quantity('10Gi')) >= 0",
            "device.attributes['dra.example.com'].version.isGreaterThan(semver('1.2.3'))",
            "device.attributes['dra.example.com'].name.matches('^gpu-[0-9]+$')",
            "device.allowMultipleAllocations == true",
            "cel.bind(dra, device.attributes['dra.example.com'], dra.healthy && dra.model == 'a100')",
            "device.attributes['dra.example.com'].?model.orValue('none') == 'a100'",
        ] {
            assert_eq!(complaint(source), "", "{source}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_upstreams_words() {
        for (source, wanted) in [
            (
                "device.drive == 'a'",
                "e: Invalid value: \"device.drive == 'a'\": compilation failed: ERROR: <input>:1:7: undefined field \
                 'drive'\n | device.drive == 'a'\n | ......^",
            ),
            (
                "device.driver",
                "e: Invalid value: \"device.driver\": must evaluate to bool or the unknown type, not string",
            ),
            (
                "device.attributes.all(a, device.attributes.all(b, device.attributes.all(c, device.attributes.all(d, \
                 device.attributes[a] == device.attributes[d]))))",
                "e: Forbidden: too complex, exceeds cost limit",
            ),
        ] {
            assert_eq!(complaint(source), wanted);
        }
        let mismatch = complaint("device.capacity['dra.example.com'].memory > 3");
        assert!(
            mismatch.contains("found no matching overload for '_>_' applied to '(kubernetes.Quantity, int)'"),
            "{mismatch}"
        );
        assert!(complaint("cel.bind(1, 2, true)").contains("cel.bind() variable names must be simple identifiers"));
    }

    #[test]
    fn each_new_selector_is_judged_where_it_stands() {
        fn refusal<K: Kind>(object: Value, old: Option<Value>) -> String {
            let object_of = |value: Value| serde_json::from_value::<K>(value).unwrap();
            let old = old.map(object_of);
            let old = old.as_ref().map(|old| old as &dyn Object);
            match (SelectorCheck { def: &K::DEF }).claim(&mut object_of(object), old, false) {
                Ok(claim) => {
                    assert!(claim.is_none());
                    String::new()
                }
                Err(status) => status.message,
            }
        }
        let bad = json!([{"cel": {"expression": "true"}}, {"cel": {"expression": "1"}}]);
        let class = json!({"metadata": {"name": "c"}, "spec": {"selectors": bad}});
        let told = refusal::<DeviceClass>(class.clone(), None);
        assert!(
            told.contains("spec.selectors[1].cel.expression: Invalid value: \"1\": must evaluate to bool"),
            "{told}"
        );
        assert_eq!(refusal::<DeviceClass>(class.clone(), Some(class)), "");
        let claim = json!({"metadata": {"name": "c", "namespace": "n"}, "spec": {"devices": {"requests": [
            {"name": "a", "exactly": {"deviceClassName": "c", "selectors": bad}},
            {"name": "b", "firstAvailable": [{"name": "x", "deviceClassName": "c", "selectors": bad}]}]}}});
        let told = refusal::<ResourceClaim>(claim, None);
        for path in ["requests[0].exactly.selectors[1]", "requests[1].firstAvailable[0].selectors[1]"] {
            assert!(told.contains(&format!("spec.devices.{path}.cel.expression: Invalid value")), "{told}");
        }
    }
}
