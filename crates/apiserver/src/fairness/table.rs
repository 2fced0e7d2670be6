//! What FlowSchemas and PriorityLevelConfigurations say, compiled: which requests belong to which flow and level.
//!
//! Invariants: the mandatory objects are in every table, whether they are stored or not, so that every request has a
//! flow; a level that stays is the same `Level` in the next table, with its seats and queues.

use super::borrowing::{self, Share};
use super::classify::Rule;
use super::counts::Counts;
use super::level::{Level, Plan};
use super::queues::Shape;
use crate::bootstrap::priority_and_fairness as defaults;
use crate::http::RequestInfo;
use api::user::User;
use http::HeaderValue;
use k8s_openapi::api::flowcontrol::v1::{
    FlowSchema, LimitedPriorityLevelConfiguration, PriorityLevelConfiguration, QueuingConfiguration,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::sync::Arc;

/// What parts the requests of a FlowSchema into flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Nothing,
    User,
    Namespace,
}

/// A FlowSchema and its level.
pub(super) struct Flow {
    pub(super) schema: String,
    pub(super) schema_uid: Option<HeaderValue>,
    pub(super) level: Arc<Level>,
    pub(super) level_uid: Option<HeaderValue>,
    pub(super) counts: Arc<Counts>,
    by: By,
    rules: Vec<Rule>,
}

impl Flow {
    /// The hash by which queues are dealt to a request; `user` and `namespace` are the request's.
    pub(super) fn hash(&self, user: &str, namespace: &str) -> u64 {
        let distinguisher = match self.by {
            By::Nothing => "",
            By::User => user,
            By::Namespace => namespace,
        };
        let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
        digest.update(self.schema.as_bytes());
        digest.update(&[0]);
        digest.update(distinguisher.as_bytes());
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest.finish().as_ref()[..8]);
        u64::from_le_bytes(bytes)
    }

    pub(super) fn labels(&self) -> String {
        format!("flow_schema=\"{}\",priority_level=\"{}\"", self.schema, self.level.name)
    }

    fn is(&self, user: &User, info: &RequestInfo<'_>) -> bool {
        self.rules.iter().any(|rule| rule.is(user, info))
    }
}

#[derive(Default)]
pub(super) struct Table {
    /// All seats of the server.
    total: u32,
    /// Who is asked first comes first; the last one is of every request.
    pub(super) flows: Vec<Arc<Flow>>,
    pub(super) levels: Vec<Arc<Level>>,
}

fn name(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}

fn header(meta: &ObjectMeta) -> Option<HeaderValue> {
    meta.uid.as_deref().and_then(|uid| HeaderValue::from_str(uid).ok())
}

/// With those of `mandatory` that are not there.
fn with_mandatory<K: api::Kind>(present: &[Arc<K>], mandatory: Vec<K>) -> Vec<Arc<K>> {
    let missing = |wanted: &K| !present.iter().any(|own| own.metadata().name == wanted.metadata().name);
    let missing: Vec<Arc<K>> = mandatory.into_iter().filter(missing).map(Arc::new).collect();
    present.iter().cloned().chain(missing).collect()
}

fn shares(limited: &LimitedPriorityLevelConfiguration) -> u64 {
    limited.nominal_concurrency_shares.unwrap_or_default().max(0).unsigned_abs().into()
}

fn shape(queuing: &QueuingConfiguration) -> Shape {
    let count = |value: Option<i32>| usize::try_from(value.unwrap_or_default()).unwrap_or_default();
    Shape {
        queues: count(queuing.queues),
        hand: count(queuing.hand_size),
        length_max: count(queuing.queue_length_limit),
    }
}

fn percent(of: u32, percent: Option<i32>) -> u32 {
    let percent = f64::from(percent.unwrap_or_default().max(0));
    (f64::from(of) * percent / 100.0).round() as u32
}

fn plan(level: &PriorityLevelConfiguration, total: u32, shares_sum: u64) -> Plan {
    let Some(limited) = &level.spec.limited else { return Plan { share: None, shape: Shape::REJECT } };
    let seats = (u64::from(total) * shares(limited)).div_ceil(shares_sum.max(1));
    let nominal = u32::try_from(seats).unwrap_or(u32::MAX);
    let most = match limited.borrowing_limit_percent {
        Some(limit) => nominal.saturating_add(percent(nominal, Some(limit))).min(total.max(nominal)),
        None => total.max(nominal),
    };
    let least = nominal - percent(nominal, limited.lendable_percent).min(nominal);
    let share = Share { nominal, least, most, ..Share::default() };
    let queuing = limited.limit_response.queuing.as_ref();
    Plan { share: Some(share), shape: queuing.map_or(Shape::REJECT, shape) }
}

impl Table {
    /// `total` seats are parted by the levels' shares. Of `before` what is the same goes on.
    pub(super) fn compile(
        before: &Table,
        total: u32,
        levels: &[Arc<PriorityLevelConfiguration>],
        schemas: &[Arc<FlowSchema>],
    ) -> Table {
        let configured = with_mandatory(levels, defaults::mandatory_levels());
        let mut schemas = with_mandatory(schemas, defaults::mandatory_schemas());
        let sum: u64 = configured.iter().filter_map(|level| level.spec.limited.as_ref()).map(shares).sum();
        let mut table = Table { total, ..Table::default() };
        for level in &configured {
            let plan = plan(level, total, sum);
            let own = name(&level.metadata);
            let level = match before.levels.iter().find(|level| level.name == own) {
                Some(level) => {
                    level.configure(plan);
                    level.clone()
                }
                None => Arc::new(Level::new(own, plan)),
            };
            table.levels.push(level);
        }
        table.levels.sort_by(|one, other| one.name.cmp(&other.name));
        schemas.sort_by_key(|schema| (schema.spec.matching_precedence, schema.metadata.name.clone()));
        for schema in &schemas {
            table.add(before, schema, &configured);
        }
        // What no schema matches is of the catch-all schema, whose rules match everybody.
        if let Some(at) = table.flows.iter().position(|flow| flow.schema == defaults::CATCH_ALL) {
            let catch_all = table.flows.remove(at);
            table.flows.push(catch_all);
        }
        table
    }

    /// A schema whose level is not there has no requests.
    fn add(&mut self, before: &Table, schema: &FlowSchema, configured: &[Arc<PriorityLevelConfiguration>]) {
        let wanted = &schema.spec.priority_level_configuration.name;
        let Some(level) = self.levels.iter().find(|level| level.name == *wanted) else { return };
        let object = configured.iter().find(|level| name(&level.metadata) == wanted);
        let own = name(&schema.metadata);
        let same = before.flows.iter().find(|flow| flow.schema == own && flow.level.name == *wanted);
        let method = schema.spec.distinguisher_method.as_ref().map(|method| method.type_.as_str());
        self.flows.push(Arc::new(Flow {
            schema: own.to_owned(),
            schema_uid: header(&schema.metadata),
            level: level.clone(),
            level_uid: object.and_then(|object| header(&object.metadata)),
            counts: same.map(|flow| flow.counts.clone()).unwrap_or_default(),
            by: match method {
                Some("ByUser") => By::User,
                Some("ByNamespace") => By::Namespace,
                _ => By::Nothing,
            },
            rules: schema.spec.rules.iter().flatten().map(Rule::of).collect(),
        }));
    }

    /// The flow of a request; `None` only in a table that was never compiled.
    pub(super) fn find(&self, user: &User, info: &RequestInfo<'_>) -> Option<&Arc<Flow>> {
        self.flows.iter().find(|flow| flow.is(user, info)).or(self.flows.last())
    }

    /// Ends a period: what levels asked for decides how many seats each has in the next.
    pub(super) fn lend(&self) {
        let measured = self.levels.iter().filter_map(|level| Some((level, level.measure()?)));
        let (levels, shares): (Vec<&Arc<Level>>, Vec<Share>) = measured.unzip();
        for (level, seats) in levels.iter().zip(borrowing::seats(self.total, &shares)) {
            if level.limit() != seats {
                level.set_limit(seats);
            }
        }
    }
}

/// A flow outside of any table, for what is limited by number alone.
pub(super) fn plain(name: &str, seats: u32) -> Arc<Flow> {
    // No limit at all is spelled as none of anything.
    let share = (seats > 0).then_some(Share { nominal: seats, least: seats, most: seats, ..Share::default() });
    Arc::new(Flow {
        schema: name.to_owned(),
        schema_uid: None,
        level: Arc::new(Level::new(name, Plan { share, shape: Shape::REJECT })),
        level_uid: None,
        counts: Arc::default(),
        by: By::Nothing,
        rules: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::priority_and_fairness::{levels, schemas};

    fn suggested() -> Table {
        let (levels, schemas): (Vec<_>, Vec<_>) =
            (levels().into_iter().map(Arc::new).collect(), schemas().into_iter().map(Arc::new).collect());
        Table::compile(&Table::default(), 600, &levels, &schemas)
    }

    fn user(name: &str, groups: &[&str]) -> User {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        User { name: name.to_owned(), groups, ..User::default() }
    }

    #[test]
    fn the_suggested_levels_have_upstreams_seats() {
        let seats: Vec<(String, Option<u32>)> =
            suggested().levels.iter().map(|level| (level.name.clone(), level.nominal())).collect();
        let wanted = [
            ("catch-all", Some(13)),
            ("exempt", None),
            ("global-default", Some(49)),
            ("leader-election", Some(25)),
            ("node-high", Some(98)),
            ("system", Some(74)),
            ("workload-high", Some(98)),
            ("workload-low", Some(245)),
        ];
        assert_eq!(seats, wanted.map(|(name, seats)| (name.to_owned(), seats)));
    }

    #[test]
    fn requests_have_upstreams_flows() {
        let table = suggested();
        let node = user("system:node:n", &["system:nodes", User::AUTHENTICATED]);
        let account = user("system:serviceaccount:a:b", &["system:serviceaccounts", User::AUTHENTICATED]);
        let system = user("system:serviceaccount:kube-system:b", &["system:serviceaccounts", User::AUTHENTICATED]);
        let admin = user("admin", &[User::MASTERS, User::AUTHENTICATED]);
        let lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n";
        let pod = "/api/v1/namespaces/a/pods/p";
        let scheduler = user("system:kube-scheduler", &[User::AUTHENTICATED]);
        for (who, method, path, schema) in [
            (&admin, "GET", pod, "exempt"),
            (&node, "PUT", lease, "system-node-high"),
            (&node, "PATCH", "/api/v1/nodes/n/status", "system-node-high"),
            (&node, "GET", pod, "system-nodes"),
            (&system, "PUT", lease, "system-leader-election"),
            (&system, "GET", "/api/v1/namespaces/a/configmaps/c", "workload-leader-election"),
            (&system, "GET", pod, "kube-system-service-accounts"),
            (&account, "GET", pod, "service-accounts"),
            (&scheduler, "GET", pod, "kube-scheduler"),
            (&user("ann", &[User::AUTHENTICATED]), "GET", pod, "global-default"),
            (&User::anonymous(), "GET", "/healthz", "probes"),
            (&User::anonymous(), "GET", "/version", "global-default"),
            (&user("nobody", &[]), "GET", pod, "catch-all"),
        ] {
            let method = http::Method::from_bytes(method.as_bytes()).unwrap();
            let flow = table.find(who, &RequestInfo::parse(&method, path, false)).unwrap();
            assert_eq!(flow.schema, schema, "{} {method} {path}", who.name);
        }
    }

    #[test]
    fn mandatory_objects_are_there_and_dangling_schemas_are_not() {
        let mut lost = schemas();
        lost.retain(|schema| schema.metadata.name.as_deref() == Some("global-default"));
        let lost: Vec<_> = lost.into_iter().map(Arc::new).collect();
        let table = Table::compile(&Table::default(), 600, &[], &lost);
        let flows: Vec<&str> = table.flows.iter().map(|flow| flow.schema.as_str()).collect();
        assert_eq!(flows, ["exempt", "catch-all"]);
        assert_eq!(table.levels[0].nominal(), Some(600));
    }

    #[test]
    fn a_level_goes_on_over_a_change() {
        let before = suggested();
        assert!(before.levels[0].enter(1));
        let after = Table::compile(&before, 600, &[], &[]);
        assert_eq!((after.levels[0].seats_executing(), after.levels[0].nominal()), (1, Some(600)));
    }

    #[test]
    fn idle_levels_lend_to_a_busy_one() {
        let table = suggested();
        let low = table.levels.iter().find(|level| level.name == "workload-low").unwrap();
        for _ in 0..245 {
            assert!(low.enter(1));
        }
        assert!(!low.enter(1));
        assert_eq!(low.limit(), 245);
        table.lend();
        assert!(low.limit() > 245, "{}", low.limit());
        let all: u32 = table.levels.iter().filter(|level| level.nominal().is_some()).map(|level| level.limit()).sum();
        assert!(all <= 604, "{all}: rounding up gives each half a seat at the most");
    }

    #[test]
    fn flows_are_told_apart() {
        let table = suggested();
        let flow = |name: &str| table.flows.iter().find(|flow| flow.schema == name).unwrap();
        let by_user = flow("global-default");
        assert_ne!(by_user.hash("ann", "a"), by_user.hash("bob", "a"));
        assert_eq!(by_user.hash("ann", "a"), by_user.hash("ann", "b"));
        let by_namespace = flow("kube-scheduler");
        assert_eq!(by_namespace.hash("ann", "a"), by_namespace.hash("bob", "a"));
        assert_ne!(by_namespace.hash("ann", "a"), by_namespace.hash("ann", "b"));
        assert_ne!(flow("catch-all").hash("ann", "a"), by_user.hash("ann", "a"));
    }
}
