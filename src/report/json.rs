//! The report as one JSON object: the model as it stands, each field documented there.
//!
//! Foreign text keeps every character, but what would act on a terminal is written as `\u` escapes, which mean the same.

use std::io::{self, BufWriter, Write};
use std::sync::mpsc;
use std::thread;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer as _};
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, PrettyFormatter, Serializer};

use super::beside::Shape;
use super::model::{Flow, Report};
use super::{Format, Look, escape};

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

    fn write(&self, report: &Report, look: Look, out: &mut dyn Write) -> io::Result<()> {
        let lines = Lines::default();
        match &report.beside.shape {
            None => whole(report, look.jobs, out),
            Some(Shape::Comparison(comparison)) => write(&comparison.whole(report), lines, out),
            Some(Shape::Verification(verification)) => write(verification.as_ref(), lines, out),
        }
    }
}

/// The report with its flows behind all else. They are most of the text, so that several threads make it, a piece each in turn.
fn whole(report: &Report, jobs: usize, out: &mut dyn Write) -> io::Result<()> {
    head(report, out)?;
    out.write_all(b",\n  \"flows\": [")?;
    let pieces = report.flows.chunks(FLOWS).enumerate();
    let text = |(place, flows)| text(flows, place == 0);
    in_order(pieces, jobs, text, |text| out.write_all(&text?))?;
    out.write_all(if report.flows.is_empty() {
        b"]"
    } else {
        b"\n  ]"
    })?;
    out.write_all(b"\n}\n")?;
    out.flush()
}

/// Writes all members of a report but its flows, and leaves the object open: a test holds it to have all.
fn head(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut gathered = gathered(out);
    let mut json = Serializer::with_formatter(&mut gathered, Harmless(Lines::default()));
    let mut members = json.serialize_map(None)?;
    members.serialize_entry("schema", report.schema)?;
    members.serialize_entry("captures", &report.captures)?;
    members.serialize_entry("totals", &report.totals)?;
    members.serialize_entry("findings", &report.findings)?;
    members.serialize_entry("remediations", &report.remediations)?;
    members.serialize_entry("verdict", &report.verdict)?;
    members.serialize_entry("names", &report.names)?;
    if let Some(mail) = &report.mail {
        members.serialize_entry("mail", mail)?;
    }
    members.serialize_entry("services", &report.services)?;
    members.serialize_entry("notes", &report.notes)?;
    gathered.flush()
}

/// Flows of one piece.
const FLOWS: usize = 64;

/// Some flows, a line each. `first`: none stand before them.
fn text(flows: &[Flow], first: bool) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for (n, flow) in flows.iter().enumerate() {
        let lines = Lines {
            depth: Lines::BROKEN,
            filled: false,
        };
        lines.element(&mut text, first && n == 0)?;
        flow.serialize(&mut Serializer::with_formatter(&mut text, Harmless(lines)))?;
    }
    Ok(text)
}

/// Threads that make text: more would wait for whoever writes it.
const MOST: usize = 8;

/// Results that wait for those before them, of each thread.
const WAITING: usize = 2;

/// Makes something of each thing, in so many threads, up to [`MOST`]; it is taken in order. The first error ends it.
fn in_order<T, R: Send>(
    things: impl Iterator<Item = T> + Clone + Send,
    jobs: usize,
    make: impl Fn(T) -> R + Sync,
    mut take: impl FnMut(R) -> io::Result<()>,
) -> io::Result<()> {
    if jobs < 2 {
        return things.map(make).try_for_each(take);
    }
    let jobs = jobs.min(MOST);
    let share = |place| things.clone().skip(place).step_by(jobs).map(&make);
    thread::scope(|scope| {
        let mut makers: Vec<Box<dyn Iterator<Item = R>>> = Vec::with_capacity(jobs);
        for place in 0..jobs {
            let (send, made) = mpsc::sync_channel(WAITING);
            let mut its = share(place);
            // Who takes nothing more has met an error.
            let maker = move || its.try_for_each(|made| send.send(made));
            match thread::Builder::new().spawn_scoped(scope, maker) {
                Ok(_) => makers.push(Box::new(made.into_iter())),
                // Where the system has no thread to give, this one makes them.
                Err(_) => makers.push(Box::new(share(place))),
            }
        }
        // A maker that panicked sends nothing; the scope hands its panic on.
        let mut turns = (0..makers.len()).cycle();
        let mut made = std::iter::from_fn(|| makers.get_mut(turns.next()?)?.next());
        made.try_for_each(&mut take)
    })
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

/// Each member of the object on a line of its own, and of its lists each element: one flow a line, one finding a line. Indenting all of
/// it would double the text of a report, and most of the time that it takes.
#[derive(Default)]
struct Lines {
    depth: usize,
    /// Whether the list or object that ends next holds anything.
    filled: bool,
}

impl Lines {
    /// Down to this depth each element begins a line.
    const BROKEN: usize = 2;

    fn begin<W: Write + ?Sized>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.filled = false;
        out.write_all(bracket)
    }

    fn element<W: Write + ?Sized>(&self, out: &mut W, first: bool) -> io::Result<()> {
        if !first {
            out.write_all(b",")?;
        }
        if self.depth <= Self::BROKEN {
            self.line(out)?;
        }
        Ok(())
    }

    fn end<W: Write + ?Sized>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        let broken = self.depth <= Self::BROKEN && self.filled;
        self.depth -= 1;
        if broken {
            self.line(out)?;
        }
        self.filled = true;
        out.write_all(bracket)
    }

    fn line<W: Write + ?Sized>(&self, out: &mut W) -> io::Result<()> {
        const INDENT: [&[u8]; Lines::BROKEN + 1] = [b"\n", b"\n  ", b"\n    "];
        out.write_all(INDENT.get(self.depth).unwrap_or(&&b""[..]))
    }
}

impl Formatter for Lines {
    fn begin_array<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin(out, b"[")
    }
    fn end_array<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.end(out, b"]")
    }
    fn begin_array_value<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.element(out, first)
    }
    fn end_array_value<W: Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }
    fn begin_object<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin(out, b"{")
    }
    fn end_object<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.end(out, b"}")
    }
    fn begin_object_key<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.element(out, first)
    }
    fn begin_object_value<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
    fn end_object_value<W: Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }
}

/// Gathers the many small pieces before they go to `out`, which may be slow with each.
fn gathered(out: &mut dyn Write) -> BufWriter<&mut dyn Write> {
    BufWriter::with_capacity(64 << 10, out)
}

fn write<T: Serialize + ?Sized>(
    object: &T,
    formatter: impl Formatter,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut gathered = gathered(out);
    object.serialize(&mut Serializer::with_formatter(
        &mut gathered,
        Harmless(formatter),
    ))?;
    gathered.write_all(b"\n")?;
    gathered.flush()
}

/// Whether all octets are below 0x7f, eight at a time: nearly all text is. What is below a space JSON escapes.
fn is_plain(text: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGHEST_BITS: u64 = ONES << 7;
    let is_plain = |eight: &[u8; 8]| {
        let eight = u64::from_ne_bytes(*eight);
        (eight | eight.wrapping_add(ONES)) & HIGHEST_BITS == 0
    };
    match text.last_chunk() {
        Some(last) => is_plain(last) && text.as_chunks().0.iter().all(is_plain),
        None => text.iter().all(|b| *b < 0x7f),
    }
}

/// A formatter that escapes more in strings than JSON asks for.
struct Harmless<F>(F);

impl<F: Formatter> Formatter for Harmless<F> {
    fn write_string_fragment<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if is_plain(fragment.as_bytes()) {
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
    fn elements_of_lists_stand_on_a_line_each() {
        let object = serde_json::json!({
            "a": [], "b": {}, "c": [1, [2, 3], {"x": {"y": []}}], "d": {"e": "f", "g": {"h": 1}}
        });
        let mut out = Vec::new();
        write(&object, Lines::default(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
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

    #[test]
    fn pieces_make_the_whole_report() {
        let sample = super::super::tests::sample("");
        let mut many = sample.clone();
        many.flows = sample
            .flows
            .iter()
            .cycle()
            .take(3 * FLOWS + 1)
            .cloned()
            .collect();
        let mut none = sample.clone();
        none.flows.clear();
        for (name, report) in [("some flows", sample), ("many", many), ("none", none)] {
            for jobs in [1, 3] {
                let mut text = Vec::new();
                whole(&report, jobs, &mut text).unwrap();
                let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
                assert_eq!(json, serde_json::to_value(&report).unwrap(), "{name}");
                let lines = String::from_utf8(text).unwrap();
                let flows = lines
                    .lines()
                    .filter(|l| l.starts_with("    {\"index\": "))
                    .count();
                assert_eq!(flows, report.flows.len(), "{name}");
            }
        }
    }

    #[test]
    fn threads_take_turns() {
        for jobs in [0, 1, 2, 3, MOST + 1] {
            let mut taken = Vec::new();
            let half = |n: i32| n / 2;
            in_order(0..150, jobs, half, |n| {
                taken.push(n);
                Ok(())
            })
            .unwrap();
            assert_eq!(taken, (0..150).map(half).collect::<Vec<_>>(), "{jobs}");
            let refused = in_order(0..150, jobs, half, |n| match n {
                3 => Err(io::Error::other("full")),
                n => {
                    assert!(n < 3, "{jobs}");
                    Ok(())
                }
            });
            assert_eq!(refused.unwrap_err().to_string(), "full", "{jobs}");
        }
    }

    #[test]
    fn one_octet_makes_text_not_plain() {
        for length in 0..40 {
            let plain = vec![b'~'; length];
            assert!(is_plain(&plain), "{length}");
            for (at, octet) in (0..length).flat_map(|at| [(at, 0x7f), (at, 0x80), (at, 0xff)]) {
                let mut text = plain.clone();
                text[at] = octet;
                assert!(!is_plain(&text), "{octet:x} at {at} of {length}");
            }
        }
    }

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
