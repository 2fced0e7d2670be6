//! The server alone.

use crate::harness::{Cluster, possible};

#[test]
fn a_second_start_in_the_same_directory_is_harmless_or_refused() {
    if !possible() {
        return;
    }
    let cluster = Cluster::machines(1);
    let machine = cluster.first();
    machine.up_server();
    let first = machine.status();
    machine.up_server();
    assert_eq!(machine.status()["pid"], first["pid"], "the same supervisor");
    cluster.finish();
}
