//! Who must read anew, because what could not be opened may be readable now.
//!
//! Invariant: a reader that was given a stand-in before an occasion, and watches, is told of that occasion once.

use parking_lot::Mutex;
use tokio::sync::watch;

pub(crate) struct Reread {
    /// How many occasions there were.
    occasions: watch::Sender<u64>,
    /// Below which prefix stand-ins were given, and after how many occasions.
    given: Mutex<Option<(String, u64)>>,
}

impl Default for Reread {
    fn default() -> Reread {
        Reread { occasions: watch::Sender::new(0), given: Mutex::default() }
    }
}

impl Reread {
    /// To be asked before a read begins.
    pub(crate) fn occasion(&self) -> u64 {
        *self.occasions.borrow()
    }

    /// A read that began after so many occasions was given stand-ins, or none.
    pub(crate) fn read(&self, prefix: &str, occasion: u64, stand_ins: bool) {
        let mut given = self.given.lock();
        if stand_ins {
            let widest = given.take().map_or(prefix.to_owned(), |(known, _)| {
                if known.len() < prefix.len() { known } else { prefix.to_owned() }
            });
            *given = Some((widest, occasion));
        } else if given.as_ref().is_some_and(|(known, _)| known.starts_with(prefix)) {
            *given = None;
        }
    }

    /// Keys have come: those who lack something are told.
    pub(crate) fn tell(&self) {
        if self.given.lock().is_some() {
            self.occasions.send_modify(|occasions| *occasions += 1);
        }
    }

    /// The occasions after the last read.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        let mut occasions = self.occasions.subscribe();
        let missed = self.given.lock().as_ref().is_some_and(|(_, occasion)| *occasion < *occasions.borrow());
        if missed {
            occasions.mark_changed();
        }
        occasions
    }
}
