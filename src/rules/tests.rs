//! Tests of the registry, of what is said to which version, and of the published case.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use super::file::parse;
use super::*;
use crate::detect::{Finding, Severity};
use crate::facts::{Fact, Facts};
use crate::net::Timestamp;

const SUBJECT: &str = "192.168.24.34";
const PEER: &str = "192.168.15.63";
/// 5 January 2010, 15:24.
const CASE_END: Timestamp = Timestamp(1_262_705_040_000_000_000);

fn engine() -> Engine {
    Engine::load(&[]).unwrap_or_else(|e| panic!("{e}"))
}

fn finding(id: &'static str) -> Finding {
    let summary = "seven sends of 16 octets, none acknowledged";
    Finding {
        subject: SUBJECT.parse().ok(),
        peer: PEER.parse().ok(),
        hosts: vec![SUBJECT.parse().unwrap(), PEER.parse().unwrap()],
        flows: vec![0],
        end: CASE_END,
        seconds_lost: Some(120.0),
        measures: vec![("port", 25.0)],
        ..Finding::new(id, Severity::Critical, 0.8, summary.to_owned())
    }
}

fn case() -> Vec<Finding> {
    vec![
        finding("storm.retransmission"),
        finding("checksum.offload-broken"),
    ]
}

fn facts(given: &[(&str, &str)]) -> HostFacts {
    HostFacts::new(&facts_of(given), Vec::new(), named())
}

fn named() -> Vec<(IpAddr, String)> {
    vec![(
        SUBJECT.parse().unwrap(),
        "XXXMAIL02.testdomain.com".to_owned(),
    )]
}

fn facts_of(given: &[(&str, &str)]) -> Facts {
    let facts = given
        .iter()
        .enumerate()
        .map(|(at, (name, value))| Fact {
            host: Some("XXXMAIL02".to_owned()),
            name: (*name).to_owned(),
            subject: None,
            inferred: false,
            value: (*value).to_owned(),
            file: "facts.txt".to_owned(),
            line: at + 1,
            text: String::new(),
        })
        .collect();
    Facts {
        facts,
        ..Facts::default()
    }
}

fn ids(remedies: &[Remedy]) -> Vec<&str> {
    remedies.iter().map(|r| r.id.as_str()).collect()
}

fn get<'a>(remedies: &'a [Remedy], id: &str) -> &'a Remedy {
    remedies
        .iter()
        .find(|r| r.id == id)
        .unwrap_or_else(|| panic!("{id} is missing: {:?}", ids(remedies)))
}

fn steps(remedies: &[Remedy]) -> impl Iterator<Item = &Step> {
    remedies
        .iter()
        .flat_map(|r| r.confirm.iter().chain(&r.fix).chain(&r.undo))
}

fn commands(remedies: &[Remedy]) -> Vec<String> {
    steps(remedies).map(|s| s.command.clone()).collect()
}

#[test]
fn every_embedded_file_reads_and_says_what_it_must() {
    symptoms::check_files().unwrap();
    let engine = engine();
    assert!(engine.rules().len() > 100, "{}", engine.rules().len());
    for rule in engine.rules() {
        let id = &rule.id;
        for (what, text) in [
            ("title", &rule.title),
            ("seen", &rule.seen),
            ("why", &rule.why),
            ("risk", &rule.risk),
        ] {
            assert!(!text.is_empty(), "{id}: {what} is empty");
            assert!(!text.ends_with('.'), "{id}: {what} ends with a full stop");
        }
        assert!(!rule.sources.is_empty(), "{id}: no source");
        assert!(
            ["A", "B", "C"].contains(&rule.grade.as_str()),
            "{id}: grade {}",
            rule.grade
        );
        let changes = rule.fix.iter().any(|s| {
            [
                "netsh ",
                "reg add",
                "Set-",
                "Disable-",
                "Enable-",
                "ethtool -K",
                "sysctl -w",
            ]
            .iter()
            .any(|c| s.command.starts_with(c))
        });
        assert!(
            !changes || !rule.undo.is_empty(),
            "{id}: a change without undo"
        );
    }
}

#[test]
fn every_remedy_is_called_for_by_something_and_every_symptom_calls_for_something() {
    let engine = engine();
    for rule in engine.rules() {
        let mut asked = Vec::new();
        if let Some(when) = &rule.when {
            when.symptoms(&mut asked);
        }
        assert!(!asked.is_empty(), "{} is called for by no symptom", rule.id);
    }
    for symptom in symptoms::all() {
        assert!(
            engine.remedies_of(&symptom.id).next().is_some(),
            "{} calls for nothing",
            symptom.id
        );
    }
}

/// Versions that the knowledge base allows, for every rule that it binds to some: written by hand.
fn bound() -> impl Iterator<Item = (&'static str, &'static str)> {
    include_str!("../../tests/support/applies.tsv")
        .lines()
        .filter_map(|line| line.split_once('\t'))
}

#[test]
fn each_remedy_is_allowed_exactly_where_the_knowledge_says() {
    for rule in engine().rules() {
        for (list, scale, got) in [
            (SYSTEMS, Scale::System, rule.applies.systems),
            (PRODUCTS, Scale::Product, rule.applies.products),
        ] {
            let want = bound()
                .filter(|(id, _)| *id == rule.id)
                .map(|(_, v)| Versions::parse(v).unwrap())
                .find(|v| v.scale() == scale);
            for (key, _) in list {
                let host = Versions::parse(key).unwrap();
                let allowed = |v: Option<Versions>| v.is_none_or(|v| host.within(v) == Truth::Yes);
                assert_eq!(allowed(got), allowed(want), "{} on {key}", rule.id);
            }
        }
    }
    for (id, _) in bound() {
        assert!(
            engine().rule(id).is_some(),
            "{id} is in the table and not in the folder"
        );
    }
}

/// All that any finding could call for, on a host of one version.
fn everything(system: &str, product: Option<&str>) -> Vec<Remedy> {
    let mut findings: Vec<Finding> = symptoms::all()
        .iter()
        .map(|s| finding(Box::leak(s.id.clone().into_boxed_str())))
        .collect();
    for f in &mut findings {
        f.words = [
            "application",
            "reply",
            "verb",
            "status",
            "remedy",
            "command",
            "option",
            "cause",
            "phase",
        ]
        .iter()
        .map(|n| (*n, "smtp".to_owned()))
        .collect();
    }
    let mut given = vec![("os", system)];
    given.extend(product.map(|p| {
        (
            if p.starts_with("ex") && p != "exim" {
                "exchange"
            } else {
                "mta"
            },
            p,
        )
    }));
    engine().advise(&findings, &facts(&given), Some(CASE_END))
}

#[test]
fn no_command_for_another_version() {
    /// (part of a command, systems that may see it)
    const SYSTEM_BOUND: &[(&str, &str)] = &[
        ("set global chimney", "ws2008..ws2012r2"),
        ("set chimney", "ws2003"),
        ("chimneystats", "ws2008..ws2012r2"),
        ("rss=disabled", "ws2008..ws2008r2"),
        ("Disable-NetAdapterRss", "ws1"),
        ("EnableRSS /t REG_DWORD /d 0", "ws2003"),
        ("netdma=disabled", "ws2008r2"),
        ("EnableTCPA /t", "ws2003..ws2008"),
        ("EnableTCPChimney", "ws2003"),
        ("wmic", "ws2003..ws2008r2"),
        ("Get-NetAdapter", "ws2012.."),
        ("Set-NetAdapter", "ws2012.."),
        ("Disable-NetAdapter", "ws2012.."),
        ("Get-NetTCP", "ws2012.."),
        ("New-NetTransportFilter", "ws2012.."),
        ("LbfoTeam", "ws2012.."),
        ("Smb2Credits", "ws2012.."),
        ("SmbServerConfiguration", "ws2012.."),
        ("pktmon", "ws2019.."),
        ("netsh trace", "ws2008r2..ws2016"),
        ("nmcap", "ws2003..ws2008"),
        ("ethtool", "linux"),
        ("sysctl", "linux"),
        ("tcpdump", "linux"),
        ("EnableSoftwareRsc", "ws2019.."),
        ("autotuninglevel=", "ws2008.."),
        ("ecncapability=", "ws2012.."),
        ("set heuristics disabled", "ws2008..ws2008r2"),
        ("TcpAckFrequency", "ws2003..ws2012r2"),
        ("MaxUserPort", "ws2003"),
        ("EnablePMTUDiscovery", "ws1"),
        ("SackOpts", "ws1"),
        ("tcp_sack=0", "ws1"),
    ];
    for (system, _) in SYSTEMS {
        let host = Versions::parse(system).unwrap();
        for remedy in everything(system, None) {
            for step in remedy.confirm.iter().chain(&remedy.fix).chain(&remedy.undo) {
                // What is for another host (the peer, of which nothing is known) comes with its condition.
                let own = step.on.as_deref() == Some(SUBJECT) || step.on.is_none();
                for (part, allowed) in SYSTEM_BOUND {
                    let fits =
                        Versions::parse(allowed).is_some_and(|a| host.within(a) == Truth::Yes);
                    let named = step.command.contains(part) && !step.command.contains("iptables");
                    let asked = step.only_if.starts_with("the host runs ") && !own;
                    assert!(
                        !named || fits || asked,
                        "{} on {system}: {}",
                        remedy.id,
                        step.command
                    );
                }
            }
        }
    }
    /// (part of a command, mail servers that may see it)
    const PRODUCT_BOUND: &[(&str, &str)] = &[
        ("MaxAcknowledgementDelay", "ex2010"),
        ("Set-TransportServer ", "ex2007..ex2010sp1"),
        ("Get-TransportServer |", "ex2007..ex2010sp1"),
        ("TransportService", "ex2013..exse"),
        ("-TransportRole", "ex2013..exse"),
        ("ServerComponentState", "ex2013..exse"),
        ("AuthTarpitInterval", "ex2016..exse"),
        ("ThrottlingPolicyAssociation", "ex2010sp1..exse"),
        ("ShadowMessagePreferenceSetting", "ex2013..exse"),
        ("postconf -e", "postfix"),
        ("rfc1413_query_timeout", "exim"),
        ("store.exe", "ex2007..ex2010sp1"),
    ];
    for (product, system) in [
        ("ex2007", "ws2008r2"),
        ("ex2010rtm", "ws2008r2"),
        ("ex2010sp1", "ws2008r2"),
        ("ex2013", "ws2012"),
        ("ex2016", "ws2016"),
        ("ex2019", "ws2019"),
        ("exse", "ws2025"),
        ("postfix", "linux"),
        ("exim", "linux"),
    ] {
        let host = Versions::parse(product).unwrap();
        let remedies = everything(system, Some(product));
        // What is for the other end, of which nothing is known, comes with its condition.
        let own = |s: &&Step| s.on.as_deref() != Some(PEER) || s.only_if.is_empty();
        for command in steps(&remedies).filter(own).map(|s| &s.command) {
            for (part, allowed) in PRODUCT_BOUND {
                let fits = Versions::parse(allowed).is_some_and(|a| host.within(a) == Truth::Yes);
                assert!(!command.contains(part) || fits, "{product}: {command}");
            }
        }
    }
}

/// Ids that must come in this order, others between them or not.
fn in_order(remedies: &[Remedy], want: &[&str]) {
    let got = ids(remedies);
    let mut at = 0;
    for id in want {
        let place = got
            .iter()
            .position(|g| g == id)
            .unwrap_or_else(|| panic!("{id} is missing: {got:?}"));
        assert!(place >= at, "{id} comes too early: {got:?}");
        at = place;
    }
}

#[test]
fn the_published_case_on_2003() {
    let remedies = engine().advise(
        &case(),
        &facts(&[
            ("os", "ws2003"),
            (
                "nic.driver.name",
                "HP NC373i Multifunction Gigabit Server Adapter",
            ),
            ("nic.driver.version", "2.8.13.0"),
            ("nic.driver.date", "2006-06-30"),
            ("nic.team", "hp"),
        ]),
        Some(CASE_END),
    );
    in_order(
        &remedies,
        &[
            "nic-driver-age",
            "team-untie-test",
            "offload-snp2003",
            "team-lacp-unaware-switch",
            "verify-after-change",
        ],
    );
    assert!(ids(&remedies).contains(&"nic-broadcom-toe"));
    assert!(
        remedies.first().is_some_and(|r| r.id.starts_with("nic-")),
        "{:?}",
        ids(&remedies)
    );
    let driver = get(&remedies, "nic-driver-age");
    assert!(
        driver.fix.iter().any(|s| s.command.contains("4.6.16.0")),
        "the stepping stone: {:?}",
        driver.fix
    );
    assert!(driver.unknown.is_empty(), "{:?}", driver.unknown);
    let snp = get(&remedies, "offload-snp2003");
    assert!(
        snp.fix.iter().all(|s| s.only_if.is_empty()),
        "{:?}",
        snp.fix
    );
    assert!(
        snp.known.iter().any(|k| k.contains("facts.txt line 1")),
        "{:?}",
        snp.known
    );
    let all = commands(&remedies).join("\n");
    for part in ["iperf", "nmcap"] {
        assert!(all.contains(part), "{part}: {all}");
    }
    assert!(!ids(&remedies).contains(&"offload-chimney"));
    assert!(!ids(&remedies).contains(&"collect-host-facts"));
}

#[test]
fn the_published_case_on_2008_r2_without_chimney() {
    let remedies = engine().advise(
        &case(),
        &facts(&[
            ("os", "ws2008r2"),
            ("nic.chimney", "automatic"),
            ("nic.chimney.supported", "no"),
        ]),
        Some(CASE_END),
    );
    let got = ids(&remedies);
    assert!(!got.contains(&"offload-chimney"), "Supp No: {got:?}");
    assert!(!got.contains(&"offload-snp2003"), "{got:?}");
    in_order(
        &remedies,
        &[
            "nic-driver-age",
            "team-untie-test",
            "team-lacp-unaware-switch",
            "offload-rss-off-as-test",
            "verify-after-change",
        ],
    );
    let with = engine().advise(
        &case(),
        &facts(&[
            ("os", "ws2008r2"),
            ("nic.chimney", "automatic"),
            ("nic.chimney.supported", "yes"),
        ]),
        None,
    );
    let undo = &get(&with, "offload-chimney").undo;
    assert!(
        undo.iter()
            .any(|s| s.command.ends_with("chimney=automatic")),
        "2008 R2's own default: {undo:?}"
    );
}

#[test]
fn the_published_case_on_2019() {
    let remedies = engine().advise(&case(), &facts(&[("os", "ws2019")]), Some(CASE_END));
    in_order(
        &remedies,
        &[
            "nic-driver-age",
            "team-untie-test",
            "team-lacp-unaware-switch",
            "verify-after-change",
        ],
    );
    let own: Vec<String> = steps(&remedies)
        .filter(|s| !s.only_if.starts_with("the host runs "))
        .map(|s| s.command.to_lowercase())
        .collect();
    for wrong in ["chimney", "rss=disabled", "netdma", "wmic", "enabletcpa"] {
        assert!(!own.iter().any(|c| c.contains(wrong)), "{wrong}: {own:?}");
    }
    assert!(own.iter().any(|c| c.contains("get-netlbfoteam")));
}

#[test]
fn the_published_case_without_facts_is_checks() {
    let remedies = engine().advise(&case(), &HostFacts::default(), Some(CASE_END));
    in_order(
        &remedies,
        &[
            "nic-driver-age",
            "team-untie-test",
            "offload-snp2003",
            "team-lacp-unaware-switch",
            "collect-host-facts",
            "verify-after-change",
        ],
    );
    let snp = get(&remedies, "offload-snp2003");
    assert!(!snp.unknown.is_empty());
    for step in &snp.fix {
        assert!(
            step.only_if
                .starts_with("the host runs Windows Server 2003"),
            "{step:?}"
        );
    }
    assert!(
        snp.confirm
            .first()
            .is_some_and(|s| s.command.starts_with("ver ")),
        "asks for the version first: {:?}",
        snp.confirm
    );
    let driver = get(&remedies, "nic-driver-age");
    assert!(
        driver
            .fix
            .iter()
            .any(|s| !s.only_if.is_empty() && s.command.contains("4.6.16.0")),
        "{:?}",
        driver.fix
    );
    for (at, remedy) in remedies.iter().enumerate() {
        assert_eq!(remedy.rank, at + 1);
        assert!((0.0..=1.0).contains(&remedy.likely), "{}", remedy.id);
    }
}

#[test]
fn four_cases_four_lists() {
    let engine = engine();
    let list = |given: &[(&str, &str)]| {
        let remedies = engine.advise(&case(), &facts(given), Some(CASE_END));
        ids(&remedies)
            .iter()
            .map(|s| (*s).to_owned())
            .collect::<Vec<_>>()
    };
    let lists = [
        list(&[("os", "ws2003")]),
        list(&[("os", "ws2008r2")]),
        list(&[("os", "ws2019")]),
        list(&[]),
    ];
    assert_eq!(lists.iter().collect::<BTreeSet<_>>().len(), 4, "{lists:#?}");
}

#[test]
fn an_error_of_a_file_server_gets_the_remedy_that_the_table_names() {
    let table = include_str!("../proto/smb/status.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'));
    let mut remedies = BTreeSet::new();
    for line in table {
        let cells: Vec<&str> = line.split('\t').collect();
        let [_, status, weight, area, _, remedy, ..] = cells[..] else {
            panic!("{line}");
        };
        // What a client's own stack says never travels.
        if !remedy.starts_with("smb-") || weight == "normal" || area == "network" {
            continue;
        }
        let mut error = finding("smb.errors");
        error.words = [
            ("status", status),
            ("remedy", remedy),
            ("command", "CREATE"),
        ]
        .map(|(name, word)| (name, word.to_owned()))
        .into();
        // Handles are lost where connections break.
        let findings = [error, finding("close.reset")];
        let advice = engine().advise(&findings, &facts(&[("smb.dialect", "3.0")]), None);
        let of_error = |r: &&Remedy| r.findings.contains(&0);
        let ids: Vec<&str> = advice
            .iter()
            .filter(of_error)
            .map(|r| r.id.as_str())
            .collect();
        assert!(ids.contains(&remedy), "{status}: {ids:?} lack {remedy}");
        assert!(ids.contains(&"smb-errors-log"), "{status}: {ids:?}");
        remedies.insert(remedy);
    }
    assert!(remedies.len() > 8, "{remedies:?}");
}

#[test]
fn an_error_without_a_remedy_calls_for_the_log_alone() {
    let error = |status: &str, remedy: Option<&str>, severity| {
        let mut error = finding("smb.errors");
        error.severity = severity;
        let command = Some(("command", "IOCTL"));
        let words = [
            Some(("status", status)),
            remedy.map(|r| ("remedy", r)),
            command,
        ];
        let words = words.into_iter().flatten();
        error.words = words.map(|(name, word)| (name, word.to_owned())).collect();
        error
    };
    for (name, finding, want) in [
        (
            "a status without one",
            error("STATUS_INVALID_PARAMETER", None, Severity::Warning),
            &["smb-errors-log"][..],
        ),
        (
            "a status that is not in the table",
            error("STATUS_0xC0001234", None, Severity::Warning),
            &["smb-errors-log"],
        ),
        (
            "a full disk",
            error(
                "STATUS_DISK_FULL",
                Some("smb-storage-fault"),
                Severity::Warning,
            ),
            &["smb-storage-fault", "smb-errors-log"],
        ),
        (
            "a lock, once",
            error(
                "STATUS_LOCK_NOT_GRANTED",
                Some("smb-oplock-break"),
                Severity::Info,
            ),
            &[],
        ),
    ] {
        let advice = engine().advise(&[finding], &facts(&[("os", "ws2022")]), None);
        let of_error = advice.iter().filter(|r| r.findings.contains(&0));
        let ids: Vec<&str> = of_error.map(|r| r.id.as_str()).collect();
        assert_eq!(ids, want, "{name}");
    }
}

#[test]
fn facts_alone_call_for_remedies_and_missing_facts_do_not() {
    for (name, given, id, want) in [
        (
            "old driver",
            &[("nic.driver.date", "2006-06-30")][..],
            "nic-driver-age",
            true,
        ),
        (
            "young driver",
            &[("nic.driver.date", "2009-12-01")],
            "nic-driver-age",
            false,
        ),
        (
            "Microsoft's own driver",
            &[
                ("nic.driver.date", "2006-06-21"),
                ("nic.driver.vendor", "Microsoft"),
            ],
            "nic-driver-age",
            false,
        ),
        (
            "virtual machine",
            &[("nic.driver.date", "2006-06-30"), ("virtual", "true")],
            "nic-driver-age",
            false,
        ),
        (
            "LACP without partner",
            &[("os", "linux"), ("nic.team.lacp_partner", "none")],
            "team-lacp-mismatch",
            true,
        ),
        (
            "half duplex",
            &[("nic.duplex", "half")],
            "link-duplex",
            true,
        ),
        (
            "CRC errors",
            &[("nic.crc_errors", "12")],
            "link-errors",
            true,
        ),
        (
            "no CRC errors",
            &[("nic.crc_errors", "0")],
            "link-errors",
            false,
        ),
        (
            "RSS off on 2016",
            &[("os", "ws2016"), ("nic.rss", "disabled")],
            "offload-rss-disabled",
            true,
        ),
        (
            "RSS off on 2003",
            &[("os", "ws2003"), ("nic.rss", "disabled")],
            "offload-rss-disabled",
            false,
        ),
        (
            "auto-tuning off",
            &[("os", "ws2012"), ("tcp.autotuning", "disabled")],
            "tcp-autotuning-off",
            true,
        ),
        (
            "auto-tuning normal",
            &[("os", "ws2012"), ("tcp.autotuning", "normal")],
            "tcp-autotuning-off",
            false,
        ),
        (
            "RSC refused",
            &[
                ("os", "ws2012r2"),
                ("nic.rsc.failure_reason", "NDISCompatibility"),
            ],
            "offload-rsc",
            true,
        ),
    ] {
        let remedies = engine().advise(&[], &facts(given), Some(CASE_END));
        assert_eq!(
            ids(&remedies).contains(&id),
            want,
            "{name}: {:?}",
            ids(&remedies)
        );
    }
    assert!(
        engine().advise(&[], &HostFacts::default(), None).is_empty(),
        "nothing known, nothing said"
    );
}

#[test]
fn what_was_inferred_gates_too_and_yields_to_what_was_given() {
    let host: IpAddr = SUBJECT.parse().unwrap();
    let inferred = |value: &str| Inferred {
        host,
        name: "exchange",
        value: value.to_owned(),
        confidence: 0.9,
        basis: "EHLO keywords".to_owned(),
    };
    let wire = HostFacts::new(
        &Facts::default(),
        vec![inferred("ex2013..exse")],
        Vec::new(),
    );
    let remedies = engine().advise(&[finding("smtp.delayed-ack")], &wire, None);
    assert!(
        !ids(&remedies).contains(&"smtp-delayed-ack-2010"),
        "{:?}",
        ids(&remedies)
    );
    assert!(ids(&remedies).contains(&"smtp-shadow-2013plus"));
    assert_eq!(
        wire.system(Some(host), true).unwrap().versions.words(),
        "Windows Server 2008 R2 and later"
    );
    let given = Facts {
        facts: vec![Fact {
            host: None,
            name: "exchange".to_owned(),
            subject: None,
            inferred: false,
            value: "ex2010sp1".to_owned(),
            file: "--os".to_owned(),
            line: 0,
            text: String::new(),
        }],
        ..Facts::default()
    };
    let both = HostFacts::new(&given, vec![inferred("ex2013..exse")], Vec::new());
    let remedies = engine().advise(&[finding("smtp.delayed-ack")], &both, None);
    assert_eq!(
        ids(&remedies).first(),
        Some(&"smtp-delayed-ack-2010"),
        "{:?}",
        ids(&remedies)
    );
    let peer: IpAddr = PEER.parse().unwrap();
    assert!(
        both.product(Some(peer), false).is_none(),
        "a fact without a host is not the peer's"
    );
}

#[test]
fn errors_point_at_line_and_key() {
    let good = include_str!("remedies/offload-chimney.toml");
    for (name, from, to, line, key, says) in [
        (
            "unknown key",
            "likely = 0.45",
            "likly = 0.45",
            2,
            "likly",
            "`likely` is near",
        ),
        (
            "out of range",
            "likely = 0.45",
            "likely = 45",
            2,
            "likely",
            "between 0 and 1",
        ),
        (
            "wrong type",
            "likely = 0.45",
            "likely = \"high\"",
            2,
            "likely",
            "must be a number",
        ),
        (
            "no such symptom",
            "stall.timeout",
            "stall.timeouts",
            11,
            "when.any.symptom",
            "no symptom",
        ),
        (
            "no such fact",
            "\"nic.chimney\", is = \"disabled\"",
            "\"nic.chimny\", is = \"disabled\"",
            14,
            "when.none.fact",
            "`nic.chimney` is near",
        ),
        (
            "no such measure",
            "symptom = \"stall.timeout\"",
            "symptom = \"stall.timeout\", unacked = 1",
            11,
            "when.any.unacked",
            "no finding has",
        ),
        (
            "no such version",
            "ws2008..ws2012r2\"]\napplies_note",
            "ws2007\"]\napplies_note",
            0,
            "remedy.applies_to",
            "no version",
        ),
        ("bad TOML", "title = ", "title ", 1, "", ""),
    ] {
        assert!(good.contains(from), "{name}");
        let error = parse("offload-chimney", "mine.toml", &good.replacen(from, to, 1)).unwrap_err();
        assert_eq!(error.key, key, "{name}: {error}");
        assert!(error.message.contains(says), "{name}: {error}");
        assert!(line == 0 || error.line == line, "{name}: {error}");
        assert!(
            error
                .to_string()
                .starts_with(&format!("mine.toml:{}:", error.line)),
            "{error}"
        );
    }
    assert!(parse("Bad_Name", "Bad_Name.toml", good).is_err());
    assert!(
        check(Path::new("/no/such/file.toml"))
            .unwrap_err()
            .to_string()
            .contains("/no/such/file.toml")
    );
}

#[test]
fn a_broken_rule_file_never_panics() {
    let good = include_str!("remedies/offload-chimney.toml");
    for cut in (0..good.len())
        .filter(|c| good.is_char_boundary(*c))
        .step_by(7)
    {
        let _ = parse("x", "x.toml", good.get(..cut).unwrap());
    }
}

#[test]
fn explains_ids_and_codes() {
    let engine = engine();
    for (query, want) in [
        ("smtp.tarpit", "What it means"),
        (
            "offload-chimney",
            "netsh int tcp set global chimney=disabled",
        ),
        ("offload.chimney", "When it is wrong"),
        ("421", "Service not available"),
        ("4.4.2", "smtp-connection-dropped"),
        ("421 4.4.2", "Connection dropped"),
        ("0xC0000022", "ACCESS_DENIED"),
        ("STATUS_PENDING", "smb-server-slow"),
        ("10060", "tcp-syn-timeout"),
        ("0000274C", "WSAETIMEDOUT"),
        ("ECONNREFUSED", "10061"),
        ("5.7.950", "5.7.900-5.7.999"),
        ("server-think", "smtp.tarpit: "),
        ("Zero-Window", "does not read"),
    ] {
        let text = engine
            .explain(query)
            .unwrap_or_else(|| panic!("{query} is not known"));
        assert!(text.contains(want), "{query}: {text}");
    }
    for unknown in ["", "999999", "no.such", "smtp.trapit"] {
        assert_eq!(engine.explain(unknown), None, "{unknown}");
    }
    assert!(
        engine
            .nearest("smtp.trapit")
            .contains(&"smtp.tarpit".to_owned())
    );
    for id in symptoms::all().iter().map(|s| &s.id) {
        assert!(engine.explain(id).is_some(), "{id}");
    }
    for cause in causes::all() {
        assert!(!cause.see.is_empty(), "{}", cause.id);
        for id in &cause.see {
            assert!(symptoms::get(id).is_some(), "{} names {id}", cause.id);
        }
    }
    for (id, _, _) in engine.list() {
        assert!(engine.explain(id).is_some(), "{id}");
    }
}

#[test]
fn the_catalogue_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/remedies.md");
    let text = engine().catalogue();
    if std::env::var_os("TCPTRIAGE_BLESS").is_some_and(|v| !v.is_empty()) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "docs/remedies.md is stale: run TCPTRIAGE_BLESS=1 cargo test --lib rules::"
    );
}

#[test]
fn the_guide_names_all_that_conditions_may_use() {
    const MARK: &str =
        "<!-- From here on written by TCPTRIAGE_BLESS=1 cargo test --lib rules:: -->\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    let kept = std::fs::read_to_string(&path).unwrap();
    let (head, _) = kept.split_once(MARK).unwrap();
    let text = format!("{head}{MARK}{}", words::guide());
    if std::env::var_os("TCPTRIAGE_BLESS").is_some_and(|v| !v.is_empty()) {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(
        kept == text,
        "docs/rules.md is stale: run TCPTRIAGE_BLESS=1 cargo test --lib rules::"
    );
}

#[test]
fn what_mends_the_cause_comes_before_what_consequences_call_for() {
    let mut findings = vec![
        finding("path.mtu-black-hole"),
        finding("storm.retransmission"),
        finding("throughput.collapse"),
    ];
    for f in &mut findings {
        f.flows = vec![1];
        f.seconds_lost = Some(10.0);
    }
    let remedies = engine().advise(&findings, &HostFacts::default(), None);
    in_order(&remedies, &["path-mtu-blackhole", "nic-driver-age"]);
}

#[test]
fn a_strangers_server_gets_no_commands() {
    let mut refused = finding("connect.refused");
    refused.subject = "8.8.8.8".parse().ok();
    refused.peer = SUBJECT.parse().ok();
    refused.hosts = refused.subject.into_iter().chain(refused.peer).collect();
    let remedies = engine().advise(&[refused], &HostFacts::default(), None);
    let remedy = get(&remedies, "tcp-refused");
    let told: Vec<&str> = remedy.fix.iter().map(|s| s.command.as_str()).collect();
    assert_eq!(
        told,
        ["tell the operator of 8.8.8.8: start the service, or open its port"]
    );
    assert!(remedy.confirm.is_empty(), "{:?}", remedy.confirm);
}

/// Calls `each` for every condition of a rule, whatever group it stands in.
fn each_condition<'a>(rule: &'a Rule, each: &mut impl FnMut(&'a Condition)) {
    fn walk<'a>(condition: &'a Condition, each: &mut impl FnMut(&'a Condition)) {
        match condition {
            Condition::All(parts) | Condition::Any(parts) | Condition::None(parts) => {
                parts.iter().for_each(|p| walk(p, each));
            }
            one => each(one),
        }
    }
    let steps = rule.confirm.iter().chain(&rule.fix).chain(&rule.undo);
    (rule.when.iter())
        .chain(&rule.facts_alone)
        .chain(rule.weigh.iter().map(|w| &w.when))
        .chain(steps.filter_map(|s| s.when.as_ref()))
        .for_each(|c| walk(c, each));
}

/// The sources of the detectors, and of what reads findings out of logs, without their tests.
fn detectors() -> Vec<String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    std::fs::read_dir(src.join("detect"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .chain([src.join("pipeline/logged.rs")])
        .map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            // As if each call stood on one line.
            code.split_whitespace().collect::<Vec<_>>().join(" ")
        })
        .collect()
}

#[test]
fn every_measure_that_a_rule_reads_is_supplied_with_its_symptom() {
    let sources = detectors();
    let supplied = |name: &str, symptom: &str| {
        sources.iter().any(|code| {
            let pair = [format!("(\"{name}\", "), format!("( \"{name}\", ")];
            code.contains(&format!("\"{symptom}")) && pair.iter().any(|p| code.contains(p))
        })
    };
    for name in words::measures() {
        assert!(supplied(name, ""), "no detector supplies {name}");
    }
    for rule in engine().rules() {
        each_condition(rule, &mut |condition| {
            if let Condition::Symptom(test) = condition {
                for (name, _) in &test.tests {
                    assert!(
                        supplied(name, test.id.trim_end_matches('*')),
                        "{}: {} never comes with {name}",
                        rule.id,
                        test.id
                    );
                }
            }
        });
    }
}

#[test]
fn every_symptom_that_a_detector_names_is_explained() {
    let explained: BTreeSet<&str> = symptoms::all().iter().map(|s| s.id.as_str()).collect();
    let family = |id: &str| id.split_once('.').map(|(family, _)| family.to_owned());
    let families: BTreeSet<_> = explained.iter().filter_map(|id| family(id)).collect();
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    let mut named = BTreeSet::new();
    for code in detectors() {
        for text in code.split('"').filter(|text| text.chars().all(is_word)) {
            let has_name = text
                .split_once('.')
                .is_some_and(|(_, name)| !name.is_empty());
            if has_name && family(text).is_some_and(|family| families.contains(&family)) {
                assert!(
                    explained.contains(text),
                    "{text} stands in no file of src/rules/symptoms"
                );
                named.insert(text.to_owned());
            }
        }
    }
    let named: BTreeSet<&str> = named.iter().map(String::as_str).collect();
    let unnamed: Vec<_> = explained.difference(&named).collect();
    assert!(unnamed.is_empty(), "no detector names {unnamed:?}");
}

#[test]
fn every_symptom_that_a_rule_asks_for_has_a_detector() {
    let sources = detectors();
    for rule in engine().rules() {
        each_condition(rule, &mut |condition| {
            if let Condition::Symptom(test) = condition {
                let id = format!("\"{}", test.id.trim_end_matches('*'));
                assert!(
                    sources.iter().any(|code| code.contains(&id)),
                    "{}: {}",
                    rule.id,
                    test.id
                );
            }
        });
    }
}

#[test]
fn every_value_that_a_rule_reads_is_one_that_facts_have() {
    for rule in engine().rules() {
        each_condition(rule, &mut |condition| {
            let Condition::Fact { name, test, .. } = condition else {
                return;
            };
            let Some((_, _, values)) = crate::facts::NAMES.iter().find(|(n, _, _)| n == name)
            else {
                return;
            };
            for word in test.is.iter().chain(&test.is_not) {
                let known = values
                    .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
                    .any(|v| v == word);
                let is_version = name == "os" || name == "exchange";
                let is_number = word.parse::<f64>().is_ok();
                assert!(
                    known || is_version || is_number,
                    "{}: {name} is never {word}: {values}",
                    rule.id
                );
            }
        });
    }
}

/// Reads facts as the user gives them: (host that the user names, name of the file, text).
fn read(files: &[(Option<&str>, &str, &str)]) -> Facts {
    let mut facts = Facts::default();
    for (host, name, text) in files {
        crate::facts::read(*host, name, text.as_bytes(), &mut facts);
    }
    facts
}

#[test]
fn a_fact_belongs_to_the_host_that_it_names() {
    const CHIMNEY: &str = "=== netsh int tcp show global ===\nTCP Global Parameters\n-----\nChimney Offload State : automatic\n";
    const NAME: &str = "=== hostname ===\nXXXMAIL02\n";
    const OTHER: &str = "=== hostname ===\nBACKUP1\n";
    const ADDRESS: &str =
        "=== ipconfig ===\n   IPv4 Address. . . . . . . . . . . : 192.168.24.34(Preferred)\n";
    const OTHERS: &str =
        "=== ip -o addr ===\n2: eth0    inet 192.168.24.99/24 brd 192.168.24.255\n";
    let subject: IpAddr = SUBJECT.parse().unwrap();
    let peer: IpAddr = PEER.parse().unwrap();
    let names = || vec![(subject, "XXXMAIL02.testdomain.com".to_owned())];
    // (name, who the user says it is, text, whether it is the subject's where both hosts are accused, and where the subject
    // alone is)
    for (name, host, text, both, alone) in [
        (
            "named by the user",
            Some("XXXMAIL02"),
            vec![CHIMNEY],
            true,
            true,
        ),
        (
            "an address by the user",
            Some(SUBJECT),
            vec![CHIMNEY],
            true,
            true,
        ),
        ("named by itself", None, vec![NAME, CHIMNEY], true, true),
        (
            "named by itself later on",
            None,
            vec![CHIMNEY, NAME],
            true,
            true,
        ),
        (
            "its address within",
            None,
            vec![CHIMNEY, ADDRESS],
            true,
            true,
        ),
        (
            "a name that the capture lacks, and its address",
            None,
            vec![OTHER, CHIMNEY, ADDRESS],
            true,
            true,
        ),
        (
            "a name that the capture lacks",
            None,
            vec![OTHER, CHIMNEY],
            false,
            true,
        ),
        (
            "an address of another",
            None,
            vec![CHIMNEY, OTHERS],
            false,
            false,
        ),
        ("the peer's", Some(PEER), vec![CHIMNEY], false, false),
        ("nameless", None, vec![CHIMNEY], false, true),
    ] {
        let facts = read(&[(host, "facts.txt", &text.concat())]);
        let known = HostFacts::new(&facts, Vec::new(), names());
        for (sole, want) in [(None, both), (Some(subject), alone)] {
            let world = World {
                findings: &Stories::default(),
                facts: &known,
                subject: Some(subject),
                peer: Some(peer),
                sole,
                adapter: None,
                now: None,
            };
            let got = known.values(Some(subject), world.suspects(Some(subject)), "nic.chimney");
            assert_eq!(
                !got.is_empty(),
                want,
                "{name}, accused alone: {}",
                sole.is_some()
            );
        }
    }
}

#[test]
fn nameless_facts_ask_of_whom_they_are() {
    let facts = read(&[(
        None,
        "facts.txt",
        "Settings for eth0:\n\tSpeed: 100Mb/s\n\tDuplex: Half\n",
    )]);
    let known = HostFacts::new(&facts, Vec::new(), Vec::new());
    let mut other = finding("window.zero");
    other.subject = PEER.parse().ok();
    for (name, findings, says) in [
        ("nobody accused", vec![], "tied to no host"),
        (
            "one accused",
            vec![finding("storm.retransmission")],
            "which alone is accused",
        ),
        (
            "two accused",
            vec![finding("storm.retransmission"), other],
            "decides nothing, because 2 hosts are accused (192.168.15.63, 192.168.24.34)",
        ),
    ] {
        let doubts = engine().doubts(&findings, &known);
        assert_eq!(doubts.len(), 1, "{name}: {doubts:?}");
        assert!(doubts[0].contains(says), "{name}: {doubts:?}");
        // What the facts say by themselves they say in any case, of a host that they do not name.
        let remedies = engine().advise(&findings, &known, None);
        let duplex = get(&remedies, "link-duplex");
        assert!(duplex.unknown.is_empty(), "{name}: {duplex:?}");
    }
}

#[test]
fn what_is_given_against_the_wire_is_told() {
    let host: IpAddr = SUBJECT.parse().unwrap();
    let hint = |name: &'static str, value: &str, basis: &str| Inferred {
        host,
        name,
        value: value.to_owned(),
        confidence: 0.8,
        basis: basis.to_owned(),
    };
    let wire = |hints| HostFacts::new(&facts_of(&[("os", "ws2008r2")]), hints, named());
    for (name, hints, says) in [
        ("nothing on the wire", vec![], None),
        (
            "the wire agrees",
            vec![hint("os", "windows", "TTL 128")],
            None,
        ),
        (
            "another system",
            vec![hint("os", "ws2003", "its NTLM challenge")],
            Some("its NTLM challenge"),
        ),
        (
            "another TTL",
            vec![hint("os", "linux|bsd", "packets of TTL 64")],
            Some("packets of TTL 64"),
        ),
        (
            "a mail server of another",
            vec![hint("mta", "postfix", "its banner")],
            Some("its banner"),
        ),
        (
            "a mail server that runs on it",
            vec![hint("exchange", "ex2010", "its banner")],
            None,
        ),
    ] {
        let known = wire(hints);
        let doubts = engine().doubts(&case(), &known);
        let remedies = engine().advise(&case(), &known, None);
        let chimney = get(&remedies, "offload-chimney");
        match says {
            None => {
                assert_eq!(doubts, [""; 0], "{name}");
                assert_eq!(chimney.against, [""; 0], "{name}");
            }
            Some(says) => {
                let told = |list: &[String]| {
                    list.iter()
                        .any(|s| s.contains(says) && s.contains("2008 R2"))
                };
                assert!(
                    told(&doubts) && told(&chimney.against),
                    "{name}: {doubts:?}"
                );
            }
        }
    }
}

#[test]
fn what_is_said_of_two_adapters_is_not_taken_for_one() {
    const HP: &str = "HP NC373i";
    const OTHER: &str = "Intel PRO/1000";
    let driver = |name: &str, maker: &str, version: &str, date: &str| {
        format!(
            "Description={name}\nDriverDate={date}000000.000000-000\nDriverVersion={version}\nManufacturer={maker}\n\n"
        )
    };
    let (old, new) = ("20060630", "20091201");
    for (name, drivers, id, called_by, not_by) in [
        (
            "the family's good version, and another's low number",
            [
                driver(HP, "HP", "5.0.13.0", new),
                driver(OTHER, "Intel", "2.1.0.0", new),
            ],
            "nic-broadcom-toe",
            None,
            "",
        ),
        (
            "the family's bad version, and another's",
            [
                driver(HP, "HP", "2.8.13.0", new),
                driver(OTHER, "Intel", "2.1.0.0", new),
            ],
            "nic-broadcom-toe",
            Some(HP),
            OTHER,
        ),
        (
            "one is old",
            [
                driver(HP, "HP", "5.0.13.0", new),
                driver(OTHER, "Intel", "9.1.0.0", old),
            ],
            "nic-driver-age",
            Some(OTHER),
            HP,
        ),
        (
            "one is old, the other the system's own",
            [
                driver(HP, "HP", "5.0.13.0", old),
                driver("MAC Bridge", "Microsoft", "5.2.3790.0", old),
            ],
            "nic-driver-age",
            Some(HP),
            "MAC Bridge",
        ),
    ] {
        let text = format!("{}\n{}", drivers[0], drivers[1]);
        let mut facts = read(&[(Some(SUBJECT), "facts.txt", &text)]);
        facts.facts.push(Fact {
            host: Some(SUBJECT.to_owned()),
            name: "os".to_owned(),
            value: "ws2003".to_owned(),
            file: "facts.txt".to_owned(),
            ..Fact::default()
        });
        let known = HostFacts::new(&facts, Vec::new(), Vec::new());
        let remedies = engine().advise(&[], &known, Some(CASE_END));
        let found = remedies.iter().find(|r| r.id == id);
        let told = found.map(|r| r.known.join("\n"));
        match called_by {
            None => assert_eq!(told, None, "{name}"),
            Some(adapter) => {
                let told = told.unwrap_or_else(|| panic!("{name}: {:?}", ids(&remedies)));
                assert!(told.contains(adapter), "{name}: {told}");
                assert!(!told.contains(not_by), "{name}: {told}");
            }
        }
    }
}

#[test]
fn a_change_for_both_ends_asks_what_the_other_runs() {
    let given = [
        ("os", "ws2003"),
        ("nic.driver.name", "HP NC373i"),
        ("nic.driver.version", "2.8.13.0"),
    ];
    let remedies = engine().advise(&case(), &facts(&given), Some(CASE_END));
    let broadcom = get(&remedies, "nic-broadcom-toe");
    for (host, only_if) in [
        (SUBJECT, vec![]),
        (PEER, vec!["the host runs Windows Server 2003", "NC37"]),
    ] {
        let mut steps = broadcom.fix.iter();
        let step = steps.find(|s| s.on.as_deref() == Some(host)).unwrap();
        assert_eq!(step.only_if.is_empty(), only_if.is_empty(), "{step:?}");
        assert!(only_if.iter().all(|c| step.only_if.contains(c)), "{step:?}");
    }
}

#[test]
fn what_decides_is_asked_for() {
    let of_exchange = "Get-ExchangeServer";
    for (name, id, given, asks, asks_not) in [
        ("nothing known", "smtp-tarpit", vec![], of_exchange, "ver "),
        (
            "a range of versions known",
            "smtp-delayed-ack-2010",
            vec![("exchange", "ex2007..exse")],
            of_exchange,
            "ver",
        ),
        (
            "a rule for systems",
            "offload-snp2003",
            vec![],
            "ver (Windows)",
            of_exchange,
        ),
    ] {
        let mut findings = case();
        findings.push(finding("smtp.tarpit"));
        findings.push(finding("smtp.delayed-ack"));
        let remedies = engine().advise(&findings, &facts(&given), None);
        let first = &get(&remedies, id).confirm[0].command;
        assert!(first.starts_with(asks), "{name}: {first}");
        assert!(!first.starts_with(asks_not), "{name}: {first}");
    }
}

#[test]
fn facts_of_an_accused_host_speak_for_a_rule_of_the_peer_too() {
    let error = [("queue.last_error", "441 4.4.1 Winsock error code: 10013")];
    for findings in [vec![], vec![finding("balance.server-unavailable")]] {
        let told = engine().advise(&findings, &facts(&error), None);
        assert!(ids(&told).contains(&"local-bind"), "{findings:?}");
    }
}
