//! The published case once more with what the administrator may know of the host besides: each time another right list of remedies.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use tcptriage::pipeline::{Settings, analyze};
use tcptriage::report::model::{Remedy, Report, Step};

const HOST: &str = "192.168.24.34";

fn report(capture: &str, change: impl FnOnce(&mut Settings)) -> Report {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("captures")
        .join(capture)
        .join("capture.pcapng");
    let mut settings = Settings {
        captures: vec![path.to_str().unwrap().to_owned()],
        ..Settings::default()
    };
    change(&mut settings);
    analyze(&settings).unwrap()
}

fn on(os: &str) -> Report {
    report("exchange2007-nic-team", |s| {
        s.os.push((HOST.to_owned(), os.to_owned()));
    })
}

fn ids(report: &Report) -> Vec<&str> {
    report.remediations.iter().map(|r| r.id.as_str()).collect()
}

/// These, in this order; others may stand between them.
fn in_order(report: &Report, want: &[&str]) {
    let got = ids(report);
    let places: Vec<_> = want
        .iter()
        .map(|id| got.iter().position(|g| g == id))
        .collect();
    assert!(
        places.iter().all(Option::is_some) && places.is_sorted(),
        "{want:?} in {got:?}"
    );
    for (rank, remedy) in (1..).zip(&report.remediations) {
        assert_eq!(remedy.rank, rank);
    }
}

fn silent(report: &Report, ids_of_others: &[&str]) {
    for id in ids_of_others {
        assert!(!ids(report).contains(id), "{id} in {:?}", ids(report));
    }
}

fn remedy<'a>(report: &'a Report, id: &str) -> &'a Remedy {
    report.remediations.iter().find(|r| r.id == id).unwrap()
}

/// Steps for the sick host, without those that are tied to another version.
fn own_steps(report: &Report) -> impl Iterator<Item = &Step> {
    report
        .remediations
        .iter()
        .flat_map(|r| r.confirm.iter().chain(&r.fix).chain(&r.undo))
        .filter(|s| s.on.as_deref() == Some(HOST) && !s.only_if.starts_with("the host runs"))
}

/// What every list must have in common: who, how sure, which frames; findings and remedies that name each other.
fn told(report: &Report, checksums: &str) {
    let finding = |id: &str| report.findings.iter().find(|f| f.id == id).unwrap();
    let storm = finding("storm.retransmission");
    assert_eq!(storm.severity, "critical");
    assert!(storm.confidence >= 0.95, "proven");
    assert_eq!(storm.subject.as_deref(), Some(HOST));
    assert_eq!(storm.peer.as_deref(), Some("192.168.15.63"));
    for part in ["SMTP", "SMB", "never", "frame 1198", "frame 14560"] {
        assert!(storm.summary.contains(part), "{part}: {}", storm.summary);
    }
    let frames: Vec<u64> = storm.evidence.iter().map(|e| e.frame).collect();
    assert_eq!(
        frames,
        [
            1198, 4159, 8142, 11786, 14560, 14650, 14943, 15334, 15476, 15862, 16383, 17225, 17902,
            18568, 20735, 23227
        ]
    );
    let broken = finding("checksum.offload-broken");
    assert!(
        (0.6..0.95).contains(&broken.confidence),
        "likely: a capture on the sender cannot prove it"
    );
    for part in [checksums, "never acknowledged", "43 other hosts"] {
        assert!(broken.summary.contains(part), "{part}: {}", broken.summary);
    }
    assert!(
        broken
            .against
            .iter()
            .any(|a| a.contains("a capture at 192.168.15.63")),
        "{:?}",
        broken.against
    );
    let collapse = finding("throughput.collapse");
    assert!(
        collapse.summary.contains("557 octets a second"),
        "{}",
        collapse.summary
    );
    assert_eq!(report.verdict.grade, "sick");
    for (at, finding) in report.findings.iter().enumerate() {
        for remedy in &report.remediations {
            assert_eq!(
                remedy.findings.contains(&at),
                finding.remediations.contains(&remedy.id),
                "{} and {}",
                finding.id,
                remedy.id
            );
        }
    }
}

const ON_2003: [&str; 5] = [
    "nic-driver-age",
    "team-untie-test",
    "offload-snp2003",
    "team-lacp-unaware-switch",
    "verify-after-change",
];

#[test]
fn windows_2003_as_the_user_says() {
    let report = on("ws2003");
    told(&report, "not filled in");
    in_order(&report, &ON_2003);
    silent(&report, &["offload-chimney", "offload-capture-artifact"]);
    let driver = remedy(&report, "nic-driver-age");
    let place = |part: &str| driver.fix.iter().position(|s| s.command.contains(part));
    assert!(
        place("4.6.16.0").unwrap() < place("5.0.13.0 of").unwrap(),
        "the stepping stone first: {:?}",
        driver.fix
    );
    let snp = remedy(&report, "offload-snp2003");
    assert!(snp.unknown.is_empty(), "{:?}", snp.unknown);
    assert!(
        snp.known.iter().any(|k| k.contains("as given by --os")),
        "{:?}",
        snp.known
    );
}

#[test]
fn windows_2003_as_the_wire_tells() {
    for (capture, checksums) in [
        ("exchange2007-nic-team", "not filled in"),
        ("exchange2007-nic-team-wrong-checksum", "wrong"),
    ] {
        let report = report(capture, |_| ());
        told(&report, checksums);
        in_order(&report, &ON_2003);
        let known = &remedy(&report, "offload-snp2003").known;
        assert!(known.iter().any(|k| k.contains("NTLM")), "{known:?}");
    }
}

#[test]
fn windows_2008_r2_whose_adapter_has_no_chimney() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/facts");
    let report = report("exchange2007-nic-team", |s| {
        s.os.push((HOST.to_owned(), "ws2008r2".to_owned()));
        for file in [
            "netsh-tcp-global.ws2008r2.txt",
            "netsh-chimneystats.ws2008r2.txt",
        ] {
            assert!(folder.join(file).is_file());
            s.facts.push((Some(HOST.to_owned()), folder.join(file)));
        }
    });
    told(&report, "not filled in");
    in_order(
        &report,
        &[
            "nic-driver-age",
            "team-untie-test",
            "team-lacp-unaware-switch",
            "verify-after-change",
        ],
    );
    // Supp No: chimney cannot be the cause.
    silent(&report, &["offload-chimney", "offload-snp2003"]);
}

#[test]
fn windows_2019() {
    let report = on("ws2019");
    told(&report, "not filled in");
    in_order(
        &report,
        &[
            "nic-driver-age",
            "team-untie-test",
            "team-lacp-unaware-switch",
            "verify-after-change",
        ],
    );
    silent(
        &report,
        &["offload-chimney", "offload-snp2003", "offload-netdma"],
    );
    for step in own_steps(&report) {
        let command = step.command.to_lowercase();
        for gone in ["chimney", "netdma", "wmic", "enabletcpa"] {
            assert!(!command.contains(gone), "{}", step.command);
        }
    }
    assert!(own_steps(&report).any(|s| s.command.contains("Get-NetLbfoTeam")));
}

#[test]
fn the_four_lists_differ_and_the_healthy_capture_has_next_to_none() {
    let lists = [
        on("ws2003"),
        on("ws2019"),
        report("exchange2007-nic-team", |_| ()),
        on("linux"),
    ]
    .map(|r| serde_json::to_string(&r.remediations).unwrap());
    for (at, list) in lists.iter().enumerate() {
        assert!(lists[..at].iter().all(|other| other != list), "list {at}");
    }
    let after = report("exchange2007-after", |_| ());
    assert_eq!(after.verdict.grade, "healthy");
    // SMB 1 is worth a word at any time; nothing else is left to do.
    assert_eq!(ids(&after), ["offload-capture-artifact", "smb-smb1"]);
}

#[test]
fn facts_of_the_published_host_bring_its_chip_to_the_top() {
    let path: PathBuf = std::env::temp_dir().join(format!("tcptriage-nic-{}", std::process::id()));
    fs::write(
        &path,
        "C:\\>wmic path win32_pnpsigneddriver where \"DeviceClass='NET'\" get Description,DriverVersion,DriverDate,Manufacturer /format:list\r\n\r\n\
         Description=HP NC373i Multifunction Gigabit Server Adapter\r\nDriverDate=20060630000000.000000-000\r\n\
         DriverVersion=2.8.13.0\r\nManufacturer=HP\r\n",
    )
    .unwrap();
    let report = report("exchange2007-nic-team", |s| {
        s.facts.push((Some("XXXMAIL02".to_owned()), path.clone()));
    });
    let _ = fs::remove_file(&path);
    in_order(&report, &ON_2003);
    let driver = remedy(&report, "nic-driver-age");
    assert!(
        driver.why.contains("more than a year older"),
        "{}",
        driver.why
    );
    assert!(
        driver
            .fix
            .iter()
            .any(|s| s.command.contains("4.6.16.0") && s.only_if.is_empty()),
        "the chip is known, so the stepping stone is no longer a question: {:?}",
        driver.fix
    );
    assert!(
        remedy(&report, "nic-broadcom-toe").rank <= 2,
        "{:?}",
        ids(&report)
    );
}
