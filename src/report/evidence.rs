//! The evidence: the frames that findings cite, as a capture with a comment on each that says why.
//!
//! Takes:  a report, and the captures that it names, which are read once more
//! Gives:  pcapng
//! Never:  alters a frame

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::escape;
use super::model::Report;

use crate::capture::{FrameBatch, LinkType, OpenOptions, PcapngWriter, open};

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
/// capture.
///
/// # Errors
/// Where a capture cannot be read again (standard input never can), or `out` refuses.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
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
                if let Some(writer) = &mut writer {
                    writer.frame_on(
                        frame.link,
                        frame.time,
                        batch.captured(frame),
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
        write(&report, &mut out).unwrap();
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
        assert!(write(&report, &mut Vec::new()).is_err());
    }
}
