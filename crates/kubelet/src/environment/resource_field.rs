//! A container's requests and limits, as variables and downward API files show them.

use crate::pod::containers::find;
use crate::pod::resources::{Amounts, limits, requests};
use api::quantity::Quantity;
use k8s_openapi::api::core::v1::{Pod, ResourceFieldSelector};

/// The amount in units of the divisor, rounded up. A limit that is not set is what the node has to give.
pub(crate) fn value(
    pod: &Pod,
    container: &str,
    selector: &ResourceFieldSelector,
    node: &Amounts,
) -> Result<String, String> {
    let name = selector.container_name.as_deref().filter(|name| !name.is_empty()).unwrap_or(container);
    let (_, container) = find(pod, name).ok_or_else(|| format!("container {name} not found"))?;
    let unsupported = || format!("unsupported container resource : {}", selector.resource);
    let (list, resource) = selector.resource.split_once('.').ok_or_else(unsupported)?;
    let set = match list {
        "limits" => limits(&container),
        "requests" => requests(&container),
        _ => return Err(unsupported()),
    };
    let known = ["cpu", "memory", "ephemeral-storage"].contains(&resource) || resource.starts_with("hugepages-");
    if !known {
        return Err(unsupported());
    }
    let set = set.and_then(|list| list.get(resource)).and_then(|quantity| Quantity::parse(&quantity.0).ok());
    let amount = match (set.filter(|amount| !amount.is_zero()), list, resource) {
        (Some(amount), ..) => amount,
        (None, "limits", "cpu") => Quantity::from_milli(node.cpu_milli),
        (None, "limits", "memory") => whole(node.memory_bytes),
        (None, "limits", "ephemeral-storage") => whole(node.ephemeral_storage_bytes),
        (None, ..) => Quantity::ZERO,
    };
    let divisor = selector.divisor.as_ref().and_then(|divisor| Quantity::parse(&divisor.0).ok());
    let divisor = divisor.filter(|divisor| !divisor.is_zero()).unwrap_or(whole(1));
    Ok(match resource {
        "cpu" => divided(amount.milli_value(), divisor.milli_value()),
        _ => divided(amount.value(), divisor.value()),
    })
}

fn whole(units: i64) -> Quantity {
    Quantity::from_units(units, api::quantity::Format::BinarySI)
}

fn divided(amount: i64, divisor: i64) -> String {
    let divisor = divisor.max(1);
    (amount / divisor + i64::from(amount % divisor > 0)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

    #[test]
    fn amounts_are_divided_and_rounded_up() {
        let pod = crate::pod::tests::from_yaml(
            "spec: {containers: [{name: a, resources: {limits: {cpu: 1500m, memory: 64Mi}, requests: {cpu: 250m}}}, {name: b}]}",
        );
        let node = Amounts { cpu_milli: 4000, memory_bytes: 1 << 30, ephemeral_storage_bytes: 7 };
        let check = |container: &str, resource: &str, divisor: &str, wanted: &str| {
            let divisor = Some(ApiQuantity(divisor.into())).filter(|divisor| !divisor.0.is_empty());
            let selector = ResourceFieldSelector { resource: resource.into(), divisor, container_name: None };
            assert_eq!(value(&pod, container, &selector, &node).unwrap(), wanted, "{container} {resource}");
        };
        check("a", "limits.cpu", "", "2");
        check("a", "limits.cpu", "1m", "1500");
        check("a", "requests.cpu", "1m", "250");
        check("a", "limits.memory", "1Mi", "64");
        check("a", "limits.memory", "", "67108864");
        check("b", "limits.cpu", "", "4");
        check("b", "limits.memory", "1Gi", "1");
        check("b", "requests.memory", "", "0");
        let selector = ResourceFieldSelector { resource: "limits.gpu".into(), ..Default::default() };
        assert!(value(&pod, "a", &selector, &node).unwrap_err().contains("unsupported container resource"));
    }
}
