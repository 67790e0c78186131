//! The evidence: the frames that findings cite, as a capture with a comment on each that says why.
//!
//! Takes:  a report, and the captures that it names, which are read once more
//! Gives:  pcapng
//! Never:  hands on what people wrote, unless asked to: frames end behind their TCP header; alters nothing else of them

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::escape;
use super::model::Report;

use crate::capture::{FrameBatch, LinkType, OpenOptions, PcapngWriter, open};
use crate::decode;

/// Frames cited, by capture and number, with what is said of each.
type Cited = BTreeMap<u32, BTreeMap<u64, Vec<String>>>;

fn cited(report: &Report) -> Cited {
    let mut cited = Cited::new();
    for finding in &report.findings {
        for evidence in &finding.evidence {
            cited
                .entry(evidence.capture)
                .or_default()
                .entry(evidence.frame)
                .or_default()
                .push(escape::line(&format!("{}: {}", finding.id, evidence.text)));
        }
    }
    cited
}

/// Writes the frames that the findings of `report` cite. The comment of each starts with the number that it has in its own
/// capture. Frames are cut behind their headers, unless `payload` is wanted too: mail addresses, headers and bodies are in it.
///
/// # Errors
/// Where a capture cannot be read again (standard input never can), or `out` refuses.
pub fn write(report: &Report, payload: bool, out: &mut dyn Write) -> io::Result<()> {
    let mut writer: Option<PcapngWriter<&mut dyn Write>> = None;
    let mut spare = Some(out);
    for (index, mut frames) in cited(report) {
        let Some(capture) = report.captures.get(index as usize) else {
            continue;
        };
        if capture.path == "-" {
            return Err(io::Error::other(
                "standard input cannot be read a second time; save it to a file first",
            ));
        }
        let mut source = open(&capture.path, &OpenOptions::default()).map_err(io::Error::other)?;
        let mut batch = FrameBatch::default();
        while !frames.is_empty() && source.next_batch(&mut batch).map_err(io::Error::other)? {
            for frame in &batch.frames {
                let Some(said) = frames.remove(&frame.number.0) else {
                    continue;
                };
                if let Some(out) = spare.take() {
                    writer = Some(PcapngWriter::new(out, frame.link)?);
                }
                let place = if report.captures.len() > 1 {
                    format!("frame {} of {}", frame.number, escape::line(&capture.path))
                } else {
                    format!("frame {}", frame.number)
                };
                let comment = format!("{place}\n{}", said.join("\n"));
                let captured = batch.captured(frame);
                let kept = if payload {
                    captured
                } else {
                    let wire = frame.wire_octets as usize;
                    let end = decode::header_octets(frame.link, captured, wire);
                    captured.get(..end).unwrap_or_default()
                };
                if let Some(writer) = &mut writer {
                    writer.frame_on(
                        frame.link,
                        frame.time,
                        kept,
                        frame.wire_octets,
                        Some(&comment),
                    )?;
                }
            }
        }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::capture::PcapWriter;
    use crate::net::Timestamp;

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
        write(&report, true, &mut out).unwrap();
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
        assert!(write(&report, true, &mut Vec::new()).is_err());
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
            write(&report, payload, &mut out).unwrap();
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
