//! What is known of each host: facts given by the user, facts read off the wire, and the names that hosts go by.
//!
//! Takes:  [`Facts`], [`Inferred`] facts, names
//! Gives:  values by host and fact name; system and product as sets of versions, with where that is known from
//! Never:  lets what was inferred overrule what was given

use std::net::IpAddr;

use super::version::{Scale, Versions};
use crate::facts::{Fact, Facts};

/// A fact read off the wire.
#[derive(Clone, Debug, PartialEq)]
pub struct Inferred {
    /// Of which host.
    pub host: IpAddr,
    /// Name, as of [`Fact`].
    pub name: &'static str,
    /// Value; for systems and products a range of versions: `ws2008..`.
    pub value: String,
    /// How sure, 0 to 1.
    pub confidence: f64,
    /// What shows it, in words (may hold text from packets).
    pub basis: String,
}

/// Least confidence of an inferred fact that may decide on advice.
const SURE: f64 = 0.6;

/// Everything known of hosts.
#[derive(Clone, Debug, Default)]
pub struct HostFacts {
    given: Vec<Fact>,
    inferred: Vec<Inferred>,
    names: Vec<(IpAddr, String)>,
}

/// A value and where it is known from.
#[derive(Clone, Debug, PartialEq)]
pub struct Known<'a> {
    /// The value.
    pub value: &'a str,
    /// `facts.txt line 3`, `EHLO keywords of frame 12`.
    pub basis: String,
}

/// A system or product as a set of versions.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownVersions {
    /// One of these.
    pub versions: Versions,
    /// Where that is known from.
    pub basis: String,
}

impl HostFacts {
    /// Puts together what was given, what was inferred, and the names that hosts go by.
    #[must_use]
    pub fn new(given: &Facts, inferred: Vec<Inferred>, names: Vec<(IpAddr, String)>) -> Self {
        Self {
            given: given.facts.clone(),
            inferred,
            names,
        }
    }

    /// Hosts that facts were given for by address or by a name that the capture shows.
    #[must_use]
    pub fn hosts(&self) -> Vec<IpAddr> {
        let mut hosts: Vec<IpAddr> = self
            .given
            .iter()
            .filter_map(|f| self.address(f.host.as_deref()?))
            .collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// Whether any fact was given that names no host, or one that the capture does not show.
    #[must_use]
    pub fn has_unplaced(&self) -> bool {
        self.given
            .iter()
            .any(|f| f.host.as_deref().and_then(|h| self.address(h)).is_none())
    }

    /// Values of a fact of `host`: those given for it; else, for the host under suspicion, those given without a host;
    /// else those inferred.
    #[must_use]
    pub fn values<'a>(&'a self, host: Option<IpAddr>, suspect: bool, name: &str) -> Vec<Known<'a>> {
        let given = |placed: bool| -> Vec<Known<'a>> {
            let of = |inferred: bool| {
                self.given.iter().filter(move |f| {
                    f.name == name && f.inferred == inferred && self.belongs(f, host, placed)
                })
            };
            // What was said counts before what follows from something else that was said.
            let said = of(false).next().is_some();
            of(!said)
                .map(|f| Known {
                    value: &f.value,
                    basis: basis(f),
                })
                .collect()
        };
        let own = given(true);
        if !own.is_empty() {
            return own;
        }
        // A file without a host name is of the host under suspicion, unless that has facts of its own.
        if suspect && !self.has_own(host) {
            let common = given(false);
            if !common.is_empty() {
                return common;
            }
        }
        self.inferred
            .iter()
            .filter(|i| Some(i.host) == host && i.name == name && i.confidence >= SURE)
            .map(|i| Known {
                value: &i.value,
                basis: i.basis.clone(),
            })
            .collect()
    }

    /// Operating system of a host: from facts, the wire, or what its mail server runs on. `suspect` as for [`values`](Self::values).
    #[must_use]
    pub fn system(&self, host: Option<IpAddr>, suspect: bool) -> Option<KnownVersions> {
        let direct = self.versions(host, suspect, &["os"], Scale::System);
        let product = self.product(host, suspect).and_then(|p| {
            Some(KnownVersions {
                versions: p.versions.systems()?,
                basis: p.basis,
            })
        });
        match (direct, product) {
            (Some(d), Some(p)) => Some(match d.versions.and(p.versions) {
                Some(versions) if versions != d.versions => KnownVersions {
                    versions,
                    basis: format!("{}; {}", d.basis, p.basis),
                },
                _ => d,
            }),
            (d, p) => d.or(p),
        }
    }

    /// Mail server of a host.
    #[must_use]
    pub fn product(&self, host: Option<IpAddr>, suspect: bool) -> Option<KnownVersions> {
        self.versions(host, suspect, &["exchange", "mta"], Scale::Product)
    }

    fn versions(
        &self,
        host: Option<IpAddr>,
        suspect: bool,
        names: &[&str],
        scale: Scale,
    ) -> Option<KnownVersions> {
        let mut all: Option<KnownVersions> = None;
        for name in names {
            for known in self.values(host, suspect, name) {
                let Some(versions) = Versions::parse(known.value).filter(|v| v.scale() == scale)
                else {
                    continue;
                };
                all = Some(match all {
                    None => KnownVersions {
                        versions,
                        basis: known.basis,
                    },
                    // Two hints narrow each other down; where they contradict, neither is believed more.
                    Some(a) => KnownVersions {
                        versions: a.versions.and(versions).unwrap_or(a.versions.or(versions)),
                        basis: if a.basis == known.basis {
                            a.basis
                        } else {
                            format!("{}; {}", a.basis, known.basis)
                        },
                    },
                });
            }
        }
        all
    }

    fn belongs(&self, fact: &Fact, host: Option<IpAddr>, placed: bool) -> bool {
        match fact.host.as_deref().and_then(|h| self.address(h)) {
            Some(of) => placed && host == Some(of),
            // A name that the capture does not show counts like no name.
            None => !placed,
        }
    }

    fn has_own(&self, host: Option<IpAddr>) -> bool {
        self.given.iter().any(|f| self.belongs(f, host, true))
    }

    /// The address of a host by address or name, full or first label, whatever the case.
    #[must_use]
    pub fn address(&self, host: &str) -> Option<IpAddr> {
        if let Ok(addr) = host.trim_matches(['[', ']']).parse() {
            return Some(addr);
        }
        let first = |name: &str| name.split('.').next().unwrap_or(name).to_lowercase();
        self.names
            .iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(host))
            .or_else(|| {
                self.names
                    .iter()
                    .find(|(_, name)| first(name) == first(host))
            })
            .map(|(addr, _)| *addr)
    }
}

fn basis(fact: &Fact) -> String {
    if fact.line == 0 {
        fact.file.clone()
    } else {
        format!("{} line {}", fact.file, fact.line)
    }
}
