//! Two captures of one path: the fate of each segment against what really happened to it.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use support::convo::{C2S, Convo, S2C};
use support::made::exchange2007::{self, Variant};
use support::made::two_points::{Between, Fate as Way, captures};
use support::shared;
use support::wire::{Checksum, RST};
use tcptriage::compare::{Basis, Compared, Fate, SegmentFate};
use tcptriage::net::Timestamp;
use tcptriage::pipeline::{self, Settings};
use tcptriage::report::model::Report;

fn name(folder: &Path) -> String {
    folder.file_name().unwrap().to_string_lossy().into_owned()
}

fn compare(left: &Path, right: &Path) -> (Compared, Vec<SegmentFate>) {
    let mut fates = Vec::new();
    let text = |p: &Path| vec![p.to_str().unwrap().to_owned()];
    let compared = pipeline::fates(
        &Settings::default(),
        [&text(left), &text(right)],
        &mut |fate| fates.push(*fate),
    )
    .unwrap();
    (compared, fates)
}

/// What happened to one frame on the wire, by the laboratory's own record.
struct Truth {
    to_server: bool,
    seq: u32,
    octets: u32,
    /// Frame where it left.
    sent: Option<u64>,
    fate: Fate,
    copies: usize,
}

/// Frames that carry payload, SYN or FIN.
fn truth(folder: &Path) -> Vec<Truth> {
    let mut rows = Vec::new();
    shared::for_each_frame(&shared::truth(folder), |frame| {
        if frame["flow"].as_i64().unwrap() < 0 {
            return;
        }
        let flags = frame["flags"].as_str().unwrap_or_default();
        let payload = frame["len"].as_u64().unwrap() as u32;
        let octets = payload + u32::from(flags.contains('S')) + u32::from(flags.contains('F'));
        if octets == 0 || flags.contains('R') {
            return;
        }
        let damaged = frame["csum"].as_u64().unwrap() > 0;
        let came = frame["cap_rx"].as_array().map_or(0, Vec::len);
        rows.push(Truth {
            to_server: frame["dir"].as_u64().unwrap() == 0,
            seq: frame["seq"].as_u64().unwrap() as u32,
            octets,
            sent: frame["cap_tx"].as_u64(),
            fate: match frame["fate"].as_str().unwrap() {
                "fwd" if damaged => Fate::Damaged,
                "fwd" => Fate::Delivered,
                "hostdrop" => Fate::Refused,
                _ => Fate::Lost,
            },
            copies: came.saturating_sub(1),
        });
    });
    rows
}

/// How the fates told agree with what happened: (frames, right, of these wrong: what for what).
fn score(truth: &[Truth], fates: &[SegmentFate]) -> (usize, usize, BTreeMap<String, usize>) {
    // By direction and frame where it left: the stretches told.
    let mut told: HashMap<(bool, u64), Vec<&SegmentFate>> = HashMap::new();
    for fate in fates {
        let [left, right] = fate.frames;
        let sent = if fate.to_server { left } else { right };
        if let Some(sent) = sent {
            told.entry((fate.to_server, sent.number()))
                .or_default()
                .push(fate);
        }
    }
    let mut wrong: BTreeMap<String, usize> = BTreeMap::new();
    let mut right = 0;
    for row in truth {
        let none = Vec::new();
        let list = row
            .sent
            .and_then(|sent| told.get(&(row.to_server, sent)))
            .unwrap_or(&none);
        let here = |f: &&&SegmentFate| {
            row.seq.wrapping_sub(f.seq) < f.octets || f.seq.wrapping_sub(row.seq) < row.octets
        };
        let first = list
            .iter()
            .filter(here)
            .find(|f| f.fate != Fate::Copy)
            .map(|f| {
                if f.fate == Fate::Unfilled {
                    Fate::Damaged
                } else {
                    f.fate
                }
            });
        let copies = list
            .iter()
            .filter(here)
            .filter(|f| f.fate == Fate::Copy)
            .count();
        if first == Some(row.fate) && copies == row.copies {
            right += 1;
        } else {
            let what = format!("{:?}+{} told {first:?}+{copies}", row.fate, row.copies);
            *wrong.entry(what).or_default() += 1;
        }
    }
    (truth.len(), right, wrong)
}

#[test]
fn the_fate_of_every_frame() {
    let (mut frames, mut right) = (0, 0);
    for folder in shared::scenarios() {
        let (client, server) = (folder.join("client.pcap.gz"), folder.join("server.pcap.gz"));
        let (compared, fates) = compare(&client, &server);
        let truth = truth(&folder);
        let (n, ok, wrong) = score(&truth, &fates);
        frames += n;
        right += ok;
        let clock = compared.clock;
        eprintln!(
            "{:30} {ok:5} of {n:5} {wrong:?} clock {:?}",
            name(&folder),
            clock.map(|c| (c.offset * 1e6, c.drift * 1e6, c.error))
        );
    }
    eprintln!("{right} of {frames}");
    assert!(
        right as f64 >= frames as f64 * 0.995,
        "{right} of {frames} frames right"
    );
}

/// A file that goes when the test does.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, octets: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!(
            "tcptriage-compare-{}-{name}.pcap",
            std::process::id()
        ));
        fs::write(&path, octets).unwrap();
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn report(left: &Path, right: &Path) -> Report {
    let text = |p: &Path| vec![p.to_str().unwrap().to_owned()];
    pipeline::compare(&Settings::default(), [&text(left), &text(right)]).unwrap()
}

/// Ids of findings that hurt.
fn hurting(report: &Report) -> Vec<&str> {
    let mut ids: Vec<&str> = report
        .findings
        .iter()
        .filter(|f| f.severity != "info")
        .map(|f| f.id.as_str())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Moves the times of a pcap file (microseconds, little-endian): `offset` seconds ahead, and `drift` a second more.
fn with_clock(pcap: &[u8], offset: f64, drift: f64) -> Vec<u8> {
    let word = |at: usize| u32::from_le_bytes(pcap[at..at + 4].try_into().unwrap());
    assert_eq!(word(0), 0xa1b2_c3d4, "a pcap file of microseconds");
    let mut out = pcap.to_vec();
    let (mut at, mut first) = (24, None);
    while at + 16 <= pcap.len() {
        let micros = i64::from(word(at)) * 1_000_000 + i64::from(word(at + 4));
        let since = (micros - *first.get_or_insert(micros)) as f64;
        let moved = micros + (offset * 1e6 + since * drift).round() as i64;
        out[at..at + 4].copy_from_slice(&((moved / 1_000_000) as u32).to_le_bytes());
        out[at + 4..at + 8].copy_from_slice(&((moved % 1_000_000) as u32).to_le_bytes());
        at += 16 + word(at + 8) as usize;
    }
    out
}

#[test]
fn other_clocks_are_found_out() {
    for (scenario, jitter) in [
        ("healthy-bulk-wan-100ms", 0.0),
        ("healthy-smtp-sink-lan", 0.0),
        ("healthy-keepalive", 0.0),
        ("loss-random-smtp", 0.0),
        ("loss-random-pull-cubic", 0.0),
        ("reorder-hold", 0.0),
        ("offload-tso-gro", 0.0),
        ("bufferbloat", 0.0),
        ("tiny-queue", 0.0),
        ("smb1-chatty-wan", 0.0),
        ("latency-spike", 0.0),
        ("outage-bulk", 0.0),
    ] {
        let Some(lab) = shared::folder("captures/lab") else {
            return;
        };
        let folder = lab.join(scenario);
        let (client, server) = (folder.join("client.pcap.gz"), folder.join("server.pcap.gz"));
        if !client.is_file() {
            eprintln!("skipped: there is no {scenario}");
            continue;
        }
        let same = compare(&client, &server).0.clock.unwrap();
        let octets = shared::unpacked(&server);
        let truth = truth(&folder);
        for (offset, drift) in [(5.0, 1e-4), (-5.0, -1e-4), (5.0, -1e-4), (-5.0, 0.0)] {
            let moved = Temporary::new(
                &format!("{scenario}-{offset}-{drift}"),
                &with_clock(&octets, offset, drift),
            );
            let (compared, fates) = compare(&client, &moved.0);
            let clock = compared.clock.unwrap();
            let last = compared
                .delays
                .iter()
                .flatten()
                .map(|p| p.time)
                .max()
                .unwrap();
            for t in [0.0, last.seconds_since(clock.at)] {
                let at = Timestamp(clock.at.0 + (t * 1e9) as i64);
                // The server's capture begins one way later than the client's, which is nothing against the tolerance.
                let want = offset + drift * t + same.difference(at);
                let off = clock.difference(at) - want;
                assert!(
                    off.abs() <= 0.001 + jitter / 2.0,
                    "{scenario} {offset} {drift} at {t}: {off}, {clock:?}"
                );
            }
            let (n, right, wrong) = score(&truth, &fates);
            assert!(
                right as f64 >= n as f64 * 0.995,
                "{scenario} {offset} {drift}: {right} of {n}, {wrong:?}"
            );
        }
        // The sides changed: the same, the other way round.
        let (back, _) = compare(&server, &client);
        let clock = back.clock.unwrap();
        assert!(
            (clock.offset + same.offset).abs() < 1e-3,
            "{scenario}: {clock:?}"
        );
        for (a, b) in compare(&client, &server).0.pairs.iter().zip(&back.pairs) {
            assert!(a.left_is_client && !b.left_is_client, "{scenario}");
            assert_eq!(a.paths[0].matched, b.paths[0].matched, "{scenario}");
            assert_eq!(a.paths[1].lost, b.paths[1].lost, "{scenario}");
        }
    }
}

#[test]
fn healthy_pairs_are_healthy() {
    for folder in shared::scenarios() {
        let name = name(&folder);
        if !name.starts_with("healthy-")
            && !matches!(
                name.as_str(),
                "offload-tso-gro" | "lb-skew" | "slow-reader-server"
            )
        {
            continue;
        }
        let report = report(
            &folder.join("client.pcap.gz"),
            &folder.join("server.pcap.gz"),
        );
        assert_eq!(hurting(&report), Vec::<&str>::new(), "{name}");
        assert_eq!(
            report.verdict.grade, "healthy",
            "{name}: {}",
            report.verdict.text
        );
        let (compared, _) = compare(
            &folder.join("client.pcap.gz"),
            &folder.join("server.pcap.gz"),
        );
        for path in compared.pairs.iter().flat_map(|p| &p.paths) {
            let bad = path.lost
                + path.corrupted
                + path.not_taken
                + path.duplicated
                + path.only_right
                + path.missed
                + path.outside;
            assert_eq!(bad, 0, "{name}: {path:?}");
        }
    }
}

#[test]
fn what_went_wrong_is_found_where_it_did() {
    for (scenario, want) in [
        ("ack-loss-bulk", &["loss.ack"][..]),
        ("bufferbloat", &["path.bufferbloat"]),
        // The server's capture is empty, as it would be had it not been running.
        ("connect-blackhole", &[]),
        ("corrupt-on-path", &["checksum.corruption-on-path"]),
        // One capture alone cannot see this: the checksum fits the damage.
        ("corrupt-unseen-by-tcp", &["checksum.corruption-on-path"]),
        ("dup-network", &["duplication.network"]),
        ("host-drop-client", &["host.arrived-not-acknowledged"]),
        ("latency-spike", &["path.latency-spike"]),
        ("loss-burst-pull", &["loss.network"]),
        ("loss-periodic-50", &["loss.network"]),
        ("mtu-blackhole-smtp", &["path.mtu-black-hole"]),
        ("mtu-pmtud-works", &[]),
        ("offload-broken-smtp", &["checksum.offload-broken"]),
        ("offload-tso-with-loss", &["loss.network"]),
        ("reorder-and-loss", &["loss.network", "reordering.network"]),
        ("reorder-hold", &["reordering.network"]),
        (
            "sack-stripped-loss",
            &["loss.network", "path.option-stripped"],
        ),
        ("smtp-tarpit-5xx", &["server.slow"]),
        ("storm-bad-checksum-smtp", &["checksum.corruption-on-path"]),
        ("syn-loss", &["connect.retried"]),
        ("tail-loss-rr", &["loss.network"]),
        ("tiny-queue", &["loss.congestion"]),
        ("wscale-stripped", &["path.option-stripped"]),
        ("window-clamp", &["limit.receive-window"]),
    ] {
        let Some(lab) = shared::folder("captures/lab") else {
            return;
        };
        let folder = lab.join(scenario);
        if !folder.is_dir() {
            eprintln!("skipped: there is no {scenario}");
            continue;
        }
        let report = report(
            &folder.join("client.pcap.gz"),
            &folder.join("server.pcap.gz"),
        );
        assert_eq!(hurting(&report), want, "{scenario}");
        for finding in report.findings.iter().filter(|f| f.severity != "info") {
            assert!(
                !finding.evidence.is_empty(),
                "{scenario}: {} without proof",
                finding.id
            );
        }
    }
}

/// A conversation of some mail with several segments each way.
fn mail() -> Convo {
    mail_of(Convo::new())
}

/// One that begins at this moment, from another port.
fn mail_later(port: u16, nanos: i64) -> Convo {
    let host = |last: u8| support::wire::Host {
        addr: std::net::Ipv4Addr::new(192, 0, 2, last).into(),
        mac: [2, 0, 0, 0, 0, last],
        ttl: 64,
        local: false,
    };
    let isn = u32::from(port) * 7_919;
    mail_of(
        Convo::between(host(1), port, host(25), 25)
            .isn(isn, !isn)
            .at(nanos),
    )
}

fn mail_of(convo: Convo) -> Convo {
    let text: Vec<u8> = (0..20_000_u32).map(|n| (n * n / 7 % 251) as u8).collect();
    let mut convo = convo
        .handshake()
        .send(S2C, b"220 mail.example ESMTP ready at your service\r\n")
        .send(C2S, b"EHLO client.example\r\n")
        .send(S2C, b"250-mail.example\r\n250 SIZE\r\n");
    for part in text.chunks(1_460) {
        convo = convo.send(C2S, part).wait_ms(3).ack(S2C);
    }
    convo
        .send(S2C, b"250 2.0.0 queued as 4F1A2B3C\r\n")
        .close(C2S)
}

/// Both sides of a made conversation, compared.
fn made(
    name: &str,
    convos: Vec<Convo>,
    between: &Between,
    fate: impl Fn(usize, &support::convo::Step) -> Option<Way>,
) -> (Compared, Report) {
    let [left, right] = captures(convos, between, fate);
    let (left, right) = (
        Temporary::new(&format!("{name}-left"), &left),
        Temporary::new(&format!("{name}-right"), &right),
    );
    let compared = compare(&left.0, &right.0).0;
    let report = report(&left.0, &right.0);
    (compared, report)
}

#[test]
fn made_paths() {
    let nth = |n: usize, fate: fn() -> Way| {
        move |at: usize, _: &support::convo::Step| (at == n).then(fate)
    };
    let plain = Between::default();
    let ahead = Between {
        offset: 5_000_000_000,
        drift_ppm: 100,
        ..plain
    };
    // (lost, corrupted, duplicated, late, findings that hurt)
    type Row<'a> = (
        &'a str,
        Between,
        Box<dyn Fn(usize, &support::convo::Step) -> Option<Way>>,
        [u64; 4],
        &'a [&'a str],
    );
    let rows: Vec<Row<'_>> = vec![
        ("healthy", plain, Box::new(|_, _| None), [0; 4], &[]),
        ("another clock", ahead, Box::new(|_, _| None), [0; 4], &[]),
        (
            "one comes twice",
            plain,
            Box::new(nth(12, || Way::Twice)),
            [0, 0, 1, 0],
            &[],
        ),
        (
            "one is damaged and fits",
            plain,
            Box::new(nth(12, || Way::Changed(|p| p[100] ^= 4))),
            [0, 1, 0, 0],
            &["checksum.corruption-on-path"],
        ),
        (
            "one is late",
            plain,
            Box::new(nth(12, || Way::Late(700_000_000))),
            [0, 0, 0, 1],
            &["path.latency-spike"],
        ),
        (
            "a masked greeting",
            plain,
            Box::new(nth(3, || Way::Changed(|p| p[4..40].fill(b'*')))),
            [0; 4],
            &["smtp.banner-masked"],
        ),
    ];
    for (name, between, fate, want, ids) in rows {
        let (compared, report) = made(&name.replace(' ', "-"), vec![mail()], &between, fate);
        let [pair] = compared.pairs.as_slice() else {
            panic!("{name}: {} pairs", compared.pairs.len());
        };
        let sum =
            |of: &dyn Fn(&tcptriage::compare::Path) -> u64| pair.paths.iter().map(of).sum::<u64>();
        let corrupted = if name == "a masked greeting" {
            0
        } else {
            sum(&|p| p.corrupted)
        };
        let got = [
            sum(&|p| p.lost),
            corrupted,
            sum(&|p| p.duplicated),
            sum(&|p| p.delayed),
        ];
        assert_eq!(got, want, "{name}");
        assert_eq!(hurting(&report), ids, "{name}");
        let hops = pair.paths[0].hops;
        assert_eq!(hops, Some(1), "{name}");
        let clock = compared.clock.unwrap();
        assert!(
            (clock.offset - between.offset as f64 / 1e9).abs() < 1e-3,
            "{name}: {clock:?}"
        );
    }
}

#[test]
fn translated_and_renumbered_connections_are_paired() {
    let nat = Some(("198.51.100.7".parse().unwrap(), 61_001));
    for (name, between, want) in [
        ("as they are", Between::default(), Basis::Same),
        (
            "translated",
            Between {
                client: nat,
                ..Between::default()
            },
            Basis::Translated,
        ),
        (
            "renumbered",
            Between {
                shift: [77, 4_000_000_000],
                ..Between::default()
            },
            Basis::Renumbered,
        ),
        (
            "both",
            Between {
                client: nat,
                shift: [5, 6],
                ..Between::default()
            },
            Basis::Payload,
        ),
    ] {
        let (compared, report) = made(
            &format!("nat-{}", name.replace(' ', "-")),
            vec![mail()],
            &between,
            |n, _| (n == 14).then_some(Way::Twice),
        );
        let [pair] = compared.pairs.as_slice() else {
            panic!("{name}: {} pairs", compared.pairs.len());
        };
        assert_eq!(pair.basis, want, "{name}");
        assert_eq!(
            pair.right_ends.is_some(),
            between.client.is_some(),
            "{name}"
        );
        assert_eq!(
            pair.paths[0].modified.sequence > 0,
            between.shift != [0; 2],
            "{name}"
        );
        assert_eq!(
            (
                pair.paths[0].lost,
                pair.paths[0].duplicated,
                pair.paths[1].lost
            ),
            (0, 1, 0),
            "{name}"
        );
        assert_eq!(hurting(&report), Vec::<&str>::new(), "{name}");
    }
}

/// The open question of the published case: did the segments leave XXXMAIL02 with good checksums, and did they arrive?
#[test]
fn the_published_cases_open_question() {
    let stuck = |step: &support::convo::Step| !step.delivered();
    let between = Between {
        delay: [2_000_000; 2],
        ..Between::default()
    };
    for (name, variant, fate, ids, says) in [
        (
            "they come as they left: the adapter does not fill in",
            Variant::Unfilled,
            Some(Way::With(Checksum::UnfilledPartial)),
            "checksum.offload-broken",
            "as 192.168.24.34 had left it for its adapter to fill in",
        ),
        (
            "they come with a wrong sum: the adapter fills in nonsense",
            Variant::Unfilled,
            Some(Way::With(Checksum::Wrong)),
            "checksum.offload-broken",
            "a checksum that does not fit",
        ),
        (
            "they never come",
            Variant::Unfilled,
            None,
            "loss.network",
            "left one capture and never came to the other, the same octets up to 8 times",
        ),
        (
            "they leave wrong, and come so",
            Variant::Wrong,
            Some(Way::With(Checksum::Wrong)),
            "checksum.offload-broken",
            "a checksum that does not fit",
        ),
    ] {
        let (compared, report) = made(
            &format!("case-{}", name.len()),
            exchange2007::stuck(variant),
            &between,
            |_, step| stuck(step).then(|| fate.clone().unwrap_or(Way::Lost)),
        );
        let worst = report
            .findings
            .iter()
            .find(|f| f.id == ids)
            .unwrap_or_else(|| panic!("{name}: {:?}", hurting(&report)));
        assert_eq!(worst.severity, "critical", "{name}");
        assert!(worst.summary.contains(says), "{name}: {}", worst.summary);
        let sent_in_vain = exchange2007::stuck(variant)
            .into_iter()
            .flat_map(Convo::steps)
            .filter(stuck)
            .count() as u64;
        let bad: u64 = compared
            .pairs
            .iter()
            .flat_map(|p| &p.paths)
            .map(|p| p.corrupted + p.lost + p.outside)
            .sum();
        assert_eq!(bad, sent_in_vain, "{name}");
    }
}

#[test]
fn a_reset_that_nobody_sent() {
    // On the right alone: a device between ended the connection in the client's name.
    let convo = mail().at(2_000_000_000).rst(C2S);
    let later = mail_later(49_153, 3_000_000_000);
    let [left, right] = captures(vec![convo, later], &Between::default(), |_, _| None);
    let resets = |pcap: &[u8]| -> Vec<u8> {
        let mut out = pcap[..24].to_vec();
        let mut at = 24;
        while at + 16 <= pcap.len() {
            let length = u32::from_le_bytes(pcap[at + 8..at + 12].try_into().unwrap()) as usize;
            let frame = &pcap[at..at + 16 + length];
            if u16::from(frame[16 + 47]) & RST == 0 {
                out.extend_from_slice(frame);
            }
            at += 16 + length;
        }
        out
    };
    let (left, right) = (
        Temporary::new("rst-left", &resets(&left)),
        Temporary::new("rst-right", &right),
    );
    let report = report(&left.0, &right.0);
    assert_eq!(hurting(&report), ["close.reset"]);
}

#[test]
fn captures_that_have_nothing_in_common() {
    let other = Convo::between(
        support::wire::Host {
            addr: "192.0.2.77".parse().unwrap(),
            mac: [2, 0, 0, 0, 0, 7],
            ttl: 64,
            local: false,
        },
        50_000,
        support::wire::Host {
            addr: "192.0.2.78".parse().unwrap(),
            mac: [2, 0, 0, 0, 0, 8],
            ttl: 64,
            local: false,
        },
        25,
    )
    .isn(1, 2)
    .handshake()
    .send(S2C, b"220 elsewhere ESMTP\r\n")
    .close(C2S);
    let [left, _] = captures(vec![mail()], &Between::default(), |_, _| None);
    let [_, right] = captures(vec![other], &Between::default(), |_, _| None);
    let (left, right) = (
        Temporary::new("apart-left", &left),
        Temporary::new("apart-right", &right),
    );
    let report = report(&left.0, &right.0);
    assert_eq!(
        report.verdict.grade, "cannot-tell",
        "{}",
        report.verdict.text
    );
    assert_eq!(hurting(&report), Vec::<&str>::new());
}

#[test]
fn a_path_that_was_away_is_an_outage_and_no_other_is() {
    for folder in shared::scenarios() {
        let (client, server) = (folder.join("client.pcap.gz"), folder.join("server.pcap.gz"));
        let report = report(&client, &server);
        let told = report.findings.iter().any(|f| f.id == "link.outage");
        assert_eq!(
            told,
            name(&folder).starts_with("outage"),
            "{}: {:?}",
            name(&folder),
            hurting(&report)
        );
    }
}
