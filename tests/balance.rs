//! A day of connections to servers that share one job: how they are spread, and how a failed one is tried again.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use support::convo::{C2S, Convo, S2C};
use support::scene::{Scene, pcap};
use support::scenes::host;
use support::shared;
use support::wire::{ACK, RST};
use tcptriage::pipeline::{self, Settings};
use tcptriage::report::model::{Finding, Report};
use tcptriage::report::redact;

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;

/// Numbers that look random.
fn noise(n: i64) -> i64 {
    let x = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((x >> 33) % 1_000) as i64
}

/// A day's capture in the making.
#[derive(Default)]
struct Day {
    scene: Scene,
    connections: u16,
}

impl Day {
    fn convo(&mut self, client: u8, server: u8, at: i64) -> Convo {
        self.connections += 1;
        Convo::between(host(client), 1_024 + self.connections, host(server), 25)
            .isn(
                u32::from(self.connections) * 7_919,
                u32::from(self.connections) * 104_729,
            )
            .at(at)
    }

    /// Both speak by turns, the server first, and the connection is closed.
    fn dialog(&mut self, client: u8, server: u8, at: i64, lines: &[&str]) {
        let mut convo = self.convo(client, server, at).handshake();
        for (line, way) in lines.iter().zip([S2C, C2S].into_iter().cycle()) {
            convo = convo.send(way, format!("{line}\r\n").as_bytes());
        }
        self.scene.add(convo.close(S2C));
    }

    /// A message is taken.
    fn taken(&mut self, client: u8, server: u8, at: i64) {
        let banner = format!("220 hub{server}.example ESMTP");
        let lines = [
            &banner,
            "EHLO client.example",
            "250 hub.example",
            "QUIT",
            "221 bye",
        ];
        self.dialog(client, server, at, &lines);
    }

    /// A message is sent whole.
    fn mail(&mut self, client: u8, server: u8, at: i64) {
        let lines = [
            "220 hub.example ESMTP",
            "HELO client.example",
            "250 hub.example",
            "MAIL FROM:<a@client.example>",
            "250 OK",
            "RCPT TO:<b@hub.example>",
            "250 OK",
            "DATA",
            "354 go on",
            "Subject: x\r\n\r\nx\r\n.",
            "250 OK",
            "QUIT",
            "221 bye",
        ];
        self.dialog(client, server, at, &lines);
    }

    /// The SYN is refused.
    fn refused(&mut self, client: u8, server: u8, at: i64) {
        let convo = self
            .convo(client, server, at)
            .syn()
            .rst(S2C)
            .with(|p| p.flags = RST | ACK);
        self.scene.add(convo);
    }

    fn report(self, name: &str, pools: &[(String, Vec<IpAddr>)]) -> Report {
        let path: PathBuf = std::env::temp_dir().join(format!(
            "tcptriage-balance-{}-{name}.pcap",
            std::process::id()
        ));
        fs::write(&path, pcap(&self.scene.frames())).unwrap();
        let settings = Settings {
            captures: vec![path.to_str().unwrap().to_owned()],
            pools: pools.to_vec(),
            ..Settings::default()
        };
        let report = pipeline::analyze(&settings).unwrap();
        fs::remove_file(path).unwrap();
        report
    }
}

fn balance(report: &Report) -> Vec<&Finding> {
    report
        .findings
        .iter()
        .filter(|f| f.id.starts_with("balance."))
        .collect()
}

fn ids(report: &Report) -> Vec<&str> {
    let mut ids: Vec<&str> = balance(report).iter().map(|f| f.id.as_str()).collect();
    ids.sort_unstable();
    ids
}

/// A number before a word in a sentence: `66.7` before ` %`.
fn percents(text: &str) -> Vec<f64> {
    text.split(" %")
        .filter_map(|part| part.rsplit([' ', '(']).next()?.parse().ok())
        .collect()
}

/// Round robin without memory, as Exchange 2007 and 2010 RTM do it: each round tries the dead one too, and its neighbour gets its share.
#[test]
fn round_robin_without_memory_gives_the_neighbour_two_thirds() {
    let mut day = Day::default();
    for n in 0..1_440 {
        let at = n * 60 * SECOND + noise(n) * 1_000_000;
        match n % 3 {
            0 => day.taken(1, 11, at),
            1 => day.taken(1, 12, at),
            _ => {
                day.refused(1, 13, at);
                day.taken(1, 11, at + 20_000_000);
            }
        }
    }
    let report = day.report("rtm", &[]);
    assert_eq!(
        ids(&report),
        ["balance.failover-skew", "balance.server-unavailable"]
    );
    let skew = report
        .findings
        .iter()
        .find(|f| f.id == "balance.failover-skew")
        .unwrap();
    assert_eq!(skew.subject.as_deref(), Some("192.0.2.11"));
    let shares = percents(&skew.summary);
    assert!(
        shares.iter().any(|s| (s - 66.7).abs() < 1.0),
        "{}",
        skew.summary
    );
    assert!(
        shares.iter().any(|s| (s - 33.3).abs() < 1.0),
        "{}",
        skew.summary
    );
    let away = report
        .findings
        .iter()
        .find(|f| f.id == "balance.server-unavailable")
        .unwrap();
    assert_eq!(away.subject.as_deref(), Some("192.0.2.13"));
}

/// Who got how much in each half hour of a day on which one server takes no part from noon on.
#[test]
fn the_load_of_servers_in_time() {
    let mut day = Day::default();
    let noon = 12 * 3_600 * SECOND;
    // Half hours of the day by server: connections.
    let mut truth = [[0_u64; 48]; 3];
    let begin = |at: i64| usize::try_from(at / (1_800 * SECOND)).unwrap();
    // Midnight.
    let day_of = 1_700_006_400 * SECOND;
    for n in 0..720 {
        let at = n * 120 * SECOND + noise(n) * 1_000_000;
        let server = if at < noon { n % 3 } else { n % 2 };
        day.mail(1, 11 + server as u8, day_of + at);
        truth[server as usize][begin(at)] += 1;
        if at >= noon {
            day.refused(1, 13, day_of + at + 30 * SECOND);
            truth[2][begin(at + 30 * SECOND)] += 1;
        }
    }
    let report = day.report("in-time", &[]);
    let [service] = report.services.as_slice() else {
        panic!("{:?}", report.services)
    };
    assert_eq!((service.service.as_str(), service.port), ("smtp", 25));
    assert_eq!(service.step_seconds, 1_800);
    assert_eq!(service.start.decimal(), "1700006400");
    assert_eq!(service.messages, Some(720));
    for server in &service.servers {
        let last = server.server.rsplit_once('.').unwrap().1;
        let truth = truth[last.parse::<usize>().unwrap() - 11];
        let failed = if last == "13" { 360 } else { 0 };
        assert_eq!(server.in_time.connections, truth, "{last}");
        assert_eq!(server.connections, truth.iter().sum::<u64>(), "{last}");
        assert_eq!(server.failed, failed, "{last}");
        assert_eq!(server.messages, Some(server.connections - failed), "{last}");
        let in_time = server.in_time.messages.as_ref().unwrap();
        assert_eq!(in_time.iter().sum::<u64>(), server.connections - failed);
    }
    let of_flows = report
        .flows
        .iter()
        .map(|f| f.client_to_server.unique_octets + f.server_to_client.unique_octets);
    assert_eq!(service.octets, of_flows.sum::<u64>());

    let mut redacted = report;
    redact(&mut redacted);
    let of_flows: BTreeSet<&str> = redacted
        .flows
        .iter()
        .filter_map(|f| Some(f.server.rsplit_once(':')?.0))
        .collect();
    let servers = redacted.services.iter().flat_map(|s| &s.servers);
    let of_services: BTreeSet<&str> = servers.map(|s| s.server.as_str()).collect();
    assert_eq!(of_services, of_flows);
    assert!(!of_services.contains("192.0.2.11"));
}

/// The laboratory's balanced servers: connections and octets of each within 1 % of what was sent.
#[test]
fn shares_are_those_of_the_laboratory() {
    let Some(lab) = shared::folder("captures/lab/lb-skew") else {
        return;
    };
    let truth = shared::unpacked(&lab.join("truth.json.gz"));
    let truth: serde_json::Value = serde_json::from_slice(&truth).unwrap();
    let mut sent: BTreeMap<String, [u64; 2]> = BTreeMap::new();
    for flow in truth["flows"].as_array().unwrap() {
        let server = flow["server"].as_str().unwrap();
        let sums = sent
            .entry(server.rsplit_once(':').unwrap().0.to_owned())
            .or_default();
        sums[0] += 1;
        sums[1] += flow["c2s"]["unique_bytes"].as_u64().unwrap()
            + flow["s2c"]["unique_bytes"].as_u64().unwrap();
    }
    let all = sent
        .values()
        .fold([0, 0], |a, b| [a[0] + b[0], a[1] + b[1]]);
    for side in ["client", "server"] {
        let capture = lab.join(format!("{side}.pcap.gz"));
        let report = pipeline::analyze(&Settings {
            captures: vec![capture.to_str().unwrap().to_owned()],
            ..Settings::default()
        })
        .unwrap();
        let service = &report.services[0];
        assert_eq!(service.servers.len(), sent.len(), "{side}");
        for server in &service.servers {
            let share = |part: u64, all: u64| part as f64 / all as f64;
            let truth = sent[&server.server];
            for (what, got, want) in [
                (
                    "connections",
                    share(server.connections, service.connections),
                    share(truth[0], all[0]),
                ),
                (
                    "messages",
                    share(server.messages.unwrap(), service.messages.unwrap()),
                    share(truth[0], all[0]),
                ),
                (
                    "octets",
                    share(server.octets, service.octets),
                    share(truth[1], all[1]),
                ),
            ] {
                assert!(
                    (got - want).abs() <= 0.01,
                    "{side}, {}: {what} {got}, of {want}",
                    server.server
                );
            }
        }
    }
}

/// The documented retry cadences over a whole day, with the seconds that a queue's timer is off.
fn cadence(intervals: [i64; 3]) -> Day {
    let [glitch, transient, later] = intervals;
    let mut day = Day::default();
    let mut at = 3_600 * SECOND;
    day.taken(1, 13, 60 * SECOND);
    for n in 0.. {
        if at >= DAY {
            break;
        }
        day.refused(1, 13, at + noise(n) * 2_000_000);
        // The mail goes to the neighbours meanwhile.
        day.taken(1, 11, at + 5 * SECOND);
        day.taken(1, 12, at + 9 * SECOND);
        at += SECOND
            * match n {
                0..4 => glitch,
                4..10 => transient,
                _ => later,
            };
    }
    day
}

#[test]
fn documented_cadences_are_recognised() {
    for (name, intervals, role, next) in [
        ("SP1 hub", [60, 300, 600], "(hub)", "10 min"),
        ("SP1 edge", [60, 600, 1_800], "(edge)", "30 min"),
    ] {
        let report = cadence(intervals).report(&name.replace(' ', "-"), &[]);
        let found = report
            .findings
            .iter()
            .find(|f| f.id == "balance.retry-cadence");
        let found = found.unwrap_or_else(|| panic!("{name}: {:?}", ids(&report)));
        assert_eq!(found.severity, "info", "{name}");
        assert_eq!(found.subject.as_deref(), Some("192.0.2.13"), "{name}");
        assert!(found.summary.contains(role), "{name}: {}", found.summary);
        assert!(
            found.summary.contains("4 times after 1 min, 6 after"),
            "{name}: {}",
            found.summary
        );
        assert!(found.summary.contains(next), "{name}: {}", found.summary);
        // Marked as unhealthy since the first failure.
        assert!(
            (found.start.0.as_seconds() - 3_600.0).abs() < 5.0,
            "{name}: {:?}",
            found.start
        );
        // With a memory, the neighbours share alike.
        assert!(!ids(&report).contains(&"balance.failover-skew"), "{name}");
        assert!(!ids(&report).contains(&"balance.uneven"), "{name}");
    }
}

#[test]
fn near_misses_are_no_cadence() {
    let mut probe = Day::default();
    for n in 0..1_440 {
        probe.refused(1, 13, n * 60 * SECOND + noise(n) * 1_000_000);
    }
    let mut jitter = Day::default();
    let mut at = 0;
    for n in 0..300 {
        jitter.refused(1, 13, at);
        at += (30 + noise(n)) * SECOND;
    }
    let mut ten = Day::default();
    for n in 0..144 {
        ten.refused(1, 13, n * 600 * SECOND);
    }
    for (name, day) in [
        ("a monitor each minute", probe),
        ("by chance", jitter),
        ("each ten minutes", ten),
        ("others' intervals", cadence([60, 120, 240])),
        ("doubling", cadence([90, 180, 360])),
    ] {
        let report = day.report(&name.replace([' ', '\''], "-"), &[]);
        assert!(
            !ids(&report).contains(&"balance.retry-cadence"),
            "{name}: {:?}",
            ids(&report)
        );
    }
}

/// Even by chance is even; shares that chance does not make are told, to a percent.
#[test]
fn shares_are_told_to_a_percent() {
    let even = |n: i64| 11 + (noise(n) % 3) as u8;
    let skewed = |n: i64| match noise(n) {
        0..800 => 11,
        800..900 => 12,
        _ => 13,
    };
    let pool = vec![(
        "hubs".to_owned(),
        [11, 12, 13].map(|n| host(n).addr).to_vec(),
    )];
    for (name, of, want) in [
        ("even", even as fn(i64) -> u8, None),
        ("eight of ten", skewed, Some(80.0)),
    ] {
        let mut day = Day::default();
        let mut to_first = 0;
        for n in 0..1_000 {
            // Several senders, so that none is tied to a server.
            let server = of(n);
            to_first += i64::from(server == 11);
            day.taken(1 + (n % 5) as u8, server, n * 80 * SECOND);
        }
        let report = day.report(&name.replace(' ', "-"), &pool);
        let uneven = report.findings.iter().find(|f| f.id == "balance.uneven");
        assert_eq!(
            uneven.is_some(),
            want.is_some(),
            "{name}: {:?}",
            ids(&report)
        );
        if let (Some(f), Some(want)) = (uneven, want) {
            let share = to_first as f64 / 10.0;
            assert!((share - want).abs() < 3.0);
            let told = percents(&f.summary);
            assert!(
                told.iter().any(|s| (s - share).abs() < 1.0),
                "{name}: {}",
                f.summary
            );
            assert!(f.summary.contains("of hubs"), "{name}: {}", f.summary);
        }
    }
}
