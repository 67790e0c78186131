//! Every sample, whole, cut, re-encoded and mixed.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;

fn samples() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/facts");
    let mut samples: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "txt"))
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                std::fs::read(entry.path()).unwrap(),
            )
        })
        .collect();
    samples.sort();
    assert!(samples.len() >= 62);
    samples
}

fn facts(octets: &[u8]) -> Facts {
    let mut facts = Facts::default();
    read(None, "sample", octets, &mut facts);
    facts
}

/// Facts without their lines, so that texts of other layout can be compared.
fn bare(facts: &Facts) -> Vec<(String, Option<String>, String, bool)> {
    let mut bare: Vec<_> = facts
        .facts
        .iter()
        .map(|f| {
            (
                f.name.clone(),
                f.subject.clone(),
                f.value.clone(),
                f.inferred,
            )
        })
        .collect();
    bare.sort();
    bare
}

/// What `part` has that `whole` has not.
fn invented(part: &Facts, whole: &Facts) -> Vec<(String, Option<String>, String, bool)> {
    let mut whole = bare(whole);
    let mut invented = bare(part);
    invented.retain(|fact| match whole.iter().position(|w| w == fact) {
        Some(at) => {
            whole.remove(at);
            false
        }
        None => true,
    });
    invented
}

#[test]
fn every_sample_is_understood() {
    let mut listing = String::new();
    for (name, octets) in samples() {
        let facts = facts(&octets);
        listing.push_str(&format!("## {name}\n"));
        for f in &facts.facts {
            assert!(
                names::is_known(&f.name),
                "{} of {name} is not in the table of names",
                f.name
            );
            let subject = f
                .subject
                .as_ref()
                .map(|s| format!(" [{s}]"))
                .unwrap_or_default();
            let inferred = if f.inferred { " (inferred)" } else { "" };
            listing.push_str(&format!(
                "{:3} {}{subject} = {}{inferred}\n",
                f.line, f.name, f.value
            ));
        }
        for (_, line, text) in &facts.not_understood {
            listing.push_str(&format!("{line:3} ? {text}\n"));
        }
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/facts/expected");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, &listing).unwrap();
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        listing == want,
        "differs from tests/facts/expected; regenerate with UPDATE_EXPECTED=1 and read the diff:\n{listing}"
    );
}

#[test]
fn a_cut_sample_invents_nothing() {
    for (name, octets) in samples() {
        let whole = facts(&octets);
        for (at, _) in octets.iter().enumerate().filter(|(_, o)| **o == b'\n') {
            let cut = facts(&octets[..=at]);
            assert_eq!(invented(&cut, &whole), [], "{name} cut at octet {at}");
        }
        // In the middle of a line nothing can be promised but that it ends well.
        for at in (0..octets.len()).step_by(7) {
            facts(&octets[..at]);
        }
    }
}

#[test]
fn encodings_and_line_ends_change_nothing() {
    for (name, octets) in samples() {
        let want = bare(&facts(&octets));
        let text = String::from_utf8(octets).unwrap();
        let crlf = text.replace("\r\n", "\n").replace('\n', "\r\n");
        let le: Vec<u8> = crlf.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = crlf.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for (form, octets) in [
            ("CRLF", crlf.clone().into_bytes()),
            ("CR CR LF", crlf.replace("\r\n", "\r\r\n").into_bytes()),
            (
                "UTF-8 with BOM",
                [b"\xef\xbb\xbf", crlf.as_bytes()].concat(),
            ),
            ("UTF-16LE with BOM", [b"\xff\xfe".as_slice(), &le].concat()),
            ("UTF-16BE with BOM", [b"\xfe\xff".as_slice(), &be].concat()),
            ("UTF-16LE", le.clone()),
            ("no last line end", text.trim_end().as_bytes().to_vec()),
        ] {
            let got = bare(&facts(&octets));
            if form == "no last line end" {
                assert!(
                    got.iter().all(|fact| want.contains(fact)),
                    "{name} as {form}"
                );
            } else if form != "UTF-16LE" || text.is_ascii() {
                assert_eq!(got, want, "{name} as {form}");
            }
        }
    }
}

/// The code pages that consoles write: German of 850 and 1252, Japanese of 932; whole, and cut at each line.
#[test]
fn code_pages_of_consoles() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/facts");
    for (page, sample) in [
        ("netsh-tcp-global.de.cp850", "netsh-tcp-global.de.txt"),
        ("netsh-tcp-global.de.cp1252", "netsh-tcp-global.de.txt"),
        ("netsh-tcp-global.ja.cp932", "netsh-tcp-global.ja.txt"),
    ] {
        let octets = std::fs::read(folder.join("oem").join(page)).unwrap();
        let want = facts(&std::fs::read(folder.join(sample)).unwrap());
        assert!(!want.facts.is_empty());
        assert_eq!(bare(&facts(&octets)), bare(&want), "{page}");
        for (at, _) in octets.iter().enumerate().filter(|(_, o)| **o == b'\n') {
            let cut = facts(octets.get(..=at).unwrap());
            assert_eq!(invented(&cut, &want), [], "{page} cut at octet {at}");
        }
    }
}

#[test]
fn a_mix_is_the_sum_of_its_parts() {
    for gap in ["", "\n", "\n\nC:\\>\n"] {
        let mut mix = Vec::new();
        let mut parts = Facts::default();
        for (_, octets) in samples() {
            mix.extend_from_slice(&octets);
            if !octets.ends_with(b"\n") {
                mix.push(b'\n');
            }
            mix.extend_from_slice(gap.as_bytes());
            read(None, "sample", &octets, &mut parts);
        }
        let mix = facts(&mix);
        assert_eq!(invented(&parts, &mix), [], "lost with gap {gap:?}");
        // A table that its own file cuts is whole here, so a version may be inferred from it.
        let more: Vec<_> = invented(&mix, &parts)
            .into_iter()
            .filter(|f| f.0 != "os")
            .collect();
        assert_eq!(more, [], "invented with gap {gap:?}");
    }
}

#[test]
fn prompts_name_host_and_adapter() {
    let text = "root@mx1:~# ethtool -i eth0\ndriver: bnx2\nversion: 2.2.6\nroot@mx1:~# cat /proc/net/bonding/bond0\n\
        Ethernet Channel Bonding Driver: v5.10.45\n\nBonding Mode: load balancing (round-robin)\n\
        root@mx2:~# sysctl net.ipv4.tcp_sack\nnet.ipv4.tcp_sack = 1\n";
    let got: Vec<_> = facts(text.as_bytes())
        .facts
        .into_iter()
        .map(|f| (f.host.unwrap(), f.name, f.subject, f.value, f.line))
        .collect();
    let want = [
        ("mx1", "nic.driver.name", Some("eth0"), "bnx2", 2),
        ("mx1", "nic.driver.version", Some("eth0"), "2.2.6", 3),
        ("mx1", "nic.team", Some("bond0"), "bonding", 5),
        ("mx1", "nic.team.mode", Some("bond0"), "balance-rr", 7),
        ("mx2", "tcp.sack", None, "enabled", 9),
    ]
    .map(|(h, n, s, v, l)| {
        (
            h.to_owned(),
            n.to_owned(),
            s.map(str::to_owned),
            v.to_owned(),
            l,
        )
    });
    assert_eq!(got, want);
}

#[test]
fn the_given_host_wins_unless_the_text_holds_several() {
    let read = |text: &str| {
        let mut facts = Facts::default();
        super::read(Some("10.0.0.5"), "f", text.as_bytes(), &mut facts);
        facts
            .facts
            .into_iter()
            .map(|f| (f.host.unwrap(), f.value))
            .collect::<Vec<_>>()
    };
    let pair = |h: &str, v: &str| (h.to_owned(), v.to_owned());
    let one =
        read("=== hostname ===\nHUB1\n=== ver ===\nMicrosoft Windows [Version 10.0.20348.1]\n");
    assert_eq!(
        one,
        [
            pair("10.0.0.5", "HUB1"),
            pair("10.0.0.5", "10.0.20348.1"),
            pair("10.0.0.5", "ws2022")
        ]
    );
    let two = read("=== hostname ===\nHUB1\n=== hostname ===\nHUB2\n");
    assert_eq!(two, [pair("10.0.0.5", "HUB1"), pair("HUB2", "HUB2")]);
}

#[test]
fn versions() {
    for (text, want) in [
        ("Microsoft Windows [Version 6.1.7601]", ("ws2008r2", true)),
        (
            "Microsoft Windows [Version 10.0.20348.587]",
            ("ws2022", false),
        ),
        ("Microsoft Windows NT 10.0.17763.0", ("ws2019", true)),
        (
            "OS Name:                   Microsoft Windows Server 2012 R2 Standard",
            ("ws2012r2", false),
        ),
        (
            "Betriebssystemname:        Microsoft Windows Server 2008 R2 Enterprise",
            ("ws2008r2", false),
        ),
        (
            "Caption=Microsoft(R) Windows(R) Server 2003, Enterprise Edition",
            ("ws2003", false),
        ),
        (
            "Linux mx1 6.1.0-18-amd64 #1 SMP PREEMPT_DYNAMIC Debian x86_64 GNU/Linux",
            ("linux", false),
        ),
    ] {
        let facts = facts(text.as_bytes());
        let os = facts
            .facts
            .iter()
            .find(|f| f.name == "os")
            .map(|f| (f.value.as_str(), f.inferred));
        assert_eq!(os, Some(want), "{text}");
    }
}

#[test]
fn labels_of_another_language_go_by_their_order() {
    // Labels that no table knows, as an OEM code page leaves them.
    let text = "Param\u{8a}tres TCP\n----------------------------------------------\nA\u{82} : enabled \nB : automatic \nC : disabled \nD : disabled \n\
        E : highlyrestricted \nF : ctcp \nG : enabled \nH : disabled \nI : 3000 \nJ : enabled \nK : disabled \nL : 2 \n\n";
    let octets: Vec<u8> = text
        .chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect();
    let got: BTreeMap<_, _> = facts(&octets)
        .facts
        .into_iter()
        .map(|f| (f.name, f.value))
        .collect();
    for (name, value) in [
        ("nic.rss", "enabled"),
        ("nic.chimney", "automatic"),
        ("tcp.autotuning", "highlyrestricted"),
        ("tcp.congestion", "ctcp"),
        ("tcp.initial_rto_ms", "3000"),
        ("tcp.max_syn", "2"),
        ("os", "ws2012r2"),
    ] {
        assert_eq!(got.get(name).map(String::as_str), Some(value), "{name}");
    }
}

#[test]
fn exchange_versions() {
    for (text, want) in [
        ("Version 8.3 (Build 83.6)", Some(("ex2007", "8.3.83.6"))),
        (
            "Version 14.0 (Build 639.21)",
            Some(("ex2010rtm", "14.0.639.21")),
        ),
        (
            "Version 14.3 (Build 123.4)",
            Some(("ex2010sp1", "14.3.123.4")),
        ),
        (
            "Version 15.1 (Build 2507.6)",
            Some(("ex2016", "15.1.2507.6")),
        ),
        (
            "Version 15.2 (Build 2562.17)",
            Some(("exse", "15.2.2562.17")),
        ),
        ("Version 15.2", None),
    ] {
        let want = want.map(|(p, v)| (p, v.to_owned()));
        assert_eq!(records::exchange(text), want, "{text}");
    }
}

#[test]
fn ages_and_bad_drivers_are_derived() {
    let octets = std::fs::read(
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/facts/get-netadapter-driver-select.txt"),
    )
    .unwrap();
    let mut facts = facts(&octets);
    // 2010-01-05
    derive(
        &mut facts,
        crate::net::Timestamp(14_614 * 86_400_000_000_000),
    );
    let value = |name: &str| {
        let fact = facts.facts.iter().find(|f| f.name == name).unwrap();
        (fact.value.clone(), fact.inferred)
    };
    assert_eq!(value("nic.driver.age_days"), ("1285".to_owned(), true));
    assert_eq!(value("nic.driver.known_bad"), ("yes".to_owned(), true));
}

/// Outputs of which no sample was at hand: layouts as the tools' documents give them.
#[test]
fn other_outputs() {
    type Row = (&'static str, Option<&'static str>, &'static str);
    let cases: &[(&str, &str, &[Row])] = &[
        (
            "a table cut at 80 columns",
            "Name                      InterfaceDescription                    ifIndex Status\n\
             ----                      --------------------                    ------- ------\n\
             Ethernet                  Broadcom BCM5708C NetXtreme II Gig...        12 Up\n",
            &[],
        ),
        (
            "connectors as a table",
            "Identity                             TarpitInterval MessageRateLimit\n\
             --------                             -------------- ----------------\n\
             EX1\\Default Frontend EX1             00:00:05       Unlimited\n\
             EX1\\Relay                            00:00:00       100\n",
            &[
                ("connector.tarpit_s", Some("EX1\\Default Frontend EX1"), "5"),
                (
                    "connector.message_rate",
                    Some("EX1\\Default Frontend EX1"),
                    "unlimited",
                ),
                (
                    "connector.identity",
                    Some("EX1\\Default Frontend EX1"),
                    "EX1\\Default Frontend EX1",
                ),
                ("connector.tarpit_s", Some("EX1\\Relay"), "0"),
                ("connector.message_rate", Some("EX1\\Relay"), "100"),
                ("connector.identity", Some("EX1\\Relay"), "EX1\\Relay"),
            ],
        ),
        (
            "a queue with its error wrapped",
            "Identity      : EX1\\12\nLastError     : 451 4.4.0 Primary target IP address\n                responded with: 421\n\n",
            &[(
                "queue.last_error",
                Some("EX1\\12"),
                "451 4.4.0 Primary target IP address responded with: 421",
            )],
        ),
        (
            "a server of Exchange",
            "Name                : HUB1\nAdminDisplayVersion : Version 14.3 (Build 123.4)\n\n",
            &[
                ("exchange", Some("HUB1"), "ex2010sp1"),
                ("exchange.version", Some("HUB1"), "14.3.123.4"),
            ],
        ),
        (
            "members of a team",
            "Name               : Ethernet2\nTeam               : Team0\nAdministrativeMode : Active\nOperationalStatus  : Failed\nFailureReason      : PhysicalMediaDisconnected\n\n",
            &[("nic.team.member_down", Some("Team0/Ethernet2"), "yes")],
        ),
        (
            "signing, of the server",
            "EnableSMB1Protocol       : False\nRequireSecuritySignature : True\n\n",
            &[
                ("smb.legacy", None, "disabled"),
                ("smb.signing", Some("server"), "required"),
            ],
        ),
        (
            "a virtual machine",
            "=== wmic computersystem get Manufacturer,Model /format:list ===\nManufacturer=Microsoft Corporation\nModel=Virtual Machine\n\n",
            &[
                ("virtual", None, "true"),
                ("virtual.hypervisor", None, "hyper-v"),
            ],
        ),
        (
            "teams counted, none",
            "=== Get-NetLbfoTeam | Measure-Object | Format-List Count ===\n\nCount : 0\n\n",
            &[("nic.team", None, "none")],
        ),
        (
            "teams counted, one",
            "PS C:\\> Get-NetLbfoTeam | Measure-Object\n\nCount    : 1\nAverage  :\nSum      :\n",
            &[],
        ),
        (
            "bonds counted, none",
            "root@mx1:~# ls -A /proc/net/bonding | wc -l\n0\n",
            &[("nic.team", None, "none")],
        ),
        (
            "an address",
            "C:\\>ipconfig\n\nEthernet adapter Ethernet:\n\n   IPv4 Address. . . . . . . . . . . : 192.0.2.5(Preferred)\n   Default Gateway . . . . . . . . . : 192.0.2.1\n",
            &[("host.address", None, "192.0.2.5")],
        ),
        (
            "a password is not kept",
            "[global]\n\tldap admin password = secret\n\tsync always = No\n",
            &[("samba.sync_always", None, "no")],
        ),
        (
            "a parameter without a name",
            "[global]\n\tsync always = No\n = tdb\n\tlog level = 1\n",
            &[
                ("samba.sync_always", None, "no"),
                ("samba.log_level", None, "1"),
            ],
        ),
    ];
    for (name, text, want) in cases {
        let got: Vec<_> = facts(text.as_bytes())
            .facts
            .into_iter()
            .map(|f| (f.name, f.subject, f.value))
            .collect();
        let want: Vec<_> = want
            .iter()
            .map(|(n, s, v)| ((*n).to_owned(), s.map(str::to_owned), (*v).to_owned()))
            .collect();
        let sorted = |mut facts: Vec<(String, Option<String>, String)>| {
            facts.sort();
            facts
        };
        assert_eq!(sorted(got), sorted(want), "{name}");
    }
}

/// Lines of all samples in any order, whole and cut: every fact told still comes from the line that it names.
#[test]
fn shuffled_lines_do_no_harm() {
    let lines: Vec<String> = samples()
        .into_iter()
        .flat_map(|(_, octets)| {
            String::from_utf8(octets)
                .unwrap()
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    let mut state = 1_u64;
    let mut next = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap()
    };
    for _ in 0..200 {
        let text: Vec<String> = (0..300)
            .map(|_| {
                let line = &lines[next() % lines.len()];
                let keep = if next() % 4 == 0 {
                    next() % (line.chars().count() + 1)
                } else {
                    usize::MAX
                };
                line.chars().take(keep).collect()
            })
            .collect();
        let facts = facts(text.join("\n").as_bytes());
        for fact in &facts.facts {
            assert_eq!(fact.text, text[fact.line - 1].replace('\r', "").trim_end());
        }
    }
}

/// What could be read again and again is passed over at once: twice the lines take about twice the time.
#[test]
fn long_unknown_texts_are_read_once() {
    for form in [
        "Key{} : value",
        "Key{}=value",
        "label {} : enabled",
        "{}: 1",
        "----  {} ----",
    ] {
        let text: String = (0..20_000)
            .map(|n| form.replace("{}", &n.to_string()) + "\n")
            .collect();
        let facts = facts(text.as_bytes());
        assert_eq!(facts.facts, []);
        assert!(!facts.not_understood.is_empty(), "{form}");
    }
}
