//! `metrics.k8s.io`: what nodes and pods use at the moment. Nothing of it is stored.
//!
//! The types are declared here, as no crate has them: metrics-server's own API, not part of upstream's documents.

/// What the two kinds have in common: metadata, timestamp and window, before a field of their own.
macro_rules! measured {
    ($kind:ident, $scope:ty, $path:literal, $own:ident) => {
        impl serde::Serialize for $kind {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeStruct;
                let mut object = serializer.serialize_struct(<Self as k8s_openapi::Resource>::KIND, 6)?;
                object.serialize_field("apiVersion", <Self as k8s_openapi::Resource>::API_VERSION)?;
                object.serialize_field("kind", <Self as k8s_openapi::Resource>::KIND)?;
                object.serialize_field("metadata", &self.metadata)?;
                object.serialize_field("timestamp", &self.timestamp)?;
                object.serialize_field("window", &self.window)?;
                object.serialize_field(stringify!($own), &self.$own)?;
                object.end()
            }
        }

        impl k8s_openapi::Resource for $kind {
            const API_VERSION: &'static str = $crate::metrics::API_VERSION;
            const GROUP: &'static str = $crate::metrics::GROUP;
            const KIND: &'static str = stringify!($kind);
            const VERSION: &'static str = $crate::metrics::VERSION;
            const URL_PATH_SEGMENT: &'static str = $path;
            type Scope = $scope;
        }

        impl k8s_openapi::Metadata for $kind {
            type Ty = ObjectMeta;
            fn metadata(&self) -> &ObjectMeta {
                &self.metadata
            }
            fn metadata_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

mod node_metrics;
mod pod_metrics;

pub use node_metrics::NodeMetrics;
pub use pod_metrics::{ContainerMetrics, PodMetrics};

use crate::quantity::{Format, Quantity};
use crate::resource::Column;
use crate::table::Cell;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use std::collections::BTreeMap;

pub const GROUP: &str = "metrics.k8s.io";
const VERSION: &str = "v1beta1";
const API_VERSION: &str = "metrics.k8s.io/v1beta1";

const CPU: &str = "cpu";
const MEMORY: &str = "memory";

const CPU_COLUMN: Column = Column { format: "quantity", ..Column::text("cpu") };
const MEMORY_COLUMN: Column = Column { format: "quantity", ..Column::text("memory") };
const WINDOW_COLUMN: Column = Column { format: "duration", ..Column::text("Window") };

/// Amounts by resource.
pub type Usage = BTreeMap<String, ApiQuantity>;

/// Processor time per second in billionths, and memory in bytes, in the formats that metrics-server gives.
pub fn usage(cpu_nano_cores: u64, memory_bytes: u64) -> Usage {
    let kib = memory_bytes / 1024;
    // Ends in `n` and `Ki` whatever the amount, as metrics-server's do: readers compare texts.
    let cpu = if cpu_nano_cores == 0 { "0".to_owned() } else { format!("{cpu_nano_cores}n") };
    let memory = if kib == 0 { "0".to_owned() } else { format!("{kib}Ki") };
    BTreeMap::from([(CPU.to_owned(), ApiQuantity(cpu)), (MEMORY.to_owned(), ApiQuantity(memory))])
}

/// A length of time as Go writes it, in seconds with what is left of them.
pub fn window(milliseconds: u64) -> String {
    let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
    let fraction = if rest == 0 { String::new() } else { format!(".{rest:03}").trim_end_matches('0').to_owned() };
    match (seconds, rest) {
        (0, 0) => "0s".to_owned(),
        (0, _) => format!("{rest}ms"),
        _ if seconds < 60 => format!("{seconds}{fraction}s"),
        _ if seconds < 3600 => format!("{}m{}{fraction}s", seconds / 60, seconds % 60),
        _ => format!("{}h{}m{}{fraction}s", seconds / 3600, seconds % 3600 / 60, seconds % 60),
    }
}

/// The cells behind the name: the sum over `parts`, and the window.
fn cells<'a>(parts: impl Iterator<Item = &'a Usage>, window: &str) -> [Cell; 3] {
    let mut sums = [Quantity::ZERO, Quantity::from_units(0, Format::BinarySI)];
    for usage in parts {
        for (sum, resource) in sums.iter_mut().zip([CPU, MEMORY]) {
            let amount = usage.get(resource).and_then(|amount| Quantity::parse(&amount.0).ok());
            *sum = amount.and_then(|amount| sum.checked_add(amount)).unwrap_or(*sum);
        }
    }
    [Cell::from(sums[0].to_string()), Cell::from(sums[1].to_string()), Cell::from(window)]
}

#[cfg(test)]
mod tests {
    use super::{usage, window};

    #[test]
    fn windows_read_as_go_writes_them() {
        let texts = [0, 250, 10_000, 10_012, 59_500, 60_000, 90_250, 3_661_000].map(window);
        assert_eq!(texts, ["0s", "250ms", "10s", "10.012s", "59.5s", "1m0s", "1m30.25s", "1h1m1s"]);
    }

    #[test]
    fn usage_keeps_its_units() {
        let texts = |cpu, memory| usage(cpu, memory).into_values().map(|amount| amount.0).collect::<Vec<_>>();
        assert_eq!(texts(1_000_000_000, 64 << 20), ["1000000000n", "65536Ki"]);
        assert_eq!(texts(0, 0), ["0", "0"]);
    }
}
