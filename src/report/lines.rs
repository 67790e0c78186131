//! A report as JSON, each member of the object on a line of its own, and of its lists each element: one flow a line, one finding a line.
//!
//! Takes:  any of our objects
//! Gives:  JSON, a large piece at a time
//! Never:  holds more than one element of a list beyond [`PIECE`] octets
//!
//! Indenting all of it would double the text, and most of the time that it takes. With 100,000 flows listed, writing is what a run spends
//! most of its time on, and names of members are most of what is written: they are known to need no escapes, and go out as they stand.
//! Numbers, and text that is not plain, are left to `serde_json`.

use std::io::{self, Write};

use serde::ser::{self, Error as _, Impossible, Serialize};
use serde_json::Error;
use serde_json::ser::{CompactFormatter, Formatter as _, Serializer};

use super::json::Harmless;

/// Octets gathered before they go out.
const PIECE: usize = 64 << 10;

/// Down to this depth each element begins a line.
const BROKEN: usize = 2;

/// Name of the one structure that `serde_json` gives a text to which goes out as it is.
const RAW: &str = "$serde_json::private::RawValue";

/// Writes `object` and a line end.
///
/// # Errors
/// Where `out` refuses.
pub(super) fn write<T: Serialize + ?Sized>(object: &T, out: &mut dyn Write) -> io::Result<()> {
    let mut lines = Lines {
        out,
        text: Vec::with_capacity(2 * PIECE),
        depth: 0,
        filled: false,
        refused: None,
    };
    let done = object.serialize(&mut lines);
    lines.text.push(b'\n');
    lines.hand_on();
    let Lines { out, refused, .. } = lines;
    refused.map_or(Ok(()), Err)?;
    done?;
    out.flush()
}

struct Lines<'a> {
    out: &'a mut dyn Write,
    text: Vec<u8>,
    depth: usize,
    /// Whether the list or object under way holds anything yet.
    filled: bool,
    /// Why `out` takes no more.
    refused: Option<io::Error>,
}

impl Lines<'_> {
    fn hand_on(&mut self) {
        if self.refused.is_none() {
            self.refused = self.out.write_all(&self.text).err();
        }
        self.text.clear();
    }

    fn begin(&mut self, bracket: u8) {
        self.depth += 1;
        self.filled = false;
        self.text.push(bracket);
    }

    fn close(&mut self, bracket: u8) {
        let broken = self.depth <= BROKEN && self.filled;
        self.depth -= 1;
        if broken {
            self.line();
        }
        self.filled = true;
        self.text.push(bracket);
    }

    fn element(&mut self) -> Result<(), Error> {
        if self.filled {
            self.text.push(b',');
        }
        if self.depth <= BROKEN {
            if self.text.len() >= PIECE {
                self.hand_on();
            }
            if self.refused.is_some() {
                return Err(Error::custom("refused"));
            }
            self.line();
        }
        Ok(())
    }

    fn line(&mut self) {
        let indent: &[u8] = match self.depth {
            0 => b"\n",
            1 => b"\n  ",
            _ => b"\n    ",
        };
        self.text.extend_from_slice(indent);
    }

    /// A member of the object under way, its name one of our own.
    fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Error> {
        self.element()?;
        self.text.push(b'"');
        self.text.extend_from_slice(name.as_bytes());
        self.text.extend_from_slice(b"\": ");
        value.serialize(&mut *self)?;
        self.filled = true;
        Ok(())
    }

    /// What is too rare to be worth code of its own.
    fn by_serde_json<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut Serializer::with_formatter(
            &mut self.text,
            Harmless(CompactFormatter),
        ))
    }
}

/// The members of a structure.
struct Fields<'a, 'b> {
    lines: &'a mut Lines<'b>,
    /// It is a text that stands for itself: a number of more digits than a double has.
    raw: bool,
}

/// Whether a text means itself within quotes, and nothing to a terminal. All octets are looked at, which is quicker than to stop.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |plain, b| {
        plain & (b' '..0x7f).contains(&b) & (b != b'"') & (b != b'\\')
    })
}

/// Methods that leave a number to `serde_json`'s formatter.
macro_rules! numbers {
    ($($method:ident($value:ty) = $write:ident;)*) => {
        $(fn $method(self, value: $value) -> Result<(), Error> {
            CompactFormatter.$write(&mut self.text, value).map_err(Error::custom)
        })*
    };
}

impl<'a, 'b> ser::Serializer for &'a mut Lines<'b> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Self;
    type SerializeStruct = Fields<'a, 'b>;
    type SerializeStructVariant = Impossible<(), Error>;

    numbers! {
        serialize_bool(bool) = write_bool;
        serialize_i8(i8) = write_i8;
        serialize_i16(i16) = write_i16;
        serialize_i32(i32) = write_i32;
        serialize_i64(i64) = write_i64;
        serialize_u8(u8) = write_u8;
        serialize_u16(u16) = write_u16;
        serialize_u32(u32) = write_u32;
        serialize_u64(u64) = write_u64;
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.by_serde_json(&value)
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        if value == 0.0 && value.is_sign_positive() {
            self.text.extend_from_slice(b"0.0");
            return Ok(());
        }
        self.by_serde_json(&value)
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.by_serde_json(&value)
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        if !is_plain(value) {
            return self.by_serde_json(value);
        }
        self.text.push(b'"');
        self.text.extend_from_slice(value.as_bytes());
        self.text.push(b'"');
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        self.by_serde_json(value)
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.text.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.begin(b'{');
        self.member(variant, value)?;
        self.close(b'}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Error> {
        self.begin(b'[');
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Error> {
        self.begin(b'[');
        Ok(self)
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, Error> {
        Err(Error::custom(name))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(Error::custom(name))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Error> {
        self.begin(b'{');
        Ok(self)
    }

    fn serialize_struct(
        self,
        name: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStruct, Error> {
        let raw = name == RAW;
        if !raw {
            self.begin(b'{');
        }
        Ok(Fields { lines: self, raw })
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Err(Error::custom(name))
    }
}

impl ser::SerializeSeq for &mut Lines<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element()?;
        value.serialize(&mut **self)?;
        self.filled = true;
        Ok(())
    }

    fn end(self) -> Result<(), Error> {
        self.close(b']');
        Ok(())
    }
}

impl ser::SerializeTuple for &mut Lines<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        ser::SerializeSeq::serialize_element(self, value)
    }

    fn end(self) -> Result<(), Error> {
        ser::SerializeSeq::end(self)
    }
}

impl ser::SerializeMap for &mut Lines<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.element()?;
        let from = self.text.len();
        key.serialize(&mut **self)?;
        if self.text.get(from) != Some(&b'"') {
            self.text.insert(from, b'"');
            self.text.push(b'"');
        }
        self.text.extend_from_slice(b": ");
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut **self)?;
        self.filled = true;
        Ok(())
    }

    fn end(self) -> Result<(), Error> {
        self.close(b'}');
        Ok(())
    }
}

impl ser::SerializeStruct for Fields<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        if !self.raw {
            return self.lines.member(name, value);
        }
        // It comes as a string, and such numbers need no escapes.
        let from = self.lines.text.len();
        value.serialize(&mut *self.lines)?;
        self.lines.text.pop();
        self.lines.text.remove(from);
        Ok(())
    }

    fn end(self) -> Result<(), Error> {
        if !self.raw {
            self.lines.close(b'}');
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use super::*;
    use crate::net::Timestamp;
    use crate::report::epoch::Epoch;

    fn text<T: Serialize>(object: &T) -> String {
        let mut out = Vec::new();
        write(object, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn elements_of_lists_stand_on_a_line_each() {
        let object = serde_json::json!({
            "a": [], "b": {}, "c": [1, [2, 3], {"x": {"y": []}}], "d": {"e": "f", "g": {"h": 1}}
        });
        let text = text(&object);
        assert_eq!(
            text,
            "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    [2,3],\n    {\"x\": {\"y\": []}}\n  ],\n  \
             \"d\": {\n    \"e\": \"f\",\n    \"g\": {\"h\": 1}\n  }\n}\n"
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            object
        );
    }

    /// A bit of everything that a report may hold.
    #[derive(serde::Serialize)]
    struct All {
        moment: Epoch,
        floats: Vec<f64>,
        small: f32,
        absent: Option<u8>,
        there: Option<(bool, char, i8)>,
        by_number: BTreeMap<u16, &'static str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        left_out: Vec<u8>,
        kind: Kind,
        kinds: Vec<Kind>,
    }

    #[derive(serde::Serialize)]
    enum Kind {
        Plain,
        With(u8),
    }

    #[test]
    fn values_read_as_serde_json_writes_them() {
        let all = All {
            moment: Epoch(Timestamp(1_262_704_920_123_456_789)),
            floats: vec![0.0, -0.0, 0.1, 1e300, f64::NAN],
            small: 0.3,
            absent: None,
            there: Some((true, '\u{202e}', -1)),
            by_number: BTreeMap::from([(250, "ok"), (421, "\u{1b}[31m\"\\")]),
            left_out: Vec::new(),
            kind: Kind::Plain,
            kinds: vec![Kind::With(1)],
        };
        let mut known = Vec::new();
        super::super::json::one_line(&all, &mut known).unwrap();
        let known = String::from_utf8(known).unwrap();
        let text = text(&all);
        assert!(text.contains(": 1262704920.123456789,"), "{text}");
        let without_spaces = |text: &str| text.replace(['\n', ' '], "");
        assert_eq!(without_spaces(&text), without_spaces(&known));
    }

    #[test]
    fn whoever_takes_no_more_is_told_of() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        for (name, elements) in [("at the end", 1), ("on the way", 100_000)] {
            let refused = write(&vec!["text"; elements], &mut Full).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::BrokenPipe, "{name}");
        }
    }
}
