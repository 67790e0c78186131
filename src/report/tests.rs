//! One report in every format, against files that are reviewed as a diff; and the same with hostile text in every field.
//!
//! `UPDATE_EXPECTED=1 cargo test --lib report` writes the files anew.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::build::{FlowList, Parts, build, flow};
use super::model::Report;
use super::plot::Plot;
use super::{FORMATS, Look, format_named};
use crate::capture::{CaptureInfo, Problem};
use crate::decode::Undecoded;
use crate::detect::{Evidence, Finding, Severity};
use crate::flow::{
    Cause, Close, End, FlowRecord, HalfRecord, Handshake, RetransmissionCounts, RttStats, Series,
    Vantage,
};
use crate::net::{Direction, Endpoint, FrameNo, FrameRef, Side, Timestamp};
use crate::proto::{
    DialogRecord, DurationStats, Said, SmbCommand, SmbRecord, SmtpMessage, SmtpPhase, SmtpRecord,
    SmtpRefusal, SmtpStep,
};
use crate::rules::{Remedy, Step};

const T0: i64 = 1_262_704_920_123_456_789;

/// Text that tries everything.
const HOSTILE: &str = "=cmd|'/C calc'!A0 \u{1b}[31m\u{202e}<script>alert(1)</script>\"'`|[x](http://evil.example)\r\n# {{7*7}} </textarea>\0";

fn at(seconds: i64) -> Timestamp {
    Timestamp(T0).plus_nanos(seconds * 1_000_000_000)
}

fn endpoint(text: &str) -> Endpoint {
    let socket: std::net::SocketAddr = text.parse().unwrap();
    Endpoint {
        addr: socket.ip(),
        port: socket.port(),
    }
}

pub(super) fn record(index: u64, client: &str, server: &str) -> FlowRecord {
    FlowRecord {
        index,
        last_frame: FrameNo(500 + index),
        end: at(90),
        handshake: Handshake {
            complete: true,
            syn_seen: true,
            syn_ack_seen: true,
            rtt: Some(Duration::from_micros(1_250)),
            to_client: Some(Duration::from_micros(50)),
            to_server: Some(Duration::from_micros(1_200)),
            ..Handshake::default()
        },
        close: Close {
            how: End::Fin,
            by: Some(Side::Client),
            ..Close::default()
        },
        vantage: Vantage::Client,
        vantage_basis: "the client's segments carry unfilled checksums",
        halves: [half(12, 3), half(9, 0)],
        time: vec![
            (Cause::Handshake, Duration::from_micros(1_250)),
            (Cause::Timeout, Duration::from_secs(61)),
            (Cause::Idle, Duration::from_micros(28_998_750)),
        ],
        capture_duplicates: 2,
        ..FlowRecord::begun(
            [endpoint(client), endpoint(server)],
            FrameNo(10 + index),
            at(0),
        )
    }
}

/// As the report lists it.
fn a_flow() -> super::model::Flow {
    flow(
        &record(0, "192.0.2.1:9", "192.0.2.2:25"),
        &DialogRecord::default(),
        None,
    )
}

fn half(data: u64, repeats: u64) -> HalfRecord {
    HalfRecord {
        frames: data + 4,
        octets: data * 1_000,
        unique_octets: (data - repeats) * 1_000,
        data_segments: data,
        retransmitted_segments: repeats,
        retransmitted_octets: repeats * 1_000,
        retransmissions: RetransmissionCounts {
            timeout: repeats,
            ..RetransmissionCounts::default()
        },
        mss: Some(1460),
        sack_permitted: Some(true),
        rtt: Some(RttStats {
            samples: 5,
            min: Duration::from_millis(1),
            median: Duration::from_millis(2),
            p95: Duration::from_millis(3),
            max: Duration::from_millis(4),
        }),
        ..HalfRecord::default()
    }
}

pub(super) fn smtp(text: &str) -> DialogRecord {
    DialogRecord {
        application: "smtp",
        smtp: Some(Box::new(SmtpRecord {
            banner: Some(text.to_owned()),
            capabilities: vec!["SIZE 1000".to_owned(), text.to_owned()],
            tls: "none",
            commands: [("EHLO".into(), 1)].into(),
            replies: [(220, 1), (421, 1)].into(),
            phases: vec![(
                SmtpPhase::Ehlo,
                DurationStats {
                    count: 1,
                    min: Duration::from_millis(3),
                    median: Duration::from_millis(3),
                    p95: Duration::from_millis(3),
                    max: Duration::from_millis(3),
                    sum: Duration::from_millis(3),
                },
                Some(0.4),
            )],
            messages: vec![SmtpMessage {
                start: at(1),
                octets: 5_000,
                recipients: 1,
                accepted: None,
                length: Duration::from_secs(60),
                transfer: Duration::ZERO,
                slowest_phase: SmtpPhase::Transfer,
                hops: Vec::new(),
            }],
            refusals: vec![SmtpRefusal {
                frame: FrameNo(70),
                time: at(80),
                verb: ".".to_owned(),
                code: 421,
                enhanced: Some([4, 4, 2]),
                text: text.to_owned(),
            }],
            ..SmtpRecord::default()
        })),
        ..DialogRecord::default()
    }
}

fn finding(id: &'static str, severity: Severity, confidence: f64, summary: &str) -> Finding {
    let host = "192.0.2.34".parse().unwrap();
    let peer = "192.0.2.63".parse().unwrap();
    Finding {
        subject: Some(host),
        peer: Some(peer),
        hosts: vec![host, peer],
        flows: vec![1],
        start: at(5),
        end: at(66),
        seconds_lost: Some(61.0),
        evidence: (0..12)
            .map(|n| Evidence {
                at: FrameRef {
                    capture: 0,
                    frame: FrameNo(100 + n),
                },
                text: format!("copy {} of frame 99, checksum not right", n + 1),
            })
            .collect(),
        against: vec!["a capture on the sender cannot show what left the wire".to_owned()],
        display_filter: "tcp.stream == 1 && tcp.analysis.retransmission".to_owned(),
        ..Finding::new(id, severity, confidence, summary.to_owned())
    }
}

/// The report of an invented case; `text` stands wherever packets and files have their say.
pub(super) fn sample(text: &str) -> Report {
    let mut report = without_graphs(text);
    let (start, end) = (at(0), at(90));
    let mut dialog = smtp(text);
    if let Some(smtp) = &mut dialog.smtp {
        smtp.steps = vec![SmtpStep {
            phase: SmtpPhase::Ehlo,
            verb: format!("EHLO{text}").into(),
            frame: FrameNo(20),
            sent: at(1),
            acked: None,
            code: Some(421),
            enhanced: None,
            text: text.to_owned(),
            reply_frame: Some(FrameNo(21)),
            replied: Some(at(61)),
            inferred: false,
        }];
    }
    report.plots = vec![Plot::new(1, Series::new(start, end), &dialog)];
    report
}

fn without_graphs(text: &str) -> Report {
    let mut flows = FlowList::default();
    flows.push(
        flow(
            &record(0, "192.0.2.34:40000", "192.0.2.70:80"),
            &DialogRecord::default(),
            None,
        ),
        false,
    );
    flows.push(
        flow(
            &record(1, "192.0.2.34:44217", "192.0.2.63:25"),
            &smtp(text),
            Some("VLAN 7"),
        ),
        true,
    );
    flows.push(
        flow(
            &record(2, "[2001:db8::1]:50000", "[2001:db8::2]:445"),
            &DialogRecord::default(),
            None,
        ),
        false,
    );
    let mut information = finding(
        "checksum.offload-artefact",
        Severity::Info,
        1.0,
        "12 segments were captured before the adapter filled in their checksum",
    );
    information.seconds_lost = None;
    information.against.clear();
    let mut storm = finding(
        "storm.retransmission",
        Severity::Critical,
        0.97,
        &format!(
            "192.0.2.34 sent the same 16 octets 8 times over 61 s to 192.0.2.63, which never acknowledged them{}{text}",
            if text.is_empty() { "" } else { " " }
        ),
    );
    storm.evidence.push(Evidence {
        at: FrameRef {
            capture: 0,
            frame: FrameNo(200),
        },
        text: text.to_owned(),
    });
    build(Parts {
        seen_twice: [(0, 4)].into(),
        captures: vec![(
            CaptureInfo {
                path: format!("hub1.pcapng{text}"),
                format: "pcapng".to_owned(),
                link_types: vec!["ETHERNET".to_owned()],
                frames: 23_227,
                octets: 12_000_000,
                first: Some(at(0)),
                last: Some(at(90)),
                truncated_frames: 1,
                dropped_by_capture: Some(12),
                problems: vec![Problem {
                    frame: None,
                    text: format!("the file ends in the middle of a record {text}"),
                }],
                names: vec![("192.0.2.34".parse().unwrap(), format!("hub1{text}"))],
                ..CaptureInfo::default()
            },
            vec![Undecoded {
                reason: "link type 147 is not known".to_owned(),
                frames: 3,
                first: FrameNo(17),
            }],
        )],
        flows,
        tcp_segments: 20_000,
        findings: vec![
            information,
            finding("loss.network", Severity::Warning, 0.7, "3 of 12 data segments were lost between 192.0.2.34 and 192.0.2.63"),
            storm,
        ],
        remedies: vec![
            Remedy {
                id: "switch-port".to_owned(),
                title: "Check the switch port".to_owned(),
                why: "losses go one way only".to_owned(),
                confirm: vec![Step {
                    on: None,
                    only_if: String::new(),
                    command: "show interfaces counters errors".to_owned(),
                    expect: "FCS-Err does not grow".to_owned(),
                }],
                findings: vec![1],
                rank: 2,
                likely: 0.3,
                unknown: vec!["the switch is managed".to_owned()],
                against: vec!["the losses came in one burst".to_owned()],
                known: vec!["192.0.2.34 runs Windows Server 2003 (facts.txt line 3)".to_owned()],
                ..Remedy::default()
            },
            Remedy {
                id: "offload-checksum".to_owned(),
                title: "Switch checksum offload off".to_owned(),
                why: format!("segments left 192.0.2.34 with a bad checksum {text}"),
                confirm: vec![Step {
                    on: Some("192.0.2.34".to_owned()),
                    only_if: String::new(),
                    command: "netsh int ip show offload".to_owned(),
                    expect: "TcpXmtChecksum".to_owned(),
                }],
                fix: vec![Step {
                    on: Some("192.0.2.34".to_owned()),
                    only_if: format!("{text}the adapter has task offload"),
                    command: "netsh int tcp set global chimney=disabled\nnetsh int ip set global taskoffload=disabled".to_owned(),
                    expect: String::new(),
                }],
                undo: vec![Step {
                    on: Some("192.0.2.34".to_owned()),
                    only_if: "the adapter has task offload".to_owned(),
                    command: "netsh int ip set global taskoffload=enabled".to_owned(),
                    expect: String::new(),
                }],
                risk: "more work for the processor".to_owned(),
                applies_to: "Windows Server 2008 and later".to_owned(),
                sources: vec!["https://example.com/offload".to_owned()],
                findings: vec![2, 1],
                rank: 1,
                likely: 0.8,
                ..Remedy::default()
            },
        ],
        names: Vec::new(),
        notes: vec![format!("left out: notes.txt is not a capture file {text}")],
        wanted: None,
    })
}

/// A report on an SMB connection all of whose names are `text`.
fn of_files(text: &str) -> Report {
    let smb = SmbRecord {
        dialect: Some(text.to_owned()),
        server_name: Some(text.to_owned()),
        commands: [(
            text.to_owned(),
            SmbCommand {
                errors: [(text.to_owned(), 3)].into(),
                error_frames: [(text.to_owned(), FrameNo(7))].into(),
                ..SmbCommand::default()
            },
        )]
        .into(),
        ..SmbRecord::default()
    };
    let dialog = DialogRecord {
        application: "smb",
        said: vec![Said {
            frame: FrameNo(7),
            time: at(1),
            direction: Direction::ServerToClient,
            offset: 0,
            octets: 9,
            text: text.to_owned(),
        }],
        smb: Some(Box::new(smb)),
        ..DialogRecord::default()
    };
    let mut flows = FlowList::default();
    let record = record(0, "192.0.2.1:50000", "192.0.2.2:445");
    flows.push(flow(&record, &dialog, Some(text)), true);
    let mut errors = finding("smb.errors", Severity::Warning, 0.95, text);
    errors.words = vec![("status", text.to_owned()), ("command", text.to_owned())];
    build(Parts {
        flows,
        findings: vec![errors],
        names: vec![("192.0.2.2".parse().unwrap(), text.to_owned())],
        tcp_segments: 9,
        ..Parts::default()
    })
}

fn rendered(format: &str, report: &Report, look: Look) -> String {
    let mut out = Vec::new();
    format_named(format)
        .unwrap()
        .write(report, look, &mut out)
        .unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_sample_reads_as_expected() {
    let report = sample("");
    for format in FORMATS {
        let (name, ending) = (format.name(), format.ending());
        if name == "html" {
            // Looked at in a browser; its parts are tested beside it.
            if let Some(path) = std::env::var_os("SAMPLE_HTML") {
                std::fs::write(path, rendered(name, &sample(HOSTILE), Look::default())).unwrap();
            }
            continue;
        }
        let got = rendered(name, &report, Look::default());
        let path = format!(
            "{}/src/report/expected/sample{ending}",
            env!("CARGO_MANIFEST_DIR")
        );
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::write(&path, &got).unwrap();
        }
        let want = std::fs::read_to_string(&path)
            .unwrap_or_default()
            .replace("\r\n", "\n");
        assert!(
            got == want,
            "{name} differs from {path}; UPDATE_EXPECTED=1 writes it anew\n{got}"
        );
    }
}

#[test]
fn hostile_text_stays_text() {
    stays_text(&sample(HOSTILE));
    stays_text(&of_files(HOSTILE));
}

fn stays_text(report: &Report) {
    for format in FORMATS {
        for (color, width) in [(false, 100), (false, 40), (true, 80)] {
            let got = rendered(
                format.name(),
                report,
                Look {
                    color,
                    width,
                    full: color,
                    ..Look::default()
                },
            );
            let name = format.name();
            let stripped = anstream::adapter::strip_str(&got).to_string();
            assert!(!got.contains('\u{202e}'), "{name}: direction override");
            assert!(!got.contains('\0'), "{name}: NUL");
            assert!(!got.contains('\r'), "{name}: carriage return");
            assert!(
                !stripped.contains('\u{1b}') && (color || !got.contains('\u{1b}')),
                "{name}: escape"
            );
            assert!(
                !got.contains("\u{1b}[31m<script>"),
                "{name}: foreign colour"
            );
            if matches!(name, "html" | "markdown") {
                assert!(!got.contains("<script>alert"), "{name}: script");
            }
            if name == "markdown" {
                assert!(!got.contains("http://evil"), "{name}: link");
            }
            if name == "csv" {
                assert!(
                    !got.contains(",=cmd") && !got.contains(",\"=cmd"),
                    "{name}: formula"
                );
            }
        }
    }
}

#[test]
fn findings_come_worst_first_and_remedies_name_them() {
    let report = sample("");
    let ids: Vec<&str> = report.findings.iter().map(|f| f.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "storm.retransmission",
            "loss.network",
            "checksum.offload-artefact"
        ]
    );
    assert_eq!(report.remediations[0].id, "offload-checksum");
    assert_eq!(report.remediations[0].findings, [0, 1]);
    assert_eq!(report.remediations[1].findings, [1]);
    assert_eq!(
        report.findings[1].remediations,
        ["offload-checksum", "switch-port"]
    );
    assert!(report.findings[2].remediations.is_empty());
    assert_eq!(report.captures[0].duplicates_removed, 6 + 4);
    assert_eq!(report.captures[0].seen_twice, 4);
    assert_eq!(report.verdict.grade, "sick");
}

#[test]
fn every_cause_that_a_report_names_is_explained() {
    for cause in Cause::ALL {
        let name = super::build::cause_name(cause);
        let text = crate::rules::explain(name).unwrap_or_default();
        assert!(
            text.starts_with(&format!("{name}: ")) && text.contains("What to do"),
            "{name}: {text}"
        );
    }
}

#[test]
fn where_nothing_hurts_advice_is_a_line_each() {
    let of = |severity| {
        let findings = vec![finding("limit.application", severity, 0.9, "x")];
        let remedy = |id: &str| Remedy {
            id: id.to_owned(),
            title: format!("title of {id}"),
            why: "reason".to_owned(),
            confirm: vec![Step {
                command: "a command".to_owned(),
                ..Step::default()
            }],
            findings: vec![0],
            rank: 1,
            ..Remedy::default()
        };
        let mut flows = FlowList::default();
        let record = record(0, "192.0.2.1:9", "192.0.2.2:25");
        flows.push(flow(&record, &smtp("220 hi"), None), false);
        build(Parts {
            captures: vec![(
                CaptureInfo {
                    frames: 9,
                    ..CaptureInfo::default()
                },
                Vec::new(),
            )],
            flows,
            tcp_segments: 9,
            findings,
            remedies: vec![remedy("one"), remedy("two")],
            ..Parts::default()
        })
    };
    for (name, severity, full, in_full) in [
        ("nothing hurts", Severity::Info, false, false),
        ("nothing hurts, asked for all", Severity::Info, true, true),
        ("something does", Severity::Warning, false, true),
    ] {
        let look = Look {
            full,
            ..Look::default()
        };
        let text = rendered("text", &of(severity), look);
        assert!(text.contains("title of two [two"), "{name}: {text}");
        assert_eq!(text.contains("a command"), in_full, "{name}: {text}");
    }
}

#[test]
fn verdicts() {
    let with = |findings: Vec<Finding>, segments: u64, undecoded: u64| {
        let mut flows = FlowList::default();
        if segments > 0 {
            flows.push(
                flow(
                    &record(0, "192.0.2.1:9", "192.0.2.2:25"),
                    &smtp("220 hi"),
                    None,
                ),
                false,
            );
        }
        build(Parts {
            captures: vec![(
                CaptureInfo {
                    frames: segments.max(undecoded),
                    ..CaptureInfo::default()
                },
                vec![Undecoded {
                    reason: String::new(),
                    frames: undecoded,
                    first: FrameNo(1),
                }],
            )],
            flows,
            tcp_segments: segments,
            findings,
            ..Parts::default()
        })
        .verdict
    };
    let one = |severity, confidence| vec![finding("loss.network", severity, confidence, "x")];
    for (name, findings, segments, undecoded, want) in [
        ("nothing found", vec![], 10, 0, "healthy"),
        (
            "worth knowing only",
            one(Severity::Info, 1.0),
            10,
            0,
            "healthy",
        ),
        (
            "a likely warning",
            one(Severity::Warning, 0.7),
            10,
            0,
            "sick",
        ),
        (
            "a doubtful warning",
            one(Severity::Warning, 0.4),
            10,
            0,
            "suspect",
        ),
        ("empty", vec![], 0, 0, "cannot-tell"),
        ("nothing decoded", vec![], 0, 7, "cannot-tell"),
        ("most of it not decoded", vec![], 10, 8, "cannot-tell"),
    ] {
        let verdict = with(findings, segments, undecoded);
        assert_eq!(verdict.grade, want, "{name}: {}", verdict.text);
        assert!(!verdict.text.is_empty(), "{name}");
    }
}

#[test]
fn too_many_flows_are_counted_not_kept() {
    let mut flows = FlowList::default();
    let one = a_flow();
    let all = 2 * super::build::MAX_FLOWS as u64 + 5;
    for index in 0..all {
        #[allow(clippy::cast_precision_loss)]
        let duration = index as f64;
        flows.push(
            super::model::Flow {
                index,
                duration,
                ..one.clone()
            },
            index == 3,
        );
    }
    let report = build(Parts {
        flows,
        ..Parts::default()
    });
    assert_eq!(report.flows.len(), super::build::MAX_FLOWS);
    assert_eq!(report.totals.flows, all);
    assert_eq!(report.totals.flows_omitted, all - report.flows.len() as u64);
    assert_eq!(
        report.flows[0].index, 3,
        "one with a finding is kept, however short"
    );
    assert_eq!(report.flows.last().unwrap().index, all - 1);
}

/// Names that the schema requires, as a check that is not made by the code that wrote the report.
fn check(
    value: &serde_json::Value,
    schema: &serde_json::Value,
    root: &serde_json::Value,
    path: &str,
) {
    use serde_json::Value;
    if let Some(Value::String(at)) = schema.get("$ref") {
        let target = root.pointer(at.trim_start_matches('#')).unwrap();
        return check(value, target, root, path);
    }
    if let Some(Value::Array(any)) = schema.get("anyOf") {
        let fits = any
            .iter()
            .find(|s| s.get("type") != Some(&Value::from("null")) && !value.is_null());
        if let Some(fits) = fits {
            check(value, fits, root, path);
        }
        return;
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_u64() || n.is_i64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => panic!("{path}: the schema has no type"),
    };
    assert!(
        allowed.contains(&kind) || (kind == "integer" && allowed.contains(&"number")),
        "{path} is {kind}, the schema says {allowed:?}"
    );
    match value {
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                check(item, &schema["items"], root, &format!("{path}[{n}]"));
            }
        }
        Value::Object(fields) => {
            for name in schema["required"].as_array().into_iter().flatten() {
                assert!(
                    fields.contains_key(name.as_str().unwrap()),
                    "{path} lacks {name}"
                );
            }
            for (name, field) in fields {
                let of = schema["properties"]
                    .get(name)
                    .or_else(|| schema.get("additionalProperties").filter(|s| s.is_object()));
                let of = of.unwrap_or_else(|| panic!("{path}.{name} is not in the schema"));
                check(field, of, root, &format!("{path}.{name}"));
            }
        }
        _ => {}
    }
}

#[test]
fn the_schema_describes_the_report() {
    let schema = serde_json::to_value(super::schema()).unwrap();
    for text in ["", HOSTILE] {
        let json = rendered("json", &sample(text), Look::default());
        let report = serde_json::from_str(&json).unwrap();
        check(&report, &schema, &schema, "report");
    }
}

#[test]
fn a_redacted_report_names_nobody() {
    let mut report = sample("");
    if let Some(smtp) = &mut report.flows[1].smtp {
        smtp.banner = Some("220 hub9.testdomain.com ESMTP".to_owned());
    }
    super::redact(&mut report);
    for format in FORMATS {
        let got = rendered(format.name(), &report, Look::default());
        for secret in ["192.0.2.", "2001:db8", "hub1", "hub9", "testdomain"] {
            // A new address can begin like an old one by chance; the whole old one must be gone.
            let gone = match secret {
                "192.0.2." => !got.contains("192.0.2.34") || !got.contains("192.0.2.63"),
                secret => !got.contains(secret),
            };
            assert!(gone, "{} still holds {secret}", format.name());
        }
        assert!(
            got.contains("example.com") || format.name() == "csv",
            "{}",
            format.name()
        );
    }
}

#[test]
fn a_list_stays_within_its_octets() {
    let one = a_flow();
    let mut flows = FlowList::with_room_for(1_000, 20 * one.held());
    for index in 0..100 {
        let another = super::model::Flow {
            index,
            ..one.clone()
        };
        // Findings name the last ten.
        flows.push(another, index >= 90);
    }
    let report = build(Parts {
        flows,
        ..Parts::default()
    });
    let listed: Vec<u64> = report.flows.iter().map(|f| f.index).collect();
    let want: Vec<u64> = (0..10).chain(90..100).collect();
    assert_eq!((listed, report.totals.flows_omitted), (want, 80));
}

#[test]
fn a_flow_is_shown_only_where_it_may_find_a_place() {
    let one = a_flow();
    // Of eight flows of 1 to 8 s the list keeps four; those of the first seconds have findings.
    for (name, cited, few, rows) in [
        (
            "while there is room",
            0,
            4,
            [(false, 0, true), (true, 0, true)],
        ),
        ("none is cited", 0, 8, [(false, 5, false), (false, 6, true)]),
        (
            "none is cited, this one is",
            0,
            8,
            [(true, 0, true), (true, 9, true)],
        ),
        (
            "all that are kept are",
            8,
            8,
            [(false, 99, false), (true, 5, false)],
        ),
        (
            "all are, and this one is long",
            8,
            8,
            [(true, 6, true), (true, 99, true)],
        ),
    ] {
        let mut flows = FlowList::with_room_for(4, usize::MAX);
        for index in 1..=few {
            #[allow(clippy::cast_precision_loss)]
            let duration = index as f64;
            flows.push(
                super::model::Flow {
                    index,
                    duration,
                    ..one.clone()
                },
                index <= cited,
            );
        }
        for (cited, seconds, want) in rows {
            let has = flows.has_room_for(cited, std::time::Duration::from_secs(seconds));
            assert_eq!(has, want, "{name}: {cited} {seconds}");
        }
    }
}
