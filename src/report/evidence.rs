//! The evidence: the frames that findings cite, and their neighbours, as a capture with a comment on each that says why.
//!
//! Takes:  a report, and the captures that it names, which are read twice more: what the neighbours are is known behind them alone
//! Gives:  pcapng
//! Never:  hands on what people wrote, unless asked to: frames end behind their TCP header; alters anything else, unless asked to redact

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::net::IpAddr;

use super::escape;
use super::model::Report;
use super::redact::Redaction;

use crate::capture::{Frame, FrameBatch, LinkType, OpenOptions, PcapngWriter, open};
use crate::decode::{self, Decoder, FlowKey, SegmentBatch};

/// Segments of the same connection kept before and after each frame that is cited.
const NEIGHBOURS: usize = 2;

/// Frames kept of one capture.
const MAX_FRAMES: usize = 200_000;

/// Connections whose last segments are remembered while neighbours are looked for.
const MAX_FLOWS: usize = 1_000_000;

/// What is kept of each frame.
#[derive(Debug, Default)]
pub struct Keeping<'a> {
    /// Where the captures are read, in the order of the report, whose own paths may be redacted.
    pub paths: &'a [String],
    /// What frames carry, too: mail addresses, headers and bodies are in it. Not where frames are redacted.
    pub payload: bool,
    /// Other addresses in place of those in the headers.
    pub redaction: Option<&'a mut Redaction>,
}

impl Keeping<'_> {
    /// The same for another file.
    pub fn again(&mut self) -> Keeping<'_> {
        Keeping {
            paths: self.paths,
            payload: self.payload,
            redaction: self.redaction.as_deref_mut(),
        }
    }
}

/// Why frames are kept, by their number.
type Reasons = BTreeMap<u64, Vec<String>>;

/// Frames cited, at most `most` of a capture, by capture, with what is said of each. The first one tells of those left out.
fn cited(report: &Report, most: usize) -> BTreeMap<u32, Reasons> {
    let mut cited: BTreeMap<u32, Reasons> = BTreeMap::new();
    let mut left_out: BTreeMap<u32, u64> = BTreeMap::new();
    for (number, finding) in (1..).zip(&report.findings) {
        for evidence in &finding.evidence {
            let frames = cited.entry(evidence.capture).or_default();
            if frames.len() < most || frames.contains_key(&evidence.frame) {
                let text = format!("finding {number} {}: {}", finding.id, evidence.text);
                frames
                    .entry(evidence.frame)
                    .or_default()
                    .push(escape::line(&text));
            } else {
                *left_out.entry(evidence.capture).or_default() += 1;
            }
        }
    }
    for (capture, citations) in left_out {
        let first = cited
            .get_mut(&capture)
            .and_then(|frames| frames.first_entry());
        if let Some(mut said) = first {
            said.get_mut().push(format!(
                "left out: frames that are cited {citations} times, as {most} of a capture are kept"
            ));
        }
    }
    cited
}

/// Writes the frames that the findings of `report` cite, and those around them. The comment of each starts with the number that it has
/// in its own capture.
///
/// # Errors
/// Where a capture cannot be read again (standard input never can), or `out` refuses.
pub fn write(report: &Report, mut keeping: Keeping<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut writer: Option<PcapngWriter<&mut dyn Write>> = None;
    let mut spare = Some(out);
    let several = report.captures.len() > 1;
    for (index, mut frames) in cited(report, MAX_FRAMES) {
        let (Some(capture), Some(path)) = (
            report.captures.get(index as usize),
            keeping.paths.get(index as usize),
        ) else {
            continue;
        };
        if path == "-" {
            return Err(io::Error::other(
                "standard input cannot be read a second time; save it to a file first",
            ));
        }
        add_neighbours(path, &mut frames)?;
        each_frame(path, &mut |batch, frame| {
            let Some(said) = frames.remove(&frame.number.0) else {
                return Ok(true);
            };
            let place = if several {
                format!("frame {} of {}", frame.number, escape::line(&capture.path))
            } else {
                format!("frame {}", frame.number)
            };
            let mut comment = format!("{place}\n{}", said.join("\n"));
            let kept = kept(batch, frame, &mut keeping, &mut comment);
            if let Some(out) = spare.take() {
                let mut new = PcapngWriter::new(out, frame.link)?;
                new.names(&names(report))?;
                writer = Some(new);
            }
            if let Some(writer) = &mut writer {
                let wire = frame.wire_octets;
                writer.frame_on(frame.link, frame.time, &kept, wire, Some(&comment))?;
            }
            Ok(!frames.is_empty())
        })?;
    }
    // Nothing cited: an empty capture, which says the same.
    if let Some(out) = spare.take() {
        writer = Some(PcapngWriter::new(out, LinkType::ETHERNET)?);
    }
    if let Some(writer) = writer {
        writer.finish()?;
    }
    Ok(())
}

/// The names that the report has, for name resolution in Wireshark.
fn names(report: &Report) -> Vec<(IpAddr, String)> {
    let parsed = report
        .names
        .iter()
        .filter_map(|(addr, name)| Some((addr.parse().ok()?, escape::line(name))));
    parsed.collect()
}

/// What is kept of a frame.
fn kept(
    batch: &FrameBatch,
    frame: &Frame,
    keeping: &mut Keeping<'_>,
    comment: &mut String,
) -> Vec<u8> {
    let captured = batch.captured(frame);
    if keeping.payload && keeping.redaction.is_none() {
        return captured.to_vec();
    }
    let wire = frame.wire_octets as usize;
    let end = decode::header_octets(frame.link, captured, wire);
    let headers = captured.get(..end).unwrap_or_default();
    let Some(redaction) = keeping.redaction.as_deref_mut() else {
        return headers.to_vec();
    };
    decode::masked(frame.link, headers, wire, redaction).unwrap_or_else(|| {
        comment.push_str("\nleft out: the addresses of this kind of frame cannot be replaced");
        Vec::new()
    })
}

/// Reads a capture frame by frame, as long as `take` says to go on.
fn each_frame(
    path: &str,
    take: &mut dyn FnMut(&FrameBatch, &Frame) -> io::Result<bool>,
) -> io::Result<()> {
    let mut source = open(path, &OpenOptions::default()).map_err(io::Error::other)?;
    let mut batch = FrameBatch::default();
    while source.next_batch(&mut batch).map_err(io::Error::other)? {
        for frame in &batch.frames {
            if !take(&batch, frame)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The last segments of a connection, and how many more are wanted after one that is cited.
#[derive(Default)]
struct Around {
    before: [u64; NEIGHBOURS],
    wanted: Option<(u64, usize)>,
}

/// Adds the segments of the same connection before and after those cited.
fn add_neighbours(path: &str, frames: &mut Reasons) -> io::Result<()> {
    let Some(last) = frames.keys().next_back().copied() else {
        return Ok(());
    };
    let cited: Vec<u64> = frames.keys().copied().collect();
    let mut source = open(path, &OpenOptions::default()).map_err(io::Error::other)?;
    let (mut decoder, mut batch) = (Decoder::new(0), FrameBatch::default());
    let mut segments = SegmentBatch::default();
    let mut around: HashMap<FlowKey, Around> = HashMap::new();
    // Connections that still want segments behind the last frame cited.
    let mut wanting = 0_usize;
    while source.next_batch(&mut batch).map_err(io::Error::other)? {
        decoder.push(&mut batch, &mut segments);
        for segment in &segments.segments {
            let number = segment.frame.number();
            if around.len() >= MAX_FLOWS && !around.contains_key(&segment.key) {
                continue;
            }
            let here = around.entry(segment.key).or_default();
            if cited.binary_search(&number).is_ok() {
                for before in here.before.into_iter().filter(|n| *n > 0) {
                    add(
                        frames,
                        before,
                        &format!("the connection before frame {number}"),
                    );
                }
                wanting += usize::from(here.wanted.is_none());
                here.wanted = Some((number, NEIGHBOURS));
            } else if let Some((of, left)) = &mut here.wanted {
                add(frames, number, &format!("the connection after frame {of}"));
                *left -= 1;
                if *left == 0 {
                    here.wanted = None;
                    wanting -= 1;
                }
            }
            here.before.rotate_left(1);
            if let Some(newest) = here.before.last_mut() {
                *newest = number;
            }
            if number > last && wanting == 0 {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// A frame that nobody cites.
fn add(frames: &mut Reasons, number: u64, why: &str) {
    if frames.len() < MAX_FRAMES {
        let said = frames.entry(number).or_default();
        if said.is_empty() {
            said.push(why.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::capture::PcapWriter;
    use crate::net::Timestamp;

    /// As the command line asks for it.
    fn keeping(report: &Report, payload: bool) -> Keeping<'_> {
        let paths: Vec<String> = report.captures.iter().map(|c| c.path.clone()).collect();
        Keeping {
            paths: paths.leak(),
            payload,
            redaction: None,
        }
    }

    #[test]
    fn cited_frames_come_with_their_reasons() {
        let path =
            std::env::temp_dir().join(format!("tcptriage-evidence-{}.pcap", std::process::id()));
        let mut file = PcapWriter::new(Vec::new(), LinkType::ETHERNET).unwrap();
        for n in 1..=150_u8 {
            file.frame(Timestamp(i64::from(n) * 1_000), &[n; 60], 60)
                .unwrap();
        }
        std::fs::write(&path, file.finish().unwrap()).unwrap();
        let mut report = super::super::tests::sample("");
        report.captures[0].path = path.display().to_string();
        let mut out = Vec::new();
        write(&report, keeping(&report, true), &mut out).unwrap();
        std::fs::remove_file(&path).unwrap();

        let mut source = crate::capture::open_reader(
            "evidence",
            Box::new(io::Cursor::new(out)),
            &OpenOptions::default(),
        )
        .unwrap();
        let mut batch = FrameBatch::default();
        assert!(source.next_batch(&mut batch).unwrap());
        let numbers: Vec<u8> = batch.frames.iter().map(|f| batch.captured(f)[0]).collect();
        assert_eq!(
            numbers,
            (100..112).collect::<Vec<u8>>(),
            "frame 200 is not in the file"
        );
        assert_eq!(batch.frames[0].time, Timestamp(100_000));
        assert!(!source.next_batch(&mut batch).unwrap());
        let comments = source.info().comments;
        assert_eq!(comments.len(), 12);
        let first = &comments[0].text;
        assert!(
            first.contains("frame 100")
                && first.contains("storm.retransmission: copy 1")
                && first.contains("loss.network"),
            "{first}"
        );

        report.captures[0].path = "-".to_owned();
        assert!(write(&report, keeping(&report, true), &mut Vec::new()).is_err());
    }

    #[test]
    fn frames_left_out_are_told() {
        let report = super::super::tests::sample("");
        let all = &cited(&report, usize::MAX)[&0];
        assert!(all.len() > 3 && !all.values().flatten().any(|said| said.contains("left out")));
        let some = &cited(&report, 3)[&0];
        assert_eq!(some.len(), 3);
        let said = some.values().next().unwrap().last().unwrap();
        assert!(
            said.starts_with("left out: ") && said.contains(" 3 "),
            "{said}"
        );
        assert!(cited(&report, 0)[&0].is_empty(), "nobody is there to tell");
    }

    #[test]
    fn what_people_wrote_is_left_out() {
        const SECRET: &[u8] = b"MAIL FROM:<someone@example.org>\r\n";
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
        let length = 40 + SECRET.len() as u8;
        frame.extend([0x45, 0, 0, length, 0, 1, 0, 0, 64, 6, 0, 0]);
        frame.extend([192, 0, 2, 1, 192, 0, 2, 2]);
        frame.extend([0x9c, 0x40, 0, 25, 0, 0, 0, 1, 0, 0, 0, 1]);
        frame.extend([0x50, 0x18, 0x10, 0, 0, 0, 0, 0]);
        frame.extend(SECRET);
        let path = std::env::temp_dir().join(format!("tcptriage-cut-{}.pcap", std::process::id()));
        let mut file = PcapWriter::new(Vec::new(), LinkType::ETHERNET).unwrap();
        for n in 1..=150 {
            file.frame(Timestamp(n * 1_000), &frame, frame.len() as u32)
                .unwrap();
        }
        std::fs::write(&path, file.finish().unwrap()).unwrap();
        let mut report = super::super::tests::sample("");
        report.captures[0].path = path.display().to_string();
        for (payload, want) in [(false, 54), (true, frame.len())] {
            let mut out = Vec::new();
            write(&report, keeping(&report, payload), &mut out).unwrap();
            let shown = out.windows(SECRET.len()).any(|w| w == SECRET);
            assert_eq!(shown, payload);
            let mut source = crate::capture::open_reader(
                "evidence",
                Box::new(io::Cursor::new(out)),
                &OpenOptions::default(),
            )
            .unwrap();
            let mut batch = FrameBatch::default();
            assert!(source.next_batch(&mut batch).unwrap());
            for cut in &batch.frames {
                assert_eq!(batch.captured(cut), &frame[..want]);
                assert_eq!(cut.wire_octets as usize, frame.len(), "length on the wire");
            }
        }
        std::fs::remove_file(&path).unwrap();
    }
}
