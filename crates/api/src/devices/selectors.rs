//! The expressions that select devices, and where they stand: what they mean is judged by who can compile them.

use crate::field::FieldPath;
use crate::object::Object;
use k8s_openapi::api::resource::v1::{
    DeviceClass, DeviceSelector, ResourceClaim, ResourceClaimSpec, ResourceClaimTemplate,
};

/// Every expression of an object of these kinds; none of any other.
pub fn expressions(object: &dyn Object) -> Vec<(FieldPath, &str)> {
    let mut found = Vec::new();
    let path = FieldPath::new("spec");
    if let Some(class) = object.downcast::<DeviceClass>() {
        let selectors = class.spec.as_ref().and_then(|spec| spec.selectors.as_deref());
        add(&mut found, &path, selectors);
    } else if let Some(claim) = object.downcast::<ResourceClaim>() {
        of_claim(&mut found, &path, claim.spec.as_ref());
    } else if let Some(template) = object.downcast::<ResourceClaimTemplate>() {
        of_claim(&mut found, &path.child("spec"), template.spec.as_ref().and_then(|spec| spec.spec.as_ref()));
    }
    found
}

fn of_claim<'o>(found: &mut Vec<(FieldPath, &'o str)>, path: &FieldPath, spec: Option<&'o ResourceClaimSpec>) {
    let devices = spec.and_then(|spec| spec.devices.as_ref());
    let requests = devices.into_iter().flat_map(|devices| devices.requests.iter().flatten());
    for (index, request) in requests.enumerate() {
        let path = path.child("devices").child("requests").index(index);
        if let Some(exact) = &request.exactly {
            add(found, &path.child("exactly"), exact.selectors.as_deref());
        }
        for (index, alternative) in request.first_available.iter().flatten().enumerate() {
            add(found, &path.child("firstAvailable").index(index), alternative.selectors.as_deref());
        }
    }
}

fn add<'o>(found: &mut Vec<(FieldPath, &'o str)>, path: &FieldPath, selectors: Option<&'o [DeviceSelector]>) {
    for (index, selector) in selectors.unwrap_or_default().iter().enumerate() {
        if let Some(cel) = &selector.cel {
            let path = path.child("selectors").index(index).child("cel").child("expression");
            found.push((path, &cel.expression));
        }
    }
}
