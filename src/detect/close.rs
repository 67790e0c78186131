//! Finds connections that did not end as they should.
//!
//! Reads:   ends of flows, and what was outstanding then
//! Yields:  `close.reset`, `close.idle`, `close.gave-up`: one for each service and manner
//! Silent:  a reset after everything was said and acknowledged, by the end that had asked for the close; a reset of an idle flow by
//!          its own client within a second of its last answer
//! Source:  RFC 9293 section 3.10.7; idle times of middleboxes and servers as their vendors document them

use std::net::IpAddr;

use super::trace::{Groups, Trace, plural, span};
use super::{Detector, Finding, Limited, Seen, Severity};
use crate::flow::{End, EventKind};
use crate::net::{Side, Timestamp};

/// Silences after which devices and servers are known to end a connection, and how near a match has to be.
const IDLE_LIMITS: [f64; 7] = [60.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0];
const IDLE_SLACK: f64 = 0.02;
/// A sender that repeated this often and then ended it gave up.
const GAVE_UP_SENDS: u32 = 3;

#[derive(Default)]
struct Group {
    count: u64,
    pending: u64,
    by_client: u64,
    trace: Trace,
    idle: f64,
    seconds: f64,
    applications: Vec<&'static str>,
}

/// Server, client, the server's port, and whether a device between them ended it: what one end did is no proof for the other.
type Key = (IpAddr, IpAddr, u16, bool);

/// See the head of this file.
#[derive(Default)]
pub(super) struct Closes {
    resets: Groups<Key, Group>,
    idles: Groups<Key, Group>,
    gave_up: Groups<Key, Group>,
}

impl Detector for Closes {
    fn flow(&mut self, seen: Seen<'_>, _out: &mut Vec<Finding>) {
        let f = seen.flow;
        let close = f.close;
        let (Some(frame), Some(at)) = (close.frame, close.at) else {
            // No end in the capture; a sender that fell silent after many repeats is told as a storm.
            return;
        };
        let key = (
            f.server.addr,
            f.client.addr,
            f.server.port,
            close.reset_by_middlebox,
        );
        let name = |side: Option<Side>| match side {
            Some(Side::Client) => "the client",
            Some(Side::Server) => "the server",
            None => "somebody",
        };
        let by = name(close.by);
        let asked_by = name(close.asked_by());
        let answered = close.answers.map_or(String::new(), |fin| {
            format!(", in answer to the FIN of {asked_by} (frame {fin})")
        });
        let stuck = f.events.iter().find_map(|e| match e.kind {
            EventKind::Stuck { first, sends } if sends > GAVE_UP_SENDS => Some((first, sends)),
            _ => None,
        });
        let note = |map: &mut Groups<Key, Group>, by, since: Timestamp, text: String| {
            let Some(g) = map.group(key) else {
                return;
            };
            g.count += 1;
            g.pending += u64::from(close.with_data_pending);
            g.by_client += u64::from(by == Some(Side::Client));
            g.idle = g
                .idle
                .max(close.idle_before.unwrap_or_default().as_secs_f64());
            g.seconds += at.seconds_since(since).max(0.0);
            if !g.applications.contains(&seen.dialog.application) && g.applications.len() < 4 {
                g.applications.push(seen.dialog.application);
            }
            g.trace.flow(f, at, at);
            g.trace.proof(f, frame, || text);
        };
        if let Some((first, sends)) = stuck
            && close.with_data_pending
        {
            let how = if close.how == End::Reset {
                "reset"
            } else {
                "closed"
            };
            // From the first copy on: what went before was of use.
            let repeats = f.halves.iter().flat_map(|h| &h.repeats);
            let copy = repeats
                .filter(|r| r.of == Some(first))
                .map(|r| {
                    let after = r.after.unwrap_or_default().as_nanos();
                    r.time.plus_nanos(-i64::try_from(after).unwrap_or(0))
                })
                .min();
            note(
                &mut self.gave_up,
                close.by,
                copy.unwrap_or(f.start),
                format!(
                    "{by} {how} the connection after {sends} sends of the octets of frame {first}, never acknowledged{answered}"
                ),
            );
            return;
        }
        let idle = close.idle_before.unwrap_or_default().as_secs_f64();
        let limit = IDLE_LIMITS
            .iter()
            .find(|l| (idle / **l - 1.0).abs() <= IDLE_SLACK);
        if let Some(limit) = limit.filter(|_| close.how == End::Reset || idle >= 250.0) {
            note(
                &mut self.idles,
                close.asked_by(),
                at,
                format!(
                    "{asked_by} ended the connection after {} of silence (a limit of {limit:.0} s)",
                    span(idle)
                ),
            );
            return;
        }
        if close.how != End::Reset {
            return;
        }
        let moved = f.halves.iter().any(|h| h.data_segments > 0);
        // A client that has said goodbye need not wait for the other end's: only the last words of the server, less than a
        // thousand octets of them, were on their way when it left.
        let last_words = close.by == Some(Side::Client)
            && f.halves[0].unacked_octets <= 1
            && f.halves[1].unacked_octets < 1_000;
        let harmless = !close.reset_by_middlebox
            && (last_words
                || (!close.with_data_pending && (!moved || close.by == Some(Side::Client))));
        if harmless {
            return;
        }
        let what = if close.reset_by_middlebox {
            "a device on the way, in the name of "
        } else {
            ""
        };
        note(
            &mut self.resets,
            close.by,
            at,
            format!(
                "RST from {what}{by}{answered}{}",
                if close.with_data_pending {
                    ", with data on its way"
                } else {
                    ""
                }
            ),
        );
    }

    fn limited(&mut self) -> Vec<&mut dyn Limited> {
        vec![&mut self.resets, &mut self.idles, &mut self.gave_up]
    }

    fn finish(&mut self, out: &mut Vec<Finding>) {
        for (id, map) in [
            ("close.reset", &mut self.resets),
            ("close.idle", &mut self.idles),
            ("close.gave-up", &mut self.gave_up),
        ] {
            for ((server, client, port, middlebox), g) in map.take() {
                let n = plural(g.count, "connection");
                let (severity, confidence, summary) = match id {
                    "close.reset" if middlebox => (
                        Severity::Warning,
                        0.85,
                        format!(
                            "{n} of {client} to {server} port {port} cut by a reset that neither end sent: its TTL or IP identification does not fit its sender"
                        ),
                    ),
                    "close.reset" => (
                        Severity::Warning,
                        0.9,
                        format!(
                            "{n} of {client} to {server} port {port} ended by a reset in the middle{}, by the {}",
                            if g.pending > 0 {
                                ", with data on its way"
                            } else {
                                ""
                            },
                            if g.by_client * 2 > g.count {
                                "client"
                            } else {
                                "server"
                            }
                        ),
                    ),
                    "close.idle" => (
                        Severity::Info,
                        0.75,
                        format!(
                            "{n} of {client} to {server} port {port} ended after {} of silence: an idle limit",
                            span(g.idle)
                        ),
                    ),
                    _ => (
                        Severity::Critical,
                        0.95,
                        format!(
                            "{n} of {client} to {server} port {port} ended after the same octets had been repeated in vain"
                        ),
                    ),
                };
                let mut f = g.trace.finding(id, severity, confidence, summary);
                let (by, other) = if g.by_client * 2 > g.count {
                    (client, server)
                } else {
                    (server, client)
                };
                // Neither is accused of what a device did: it shows beside the one that was cut off, and the other one has to be asked.
                let (subject, peer) = if middlebox { (other, by) } else { (by, other) };
                f.subject = Some(subject);
                f.peer = Some(peer);
                f.measures = vec![
                    ("count", g.count as f64),
                    ("port", f64::from(port)),
                    ("middlebox", if middlebox { g.count as f64 } else { 0.0 }),
                    ("with_data_pending", g.pending as f64),
                    ("idle_seconds", g.idle),
                ];
                if let Some(application) = g.applications.first().filter(|a| !a.is_empty()) {
                    f.words.push(("application", (*application).to_owned()));
                }
                if id == "close.gave-up" {
                    f.seconds_lost = Some(g.seconds);
                }
                out.push(f);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::wait::tests::{at, flow, repeat};
    use super::*;
    use crate::flow::{Close, Event, Repeat};
    use crate::net::{Direction, FrameNo};
    use crate::proto::DialogRecord;

    #[test]
    fn what_is_lost_begins_with_the_first_copy() {
        let mut f = flow();
        f.close = Close {
            how: End::Reset,
            by: Some(Side::Client),
            frame: Some(FrameNo(99)),
            at: Some(at(9_000)),
            with_data_pending: true,
            ..Close::default()
        };
        f.halves[0].repeats = vec![Repeat {
            of: Some(FrameNo(7)),
            after: Some(Duration::from_millis(500)),
            ..repeat(at(6_500), false)
        }];
        f.events = vec![Event {
            time: at(8_000),
            frame: FrameNo(7),
            direction: Direction::ClientToServer,
            kind: EventKind::Stuck {
                first: FrameNo(7),
                sends: 5,
            },
        }];
        let mut closes = Closes::default();
        let mut out = Vec::new();
        let dialog = DialogRecord::default();
        closes.flow(
            Seen {
                flow: &f,
                dialog: &dialog,
            },
            &mut out,
        );
        closes.finish(&mut out);
        let told: Vec<_> = out.iter().map(|f| (f.id, f.seconds_lost)).collect();
        assert_eq!(told, [("close.gave-up", Some(3.0))]);
    }
}
