//! What the uncontended path costs.

use super::*;
use crate::bootstrap::priority_and_fairness::{levels, schemas};

/// A service account's GET: nearly the last of the schemas is its own. Printed, and bounded very loosely, as machines
/// that build without optimization and do much else run this too.
#[test]
fn a_seat_without_contention_is_cheap() {
    let user = User {
        name: "system:serviceaccount:default:default".to_owned(),
        groups: ["system:serviceaccounts", "system:serviceaccounts:default", User::AUTHENTICATED]
            .map(str::to_owned)
            .into(),
        ..User::default()
    };
    let info = RequestInfo::parse(&http::Method::GET, "/api/v1/namespaces/default/pods/p", false);
    let (levels, schemas): (Vec<_>, Vec<_>) =
        (levels().into_iter().map(Arc::new).collect(), schemas().into_iter().map(Arc::new).collect());
    let table = ArcSwap::from_pointee(Table::compile(&Table::default(), 600, &levels, &schemas));
    const TIMES: u32 = 100_000;
    let begun = Instant::now();
    for _ in 0..TIMES {
        let flow = table.load().find(&user, &info).unwrap().clone();
        assert!(flow.level.enter(1));
        flow.counts.served_after(Duration::ZERO);
        drop(Seat::new(flow, 1, None));
    }
    let each = begun.elapsed() / TIMES;
    eprintln!("a seat without contention: {each:?}");
    assert!(each < Duration::from_micros(50), "{each:?}");
    assert_eq!(table.load().find(&user, &info).unwrap().schema, "service-accounts");
}
