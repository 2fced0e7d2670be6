//! Rules that the kinds of storage share.

use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use std::collections::BTreeMap;

const DRIVER_NAME_BYTES_MAX: usize = 63;
const PARAMETERS_MAX: usize = 512;
const PARAMETERS_BYTES_MAX: usize = 256 * 1024;

/// The name of a storage driver: a domain, in whatever case, that fits in a label.
pub(crate) fn driver_name(errors: &mut Errors, path: &FieldPath, name: &str) {
    check::present(errors, path.clone(), Some(name));
    if name.len() > DRIVER_NAME_BYTES_MAX {
        errors.push(FieldError::too_long(path.clone(), DRIVER_NAME_BYTES_MAX));
    }
    check::each(errors, path, name, crate::labels::dns1123_subdomain(&name.to_lowercase(), false));
}

/// What a driver is told: keys that say something, and not too much of it.
pub(super) fn parameters(errors: &mut Errors, path: &FieldPath, parameters: Option<&BTreeMap<String, String>>) {
    let Some(parameters) = parameters else { return };
    if parameters.len() > PARAMETERS_MAX {
        errors.push(FieldError::too_long(path.clone(), PARAMETERS_MAX));
        return;
    }
    for key in parameters.keys().filter(|key| key.is_empty()) {
        errors.push(FieldError::invalid(path.clone(), key, "field can not be empty."));
    }
    if parameters.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > PARAMETERS_BYTES_MAX {
        errors.push(FieldError::too_long(path.clone(), PARAMETERS_BYTES_MAX));
    }
}
