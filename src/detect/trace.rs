//! What a finding is put together from: flows, span of time, proof.
//!
//! Takes:  flows and frames as a detector meets them
//! Gives:  the common parts of a [`Finding`]
//! Never:  keeps more than [`MAX_PROOF`] frames or [`MAX_FLOWS`] flows for one finding

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::IpAddr;

use super::{Evidence, Finding, Limited, Seen, Severity};
use crate::decode::Seeded;
use crate::flow::{FlowIndex, FlowRecord, Repeat};
use crate::net::{Direction, FrameNo, FrameRef, StreamOffset, Timestamp};

/// Frames cited by one finding.
pub(super) const MAX_PROOF: usize = 16;
/// Flows named by one finding.
pub(super) const MAX_FLOWS: usize = 1_000;
/// Hosts named by one finding.
const MAX_HOSTS: usize = 64;
/// Pairs of hosts (or other groups) that one detector keeps apart; what comes after is put into none, which
/// [`super::Detector::limited`] tells.
pub(super) const MAX_GROUPS: usize = 20_000;

/// What a detector keeps by host, pair of hosts or the like, [`MAX_GROUPS`] at most. A flood asks for one with each of its flows, so it
/// is found by its hash; and groups stay where they are when the map of them grows.
pub(super) struct Groups<K, G> {
    map: HashMap<K, Box<G>, Seeded>,
    most: usize,
}

impl<K, G> Default for Groups<K, G> {
    fn default() -> Self {
        Self {
            map: HashMap::default(),
            most: MAX_GROUPS,
        }
    }
}

impl<K: Send, G: Send> Limited for Groups<K, G> {
    fn is_full(&self) -> bool {
        self.map.len() >= self.most
    }

    fn shrink(&mut self, share: f64) {
        self.most = part(self.most, share);
    }
}

impl<K: Hash + Ord, G: Default> Groups<K, G> {
    /// The group of `key`; `None` if it is a new one and there are as many as there may be.
    pub(super) fn group(&mut self, key: K) -> Option<&mut G> {
        if self.map.len() < self.most {
            return Some(self.map.entry(key).or_default());
        }
        self.map.get_mut(&key).map(Box::as_mut)
    }

    /// All of them in the order of their keys; none is left.
    pub(super) fn take(&mut self) -> BTreeMap<K, Box<G>> {
        std::mem::take(&mut self.map).into_iter().collect()
    }
}

/// Room for so many things that one detector keeps, in whatever groups.
pub(super) struct Room {
    left: usize,
    told: bool,
}

impl Room {
    pub(super) const fn new(most: usize) -> Self {
        Self {
            left: most,
            told: true,
        }
    }

    /// The same where what finds no room makes a number less exact, and nothing else.
    pub(super) const fn untold(most: usize) -> Self {
        Self {
            left: most,
            told: false,
        }
    }

    pub(super) const fn is_used_up(&self) -> bool {
        self.left == 0
    }

    /// Takes the room of one; `false` where none is left.
    pub(super) const fn take(&mut self) -> bool {
        let some = !self.is_used_up();
        self.left = self.left.saturating_sub(1);
        some
    }
}

impl Limited for Room {
    fn is_full(&self) -> bool {
        self.told && self.is_used_up()
    }

    fn shrink(&mut self, share: f64) {
        self.left = part(self.left, share);
    }
}

/// Groups of which a detector keeps no more where it may keep this share.
#[must_use]
pub fn most_groups(share: f64) -> usize {
    part(MAX_GROUPS, share)
}

/// A share of so many, but not none.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
fn part(of: usize, share: f64) -> usize {
    ((of as f64 * share) as usize).clamp(1, of.max(1))
}

/// Server, client and the server's port: what dialogs are grouped by where both ends matter.
pub(super) type PairKey = (IpAddr, IpAddr, u16);

/// Where something happened, kept when the flow itself is gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Place {
    pub(super) flow: FlowIndex,
    pub(super) capture: u32,
    pub(super) client: IpAddr,
    pub(super) server: IpAddr,
}

impl From<&FlowRecord> for Place {
    fn from(flow: &FlowRecord) -> Self {
        Self {
            flow: flow.index,
            capture: flow.capture,
            client: flow.client.addr,
            server: flow.server.addr,
        }
    }
}

/// Flows, span and proof of one finding in the making. Nothing comes of most of them: as long as one is empty it takes up a pointer.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace(Option<Box<Parts>>);

#[derive(Clone, Debug, Default)]
struct Parts {
    flows: Vec<FlowIndex>,
    hosts: Vec<IpAddr>,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    evidence: Vec<Evidence>,
}

impl Trace {
    /// A flow belongs to it, from `start` to `end`.
    pub(super) fn flow(&mut self, flow: &FlowRecord, start: Timestamp, end: Timestamp) {
        self.place(Place::from(flow), start, end);
    }

    /// The same for a flow that is gone.
    pub(super) fn place(&mut self, place: Place, start: Timestamp, end: Timestamp) {
        let parts = self.parts();
        let flows = &mut parts.flows;
        if flows.len() < MAX_FLOWS
            && flows.last() != Some(&place.flow)
            && !flows.contains(&place.flow)
        {
            flows.push(place.flow);
        }
        for host in [place.client, place.server] {
            parts.host(host);
        }
        parts.start = Some(parts.start.map_or(start, |s| s.min(start)));
        parts.end = Some(parts.end.map_or(end, |e| e.max(end)));
    }

    /// The flows so far.
    pub(super) fn flows(&self) -> &[FlowIndex] {
        self.0.as_ref().map_or(&[], |parts| &parts.flows)
    }

    /// The frames cited so far.
    pub(super) fn evidence(&self) -> &[Evidence] {
        self.0.as_ref().map_or(&[], |parts| &parts.evidence)
    }

    fn parts(&mut self) -> &mut Parts {
        self.0.get_or_insert_default()
    }

    /// A frame as proof.
    pub(super) fn proof(
        &mut self,
        flow: &FlowRecord,
        frame: FrameNo,
        text: impl FnOnce() -> String,
    ) {
        self.cite(Place::from(flow), frame, text);
    }

    /// The same for a flow that is gone.
    pub(super) fn cite(&mut self, place: Place, frame: FrameNo, text: impl FnOnce() -> String) {
        let at = FrameRef {
            capture: place.capture,
            frame,
        };
        let evidence = &mut self.parts().evidence;
        if evidence.len() < MAX_PROOF && !evidence.iter().any(|e| e.at == at) {
            // There may be hundreds of thousands, and a text that was put together has up to twice the room that it takes.
            let mut text = text();
            text.shrink_to_fit();
            evidence.push(Evidence { at, text });
        }
    }

    /// What belongs to `other` belongs to it too.
    pub(super) fn merge(&mut self, other: Self) {
        let Some(other) = other.0 else { return };
        let parts = self.parts();
        for flow in other.flows {
            if parts.flows.len() < MAX_FLOWS {
                parts.flows.push(flow);
            }
        }
        parts.flows.sort_unstable();
        parts.flows.dedup();
        for host in other.hosts {
            parts.host(host);
        }
        parts.start = parts.start.into_iter().chain(other.start).min();
        parts.end = parts.end.into_iter().chain(other.end).max();
        for proof in other.evidence {
            if parts.evidence.len() < MAX_PROOF && !parts.evidence.contains(&proof) {
                parts.evidence.push(proof);
            }
        }
    }

    /// Up to `most` frames that `other` cites are proof of it too.
    pub(super) fn cite_also(&mut self, other: &Self, most: usize) {
        let evidence = &mut self.parts().evidence;
        for proof in other.evidence() {
            if evidence.len() < most {
                evidence.push(proof.clone());
            }
        }
    }

    /// The finding on a server and its client that speak `application`: of a pair the server is the subject.
    pub(super) fn of_pair(
        self,
        id: &'static str,
        (severity, confidence): (Severity, f64),
        summary: String,
        key: PairKey,
        application: &str,
    ) -> Finding {
        let (server, client, port) = key;
        let mut f = self.finding(id, severity, confidence, summary);
        f.subject = Some(server);
        f.peer = Some(client);
        f.measures = vec![("port", f64::from(port))];
        f.words = vec![("application", application.to_owned())];
        f
    }

    /// The finding, without the parts that only the detector knows.
    pub(super) fn finding(
        self,
        id: &'static str,
        severity: Severity,
        confidence: f64,
        summary: String,
    ) -> Finding {
        let mut parts = self.0.map(|parts| *parts).unwrap_or_default();
        parts.flows.sort_unstable();
        parts.evidence.sort_by_key(|e| e.at);
        Finding {
            hosts: parts.hosts,
            display_filter: filter(&parts.flows),
            flows: parts.flows,
            start: parts.start.unwrap_or_default(),
            end: parts.end.unwrap_or_default(),
            evidence: parts.evidence,
            ..Finding::new(id, severity, confidence.clamp(0.0, 1.0), summary)
        }
    }
}

impl Parts {
    fn host(&mut self, host: IpAddr) {
        if self.hosts.len() < MAX_HOSTS && !self.hosts.contains(&host) {
            self.hosts.push(host);
        }
    }
}

/// Name of the display filter's protocol for an address: `ip` or `ipv6`.
pub(super) const fn ip_field(addr: IpAddr) -> &'static str {
    if addr.is_ipv6() { "ipv6" } else { "ip" }
}

/// Flows that a display filter names at most.
pub const FILTER_FLOWS: usize = 20;

/// A display filter for some flows, by their numbers: those of Wireshark where one capture was read.
#[must_use]
pub fn filter(flows: &[FlowIndex]) -> String {
    match flows {
        [] => "tcp".to_owned(),
        [one] => format!("tcp.stream == {one}"),
        many => format!(
            "tcp.stream in {{{}}}",
            many.iter()
                .take(FILTER_FLOWS)
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

/// `1 segment`, `3 segments`, `3 replies`.
#[must_use]
pub fn plural(n: u64, one: &str) -> String {
    match one.strip_suffix('y') {
        _ if n == 1 => format!("1 {one}"),
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{n} {stem}ies"),
        _ => format!("{n} {one}s"),
    }
}

/// `once`, `twice`, `3 times`.
#[must_use]
pub fn times(n: u64) -> String {
    match n {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}

/// A share as `2.5 %`, with as many digits as it takes to be more than nothing.
#[must_use]
pub fn percent(share: f64) -> String {
    let p = share * 100.0;
    if p >= 10.0 {
        format!("{p:.0} %")
    } else if p >= 0.1 || p == 0.0 {
        format!("{p:.1} %")
    } else {
        format!("{p:.3} %")
    }
}

/// Seconds as a person says them: `1.2 ms`, `12 ms`, `3.4 s`, `2 min 5 s`.
#[must_use]
pub fn span(seconds: f64) -> String {
    if seconds < 0.001 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 0.01 {
        format!("{:.1} ms", seconds * 1e3)
    } else if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1e3)
    } else if seconds < 120.0 {
        format!("{seconds:.1} s")
    } else {
        let whole = seconds.round();
        format!("{:.0} min {:.0} s", (whole / 60.0).floor(), whole % 60.0)
    }
}

/// `2010-01-05 15:22:00` in UTC, by the capture's clock.
pub(super) fn moment(time: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time.0)).map_or_else(
        |_| format!("{:.0}", time.as_seconds()),
        |t| t.strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

/// Bits a second as a person says them.
pub(super) fn rate(bits_per_second: f64) -> String {
    let octets = bits_per_second / 8.0;
    if bits_per_second >= 1e9 {
        format!("{:.1} Gbit/s", bits_per_second / 1e9)
    } else if bits_per_second >= 1e6 {
        format!("{:.1} Mbit/s", bits_per_second / 1e6)
    } else if octets >= 10_000.0 {
        format!("{:.0} kB/s", octets / 1e3)
    } else {
        format!("{octets:.0} octets a second")
    }
}

/// What the application says in the octets `offset..offset + octets` of a direction, if that was understood.
pub(super) fn said<'a>(
    seen: Seen<'a>,
    direction: Direction,
    offset: u64,
    octets: u64,
) -> Option<&'a str> {
    let at = offset.checked_sub(StreamOffset::ORIGIN.0)?;
    seen.dialog
        .said
        .iter()
        .find(|s| {
            s.direction == direction && s.offset < at + octets && at < s.offset + s.octets.max(1)
        })
        .map(|s| s.text.as_str())
}

/// A retransmission in one line, as evidence reads.
pub(super) fn retransmit_line(seen: Seen<'_>, direction: Direction, r: &Repeat) -> String {
    let mut line = r.of.map_or_else(
        || "retransmission".to_owned(),
        |of| format!("retransmission of frame {of}"),
    );
    if r.checksum.is_unfilled() {
        line += ", checksum not filled in";
    } else if r.checksum.is_bad() {
        line += ", checksum wrong";
    }
    if let Some(text) = said(seen, direction, r.offset, u64::from(r.octets)) {
        line += &format!(", {text}");
    }
    line += &format!(
        ", {} octets, Seq {} - {}",
        r.octets,
        r.seq.0,
        r.seq.plus(r.octets).0
    );
    if let Some(after) = r.after {
        line += &format!(", {} after the copy before it", span(after.as_secs_f64()));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_detector_keeps_is_a_share_of_what_it_may() {
        for (share, most) in [(1.0, MAX_GROUPS), (0.5, MAX_GROUPS / 2), (0.0, 1)] {
            let (mut groups, mut room) = (Groups::<usize, u64>::default(), Room::new(MAX_GROUPS));
            for limited in [&mut groups as &mut dyn Limited, &mut room] {
                limited.shrink(share);
            }
            for n in 0..most {
                assert!(!groups.is_full() && !room.is_full(), "{share}: {n}");
                assert!(groups.group(n).is_some() && room.take(), "{share}: {n}");
            }
            assert!(groups.is_full() && room.is_full(), "{share}");
            assert!(groups.group(most).is_none() && !room.take(), "{share}");
            assert!(groups.group(0).is_some(), "an old one");
            assert_eq!(most_groups(share), most);
        }
    }

    #[test]
    fn several_of_a_kind() {
        for (n, one, want) in [
            (0, "segment", "0 segments"),
            (1, "reply", "1 reply"),
            (3, "reply", "3 replies"),
            (2, "delay", "2 delays"),
        ] {
            assert_eq!(plural(n, one), want);
        }
    }

    #[test]
    fn spans_are_rounded_before_they_are_divided() {
        for (seconds, want) in [
            (0.000_5, "500 µs"),
            (0.001, "1.0 ms"),
            (0.002_34, "2.3 ms"),
            (0.25, "250 ms"),
            (119.94, "119.9 s"),
            (120.0, "2 min 0 s"),
            (179.6, "3 min 0 s"),
            (3_599.99, "60 min 0 s"),
        ] {
            assert_eq!(span(seconds), want, "{seconds}");
        }
    }
}
