//! Equal parts of many objects, kept once.
//!
//! Invariant: a part lives as long as an object that has it. Bound: an entry per part; those of parts that are gone are
//! swept out whenever the pool has doubled.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Weak};

/// Who knows neither key cannot make two different texts have one hash.
type Hash = (u64, u64);

pub(super) struct Pool<T: ?Sized> {
    keys: (RandomState, RandomState),
    parts: HashMap<Hash, Weak<T>>,
    swept_len: usize,
}

const SWEPT_LEN_LEAST: usize = 256;

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Pool<T> {
        let keys = (RandomState::new(), RandomState::new());
        Pool { keys, parts: HashMap::new(), swept_len: SWEPT_LEN_LEAST }
    }
}

impl<T: ?Sized> Pool<T> {
    /// The part that was made of these texts before, or a new one.
    pub(super) fn get_or_make<E>(
        &mut self,
        texts: &[&str],
        make: impl FnOnce() -> Result<Arc<T>, E>,
    ) -> Result<Arc<T>, E> {
        let hash = self.hash(texts);
        if let Some(known) = self.parts.get(&hash).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let part = make()?;
        if self.parts.len() >= 2 * self.swept_len {
            self.parts.retain(|_, part| part.strong_count() > 0);
            self.swept_len = self.parts.len().max(SWEPT_LEN_LEAST);
        }
        self.parts.insert(hash, Arc::downgrade(&part));
        Ok(part)
    }

    fn hash(&self, texts: &[&str]) -> Hash {
        let with = |key: &RandomState| {
            let mut hasher = key.build_hasher();
            for text in texts {
                hasher.write(text.as_bytes());
                // Not a byte of UTF-8: where one text ends is part of what is hashed.
                hasher.write_u8(0xff);
            }
            hasher.finish()
        };
        (with(&self.keys.0), with(&self.keys.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(pool: &mut Pool<str>, texts: &[&str]) -> Arc<str> {
        pool.get_or_make(texts, || Ok::<_, ()>(texts.concat().into())).unwrap()
    }

    #[test]
    fn equal_parts_are_one_and_gone_ones_are_swept() {
        let mut pool = Pool::default();
        let one = get(&mut pool, &["a", "b"]);
        assert!(Arc::ptr_eq(&one, &get(&mut pool, &["a", "b"])));
        assert!(!Arc::ptr_eq(&one, &get(&mut pool, &["ab"])), "another division is another part");
        for index in 0..10 * SWEPT_LEN_LEAST {
            get(&mut pool, &[&index.to_string()]);
        }
        assert!(pool.parts.len() <= 2 * SWEPT_LEN_LEAST, "{}", pool.parts.len());
        assert!(Arc::ptr_eq(&one, &get(&mut pool, &["a", "b"])));
    }
}
