//! Turns what the stages found into the report.
//!
//! Takes:  [`Parts`]: captures, flows, findings, remedies
//! Gives:  a [`Report`]
//! Never:  judges beyond the verdict, which sums up the findings

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use super::beside::Beside;
use super::model::{
    Capture, Evidence, Few, Finding, Flow, Goodput, Half, Handshake, Hop, Message, Phase, Problem,
    Refusal, Remedy, Report, Retransmissions, Rpc, RpcInterface, RpcOperation, Rtt, SCHEMA, Smb,
    SmbCommand, Smtp, Stall, Step, TimeShare, Totals, Undecoded,
};
use super::services::Loads;
use super::{mail, severity_name, severity_named, verdict};
use crate::capture::{self, CaptureInfo};
use crate::flow::{Cause, End, FlowRecord, HalfRecord, Vantage};
use crate::net::{Direction, Side};
use crate::proto::dcerpc::{self, RpcRecord};
use crate::proto::smtp::{codes, records};
use crate::proto::{DialogRecord, DurationStats, SmbRecord, SmtpRecord};
use crate::{decode, detect, proto, rules};

/// Flows listed in a report. Beyond that, those with findings and the longest-lived are kept, and the rest is counted.
pub const MAX_FLOWS: usize = 100_000;

/// Everything that a run found out.
#[derive(Debug, Default)]
pub struct Parts {
    /// Each capture, and what of it could not be decoded.
    pub captures: Vec<(CaptureInfo, Vec<decode::Undecoded>)>,
    /// The flows.
    pub flows: FlowList,
    /// TCP segments, as captured.
    pub tcp_segments: u64,
    /// Of these, by capture, those whose connection was followed in another capture's view of it.
    pub seen_twice: BTreeMap<u32, u64>,
    /// The findings, in any order.
    pub findings: Vec<detect::Finding>,
    /// The remedies, whose indices point into `findings`.
    pub remedies: Vec<rules::Remedy>,
    /// Names of hosts, where something told them.
    pub names: Vec<(IpAddr, String)>,
    /// Sentences on what was left out, could not be joined, or was given up.
    pub notes: Vec<String>,
    /// Where the user wants some of the frames only: how many these are.
    pub wanted: Option<u64>,
}

/// Flows as they end, in bounded memory.
#[derive(Debug)]
pub struct FlowList {
    most: usize,
    most_octets: usize,
    kept: Vec<Flow>,
    /// Octets of memory that these take up, about.
    octets: usize,
    cited: HashSet<u64>,
    seen: u64,
    duplicates: BTreeMap<u32, u64>,
    loads: Loads,
    /// Once the list was full: the least of those that found a place, by whether findings name it and by its length.
    least: Option<(bool, Duration)>,
}

impl Default for FlowList {
    fn default() -> Self {
        Self::with_room_for(MAX_FLOWS, usize::MAX)
    }
}

impl FlowList {
    /// A list that keeps no more than `most` flows, nor more than [`MAX_FLOWS`], nor more than take up so many octets of memory, about.
    #[must_use]
    pub fn with_room_for(most: usize, octets: usize) -> Self {
        Self {
            most: most.min(MAX_FLOWS),
            most_octets: octets,
            kept: Vec::new(),
            octets: 0,
            cited: HashSet::new(),
            seen: 0,
            duplicates: BTreeMap::new(),
            loads: Loads::default(),
            least: None,
        }
    }

    /// Takes in a flow that has ended: it is listed as long as it may find a place, and counts in any case. One with repeats goes before
    /// others, as findings name it sooner or later. `encapsulation` as for [`flow()`].
    pub fn take(
        &mut self,
        record: &FlowRecord,
        dialog: &DialogRecord,
        encapsulation: Option<&str>,
    ) {
        self.loads.count(record, dialog);
        let repeats = record.halves.iter().any(|h| h.retransmitted_segments > 0);
        if self.has_room_for(repeats, record.duration()) {
            self.push(flow(record, dialog, encapsulation), repeats);
        } else {
            self.seen(record.capture, record.capture_duplicates);
        }
    }

    /// Lists a flow. `cited`: a finding names it.
    pub(super) fn push(&mut self, flow: Flow, cited: bool) {
        self.seen(flow.capture, flow.capture_duplicates);
        if cited {
            self.cite(&[flow.index]);
        }
        self.octets += flow.held();
        self.kept.push(flow);
        if self.kept.len() >= self.room() || self.octets / 5 >= self.most_octets / 4 {
            self.prune();
        }
    }

    fn seen(&mut self, capture: u32, duplicates: u64) {
        self.seen += 1;
        *self.duplicates.entry(capture).or_default() += duplicates;
    }

    /// Places in the list between two times that it is pruned.
    const fn room(&self) -> usize {
        self.most + self.most / 4
    }

    /// Whether a flow of this length may still find a place in the list. `cited`: a finding names it.
    pub(super) fn has_room_for(&self, cited: bool, length: Duration) -> bool {
        self.least.is_none_or(|least| (cited, length) > least)
    }

    /// Notes that findings name these flows.
    pub fn cite(&mut self, flows: &[u64]) {
        for flow in flows {
            if self.cited.len() < self.room() {
                self.cited.insert(*flow);
            }
        }
    }

    /// Keeps as many as there is room for: those with findings, then the longest-lived.
    fn prune(&mut self) {
        if self.kept.len() > self.most || self.octets > self.most_octets {
            let cited = &self.cited;
            let rank = |f: &Flow| !cited.contains(&f.index);
            let first = |a: &Flow, b: &Flow| {
                rank(a)
                    .cmp(&rank(b))
                    .then(b.duration.total_cmp(&a.duration))
                    .then(a.index.cmp(&b.index))
            };
            if self.kept.len() > self.most {
                let last = self.most.saturating_sub(1);
                self.kept.select_nth_unstable_by(last, first);
                self.kept.truncate(self.most);
            }
            let octets = |kept: &[Flow]| kept.iter().map(Flow::held).sum::<usize>();
            self.octets = octets(&self.kept);
            if self.octets > self.most_octets {
                self.kept.sort_unstable_by(first);
                let mut left = self.most_octets;
                let fit = self.kept.iter().take_while(|f| {
                    let rest = left.checked_sub(f.held());
                    left = rest.unwrap_or_default();
                    rest.is_some()
                });
                let fit = fit.count().max(1);
                self.kept.truncate(fit);
                self.kept.shrink_to(fit + fit / 2);
                self.octets = octets(&self.kept);
            }
            let kept: HashSet<u64> = self.kept.iter().map(|f| f.index).collect();
            self.cited.retain(|flow| kept.contains(flow));
            self.least = self.kept.last().map(|f| {
                let length = Duration::try_from_secs_f64(f.duration).unwrap_or_default();
                (self.cited.contains(&f.index), length)
            });
        }
    }
}

/// Puts the report together.
#[must_use]
pub fn build(parts: Parts) -> Report {
    let Parts {
        captures,
        mut flows,
        tcp_segments,
        seen_twice,
        findings,
        remedies,
        names: told_names,
        mut notes,
        wanted,
    } = parts;
    for finding in &findings {
        flows.cite(&finding.flows);
    }
    flows.prune();
    let FlowList {
        kept: mut listed,
        seen,
        duplicates,
        loads,
        ..
    } = flows;
    listed.sort_unstable_by_key(|f| f.index);
    let omitted = seen.saturating_sub(listed.len() as u64);

    let mut names = BTreeMap::new();
    for (addr, name) in told_names
        .iter()
        .chain(captures.iter().flat_map(|(info, _)| &info.names))
    {
        names
            .entry(addr.to_string())
            .or_insert_with(|| name.clone());
    }
    let captures: Vec<Capture> = (0..)
        .zip(&captures)
        .map(|(index, (info, undecoded))| {
            let copies = duplicates.get(&index).copied().unwrap_or_default();
            let twice = seen_twice.get(&index).copied().unwrap_or_default();
            capture(info, undecoded, copies, twice)
        })
        .collect();
    let totals = Totals {
        flows: seen,
        flows_omitted: omitted,
        frames: captures.iter().map(|c| c.frames).sum(),
        octets: captures.iter().map(|c| c.octets).sum(),
        tcp_segments,
    };
    let (mut findings, remediations) = findings_and_remedies(findings, remedies);
    if captures.len() > 1 {
        for finding in &mut findings {
            filter_by_ends(finding, &listed);
        }
    }
    let services = loads.services(&mut notes);
    let mut report = Report {
        schema: SCHEMA,
        captures,
        totals,
        flows: listed,
        findings,
        remediations,
        verdict: super::model::Verdict::default(),
        names,
        mail: None,
        services,
        notes,
        plots: Vec::new(),
        beside: Beside::default(),
    };
    report.mail = mail::mail(&report.flows);
    report.verdict = verdict::verdict(&report, wanted);
    report
}

/// Names the flows of a finding by their ends: over several captures their numbers are not those of Wireshark.
fn filter_by_ends(finding: &mut Finding, flows: &[Flow]) {
    let by_number = detect::filter(&finding.flows);
    if finding.flows.is_empty() || !finding.display_filter.contains(&by_number) {
        return;
    }
    // Ports of the clients, by client and server.
    let mut pairs: BTreeMap<(&str, &str, &str), BTreeSet<&str>> = BTreeMap::new();
    for index in finding.flows.iter().take(detect::FILTER_FLOWS) {
        let Ok(at) = flows.binary_search_by_key(index, |f| f.index) else {
            continue;
        };
        let ends = flows.get(at).and_then(|f| {
            let (client, port) = f.client.rsplit_once(':')?;
            let (server, service) = f.server.rsplit_once(':')?;
            Some(((client, server, service), port))
        });
        if let Some((pair, port)) = ends {
            pairs.entry(pair).or_default().insert(port);
        }
    }
    if pairs.is_empty() {
        return;
    }
    let addr = |text: &str| {
        let addr = text.trim_start_matches('[').trim_end_matches(']');
        let family = if addr.contains(':') { "ipv6" } else { "ip" };
        format!("{family}.addr == {addr}")
    };
    let each: Vec<String> = pairs
        .into_iter()
        .map(|((client, server, service), ports)| {
            let ports: Vec<&str> = ports.into_iter().collect();
            format!(
                "({} && {} && tcp.port == {service} && tcp.port in {{{}}})",
                addr(client),
                addr(server),
                ports.join(", ")
            )
        })
        .collect();
    let by_ends = match each.as_slice() {
        [one] => one.clone(),
        many => format!("({})", many.join(" || ")),
    };
    finding.display_filter = finding.display_filter.replacen(&by_number, &by_ends, 1);
}

/// Findings worst first, remedies by rank, each naming the other.
fn findings_and_remedies(
    found: Vec<detect::Finding>,
    mut remedies: Vec<rules::Remedy>,
) -> (Vec<Finding>, Vec<Remedy>) {
    // Findings that are equal in both keep the order that the detect stage judged right.
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by(|&a, &b| match (found.get(a), found.get(b)) {
        (Some(a), Some(b)) => Reverse(a.severity).cmp(&Reverse(b.severity)).then_with(|| {
            let lost = |f: &detect::Finding| f.seconds_lost.unwrap_or(-1.0);
            lost(b).total_cmp(&lost(a))
        }),
        _ => a.cmp(&b),
    });
    let mut place = vec![0; found.len()];
    for (new, old) in order.iter().enumerate() {
        place[*old] = new;
    }
    // Ids of the remedies for each finding.
    let mut its: Vec<Vec<String>> = vec![Vec::new(); found.len()];
    remedies.sort_by_key(|r| r.rank);
    let remediations: Vec<Remedy> = remedies
        .into_iter()
        .map(|r| {
            let findings: BTreeSet<usize> = r
                .findings
                .iter()
                .filter_map(|old| place.get(*old).copied())
                .collect();
            for finding in &findings {
                its[*finding].push(r.id.clone());
            }
            Remedy {
                id: r.id,
                title: r.title,
                why: r.why,
                confirm: r.confirm.into_iter().map(step).collect(),
                fix: r.fix.into_iter().map(step).collect(),
                undo: r.undo.into_iter().map(step).collect(),
                risk: r.risk,
                applies_to: r.applies_to,
                sources: r.sources,
                findings: findings.into_iter().collect(),
                rank: r.rank,
                likely: r.likely,
                unknown: r.unknown,
                against: r.against,
                known: r.known,
            }
        })
        .collect();
    let mut found: Vec<_> = found.into_iter().map(Some).collect();
    let findings = order
        .into_iter()
        .filter_map(|old| found.get_mut(old)?.take())
        .zip(its)
        .map(|(f, remediations)| Finding {
            remediations,
            ..finding(f)
        })
        .collect();
    (findings, remediations)
}

/// One finding, without the remedies for it.
#[must_use]
pub fn finding(f: detect::Finding) -> Finding {
    Finding {
        id: f.id.to_owned(),
        severity: severity_name(f.severity),
        confidence: f.confidence.clamp(0.0, 1.0),
        summary: f.summary,
        hosts: f.hosts.iter().map(ToString::to_string).collect(),
        subject: f.subject.map(|a| a.to_string()),
        peer: f.peer.map(|a| a.to_string()),
        flows: f.flows,
        start: f.start.into(),
        end: f.end.into(),
        seconds_lost: f.seconds_lost,
        evidence: f
            .evidence
            .into_iter()
            .map(|e| Evidence {
                // The frame knows its capture; the flow that detectors name it by may have begun in an earlier one.
                capture: e.at.frame.capture(),
                frame: e.at.frame.number(),
                text: e.text,
            })
            .collect(),
        against: f.against,
        display_filter: f.display_filter,
        remediations: Vec::new(),
    }
}

fn step(step: rules::Step) -> Step {
    Step {
        on: step.on,
        only_if: step.only_if,
        command: step.command,
        expect: step.expect,
    }
}

fn capture(
    info: &CaptureInfo,
    undecoded: &[decode::Undecoded],
    duplicates: u64,
    seen_twice: u64,
) -> Capture {
    let problem = |p: &capture::Problem| Problem {
        frame: p.frame.map(|f| f.0),
        text: p.text.clone(),
    };
    Capture {
        path: info.path.clone(),
        format: info.format.clone(),
        link_types: info.link_types.clone(),
        frames: info.frames,
        octets: info.octets,
        first: info.first.map(Into::into),
        last: info.last.map(Into::into),
        truncated_frames: info.truncated_frames,
        undecoded_frames: undecoded.iter().map(|u| u.frames).sum(),
        undecoded: undecoded
            .iter()
            .map(|u| Undecoded {
                reason: u.reason.clone(),
                frames: u.frames,
                first_frame: u.first.number(),
            })
            .collect(),
        dropped_by_capture: info.dropped_by_capture,
        duplicates_removed: duplicates.saturating_add(seen_twice),
        seen_twice,
        problems: info.problems.iter().map(problem).collect(),
        comments: info.comments.iter().map(problem).collect(),
    }
}

/// One flow with its dialog. `encapsulation` names what [`FlowRecord::encapsulation`] numbers.
#[must_use]
pub fn flow(record: &FlowRecord, dialog: &DialogRecord, encapsulation: Option<&str>) -> Flow {
    let handshake = &record.handshake;
    Flow {
        index: record.index,
        capture: record.capture,
        client: record.client.to_string(),
        server: record.server.to_string(),
        encapsulation: encapsulation.map(str::to_owned),
        application: if dialog.application.is_empty() {
            "unknown"
        } else {
            dialog.application
        },
        first_frame: record.first_frame.number(),
        last_frame: record.last_frame.number(),
        last_capture: record.last_frame.capture(),
        start: record.start.into(),
        duration: record.duration().as_secs_f64(),
        handshake: Handshake {
            complete: handshake.complete,
            syn_retries: handshake.syn_retries,
            rtt: handshake.rtt.map(secs),
            to_client: handshake.to_client.map(secs),
            to_server: handshake.to_server.map(secs),
        },
        end: end_name(record.close.how),
        ended_by: record.close.by.map(side_name),
        vantage: vantage_name(record.vantage),
        vantage_basis: record.vantage_basis,
        client_to_server: Box::new(half(record, Direction::ClientToServer)),
        server_to_client: Box::new(half(record, Direction::ServerToClient)),
        time: record
            .time
            .iter()
            .map(|(cause, time)| TimeShare {
                cause: cause_name(*cause),
                seconds: time.as_secs_f64(),
            })
            .collect(),
        smtp: dialog.smtp.as_deref().map(|s| Box::new(smtp(s))),
        smb: dialog.smb.as_deref().map(|s| Box::new(smb(s))),
        rpc: dialog.rpc.as_deref().map(|r| Box::new(rpc(r))),
        capture_duplicates: record.capture_duplicates,
        truncated_frames: record.truncated,
        disordered_segments: record.disordered,
        given_up: record.evicted,
    }
}

fn few<K: Clone + Ord>(counts: &BTreeMap<K, u64>) -> Few<K, u64> {
    counts.iter().map(|(k, n)| (k.clone(), *n)).collect()
}

fn secs(time: Duration) -> f64 {
    time.as_secs_f64()
}

fn half(record: &FlowRecord, direction: Direction) -> Half {
    let h: &HalfRecord = record.half(direction);
    let split = &h.retransmissions;
    Half {
        frames: h.frames,
        octets: h.octets,
        unique_octets: h.unique_octets,
        data_segments: h.data_segments,
        retransmitted_segments: h.retransmitted_segments,
        retransmitted_octets: h.retransmitted_octets,
        retransmissions: Retransmissions {
            fast: split.fast,
            timeout: split.timeout,
            tail_probe: split.tail_probe,
            spurious: split.spurious,
            unknown: split.unknown,
        },
        out_of_order_segments: h.out_of_order_segments,
        network_duplicates: h.network_duplicates,
        unseen_octets: h.unseen_octets,
        bad_checksums: h.bad_checksums,
        unfilled_checksums: h.unfilled_checksums,
        unacked_bad_checksum_segments: h.unacked_bad_checksum_segments,
        duplicate_acks: h.duplicate_acks,
        zero_windows: h.zero_windows,
        zero_window_seconds: secs(h.zero_window_time),
        window_scale: h.window_scale,
        mss: h.mss,
        sack_permitted: h.sack_permitted,
        rtt: h.rtt.map(|r| Rtt {
            samples: r.samples,
            min: secs(r.min),
            median: secs(r.median),
            p95: secs(r.p95),
            max: secs(r.max),
        }),
        goodput_bps: h.goodput.map(|g| Goodput {
            mean: g.mean_bps,
            peak: g.peak_bps,
            worst: g.worst_bps,
        }),
        // A silence stands with the direction whose data had to wait; one that concerns both, with the client's.
        stalls: record
            .stalls
            .iter()
            .filter(|s| s.direction.unwrap_or(Direction::ClientToServer) == direction)
            .map(|s| Stall {
                start: s.start.into(),
                seconds: secs(s.length),
                cause: cause_name(s.cause),
                capture: s.frame.capture(),
                frame: s.frame.number(),
            })
            .collect(),
    }
}

#[allow(clippy::cast_precision_loss)] // a rate of a message's octets
fn smtp(record: &SmtpRecord) -> Smtp {
    let enhanced = |code: [u16; 3]| {
        let [class, subject, detail] = code;
        format!("{class}.{subject}.{detail}")
    };
    Smtp {
        banner: record.banner.clone(),
        capabilities: record.capabilities.clone(),
        tls: if record.tls.is_empty() {
            "none"
        } else {
            record.tls
        },
        commands: few(&record.commands),
        replies: few(&record.replies),
        phases: record
            .phases
            .iter()
            .map(|(phase, stats, share)| (phase.name(), phase_times(stats, *share)))
            .collect(),
        messages: record
            .messages
            .iter()
            .map(|m| Message {
                start: m.start.into(),
                octets: m.octets,
                recipients: m.recipients,
                accepted: m.accepted,
                seconds: secs(m.length),
                slowest_phase: m.slowest_phase.name(),
                bps: (m.transfer > Duration::ZERO)
                    .then(|| m.octets as f64 * 8.0 / m.transfer.as_secs_f64()),
                hops: hops(&m.hops),
            })
            .collect(),
        refusals: record
            .refusals
            .iter()
            .map(|r| Refusal {
                capture: r.frame.capture(),
                frame: r.frame.number(),
                time: r.time.into(),
                verb: r.verb.clone(),
                code: r.code,
                enhanced: r.enhanced.map(enhanced),
                text: r.text.clone(),
                meaning: codes::explain(Some(r.code), r.enhanced, &r.text)
                    .first()
                    .map(|row| row.meaning),
            })
            .collect(),
        client_name: record.client_name.clone(),
        server_name: record.server_name.clone(),
    }
}

fn phase_times(stats: &DurationStats, network_share: Option<f64>) -> Phase {
    Phase {
        count: stats.count,
        min: secs(stats.min),
        median: secs(stats.median),
        max: secs(stats.max),
        sum: secs(stats.sum),
        network_share,
    }
}

fn smb(record: &SmbRecord) -> Smb {
    Smb {
        dialect: record.dialect.clone(),
        signing: record.signing,
        encrypted: record.encrypted,
        max_outstanding: record.max_outstanding,
        credit_starved_seconds: secs(record.credit_starved),
        commands: record
            .commands
            .iter()
            .map(|(name, command)| (name.clone(), smb_command(command)))
            .collect(),
        server_name: record.server_name.clone(),
        mean_io_octets: record.io_size.map(|(_, mean)| mean),
        mean_outstanding: record.mean_outstanding,
        max_credits: record.max_credits,
        authentication: record.authentication,
        cipher: record.cipher,
        compression: record.compression,
        multichannel: record.multichannel_bound,
        durable_reconnects: record.durable_reconnects,
        breaks: record.breaks,
        break_wait_seconds: secs(record.break_waits.sum),
        encrypted_requests: record.sealed.as_ref().map(smb_command),
    }
}

fn smb_command(command: &proto::SmbCommand) -> SmbCommand {
    let times = &command.times;
    let seen = |time: Duration| (times.count > 0).then(|| secs(time));
    SmbCommand {
        count: times.count,
        unanswered: command.unanswered,
        errors: few(&command.errors),
        min: seen(times.min),
        median: seen(times.median),
        p95: seen(times.p95),
        max: seen(times.max),
        sum: seen(times.sum),
    }
}

fn rpc(record: &RpcRecord) -> Rpc {
    let operation = |o: &dcerpc::RpcOperation| {
        let times = &o.times;
        let seen = |time: Duration| (times.count > 0).then(|| secs(time));
        RpcOperation {
            count: times.count,
            unanswered: o.unanswered,
            faults: few(&o.faults),
            min: seen(times.min),
            median: seen(times.median),
            p95: seen(times.p95),
            max: seen(times.max),
            sum: seen(times.sum),
        }
    };
    Rpc {
        interfaces: record
            .interfaces
            .iter()
            .map(|i| RpcInterface {
                uuid: i.uuid.clone(),
                name: i.name,
                accepted: i.accepted,
            })
            .collect(),
        binds_refused: record.binds_refused,
        max_outstanding: record.max_outstanding,
        operations: record
            .operations
            .iter()
            .map(|(name, o)| (name.clone(), operation(o)))
            .collect(),
    }
}

/// The newest hop comes first, so each came after the one behind it.
fn hops(hops: &[records::Hop]) -> Vec<Hop> {
    let before = hops.iter().skip(1).map(Some).chain([None]);
    hops.iter()
        .zip(before)
        .map(|(hop, before)| Hop {
            by: hop.by.clone(),
            from: hop.from.clone(),
            time: hop.time,
            delay: hop
                .time
                .zip(before.and_then(|before| before.time))
                .and_then(|(time, before)| time.checked_sub(before)),
        })
        .collect()
}

/// The report's word for the manner of an end.
#[must_use]
pub const fn end_name(end: End) -> &'static str {
    match end {
        End::Fin => "fin",
        End::Reset => "reset",
        End::Open => "open",
        End::Refused => "refused",
        End::Unanswered => "unanswered",
    }
}

const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}

const fn vantage_name(vantage: Vantage) -> &'static str {
    match vantage {
        Vantage::Client => "client",
        Vantage::Server => "server",
        Vantage::Middle => "middle",
        Vantage::Unknown => "unknown",
    }
}

pub(super) const fn cause_name(cause: Cause) -> &'static str {
    match cause {
        Cause::Handshake => "handshake",
        Cause::ClientThink => "client-think",
        Cause::ServerThink => "server-think",
        Cause::Transfer => "transfer",
        Cause::Latency => "latency",
        Cause::ReceiveWindow => "receive-window",
        Cause::ZeroWindow => "zero-window",
        Cause::SendBuffer => "send-buffer",
        Cause::LossRecovery => "loss-recovery",
        Cause::Timeout => "timeout",
        Cause::TailLoss => "tail-loss",
        Cause::DelayedAck => "delayed-ack",
        Cause::PathDelay => "path-delay",
        Cause::Idle => "idle",
        Cause::Close => "close",
        Cause::Unknown => "unknown",
    }
}

/// Whether a finding is one that hurts.
pub(super) fn hurts(finding: &Finding) -> bool {
    severity_named(finding.severity).is_some_and(|s| s >= detect::Severity::Warning)
}
