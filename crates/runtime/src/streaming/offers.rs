//! Streams that have been asked for and not been fetched yet.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::shim::protocol::ProcessSpec;
use parking_lot::Mutex;

use crate::shim::Client;

/// How long a token is good: whoever asked fetches at once.
const LIFETIME: Duration = Duration::from_secs(60);
/// Tokens at once; upstream keeps as many.
const OFFERS_MAX: usize = 1000;

/// What a URL gives.
pub(super) enum Offer {
    /// A command in a container.
    Exec { shim: Client, container: String, process: Box<ProcessSpec>, streams: u8 },
    /// A container's own streams.
    Attach { shim: Client, container: String, streams: u8, stdin_once: bool },
    /// Ports of a pod.
    PortForward { sandbox: String, network: Arc<OwnedFd> },
}

impl Offer {
    /// The first part of its path, as upstream has it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Offer::Exec { .. } => "exec",
            Offer::Attach { .. } => "attach",
            Offer::PortForward { .. } => "portforward",
        }
    }
}

/// Offers by token.
#[derive(Default)]
pub(super) struct Offers(Mutex<HashMap<String, (Offer, Instant)>>);

impl Offers {
    /// Keeps an offer, and answers its token; `None` when there are too many.
    pub(super) fn put(&self, offer: Offer, now: Instant) -> Option<String> {
        let mut offers = self.0.lock();
        offers.retain(|_, (_, made)| now.duration_since(*made) < LIFETIME);
        if offers.len() >= OFFERS_MAX {
            return None;
        }
        let token = crate::record::new_id();
        offers.insert(token.clone(), (offer, now));
        Some(token)
    }

    /// Takes an offer away.
    pub(super) fn take(&self, kind: &str, token: &str, now: Instant) -> Option<Offer> {
        let mut offers = self.0.lock();
        if offers.get(token).is_none_or(|(offer, _)| offer.kind() != kind) {
            return None;
        }
        let (offer, made) = offers.remove(token)?;
        (now.duration_since(made) < LIFETIME).then_some(offer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer() -> Offer {
        let file = std::fs::File::open("/dev/null").unwrap();
        Offer::PortForward { sandbox: String::new(), network: Arc::new(file.into()) }
    }

    #[test]
    fn tokens_are_good_once_and_not_forever() {
        let offers = Offers::default();
        let now = Instant::now();
        let token = offers.put(offer(), now).unwrap();
        assert!(offers.take("exec", &token, now).is_none(), "of another kind");
        assert!(offers.take("portforward", &token, now).is_some());
        assert!(offers.take("portforward", &token, now).is_none());
        let late = offers.put(offer(), now).unwrap();
        assert!(offers.take("portforward", &late, now + LIFETIME).is_none());
        let full = (0..).map_while(|_| offers.put(offer(), now)).count();
        assert_eq!(full, OFFERS_MAX);
        assert!(offers.put(offer(), now + LIFETIME).is_some(), "old ones make room");
    }
}
