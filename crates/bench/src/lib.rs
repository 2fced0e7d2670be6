//! What benchmarks and whole-cluster tests share: nodes without machines, and a cluster of one's own as a process.

pub mod hollow;
pub mod own;
