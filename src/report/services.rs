//! How the servers of each port share its load, in time.
//!
//! Takes:  flows as they end, listed or not
//! Gives:  a [`Service`] for each port of two servers or more, and the words that text and Markdown show of it
//! Never:  judges; keeps more than [`MAX_COUNTED`] servers, nor more than [`MAX_STEPS`] steps of time for each

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;

use super::model::{LoadInTime, ServerLoad, Service};
use super::view::View;
use super::words::{bar, count, duration, moment, octets, plural, share};
use crate::flow::{End, FlowRecord};
use crate::net::{Direction, Timestamp};
use crate::proto::DialogRecord;

/// Ports listed at most: the busiest.
const MAX_SERVICES: usize = 20;
/// Servers of each that are listed at most: those with the most connections.
const MAX_SERVERS: usize = 64;
/// Servers counted at most, over all ports.
const MAX_COUNTED: usize = 10_000;
/// Steps of time at most.
const MAX_STEPS: i64 = 60;
/// How many times as long the next longer step is: of 1 s are made 5 s, 10 s, 30 s, 1 min, 5 min, 10 min, 30 min, 1 h, 6 h, 1 d; then
/// each is twice the one before.
const LONGER: [i64; 10] = [5, 2, 3, 2, 5, 2, 3, 2, 6, 4];
const SECOND: i64 = 1_000_000_000;

/// What one server was asked for, at one time or in all.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    connections: u64,
    messages: u64,
    octets: u64,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.connections += other.connections;
        self.messages += other.messages;
        self.octets = self.octets.saturating_add(other.octets);
    }
}

#[derive(Debug, Default)]
struct Load {
    sum: Sum,
    failed: u64,
    reset: u64,
    seconds: f64,
    /// By the number of the step, counted from 1970.
    steps: BTreeMap<i64, Sum>,
}

#[derive(Debug)]
struct Port {
    servers: BTreeMap<IpAddr, Load>,
    /// Connections by what they spoke.
    spoken: BTreeMap<&'static str, u64>,
    /// Length of a step in nanoseconds, and how often it was made longer.
    step: i64,
    longer: usize,
    /// First and last step.
    span: Option<(i64, i64)>,
}

impl Default for Port {
    fn default() -> Self {
        Self {
            servers: BTreeMap::new(),
            spoken: BTreeMap::new(),
            step: SECOND,
            longer: 0,
            span: None,
        }
    }
}

impl Port {
    /// Number of the step of this time, after as many steps were joined as are needed to have it among them.
    fn step_of(&mut self, time: Timestamp) -> i64 {
        loop {
            let step = time.0.div_euclid(self.step);
            let (first, last) = self.span.unwrap_or((step, step));
            let (first, last) = (first.min(step), last.max(step));
            if last - first < MAX_STEPS {
                self.span = Some((first, last));
                return step;
            }
            let times = LONGER.get(self.longer).copied().unwrap_or(2);
            self.longer += 1;
            self.step = self.step.saturating_mul(times);
            self.span = self
                .span
                .map(|(a, b)| (a.div_euclid(times), b.div_euclid(times)));
            for load in self.servers.values_mut() {
                for (step, sum) in std::mem::take(&mut load.steps) {
                    let joined = load.steps.entry(step.div_euclid(times)).or_default();
                    joined.add(sum);
                }
            }
        }
    }

    fn add(&mut self, time: Timestamp, server: IpAddr, sum: Sum) -> &mut Load {
        let step = self.step_of(time);
        let load = self.servers.entry(server).or_default();
        load.sum.add(sum);
        load.steps.entry(step).or_default().add(sum);
        load
    }
}

/// The loads of all servers.
#[derive(Debug, Default)]
pub(super) struct Loads {
    ports: BTreeMap<u16, Port>,
    servers: usize,
    /// Connections to servers beyond those that are counted.
    uncounted: u64,
}

impl Loads {
    /// Counts a flow.
    pub(super) fn count(&mut self, flow: &FlowRecord, dialog: &DialogRecord) {
        let server = flow.server;
        let known = self.ports.get(&server.port);
        if known.is_none_or(|port| !port.servers.contains_key(&server.addr)) {
            if self.servers >= MAX_COUNTED {
                self.uncounted += 1;
                return;
            }
            self.servers += 1;
        }
        let port = self.ports.entry(server.port).or_default();
        if !matches!(dialog.application, "" | "unknown") {
            *port.spoken.entry(dialog.application).or_default() += 1;
        }
        let octets = |way| flow.half(way).unique_octets;
        let begun = Sum {
            connections: 1,
            octets: octets(Direction::ClientToServer)
                .saturating_add(octets(Direction::ServerToClient)),
            messages: 0,
        };
        let load = port.add(flow.start, server.addr, begun);
        load.failed += u64::from(matches!(flow.close.how, End::Refused | End::Unanswered));
        load.reset += u64::from(flow.close.how == End::Reset);
        load.seconds += flow.duration().as_secs_f64();
        let message = Sum {
            messages: 1,
            ..Sum::default()
        };
        for sent in dialog.smtp.iter().flat_map(|smtp| &smtp.messages) {
            port.add(sent.start, server.addr, message);
        }
    }

    /// The services; what is not among them is said in the notes.
    pub(super) fn services(self, notes: &mut Vec<String>) -> Vec<Service> {
        if self.uncounted > 0 {
            notes.push(format!(
                "{} in no server's share of the load: it was counted for the first {} servers",
                plural(self.uncounted, "connection is", "connections are"),
                count(MAX_COUNTED as u64)
            ));
        }
        let shared = self.ports.into_iter().filter(|(_, p)| p.servers.len() > 1);
        let mut services: Vec<Service> = shared.map(|(port, sums)| service(port, sums)).collect();
        services.sort_by_key(|s| (Reverse(s.connections), s.port));
        if services.len() > MAX_SERVICES {
            notes.push(format!(
                "the load of servers is shown for {MAX_SERVICES} ports; {} more have several servers",
                count((services.len() - MAX_SERVICES) as u64)
            ));
            services.truncate(MAX_SERVICES);
        }
        services
    }
}

fn service(number: u16, port: Port) -> Service {
    let most = port.spoken.iter().max_by_key(|(_, times)| **times);
    let is_mail = port.spoken.contains_key("smtp");
    let (first, last) = port.span.unwrap_or_default();
    let mut all = Sum::default();
    for load in port.servers.values() {
        all.add(load.sum);
    }
    let mut sorted: Vec<(IpAddr, &Load)> = port.servers.iter().map(|(a, l)| (*a, l)).collect();
    sorted.sort_by_key(|(addr, load)| (Reverse(load.sum.connections), *addr));
    let servers = sorted.iter().take(MAX_SERVERS).map(|(addr, load)| {
        let steps = |of: fn(&Sum) -> u64| {
            let at = |step| load.steps.get(&step).map_or(0, of);
            (first..=last).map(at).collect::<Vec<u64>>()
        };
        ServerLoad {
            server: addr.to_string(),
            connections: load.sum.connections,
            failed: load.failed,
            reset: load.reset,
            mean_seconds: mean(load.seconds, load.sum.connections),
            messages: is_mail.then_some(load.sum.messages),
            octets: load.sum.octets,
            in_time: LoadInTime {
                connections: steps(|s| s.connections),
                messages: is_mail.then(|| steps(|s| s.messages)),
                octets: steps(|s| s.octets),
            },
        }
    });
    Service {
        service: most.map_or("unknown", |(name, _)| name).to_owned(),
        port: number,
        servers_in_all: sorted.len() as u64,
        connections: all.connections,
        messages: is_mail.then_some(all.messages),
        octets: all.octets,
        start: Timestamp(first.saturating_mul(port.step)).into(),
        step_seconds: u64::try_from(port.step / SECOND).unwrap_or_default(),
        servers: servers.collect(),
    }
}

#[allow(clippy::cast_precision_loss)] // for people
fn mean(sum: f64, number: u64) -> f64 {
    sum / number.max(1) as f64
}

/// A heading: `smtp on port 25: 3 servers`.
pub(super) fn heading(service: &Service) -> String {
    let spoken = match service.service.as_str() {
        "unknown" => "TCP",
        known => known,
    };
    let servers = plural(service.servers_in_all, "server", "servers");
    format!("{spoken} on port {}: {servers}", service.port)
}

/// What the bars of a service stand for.
pub(super) fn about_bars(service: &Service) -> String {
    #[allow(clippy::cast_precision_loss)] // for people
    let step = duration(service.step_seconds as f64);
    format!(
        "In time: connections that began in each {step} from {} UTC on",
        moment(service.start)
    )
}

/// The greatest number of connections that a server got in a step: bars of all servers have this scale.
pub(super) fn highest(service: &Service) -> u64 {
    let steps = service.servers.iter().flat_map(|s| &s.in_time.connections);
    steps.copied().max().unwrap_or_default()
}

/// The heads of [`rows`].
pub(super) const HEADS: [&str; 6] = [
    "server",
    "connections",
    "messages",
    "octets",
    "failed",
    "in time",
];

/// The first so many servers of a service in words, unescaped.
pub(super) fn rows(view: &View<'_>, service: &Service, most: usize) -> Vec<[String; 6]> {
    let highest = highest(service);
    let of_all = |part, all| format!("{} ({})", count(part), share(part, all));
    let servers = service.servers.iter().take(most);
    servers
        .map(|s| {
            let messages = s.messages.zip(service.messages);
            [
                view.host(&s.server),
                of_all(s.connections, service.connections),
                messages.map_or_else(String::new, |(part, all)| of_all(part, all)),
                format!("{} ({})", octets(s.octets), share(s.octets, service.octets)),
                count(s.failed),
                bars(&s.in_time.connections, highest),
            ]
        })
        .collect()
}

/// `▁ █▄`: two steps a column; what is not nothing shows.
fn bars(steps: &[u64], highest: u64) -> String {
    let most = |pair: &[u64]| pair.iter().copied().max().unwrap_or(0);
    let bars: String = steps
        .chunks(2)
        .map(|pair| bar(most(pair), highest))
        .collect();
    bars.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tests::{record, smtp};
    use super::*;

    /// Midnight, so that steps of all lengths begin there.
    const T0: i64 = 1_700_006_400;

    /// A flow of two seconds, with a message one second after its begin where it came up.
    fn ended(server: u8, port: u16, second: i64, how: End) -> (FlowRecord, DialogRecord) {
        let server = format!("192.0.2.{server}:{port}");
        let mut flow = record(0, "192.0.2.200:50000", &server);
        (flow.start, flow.close.how) = (Timestamp((T0 + second) * SECOND), how);
        flow.end = flow.start.plus_nanos(2 * SECOND);
        flow.halves = Default::default();
        flow.halves[0].unique_octets = 100;
        let mut dialog = DialogRecord::default();
        if how != End::Refused {
            dialog = smtp("220 hi");
            for message in &mut dialog.smtp.as_mut().unwrap().messages {
                message.start = flow.start.plus_nanos(SECOND);
            }
        }
        (flow, dialog)
    }

    fn services(flows: &[(u8, u16, i64, End)]) -> (Vec<Service>, Vec<String>) {
        let (mut loads, mut notes) = (Loads::default(), Vec::new());
        for (server, port, second, how) in flows {
            let (flow, dialog) = ended(*server, *port, *second, *how);
            loads.count(&flow, &dialog);
        }
        (loads.services(&mut notes), notes)
    }

    #[test]
    fn shares() {
        let (found, notes) = services(&[
            (1, 25, 0, End::Fin),
            (1, 25, 1, End::Reset),
            (1, 25, 3, End::Fin),
            (2, 25, 1, End::Fin),
            // Nothing was spoken: it counts for the port all the same.
            (3, 25, 2, End::Refused),
            // One server alone shares nothing.
            (9, 80, 0, End::Fin),
        ]);
        assert!(notes.is_empty(), "{notes:?}");
        let [service] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(heading(service), "smtp on port 25: 3 servers");
        assert_eq!(
            (service.connections, service.messages, service.octets),
            (5, Some(4), 500)
        );
        assert_eq!(service.start.0, Timestamp(T0 * SECOND));
        assert_eq!(service.step_seconds, 1);
        let rows: Vec<_> = service
            .servers
            .iter()
            .map(|s| {
                let time = &s.in_time;
                (
                    s.server.as_str(),
                    [s.connections, s.failed, s.reset, s.messages.unwrap()],
                    time.connections.as_slice(),
                    time.messages.as_deref().unwrap(),
                    time.octets.as_slice(),
                )
            })
            .collect();
        assert_eq!(
            rows,
            [
                (
                    "192.0.2.1",
                    [3, 0, 1, 3],
                    &[1, 1, 0, 1, 0][..],
                    &[0, 1, 1, 0, 1][..],
                    &[100, 100, 0, 100, 0][..],
                ),
                (
                    "192.0.2.2",
                    [1, 0, 0, 1],
                    &[0, 1, 0, 0, 0],
                    &[0, 0, 1, 0, 0],
                    &[0, 100, 0, 0, 0],
                ),
                (
                    "192.0.2.3",
                    [1, 1, 0, 0],
                    &[0, 0, 1, 0, 0],
                    &[0, 0, 0, 0, 0],
                    &[0, 0, 100, 0, 0],
                ),
            ]
        );
    }

    #[test]
    fn steps_grow_with_the_time() {
        for (name, seconds, start, step, steps) in [
            ("a minute", vec![0, 57], 0, 1, 59),
            ("more", vec![0, 60], 0, 5, 13),
            ("an hour", vec![7, 3_598], 0, 60, 60),
            ("a day", vec![0, 40_000, 86_398], 0, 1_800, 48),
            (
                "what began first may end last",
                vec![86_398, 0],
                0,
                1_800,
                48,
            ),
            ("a year", vec![0, 31_535_998], -345_600, 691_200, 47),
        ] {
            let flows: Vec<_> = seconds.iter().map(|s| (1, 25, *s, End::Fin)).collect();
            let second: Vec<_> = seconds.iter().map(|s| (2, 25, *s, End::Fin)).collect();
            let (found, _) = services(&[flows, second].concat());
            let service = &found[0];
            assert_eq!(
                (
                    service.start.0.0 / SECOND - T0,
                    service.step_seconds,
                    service.servers[0].in_time.connections.len()
                ),
                (start, step, steps),
                "{name}"
            );
            for server in &service.servers {
                let in_time = server.in_time.connections.iter().sum::<u64>();
                assert_eq!(in_time, seconds.len() as u64, "{name}");
                assert_eq!(server.connections, in_time, "{name}");
            }
        }
    }

    #[test]
    fn hostile_times_end() {
        let (mut loads, mut notes) = (Loads::default(), Vec::new());
        for (server, time) in [(1, i64::MIN), (2, i64::MAX), (1, 0), (2, -1)] {
            let (mut flow, mut dialog) = ended(server, 25, 0, End::Fin);
            flow.start = Timestamp(time);
            dialog.smtp.as_mut().unwrap().messages[0].start = flow.start;
            loads.count(&flow, &dialog);
        }
        let found = loads.services(&mut notes);
        for server in &found[0].servers {
            assert_eq!(server.in_time.connections.iter().sum::<u64>(), 2);
            assert!(server.in_time.connections.len() as i64 <= MAX_STEPS);
        }
    }

    #[test]
    fn what_is_too_much_is_told() {
        let (mut loads, mut notes) = (Loads::default(), Vec::new());
        let all = MAX_COUNTED as u32 + 7;
        for n in 0..all {
            let (mut flow, _) = ended(1, 1 + (n % 30) as u16, 0, End::Fin);
            flow.server.addr = IpAddr::from((n / 30).to_be_bytes());
            loads.count(&flow, &DialogRecord::default());
        }
        let found = loads.services(&mut notes);
        assert_eq!(found.len(), MAX_SERVICES);
        assert!(found.iter().all(|s| s.servers.len() == MAX_SERVERS));
        assert!(found.iter().all(|s| s.servers_in_all >= 333));
        let [uncounted, unlisted] = notes.as_slice() else {
            panic!("{notes:?}")
        };
        assert!(
            uncounted.starts_with("7 connections are in no"),
            "{uncounted}"
        );
        assert!(unlisted.contains("10 more"), "{unlisted}");
    }

    #[test]
    fn bars_show_what_is_not_nothing() {
        for (steps, highest, want) in [
            (&[][..], 0, ""),
            (&[0, 0, 0], 0, ""),
            (&[1, 0, 0, 0, 1_000], 1_000, "▁ █"),
            (&[4, 8, 4], 8, "█▄"),
            (&[u64::MAX, 0, 1], u64::MAX, "█▁"),
        ] {
            assert_eq!(bars(steps, highest), want, "{steps:?}");
        }
    }
}
