//! Compiled filters, kept as most containers share one.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::record::Filter;
use crate::seccomp::{self, ProfileError};

/// Compiled programs of the default profile, by the capabilities that change it.
#[derive(Default)]
pub(crate) struct Filters(Mutex<HashMap<u64, Arc<Vec<Vec<u8>>>>>);

/// Sets of capabilities remembered; beyond it all are compiled anew. A cluster has a handful.
const REMEMBERED_MAX: usize = 32;

impl Filters {
    /// The programs for a filter.
    pub(crate) fn programs(&self, filter: &Filter, capabilities: u64) -> Result<Arc<Vec<Vec<u8>>>, ProfileError> {
        match filter {
            Filter::Unconfined => Ok(Arc::default()),
            Filter::Local(path) => Ok(Arc::new(seccomp::compile(&seccomp::read(path)?)?)),
            Filter::Default => self.default_programs(capabilities),
        }
    }

    fn default_programs(&self, capabilities: u64) -> Result<Arc<Vec<Vec<u8>>>, ProfileError> {
        if let Some(programs) = self.0.lock().get(&capabilities) {
            return Ok(programs.clone());
        }
        let programs = Arc::new(seccomp::compile(&seccomp::default_profile(capabilities))?);
        let mut remembered = self.0.lock();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(capabilities, programs.clone());
        Ok(programs)
    }
}
