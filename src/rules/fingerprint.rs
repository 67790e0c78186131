//! What hosts give away of themselves: systems and mail servers from dialogs and TCP habits.
//!
//! Takes:  flows with their dialogs, one by one
//! Gives:  [`Inferred`] facts (`os`, `exchange`, `mta`) with confidence and basis, and the names that hosts use
//! Never:  overrules a fact that was given (see [`HostFacts`](super::HostFacts)); keeps more than [`MAX_HOSTS`] hosts

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::host::Inferred;
use crate::detect::Seen;
use crate::net::Direction;

/// Hosts that are remembered; later ones are left out.
pub const MAX_HOSTS: usize = 10_000;

/// Of one host: each fact and value, with confidence and basis. A list, as there are one or two, and many hosts.
type Given = Vec<((&'static str, String), (f64, String))>;

/// Collects what hosts give away.
#[derive(Debug, Default)]
pub struct Fingerprints {
    hosts: BTreeMap<IpAddr, Given>,
    names: BTreeMap<(IpAddr, String), ()>,
    omitted: u64,
}

impl Fingerprints {
    /// Looks at one flow and its dialog.
    pub fn flow(&mut self, seen: Seen<'_>) {
        let flow = seen.flow;
        for direction in Direction::BOTH {
            let host = flow.sender(direction).addr;
            let half = flow.half(direction);
            let Some((_, ttl)) = half.ttl else { continue };
            // Initial TTLs are 64, 128 and 255; paths are rarely longer than 30 hops.
            match ttl {
                98..=128 => self.tell(host, "os", "windows", 0.8, || {
                    format!("packets of TTL {ttl}: Windows starts at 128")
                }),
                // Proxies and devices that answer for a Windows host send this too: a hint, and no ground to leave
                // out the commands for Windows.
                34..=64 => self.tell(host, "os", "linux|bsd", 0.5, || {
                    format!("packets of TTL {ttl}: Unix systems start at 64")
                }),
                _ => {}
            }
            if half.syn_seen && (98..=128).contains(&ttl) && half.window_scale == Some(8) {
                self.tell(host, "os", "ws2008..", 0.75, || {
                    "window scale 8 in its SYN: auto-tuning, which came with 2008".to_owned()
                });
            }
        }
        if let Some(smtp) = &seen.dialog.smtp {
            let server = flow.server.addr;
            let banner = smtp.banner.as_deref().unwrap_or("");
            let keywords: Vec<String> = smtp
                .capabilities
                .iter()
                .map(|c| {
                    c.split([' ', '='])
                        .next()
                        .unwrap_or("")
                        .to_ascii_uppercase()
                })
                .collect();
            for (name, value, confidence, basis) in mail_server(banner, &keywords) {
                self.tell(server, name, value, confidence, || basis);
            }
            if let Some(name) = &smtp.server_name {
                self.name(server, name);
            }
            if let Some(name) = &smtp.client_name {
                self.name(flow.client.addr, name);
            }
        }
        if let Some(smb) = &seen.dialog.smb {
            let server = flow.server.addr;
            let ttl = flow
                .half(Direction::ServerToClient)
                .ttl
                .map_or(0, |(_, high)| high);
            if let Some((major, minor, build)) = smb.server_version
                && let Some(value) = ntlm_system(major, minor, build)
            {
                self.tell(server, "os", value, 0.9, || {
                    format!("version {major}.{minor} build {build} in its NTLM challenge")
                });
            }
            // A dialect says what the server can do at least; Samba speaks them all, so only with Windows' TTL.
            if (98..=128).contains(&ttl)
                && let Some(value) = smb.dialect.as_deref().and_then(dialect_system)
            {
                self.tell(server, "os", value, 0.7, || {
                    format!("SMB dialect {}", smb.dialect.as_deref().unwrap_or(""))
                });
            }
            if let Some(name) = &smb.server_name {
                self.name(server, name);
            }
        }
    }

    fn tell(
        &mut self,
        host: IpAddr,
        name: &'static str,
        value: &str,
        confidence: f64,
        basis: impl FnOnce() -> String,
    ) {
        if self.hosts.len() >= MAX_HOSTS && !self.hosts.contains_key(&host) {
            self.omitted += 1;
            return;
        }
        let facts = self.hosts.entry(host).or_default();
        match facts
            .iter_mut()
            .find(|((n, v), _)| *n == name && v == value)
        {
            Some((_, known)) => known.0 = known.0.max(confidence),
            None => {
                facts.reserve_exact(1);
                facts.push(((name, value.to_owned()), (confidence, basis())));
            }
        }
    }

    fn name(&mut self, host: IpAddr, name: &str) {
        let fine = !name.is_empty()
            && name.len() <= 255
            && name.parse::<IpAddr>().is_err()
            && !name.starts_with('[');
        if fine && self.names.len() < MAX_HOSTS {
            self.names.insert((host, name.to_owned()), ());
        }
    }

    /// What was inferred, and the names that hosts use, both by address.
    #[must_use]
    pub fn finish(self) -> (Vec<Inferred>, Vec<(IpAddr, String)>) {
        let mut all = Vec::new();
        for (host, mut facts) in self.hosts {
            facts.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            for ((name, value), (confidence, basis)) in facts {
                all.push(Inferred {
                    host,
                    name,
                    value,
                    confidence,
                    basis,
                });
            }
        }
        (all, self.names.into_keys().collect())
    }
}

type Told = (&'static str, &'static str, f64, String);

/// Mail server by banner and EHLO keywords (public transcripts; where two versions look alike, both are said).
fn mail_server(banner: &str, keywords: &[String]) -> Vec<Told> {
    let has = |word: &str| keywords.iter().any(|k| k == word);
    let mut out: Vec<Told> = Vec::new();
    let by_banner = |value: &str| format!("its banner names {value}");
    for (text, value, name) in [
        ("ESMTP Postfix", "postfix", "Postfix"),
        ("ESMTP Exim", "exim", "Exim"),
        ("ESMTP Sendmail", "sendmail", "Sendmail"),
    ] {
        if banner.contains(text) {
            out.push(("mta", value, 0.95, by_banner(name)));
        }
    }
    if banner.contains(".outlook.com ") || banner.contains(".protection.outlook.com") {
        out.push(("exchange", "exo", 0.95, by_banner("Exchange Online")));
        return out;
    }
    if let Some((_, version)) = banner.split_once("Microsoft ESMTP MAIL Service, Version: ") {
        if has("X-LINK2STATE") {
            out.push((
                "exchange",
                "ex2003",
                0.9,
                "X-LINK2STATE among its EHLO keywords".to_owned(),
            ));
        } else {
            out.push(("mta", "iis", 0.9, by_banner("the IIS SMTP service")));
        }
        let system = [
            ("6.0", "ws2003"),
            ("7.0", "ws2008"),
            ("7.5", "ws2008r2"),
            ("8.0", "ws2012"),
            ("8.5", "ws2012r2"),
            ("10.0", "ws2016..ws2022"),
        ];
        if let Some((number, value)) = system
            .iter()
            .find(|(number, _)| version.starts_with(number))
        {
            out.push((
                "os",
                value,
                0.9,
                format!("SMTP service version {number} in its banner"),
            ));
        }
        return out;
    }
    let microsoft = banner.contains("Microsoft ESMTP MAIL Service");
    let exchange = has("X-ANONYMOUSTLS") || has("X-EXPS") || has("XEXCH50") || has("XRDST");
    let because = |words: &str| format!("EHLO keywords: {words}");
    let told = if has("XSHADOWREQUEST") {
        Some(("ex2013..exse", 0.85, because("XSHADOWREQUEST")))
    } else if has("XSHADOW") {
        Some(("ex2010", 0.9, because("XSHADOW")))
    } else if has("SMTPUTF8") && (exchange || microsoft) {
        Some((
            "ex2019..exse",
            0.85,
            because("SMTPUTF8 beside Exchange's own"),
        ))
    } else if has("XRDST") && !has("XEXCH50") {
        Some((
            "ex2016",
            0.65,
            because("XRDST without XEXCH50 and SMTPUTF8"),
        ))
    } else if has("XEXCH50") && has("XRDST") {
        Some(("ex2010|ex2013", 0.65, because("XEXCH50 and XRDST")))
    } else if has("XEXCH50") && exchange {
        Some(("ex2007", 0.8, because("XEXCH50 without XSHADOW")))
    } else if microsoft || exchange {
        Some((
            "ex2007..exse",
            0.8,
            "banner or EHLO keywords of Exchange".to_owned(),
        ))
    } else {
        None
    };
    out.extend(told.map(|(value, confidence, basis)| ("exchange", value, confidence, basis)));
    out
}

/// System by the version in an NTLM challenge (MS-NLMP section 2.2.2.10). Samba says 6.1 build 0.
const fn ntlm_system(major: u8, minor: u8, build: u16) -> Option<&'static str> {
    Some(match (major, minor, build) {
        (_, _, 0) => return None,
        (5, 2, _) => "ws2003",
        (6, 0, _) => "ws2008",
        (6, 1, _) => "ws2008r2",
        (6, 2, _) => "ws2012",
        (6, 3, _) => "ws2012r2",
        (10, 0, 14393) => "ws2016",
        (10, 0, 17763) => "ws2019",
        (10, 0, 20348) => "ws2022",
        (10, 0, 26100..) => "ws2025",
        (10, 0, _) => "ws2016..",
        _ => return None,
    })
}

/// Oldest system that speaks a dialect, and all later ones.
fn dialect_system(dialect: &str) -> Option<&'static str> {
    Some(match dialect {
        "2.0.2" => "ws2008..",
        "2.1" | "2.1.0" => "ws2008r2..",
        "3.0" | "3.0.0" => "ws2012..",
        "3.0.2" => "ws2012r2..",
        "3.1.1" => "ws2016..",
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::rules::Versions;

    #[test]
    fn mail_servers_by_banner_and_keywords() {
        let exchange =
            "220 EX Microsoft ESMTP MAIL Service ready at Tue, 5 Jan 2010 15:22:00 +0000";
        for (name, banner, keywords, want) in [
            (
                "Exchange 2007",
                exchange,
                "X-ANONYMOUSTLS X-EXPS XEXCH50",
                "exchange=ex2007",
            ),
            (
                "Exchange 2010",
                exchange,
                "X-ANONYMOUSTLS X-EXPS XEXCH50 XRDST XSHADOW",
                "exchange=ex2010",
            ),
            (
                "Exchange 2013 and later",
                exchange,
                "X-EXPS XEXCH50 XRDST XSHADOWREQUEST",
                "exchange=ex2013..exse",
            ),
            (
                "Exchange 2016 front end",
                exchange,
                "X-ANONYMOUSTLS XRDST",
                "exchange=ex2016",
            ),
            (
                "Exchange 2019",
                exchange,
                "X-ANONYMOUSTLS SMTPUTF8 XRDST",
                "exchange=ex2019..exse",
            ),
            ("some Exchange", exchange, "SIZE", "exchange=ex2007..exse"),
            (
                "IIS",
                "220 relay Microsoft ESMTP MAIL Service, Version: 7.5.7601.17514 ready",
                "TURN ETRN VRFY",
                "mta=iis os=ws2008r2",
            ),
            (
                "Exchange 2003",
                "220 ex Microsoft ESMTP MAIL Service, Version: 6.0.3790.4675 ready",
                "X-LINK2STATE XEXCH50",
                "exchange=ex2003 os=ws2003",
            ),
            (
                "Postfix",
                "220 mail.example ESMTP Postfix (Debian)",
                "SMTPUTF8 CHUNKING",
                "mta=postfix",
            ),
            ("masked", "220 ********", "SIZE", ""),
        ] {
            let words: Vec<String> = keywords.split(' ').map(str::to_owned).collect();
            let told = mail_server(banner, &words);
            for (_, value, _, _) in &told {
                assert!(Versions::parse(value).is_some(), "{value}");
            }
            let got: Vec<String> = told.iter().map(|(n, v, _, _)| format!("{n}={v}")).collect();
            assert_eq!(got.join(" "), want, "{name}");
        }
    }

    #[test]
    fn systems_by_ntlm_version() {
        for (version, want) in [
            ((5, 2, 3790), Some("ws2003")),
            ((6, 1, 7601), Some("ws2008r2")),
            ((6, 1, 0), None),
            ((10, 0, 17763), Some("ws2019")),
            ((10, 0, 26100), Some("ws2025")),
            ((10, 0, 19045), Some("ws2016..")),
            ((4, 0, 1381), None),
        ] {
            assert_eq!(
                ntlm_system(version.0, version.1, version.2),
                want,
                "{version:?}"
            );
        }
    }
}
