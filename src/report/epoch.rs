//! Moments in the report: exact to the nanosecond in JSON, which a double is not.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::net::Timestamp;

/// A moment as seconds since the epoch of 1970, UTC. In JSON a number with as many of nine decimal places as are not zero.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Epoch(pub Timestamp);

impl Epoch {
    /// As a decimal number: `1262704920.123456789`, `-0.5`, `7`.
    #[must_use]
    pub fn decimal(self) -> String {
        let nanos = self.0.0;
        let magnitude = nanos.unsigned_abs();
        let (whole, part) = (magnitude / 1_000_000_000, magnitude % 1_000_000_000);
        let sign = if nanos < 0 { "-" } else { "" };
        let mut text = format!("{sign}{whole}.{part:09}");
        let telling = text.trim_end_matches('0').trim_end_matches('.').len();
        text.truncate(telling);
        text
    }
}

impl From<Timestamp> for Epoch {
    fn from(time: Timestamp) -> Self {
        Self(time)
    }
}

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.decimal())
            .map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}

impl JsonSchema for Epoch {
    fn schema_name() -> Cow<'static, str> {
        "Epoch".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "number",
            "description": "Seconds since 1970-01-01T00:00:00Z, with nanosecond digits where known."
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn digits_are_exact() {
        for (name, nanos, want) in [
            (
                "a double would round this",
                1_262_704_920_123_456_789,
                "1262704920.123456789",
            ),
            ("whole seconds", 5_000_000_000, "5"),
            ("trailing zeros go", 1_500_000_000, "1.5"),
            ("leading zeros stay", 1_000_000_001, "1.000000001"),
            ("zero", 0, "0"),
            ("before the epoch", -500_000_000, "-0.5"),
            ("smallest", i64::MIN, "-9223372036.854775808"),
        ] {
            let json = serde_json::to_string(&Epoch(Timestamp(nanos))).unwrap();
            assert_eq!(json, want, "{name}");
        }
    }
}
