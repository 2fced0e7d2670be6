//! Which etcd, and how patiently it is asked.

use std::fmt;
use std::time::Duration;

/// What a connection proves and demands, as PEM.
#[derive(Clone)]
pub struct EtcdTls {
    /// Authorities of the members' certificates.
    pub ca: Vec<u8>,
    /// Own certificate and key, for members that ask for one.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for EtcdTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdTls").field("identity", &self.identity.is_some()).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
pub struct EtcdOptions {
    /// `http://HOST:PORT` or `https://HOST:PORT` of each member; any one serves.
    pub endpoints: Vec<String>,
    pub tls: Option<EtcdTls>,
    /// All keys begin with it. None may be the beginning of another store's on the same etcd.
    pub prefix: String,
    /// For how long a call is tried again while no member answers: longer than etcd takes to elect a leader.
    pub patience: Duration,
    /// How often history older than one such period is forgotten. `None`: never by this process.
    pub compact_every: Option<Duration>,
    /// How long a dead process's claim lasts, in whole seconds. (etcd grants two at least, by its default election
    /// time, and forgets no claim while it elects a leader.)
    pub claim_lasts: Duration,
    /// What the members allow (`--max-txn-ops`).
    pub txn_ops_max: usize,
    /// What the members allow (`--max-request-bytes`).
    pub request_bytes_max: usize,
}

impl Default for EtcdOptions {
    fn default() -> EtcdOptions {
        EtcdOptions {
            endpoints: Vec::new(),
            tls: None,
            prefix: "/sampan".to_owned(),
            patience: Duration::from_secs(15),
            compact_every: Some(Duration::from_secs(300)),
            claim_lasts: Duration::from_secs(2),
            txn_ops_max: 128,
            request_bytes_max: 3 << 19,
        }
    }
}
