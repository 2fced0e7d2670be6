//! The engine on etcd under the suite that every engine must pass.

use super::member::{Member, installed, open};
use store::{Etcd, EtcdOptions};

/// An empty store, on a member that takes the transactions of the suite.
async fn on_etcd() -> Option<(Etcd, Member)> {
    if !installed() {
        return None;
    }
    let member = Member::single(&["--max-txn-ops=1024"]);
    let store = open(EtcdOptions { txn_ops_max: 1024, ..member.options() }).await;
    Some((store, member))
}

conformance!(on_etcd);
