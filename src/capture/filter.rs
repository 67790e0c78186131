//! Keeps the frames that a BPF expression matches (`--filter`), compiled by libpcap.
//!
//! Takes:  a [`Source`] and an expression in the language of tcpdump (pcap-filter(7))
//! Gives:  the same with fewer frames; their numbers stay those of the file
//! Never:  lets a frame of a link type pass that the expression cannot be compiled for; it says so instead

use super::{CaptureError, Source};

/// Filters a source.
///
/// # Errors
/// Where the expression is none, and in builds without the feature `live`, which have no libpcap.
#[cfg(not(feature = "live"))]
pub fn filter(source: Box<dyn Source>, expression: &str) -> Result<Box<dyn Source>, CaptureError> {
    drop(source);
    Err(CaptureError::Filter {
        expression: expression.to_owned(),
        reason: "this build has no BPF filters; build it with the feature `live` (it needs libpcap's headers: libpcap-dev)".to_owned(),
    })
}

#[cfg(feature = "live")]
pub use with_libpcap::filter;

#[cfg(feature = "live")]
mod with_libpcap {
    use pcap::{BpfProgram, Capture, Linktype};

    use super::{CaptureError, Source};
    use crate::capture::{CaptureInfo, FrameBatch, LinkType, Problem};

    /// Filters a source.
    ///
    /// # Errors
    /// Where the expression is none, and in builds without the feature `live`, which have no libpcap.
    pub fn filter(
        source: Box<dyn Source>,
        expression: &str,
    ) -> Result<Box<dyn Source>, CaptureError> {
        // Tells a typing error at once; which link types come is not known yet.
        let ethernet = compile(LinkType::ETHERNET, expression)?;
        Ok(Box::new(Filtered {
            source,
            expression: expression.to_owned(),
            programs: vec![(LinkType::ETHERNET, Ok(ethernet))],
        }))
    }

    struct Filtered {
        source: Box<dyn Source>,
        expression: String,
        /// One program a link type met, or why there is none.
        programs: Vec<(LinkType, Result<BpfProgram, String>)>,
    }

    fn compile(link: LinkType, expression: &str) -> Result<BpfProgram, CaptureError> {
        // The one number in which libpcap's own link types differ from the registry's on Linux: raw IP.
        let dlt = match link.0 {
            101 => 12,
            other => i32::from(other),
        };
        Capture::dead(Linktype(dlt))
            .and_then(|capture| capture.compile(expression, true))
            .map_err(|error| CaptureError::Filter {
                expression: expression.to_owned(),
                reason: error.to_string(),
            })
    }

    impl Source for Filtered {
        fn next_batch(&mut self, batch: &mut FrameBatch) -> Result<bool, CaptureError> {
            while self.source.next_batch(batch)? {
                let (programs, expression) = (&mut self.programs, &self.expression);
                let octets = batch.octets.as_slice();
                batch.frames.retain(|frame| {
                    let known = programs.iter().position(|(link, _)| *link == frame.link);
                    let index = known.unwrap_or_else(|| {
                        let program = compile(frame.link, expression).map_err(|e| e.to_string());
                        programs.push((frame.link, program));
                        programs.len() - 1
                    });
                    let captured = octets.get(frame.range.clone()).unwrap_or(&[]);
                    matches!(programs.get(index), Some((_, Ok(program))) if program.filter(captured))
                });
                if !batch.frames.is_empty() {
                    return Ok(true);
                }
            }
            Ok(false)
        }

        fn info(&self) -> CaptureInfo {
            let mut info = self.source.info();
            for (link, program) in &self.programs {
                if let Err(why) = program {
                    info.problems.push(Problem {
                        frame: None,
                        text: format!("frames of link type {} were left out: {why}", link.name()),
                    });
                }
            }
            info
        }

        fn progress(&self) -> (u64, Option<u64>) {
            self.source.progress()
        }
    }
}
