//! The report as one JSON object: the model as it stands, each field documented there.
//!
//! Foreign text keeps every character, but what would act on a terminal is written as `\u` escapes, which mean the same.

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, PrettyFormatter, Serializer};

use super::beside::Shape;
use super::model::Report;
use super::{Format, Look, escape, lines};

/// JSON for programs.
#[derive(Debug)]
pub(super) struct Json;

impl Format for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn purpose(&self) -> &'static str {
        "For programs; see `tcptriage schema`"
    }

    fn ending(&self) -> &'static str {
        ".json"
    }

    fn write(&self, report: &Report, _: Look, out: &mut dyn Write) -> io::Result<()> {
        match &report.beside.shape {
            None => lines::write(report, out),
            Some(Shape::Comparison(comparison)) => lines::write(&comparison.whole(report), out),
            Some(Shape::Verification(verification)) => lines::write(verification.as_ref(), out),
        }
    }
}

/// Any of our objects as indented JSON with a line end.
///
/// # Errors
/// Where `out` refuses.
pub fn pretty<T: Serialize + ?Sized>(object: &T, out: &mut dyn Write) -> io::Result<()> {
    write(object, PrettyFormatter::new(), out)
}

/// Any of our objects as JSON on one line, with a line end.
///
/// # Errors
/// Where `out` refuses.
pub fn one_line<T: Serialize + ?Sized>(object: &T, out: &mut dyn Write) -> io::Result<()> {
    write(object, CompactFormatter, out)
}

/// Gathers the many small pieces before they go to `out`, which may be slow with each.
fn write<T: Serialize + ?Sized>(
    object: &T,
    formatter: impl Formatter,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut gathered = BufWriter::with_capacity(64 << 10, out);
    object.serialize(&mut Serializer::with_formatter(
        &mut gathered,
        Harmless(formatter),
    ))?;
    gathered.write_all(b"\n")?;
    gathered.flush()
}

/// A formatter that escapes more in strings than JSON asks for.
pub(super) struct Harmless<F>(pub(super) F);

impl<F: Formatter> Formatter for Harmless<F> {
    fn write_string_fragment<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        // Nearly all text is plain; octet by octet that is told quickly.
        if fragment.bytes().all(|b| (b' '..0x7f).contains(&b)) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((place, c)) = rest.char_indices().find(|(_, c)| escape::acts(*c)) {
            let (before, after) = rest.split_at(place);
            writer.write_all(before.as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = after.get(c.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        self.0.write_char_escape(writer, escape)
    }
    fn begin_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }
    fn end_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }
    fn begin_array_value<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }
    fn end_array_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }
    fn begin_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }
    fn end_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }
    fn begin_object_key<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }
    fn begin_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }
    fn end_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn text_comes_back_whole() {
        for text in [
            "plain",
            "\u{1b}[31m",
            "\u{9b}x\u{202e}",
            "\u{e0041}\"\\\n",
            "",
            "ß\u{200b}",
        ] {
            for write in [
                pretty::<str> as fn(&str, &mut dyn Write) -> io::Result<()>,
                one_line::<str>,
                lines::write::<str>,
            ] {
                let mut out = Vec::new();
                write(text, &mut out).unwrap();
                let json = String::from_utf8(out).unwrap();
                assert!(!json.trim_end().chars().any(escape::acts), "{json}");
                assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
            }
        }
    }
}
