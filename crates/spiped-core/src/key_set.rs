//! The keys that a server accepts, for example one for each client.

use std::sync::{Arc, Mutex, PoisonError};

use crate::SharedKey;

/// The keys that a server accepts. Clones share the keys and the order in which they are tried.
#[derive(Clone, Debug)]
pub struct KeySet(Arc<Keys>);

#[derive(Debug)]
struct Keys {
    keys: Vec<SharedKey>,
    /// Indexes of all keys, the most recently found first, so that frequent clients are found fast among many keys.
    order: Mutex<Vec<usize>>,
}

impl KeySet {
    /// A set of these keys, tried in this order at first. An empty set accepts no client.
    #[must_use]
    pub fn new(keys: Vec<SharedKey>) -> Self {
        let order = Mutex::new((0..keys.len()).collect());
        Self(Arc::new(Keys { keys, order }))
    }

    /// Calls `try_key` with each key until it returns `Some`, and moves that key to the front.
    ///
    /// Returns the key's index, the key, and the result of `try_key`.
    pub(crate) fn find<T>(&self, mut try_key: impl FnMut(&SharedKey) -> Option<T>) -> Option<(usize, SharedKey, T)> {
        // The order is valid even if another thread panicked while it had the lock.
        let mut order = self.0.order.lock().unwrap_or_else(PoisonError::into_inner);
        let (position, index, found) = order.iter().enumerate().find_map(|(position, &index)| {
            let found = try_key(self.0.keys.get(index)?)?;
            Some((position, index, found))
        })?;
        order[..=position].rotate_right(1);
        let key = self.0.keys.get(index)?.clone();
        Some((index, key, found))
    }
}

impl From<SharedKey> for KeySet {
    fn from(key: SharedKey) -> Self {
        Self::new(vec![key])
    }
}

#[cfg(test)]
mod tests {
    use super::KeySet;
    use crate::{KeyHasher, SharedKey};

    fn keys(count: u8) -> Vec<SharedKey> {
        let key = |byte| {
            let mut hasher = KeyHasher::new();
            hasher.update(&[byte]);
            hasher.finish()
        };
        (0..count).map(key).collect()
    }

    /// Searches for a key and returns the indexes of those tried, in order.
    fn tried_for(set: &KeySet, keys: &[SharedKey], wanted: Option<usize>) -> Vec<usize> {
        let mut tried = Vec::new();
        let found = set.find(|key| {
            let index = keys.iter().position(|other| other.is_same(key)).expect("is one of them");
            tried.push(index);
            (Some(index) == wanted).then_some(())
        });
        assert_eq!(found.map(|(index, _, ())| index), wanted);
        tried
    }

    #[test]
    fn the_most_recently_found_key_is_tried_first() {
        let keys = keys(4);
        let set = KeySet::new(keys.clone());
        assert_eq!(tried_for(&set, &keys, Some(2)), [0, 1, 2]);
        assert_eq!(tried_for(&set, &keys, Some(2)), [2]);
        assert_eq!(tried_for(&set, &keys, Some(3)), [2, 0, 1, 3]);
        assert_eq!(tried_for(&set.clone(), &keys, Some(0)), [3, 2, 0]);
        assert_eq!(tried_for(&set, &keys, Some(1)), [0, 3, 2, 1]);
    }

    #[test]
    fn an_unknown_key_does_not_change_the_order() {
        let keys = keys(3);
        let set = KeySet::new(keys.clone());
        tried_for(&set, &keys, Some(1));
        for _ in 0..3 {
            assert_eq!(tried_for(&set, &keys, None), [1, 0, 2]);
        }
    }

    #[test]
    fn an_empty_set_finds_nothing() {
        assert_eq!(tried_for(&KeySet::new(Vec::new()), &[], None), [0; 0]);
    }
}
