//! LimitRange: bounds and defaults for what a namespace's pods ask for.

use super::resources::{self, Holder, ResourceList};
use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::quantity::Quantity;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::core::v1::{LimitRange, LimitRangeItem};
use k8s_openapi::jiff::Timestamp;

impl Kind for LimitRange {
    const DEF: ResourceDef = ResourceDef {
        create_on_update: true,
        short_names: &["limits"],
        columns: &[Column::NAME, Column::CREATED_AT],
        ..ResourceDef::new(
            "",
            "v1",
            "LimitRange",
            "limitranges",
            "limitrange",
            Scope::Namespaced,
            "k8s.io.api.core.v1.LimitRange",
        )
    };

    fn defaults(&mut self) {
        let limits = self.spec.iter_mut().flat_map(|spec| spec.limits.iter_mut());
        limits.filter(|limit| limit.type_ == "Container").for_each(of_containers);
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let limits = self.spec.as_ref().map(|spec| spec.limits.as_slice()).unwrap_or_default();
        for (index, limit) in limits.iter().enumerate() {
            let path = FieldPath::new("spec").child("limits").index(index);
            let kind = limit.type_.as_str();
            check::label_key(&mut errors, &path.child("type"), kind);
            if !kind.contains('/') && !matches!(kind, "Pod" | "Container" | "PersistentVolumeClaim") {
                let detail = "must be a standard limit type or fully qualified";
                errors.push(FieldError::invalid(path.child("type"), kind, detail));
            }
            if limits[..index].iter().any(|other| other.type_ == kind) {
                errors.push(FieldError::duplicate(path.child("type"), kind));
            }
            item(&mut errors, &path, limit);
        }
        errors
    }

    fn row(&self, _now: Timestamp) -> Vec<Cell> {
        vec![columns::name(&self.metadata), columns::created_at(&self.metadata)]
    }
}

/// Unless told otherwise a container is bound by the most, and asks for its bound, or else for the least.
fn of_containers(limit: &mut LimitRangeItem) {
    let fill = |into: &mut ResourceList, from: Option<&ResourceList>| {
        for (name, amount) in from.into_iter().flatten() {
            into.entry(name.clone()).or_insert_with(|| amount.clone());
        }
    };
    let mut default = limit.default.take().unwrap_or_default();
    fill(&mut default, limit.max.as_ref());
    let mut request = limit.default_request.take().unwrap_or_default();
    fill(&mut request, Some(&default));
    fill(&mut request, limit.min.as_ref());
    limit.default = Some(default).filter(|list| !list.is_empty());
    limit.default_request = Some(request).filter(|list| !list.is_empty());
}

fn item(errors: &mut Errors, path: &FieldPath, limit: &LimitRangeItem) {
    let holder = if matches!(limit.type_.as_str(), "Pod" | "Container") { Holder::Container } else { Holder::Any };
    for (field, list) in [
        ("max", &limit.max),
        ("min", &limit.min),
        ("default", &limit.default),
        ("defaultRequest", &limit.default_request),
        ("maxLimitRequestRatio", &limit.max_limit_request_ratio),
    ] {
        resources::list(errors, &path.child(field), list.as_ref(), holder);
        let set = list.as_ref().is_some_and(|list| !list.is_empty());
        if set && limit.type_ == "Pod" && field.starts_with("default") {
            let detail = "may not be specified when `type` is 'Pod'";
            errors.push(FieldError::forbidden(path.child(field), detail));
        }
    }
    for (name, ratio) in limit.max_limit_request_ratio.iter().flatten() {
        if let Ok(own) = Quantity::try_from(ratio)
            && own.milli_value() < 1000
        {
            let path = path.child("maxLimitRequestRatio").key(name);
            errors.push(FieldError::invalid(path, &ratio.0, format!("ratio {} is less than 1", ratio.0)));
        }
        let bound = |list: &Option<ResourceList>| Quantity::try_from(list.as_ref()?.get(name)?).ok();
        if let (Ok(own), Some(least), Some(most)) = (Quantity::try_from(ratio), bound(&limit.min), bound(&limit.max)) {
            let widest = most.milli_value() as f64 / least.milli_value() as f64;
            if own.milli_value() as f64 / 1000.0 > widest {
                let path = path.child("maxLimitRequestRatio").key(name);
                let detail = format!("ratio {own} is greater than max/min = {widest:.6}");
                errors.push(FieldError::invalid(path, &ratio.0, detail));
            }
        }
    }
    let bounds = [&limit.min, &limit.max].into_iter().flatten();
    if limit.type_ == "PersistentVolumeClaim" && !bounds.into_iter().any(|list| list.contains_key("storage")) {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        errors.push(FieldError::required(path.child("limits"), detail));
    }
    // Which must not exceed which: (path, the lesser, its name, the greater, its name), and whether the greater is shown.
    for (field, lesser, lesser_name, greater, greater_name, show_greater) in [
        ("min", &limit.min, "min", &limit.max, "max", false),
        ("defaultRequest", &limit.min, "min", &limit.default_request, "default request", true),
        ("defaultRequest", &limit.default_request, "default request", &limit.max, "max", false),
        ("defaultRequest", &limit.default_request, "default request", &limit.default, "default limit", false),
        ("default", &limit.min, "min", &limit.default, "default", false),
        ("default", &limit.default, "default", &limit.max, "max", true),
    ] {
        for (name, less) in lesser.iter().flatten() {
            let Some(more) = greater.as_ref().and_then(|list| list.get(name)) else { continue };
            let (Ok(less), Ok(more)) = (Quantity::try_from(less), Quantity::try_from(more)) else { continue };
            if less > more {
                let detail = format!("{lesser_name} value {less} is greater than {greater_name} value {more}");
                let shown = if show_greater { more } else { less };
                errors.push(FieldError::invalid(path.child(field).key(name), &shown.to_string(), detail));
            }
        }
    }
}
