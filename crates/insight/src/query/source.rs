//! The history as series, as far as somebody may see it.

use crate::history::{History, Identity, Past};
use crate::metric::{METRICS, Metric, Scope};
use crate::promql::{Allowance, Labels, Matchers, Point, QueryError, Source};
use std::collections::{BTreeMap, BTreeSet};

/// Whose series somebody may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    Everything,
    Some {
        namespaces: BTreeSet<String>,
        /// Those of nodes, which belong to no namespace.
        nodes: bool,
    },
}

impl Sight {
    fn shows(&self, identity: &Identity) -> bool {
        match self {
            Sight::Everything => true,
            Sight::Some { nodes, .. } if identity.scope == Scope::Node => *nodes,
            Sight::Some { namespaces, .. } => namespaces.contains(&identity.namespace),
        }
    }
}

/// cAdvisor names the interface; a pod here has one.
const INTERFACE: &str = "eth0";

#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) history: &'a History,
    pub(super) sight: &'a Sight,
    pub(super) allowance: &'a Allowance<'a>,
}

/// The labels of that amount's series; `None` where it is not shown.
pub(crate) fn labels(identity: &Identity, metric: Metric) -> Option<Labels> {
    let name = metric.about().name_in(identity.scope)?;
    let interface = if name.starts_with("container_network_") { INTERFACE } else { "" };
    // Who looks for a node looks for either.
    let instance = if identity.scope == Scope::Node { identity.node.as_str() } else { "" };
    Some(Labels::of([
        ("__name__", name),
        ("container", &identity.container),
        ("instance", instance),
        ("interface", interface),
        ("namespace", &identity.namespace),
        ("node", &identity.node),
        ("pod", &identity.pod),
    ]))
}

impl Seen<'_> {
    /// Every series between two moments that matches, with what it is read from: pods that were made anew under their
    /// name are one series.
    pub(super) fn matching(
        &self,
        matchers: &Matchers,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<BTreeMap<Labels, Vec<(Past, Metric)>>, QueryError> {
        self.allowance.check_time()?;
        let pasts = self.history.select(from_ms, to_ms, |identity| {
            self.sight.shows(identity)
                && matchers.allows("namespace", &identity.namespace)
                && matchers.allows("pod", &identity.pod)
                && matchers.allows("container", &identity.container)
                && matchers.allows("node", &identity.node)
        });
        let mut series: BTreeMap<Labels, Vec<(Past, Metric)>> = BTreeMap::new();
        let named =
            |metric: Metric, scope| metric.about().name_in(scope).filter(|name| matchers.allows("__name__", name));
        for past in pasts {
            self.allowance.check_time()?;
            for about in
                METRICS.iter().filter(|about| past.has(about.metric) && named(about.metric, past.scope()).is_some())
            {
                let labels = labels(&past.identity, about.metric).filter(|labels| matchers.matches(labels));
                if let Some(labels) = labels {
                    series.entry(labels).or_default().push((past.clone(), about.metric));
                }
            }
        }
        Ok(series)
    }
}

impl Source for Seen<'_> {
    fn series(
        &self,
        matchers: &Matchers,
        from_ms: i64,
        to_ms: i64,
        each: &mut dyn FnMut(Labels, Vec<Point>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        for (labels, pasts) in self.matching(matchers, from_ms, to_ms)? {
            let mut points = Vec::new();
            for (past, metric) in &pasts {
                self.allowance.check_time()?;
                let own = self.history.points(past, *metric, from_ms, to_ms);
                points.extend(own.map_err(|error| QueryError::Internal(error.to_string()))?);
            }
            if pasts.len() > 1 {
                points.sort_by_key(|(time_ms, _)| *time_ms);
                points.dedup_by_key(|(time_ms, _)| *time_ms);
            }
            if !points.is_empty() {
                each(labels, points)?;
            }
        }
        Ok(())
    }
}
