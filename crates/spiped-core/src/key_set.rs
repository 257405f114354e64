//! The keys that a server takes, each of which may belong to another client.

use std::sync::{Arc, Mutex, PoisonError};

use crate::SharedKey;

/// Keys, one of which a client must have. A clone is the same set: it knows the same keys, and shares their order.
#[derive(Clone, Debug)]
pub struct KeySet(Arc<Keys>);

#[derive(Debug)]
struct Keys {
    keys: Vec<SharedKey>,
    /// Indexes of all keys, the most recently found first: clients that come often are found soon, however many keys
    /// there are.
    order: Mutex<Vec<usize>>,
}

impl KeySet {
    /// A set of these keys, which are tried in their order at first. Of no keys, none is ever found.
    #[must_use]
    pub fn new(keys: Vec<SharedKey>) -> Self {
        let order = Mutex::new((0..keys.len()).collect());
        Self(Arc::new(Keys { keys, order }))
    }

    /// Tries one key after the other, until one gives something; that one is the first to be tried the next time.
    pub(crate) fn find<T>(&self, mut try_key: impl FnMut(&SharedKey) -> Option<T>) -> Option<(usize, SharedKey, T)> {
        // What a panic has left is an order all the same.
        let mut order = self.0.order.lock().unwrap_or_else(PoisonError::into_inner);
        let (place, index, found) = order.iter().enumerate().find_map(|(place, &index)| {
            let found = try_key(self.0.keys.get(index)?)?;
            Some((place, index, found))
        })?;
        order[..=place].rotate_right(1);
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

    /// Looks for a key; which ones were tried, in their order.
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
    fn who_has_no_key_changes_no_order() {
        let keys = keys(3);
        let set = KeySet::new(keys.clone());
        tried_for(&set, &keys, Some(1));
        for _ in 0..3 {
            assert_eq!(tried_for(&set, &keys, None), [1, 0, 2]);
        }
    }

    #[test]
    fn nothing_is_found_among_no_keys() {
        assert_eq!(tried_for(&KeySet::new(Vec::new()), &[], None), [0; 0]);
    }
}
