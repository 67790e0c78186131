//! A map that is made once, in no more room than its entries take.
//!
//! A report lists up to 100,000 flows with several maps each, most of them of one to six entries: a [`BTreeMap`] has room for eleven.

use std::borrow::{Borrow, Cow};
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

/// Keys with their values, in the order of the keys. Where one comes twice, its first value counts.
#[derive(Clone, Debug)]
pub struct Few<K, V>(Box<[(K, V)]>);

impl<K, V> Few<K, V> {
    /// The value of a key; `None` where the map has no such key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let at = self.0.binary_search_by(|(k, _)| k.borrow().cmp(key)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// The values, in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }
}

impl<K, V> Default for Few<K, V> {
    fn default() -> Self {
        Self(Box::default())
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Few<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut entries: Vec<(K, V)> = entries.into_iter().collect();
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        entries.dedup_by(|(again, _), (first, _)| again == first);
        Self(entries.into_boxed_slice())
    }
}

impl<K, V> IntoIterator for Few<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_vec().into_iter()
    }
}

impl<'a, K, V> IntoIterator for &'a Few<K, V> {
    type Item = &'a (K, V);
    type IntoIter = std::slice::Iter<'a, (K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<K: Serialize, V: Serialize> Serialize for Few<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// That of the map which it stands for: in JSON all keys are text.
impl<K, V: JsonSchema> JsonSchema for Few<K, V> {
    fn inline_schema() -> bool {
        BTreeMap::<String, V>::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        BTreeMap::<String, V>::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        BTreeMap::<String, V>::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, V>::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn it_is_written_as_a_map() {
        for (name, entries, want) in [
            ("none", vec![], "{}"),
            ("in order", vec![(421, 1), (220, 2)], r#"{"220":2,"421":1}"#),
            (
                "one key twice",
                vec![(250, 7), (220, 1), (250, 8)],
                r#"{"220":1,"250":7}"#,
            ),
        ] {
            let few: Few<u16, u64> = entries.into_iter().collect();
            assert_eq!(serde_json::to_string(&few).unwrap(), want, "{name}");
            assert!(few.into_iter().is_sorted(), "{name}");
        }
    }

    #[test]
    fn values_are_found_by_their_keys() {
        let few: Few<&str, u64> = [("mail", 1), ("ehlo", 2), ("quit", 3)]
            .into_iter()
            .collect();
        for (key, want) in [("ehlo", Some(&2)), ("quit", Some(&3)), ("data", None)] {
            assert_eq!(few.get(key), want, "{key}");
        }
    }
}
