//! The engine on etcd: the suite that every engine must pass, and what only a cluster can do.

mod answers;
mod claims;
mod compaction;
mod failover;
mod limits;
mod member;
mod proxy;
mod restore;
mod suite_of_all;
mod tls;
