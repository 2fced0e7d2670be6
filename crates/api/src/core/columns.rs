//! Cells that the tables of several kinds share.

use crate::resource::Column;
use crate::table::{Cell, age};
use k8s_openapi::api::core::v1::{Container, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeMap;

pub(crate) const CONTAINERS: Column = Column::wide("Containers").about("The names of the template's containers.");
pub(crate) const IMAGES: Column = Column::wide("Images").about("The images of the template's containers.");
pub(crate) const SELECTOR: Column = Column::wide("Selector").about("Which pods belong to it.");

pub(crate) fn name(meta: &ObjectMeta) -> Cell {
    Cell::from(meta.name.as_deref().unwrap_or_default())
}

pub(crate) fn created(meta: &ObjectMeta, now: Timestamp) -> Cell {
    age(meta.creation_timestamp.as_ref(), now)
}

/// A text, or else `<none>`.
pub(crate) fn or_none(text: Option<&str>) -> Cell {
    Cell::from(text.filter(|text| !text.is_empty()).unwrap_or("<none>"))
}

/// An age, or else `<none>`.
pub(crate) fn age_or_none(since: Option<&Time>, now: Timestamp) -> Cell {
    since.map_or_else(|| Cell::from("<none>"), |since| age(Some(since), now))
}

/// `a=b,c=d`, or `<none>`.
pub(crate) fn labels(map: Option<&BTreeMap<String, String>>) -> Cell {
    let pairs: Vec<String> = map.into_iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
    or_none(Some(&pairs.join(",")))
}

/// `3` or `25%`, or else `N/A`.
pub(crate) fn count_or_share(value: Option<&IntOrString>) -> Cell {
    match value {
        Some(IntOrString::Int(count)) => Cell::Text(count.to_string()),
        Some(IntOrString::String(share)) => Cell::from(share.as_str()),
        None => Cell::from("N/A"),
    }
}

/// The names and the images of a template's containers.
pub(crate) fn containers(template: Option<&PodTemplateSpec>) -> [Cell; 2] {
    let containers = template.and_then(|template| template.spec.as_ref()).map(|spec| spec.containers.as_slice());
    let containers: &[Container] = containers.unwrap_or_default();
    let names: Vec<&str> = containers.iter().map(|container| container.name.as_str()).collect();
    let images: Vec<&str> = containers.iter().map(|container| container.image.as_deref().unwrap_or_default()).collect();
    [Cell::Text(names.join(",")), Cell::Text(images.join(","))]
}

/// The addresses of a load balancer, each given as an IP or else a name.
pub(crate) fn addresses<'a>(ingress: impl Iterator<Item = (&'a Option<String>, &'a Option<String>)>) -> String {
    let filled = |text: &'a Option<String>| text.as_deref().filter(|text| !text.is_empty());
    let mut all: Vec<&str> = ingress.filter_map(|(ip, hostname)| filled(ip).or_else(|| filled(hostname))).collect();
    all.sort_unstable();
    all.dedup();
    all.join(",")
}

/// The first three of a list and how many more there are.
pub(crate) fn first_three(items: &[String], none: &str) -> Cell {
    const SHOWN_MAX: usize = 3;
    match items {
        [] => Cell::from(none),
        items if items.len() <= SHOWN_MAX => Cell::Text(items.join(",")),
        items => Cell::Text(format!("{} + {} more...", items[..SHOWN_MAX].join(","), items.len() - SHOWN_MAX)),
    }
}

/// The time of creation as a time stamp.
pub(crate) fn created_at(meta: &ObjectMeta) -> Cell {
    meta.creation_timestamp.as_ref().map_or(Cell::from("<unknown>"), |time| Cell::Text(time.0.to_string()))
}

/// `True`, `False` or `<unset>`.
pub(crate) fn truth(value: Option<bool>) -> Cell {
    Cell::from(match value {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    })
}
