//! What is known of each host: facts given by the user, facts read off the wire, and the names that hosts go by.
//!
//! Takes:  [`Facts`], [`Inferred`] facts, names
//! Gives:  values by host and fact name; system and product as sets of versions, with where that is known from
//! Never:  lets what was inferred overrule what was given; takes a fact for more than one host's

use std::collections::{BTreeMap, BTreeSet};
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

/// Least confidence of an inferred fact that speaks against one that was given.
const HINT: f64 = 0.5;
/// Hosts named in one sentence.
const MAX_NAMED: usize = 4;

/// Everything known of hosts.
#[derive(Clone, Debug, Default)]
pub struct HostFacts {
    given: Vec<Fact>,
    /// Of each given fact, the index of its owner.
    owner: Vec<usize>,
    owners: Vec<Owner>,
    /// Indices of given facts by name.
    by_name: BTreeMap<String, Vec<usize>>,
    inferred: Vec<Inferred>,
    names: Vec<(IpAddr, String)>,
}

/// Of whom some facts speak.
#[derive(Clone, Debug, Default)]
struct Owner {
    /// As the user or the text names it.
    label: Option<String>,
    file: String,
    /// Its addresses, as far as the user, the text or the capture tells them.
    addresses: Vec<IpAddr>,
}

/// A value and where it is known from.
#[derive(Clone, Debug, PartialEq)]
pub struct Known<'a> {
    /// The value.
    pub value: &'a str,
    /// The adapter, team, connector, … that it holds for; `None`: the whole host, or not said.
    pub part: Option<&'a str>,
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
    ///
    /// A fact belongs to the host that the user names with it; else to the one that its text names by name or address.
    #[must_use]
    pub fn new(given: &Facts, inferred: Vec<Inferred>, names: Vec<(IpAddr, String)>) -> Self {
        let mut all = Self {
            given: given.facts.clone(),
            inferred,
            names,
            ..Self::default()
        };
        // A text that names one host speaks of that one before it names it, too.
        let mut named: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for fact in &all.given {
            if let Some(host) = &fact.host {
                named.entry(&fact.file).or_default().insert(host);
            }
        }
        let mut places: BTreeMap<(Option<&str>, &str), usize> = BTreeMap::new();
        let mut owners: Vec<Owner> = Vec::new();
        let mut owner = Vec::new();
        for fact in &all.given {
            let only = || match named.get(fact.file.as_str()) {
                Some(hosts) if hosts.len() == 1 => hosts.first().copied(),
                _ => None,
            };
            let label = fact.host.as_deref().or_else(only);
            // What is said of a named host in several files is said of one host.
            let file = if label.is_some() {
                ""
            } else {
                fact.file.as_str()
            };
            let place = *places.entry((label, file)).or_insert_with(|| {
                owners.push(Owner {
                    label: label.map(str::to_owned),
                    file: fact.file.clone(),
                    addresses: label.and_then(|l| all.address(l)).into_iter().collect(),
                });
                owners.len() - 1
            });
            if let ("host.address", Ok(addr), Some(owner)) = (
                fact.name.as_str(),
                fact.value.parse(),
                owners.get_mut(place),
            ) && !owner.addresses.contains(&addr)
            {
                owner.addresses.push(addr);
            }
            owner.push(place);
        }
        for (at, fact) in all.given.iter().enumerate() {
            all.by_name.entry(fact.name.clone()).or_default().push(at);
        }
        all.inferred.sort_by_key(|i| i.host);
        all.owner = owner;
        all.owners = owners;
        all
    }

    /// Hosts that facts were given for by address or by a name that the capture shows.
    #[must_use]
    pub fn hosts(&self) -> Vec<IpAddr> {
        let hosts: BTreeSet<IpAddr> = (self.owners.iter())
            .flat_map(|o| o.addresses.iter().copied())
            .collect();
        hosts.into_iter().collect()
    }

    /// Whether any fact was given that names no host, or one that the capture does not show.
    #[must_use]
    pub fn has_unplaced(&self) -> bool {
        self.owners.iter().any(|o| o.addresses.is_empty())
    }

    /// Values of a fact of `host`: those given for it; else, for the only host under suspicion, those given without a host;
    /// else those inferred.
    #[must_use]
    pub fn values<'a>(&'a self, host: Option<IpAddr>, suspect: bool, name: &str) -> Vec<Known<'a>> {
        let given = |placed: bool| -> Vec<Known<'a>> {
            let of = |inferred: bool| {
                let indices = self.by_name.get(name).into_iter().flatten();
                indices
                    .filter_map(|at| Some((self.given.get(*at)?, self.owner_of(*at)?)))
                    .filter(move |(f, o)| f.inferred == inferred && o.is(host, placed))
            };
            // What was said counts before what follows from something else that was said.
            let said = of(false).next().is_some();
            of(!said)
                .map(|(f, o)| Known {
                    value: &f.value,
                    part: f.subject.as_deref(),
                    basis: basis(f, o, host.filter(|_| !placed)),
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
        host.into_iter()
            .flat_map(|host| self.hints(host))
            .filter(|i| i.name == name && i.confidence >= SURE)
            .map(|i| Known {
                value: &i.value,
                part: None,
                basis: i.basis.clone(),
            })
            .collect()
    }

    /// What the wire shows of a host that does not go with what was given of it, in sentences.
    #[must_use]
    pub fn contradictions(&self, host: IpAddr) -> Vec<String> {
        let mut all = Vec::new();
        for (names, scale) in [
            (&["os"][..], Scale::System),
            (&["exchange", "mta"], Scale::Product),
        ] {
            let Some((said, basis)) = self.said(host, names, scale) else {
                continue;
            };
            for hint in self.hints(host) {
                let Some(shown) = Versions::parse(&hint.value) else {
                    continue;
                };
                // A mail server tells the system that it runs on.
                let shown = match (shown.scale(), scale) {
                    (Scale::Product, Scale::System) => shown.systems(),
                    (a, b) if a == b => Some(shown),
                    _ => None,
                };
                if let Some(shown) = shown
                    && hint.confidence >= HINT
                    && shown.and(said).is_none()
                {
                    all.push(format!(
                        "{host} is said to run {} ({basis}), but the wire shows {} ({})",
                        said.words(),
                        shown.words(),
                        hint.basis
                    ));
                }
            }
        }
        all
    }

    /// What was given of a host's versions, all of it.
    fn said(&self, host: IpAddr, names: &[&str], scale: Scale) -> Option<(Versions, String)> {
        let mut said: Option<(Versions, String)> = None;
        for name in names {
            for at in self.by_name.get(*name).into_iter().flatten() {
                let (Some(fact), Some(owner)) = (self.given.get(*at), self.owner_of(*at)) else {
                    continue;
                };
                if fact.inferred || !owner.is(Some(host), true) {
                    continue;
                }
                if let Some(v) = Versions::parse(&fact.value).filter(|v| v.scale() == scale) {
                    said = Some(match said {
                        None => (v, basis(fact, owner, None)),
                        Some((all, words)) => (all.or(v), words),
                    });
                }
            }
        }
        said
    }

    /// Of whom files speak that name no host, and what that means where `accused` hosts come into question; in sentences.
    #[must_use]
    pub fn unplaced(&self, accused: &[IpAddr]) -> Vec<String> {
        let list: Vec<String> = accused
            .iter()
            .take(MAX_NAMED)
            .map(ToString::to_string)
            .collect();
        let list = list.join(", ");
        let nameless = self.owners.iter().filter(|o| o.addresses.is_empty());
        nameless
            .map(|o| {
                let of = match &o.label {
                    Some(label) => format!(
                        "what is said of {label} ({}), whom the capture does not show by this name,",
                        o.file
                    ),
                    None => format!("what {} says, which names no host,", o.file),
                };
                match accused {
                    [] => format!("{of} is tied to no host of the capture: name the host by its address"),
                    [one] => format!("{of} is taken to be of {one}, which alone is accused: if it is another's, name that host by its address"),
                    _ => format!(
                        "{of} decides nothing, because {} hosts are accused ({list}{}): name the host by its address",
                        accused.len(),
                        if accused.len() > MAX_NAMED { ", ..." } else { "" }
                    ),
                }
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
        // What was given under one name is not to be mixed with what the wire hints at under another.
        let is_given = |name: &str| {
            let indices = self.by_name.get(name).into_iter().flatten();
            let mut owners = indices.filter_map(|at| self.owner_of(*at));
            owners.any(|o| o.is(host, true) || suspect && o.is(host, false) && !self.has_own(host))
        };
        let some_given = names.iter().any(|name| is_given(name));
        for name in names.iter().filter(|name| !some_given || is_given(name)) {
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

    /// What the wire shows of a host.
    fn hints(&self, host: IpAddr) -> impl Iterator<Item = &Inferred> {
        let from = self.inferred.partition_point(|i| i.host < host);
        let rest = self.inferred.get(from..).unwrap_or_default();
        rest.iter().take_while(move |i| i.host == host)
    }

    fn owner_of(&self, fact: usize) -> Option<&Owner> {
        self.owners.get(*self.owner.get(fact)?)
    }

    fn has_own(&self, host: Option<IpAddr>) -> bool {
        self.owners.iter().any(|o| o.is(host, true))
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

impl Owner {
    /// Whether it is this host (`placed`), or nobody of whom the capture knows.
    fn is(&self, host: Option<IpAddr>, placed: bool) -> bool {
        if placed {
            host.is_some_and(|h| self.addresses.contains(&h))
        } else {
            self.addresses.is_empty()
        }
    }
}

/// Where a fact is known from; `taken`: the host that it is taken to be of, where nothing says so.
fn basis(fact: &Fact, owner: &Owner, taken: Option<IpAddr>) -> String {
    let mut words = if fact.line == 0 {
        fact.file.clone()
    } else {
        format!("{} line {}", fact.file, fact.line)
    };
    match (taken, &owner.label) {
        (Some(host), Some(label)) => words.push_str(&format!(", of {label}, taken to be {host}")),
        (Some(host), None) => words.push_str(&format!(", which names no host, taken to be {host}")),
        (None, _) => {}
    }
    words
}
