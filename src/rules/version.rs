//! Versions of operating systems and mail servers: ordered, and in sets, so that "one of these" can be said of a host.
//!
//! Takes:  keys (`ws2008r2`, `ex2013`), ranges of them (`ws2008..ws2012r2`, `ex2016..`), everyday names (`windows`)
//! Gives:  [`Versions`], and whether a host that is one of some versions lies in others: yes, no, not known
//! Never:  takes an unknown version for any

use super::condition::Truth;

/// Operating systems by age, then those that have no place in that order.
pub const SYSTEMS: &[(&str, &str)] = &[
    ("ws2003", "Windows Server 2003"),
    ("ws2008", "Windows Server 2008"),
    ("ws2008r2", "Windows Server 2008 R2"),
    ("ws2012", "Windows Server 2012"),
    ("ws2012r2", "Windows Server 2012 R2"),
    ("ws2016", "Windows Server 2016"),
    ("ws2019", "Windows Server 2019"),
    ("ws2022", "Windows Server 2022"),
    ("ws2025", "Windows Server 2025"),
    ("linux", "Linux"),
    ("bsd", "BSD"),
];

/// Mail servers: Exchange by age, then the others.
pub const PRODUCTS: &[(&str, &str)] = &[
    ("ex2003", "Exchange 2003"),
    ("ex2007", "Exchange 2007"),
    ("ex2010rtm", "Exchange 2010 without service pack"),
    ("ex2010sp1", "Exchange 2010 SP1 or later"),
    ("ex2013", "Exchange 2013"),
    ("ex2016", "Exchange 2016"),
    ("ex2019", "Exchange 2019"),
    ("exse", "Exchange Server SE"),
    ("exo", "Exchange Online"),
    ("iis", "IIS SMTP service"),
    ("postfix", "Postfix"),
    ("exim", "Exim"),
    ("sendmail", "Sendmail"),
];

/// Keys that people and parsers use for a span of the above. Clients count as the server of their generation.
const ALIASES: &[(&str, &str)] = &[
    ("windows", "ws2003.."),
    ("xp", "ws2003"),
    ("vista", "ws2008"),
    ("win7", "ws2008r2"),
    ("win8", "ws2012"),
    ("win8.1", "ws2012r2"),
    ("win10", "ws2016..ws2022"),
    ("win11", "ws2022..ws2025"),
    ("ex2010", "ex2010rtm..ex2010sp1"),
    ("exchange", "ex2003..exo"),
];

/// On which systems a mail server is found, as its maker supports it.
const RUNS_ON: &[(&str, &str)] = &[
    ("ex2003", "ws2003"),
    ("ex2007", "ws2003..ws2008r2"),
    ("ex2010rtm", "ws2008..ws2008r2"),
    ("ex2010sp1", "ws2008..ws2012r2"),
    ("ex2013", "ws2008r2..ws2012r2"),
    ("ex2016", "ws2012..ws2016"),
    ("ex2019", "ws2019..ws2025"),
    ("exse", "ws2019..ws2025"),
    ("iis", "ws2003..ws2022"),
    ("postfix", "linux..bsd"),
    ("exim", "linux..bsd"),
    ("sendmail", "linux..bsd"),
];

/// A set of versions on one of the two scales.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Versions {
    scale: Scale,
    bits: u32,
}

/// Which list a version stands in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scale {
    /// [`SYSTEMS`].
    System,
    /// [`PRODUCTS`].
    Product,
}

impl Scale {
    const fn list(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::System => SYSTEMS,
            Self::Product => PRODUCTS,
        }
    }

    /// Last place of the ordered part: an open range ends there.
    fn last_ordered(self) -> usize {
        let last = match self {
            Self::System => "ws2025",
            Self::Product => "exse",
        };
        self.list()
            .iter()
            .position(|(k, _)| *k == last)
            .unwrap_or(0)
    }
}

fn place(key: &str) -> Option<(Scale, usize)> {
    [Scale::System, Scale::Product].into_iter().find_map(|s| {
        s.list()
            .iter()
            .position(|(k, _)| *k == key)
            .map(|at| (s, at))
    })
}

impl Versions {
    /// Reads `ws2008`, `ws2008..ws2012r2`, `ws2012..`, `windows`, several with `|` between; `None` where a key is not known.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut whole: Option<Self> = None;
        for part in text.split('|') {
            let one = Self::parse_one(part.trim())?;
            whole = Some(match whole {
                None => one,
                Some(w) if w.scale == one.scale => Self {
                    bits: w.bits | one.bits,
                    ..w
                },
                Some(_) => return None,
            });
        }
        whole
    }

    fn parse_one(text: &str) -> Option<Self> {
        let text = ALIASES
            .iter()
            .find(|(alias, _)| *alias == text)
            .map_or(text, |(_, range)| range);
        let (from, to) = match text.split_once("..") {
            None => (text, Some(text)),
            Some((from, "")) => (from, None),
            Some((from, to)) => (from, Some(to)),
        };
        let (scale, from) = place(from)?;
        let to = match to {
            None => scale.last_ordered(),
            Some(key) => {
                let (other, at) = place(key)?;
                if other != scale {
                    return None;
                }
                at
            }
        };
        let bits = (from..=to).fold(0, |bits, at| bits | 1 << at);
        (bits != 0).then_some(Self { scale, bits })
    }

    /// Which list they stand in.
    #[must_use]
    pub const fn scale(self) -> Scale {
        self.scale
    }

    /// Whether a host that is one of `self` lies in `allowed`.
    #[must_use]
    pub const fn within(self, allowed: Self) -> Truth {
        if self.bits & !allowed.bits == 0 {
            Truth::Yes
        } else if self.bits & allowed.bits == 0 {
            Truth::No
        } else {
            Truth::Unknown
        }
    }

    /// Both sets together; `self` where the scales differ.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if self.scale == other.scale {
            Self {
                bits: self.bits | other.bits,
                ..self
            }
        } else {
            self
        }
    }

    /// What both have; `None` where that is nothing.
    #[must_use]
    pub fn and(self, other: Self) -> Option<Self> {
        let bits = self.bits & other.bits;
        (self.scale == other.scale && bits != 0).then_some(Self { bits, ..self })
    }

    /// The operating systems that the products of this set run on; `None` for a set of systems.
    #[must_use]
    pub fn systems(self) -> Option<Self> {
        if self.scale == Scale::System {
            return None;
        }
        let mut all: Option<Self> = None;
        for key in self.keys() {
            let on = RUNS_ON.iter().find(|(k, _)| *k == key)?.1;
            let on = Self::parse(on)?;
            all = Some(all.map_or(on, |a| a.or(on)));
        }
        all
    }

    /// The products that are found on one of the systems of `systems`; `None` for a set of products.
    #[must_use]
    pub fn found_on(systems: Self) -> Option<Self> {
        if systems.scale == Scale::Product {
            return None;
        }
        RUNS_ON
            .iter()
            .filter_map(|(product, on)| Some((Self::parse(product)?, Self::parse(on)?)))
            .filter(|(_, on)| on.and(systems).is_some())
            .map(|(product, _)| product)
            .reduce(Self::or)
    }

    /// The keys in the set, in order.
    pub fn keys(self) -> impl Iterator<Item = &'static str> {
        self.scale
            .list()
            .iter()
            .enumerate()
            .filter(move |(at, _)| self.bits & 1 << at != 0)
            .map(|(_, (key, _))| *key)
    }

    /// In words: `Windows Server 2008 to 2012 R2`, `Linux`, `Exchange 2007 or Postfix`.
    #[must_use]
    pub fn words(self) -> String {
        let list = self.scale.list();
        let last_ordered = self.scale.last_ordered();
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for at in (0..list.len()).filter(|at| self.bits & 1 << at != 0) {
            match runs.last_mut() {
                Some((_, end)) if *end + 1 == at && at <= last_ordered => *end = at,
                _ => runs.push((at, at)),
            }
        }
        let name = |at: usize| list.get(at).map_or("", |(_, words)| words);
        let short = |at: usize| {
            name(at)
                .trim_start_matches("Windows Server ")
                .trim_start_matches("Exchange Server ")
                .trim_start_matches("Exchange ")
        };
        let parts: Vec<String> = runs
            .iter()
            .map(|&(from, to)| {
                if from == to {
                    name(from).to_owned()
                } else if from == 0 && to == last_ordered && self.scale == Scale::System {
                    "Windows".to_owned()
                } else if to == last_ordered {
                    format!("{} and later", name(from).trim_end_matches(" or later"))
                } else if to == from + 1 {
                    format!("{} or {}", name(from), short(to))
                } else {
                    let to = short(to).trim_end_matches(" SP1 or later");
                    format!("{} to {to}", name(from))
                }
            })
            .collect();
        parts.join(" or ")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn reads_keys_and_ranges() {
        for (text, want) in [
            ("ws2008r2", Some("ws2008r2")),
            ("ws2008..ws2012", Some("ws2008 ws2008r2 ws2012")),
            ("ws2019..", Some("ws2019 ws2022 ws2025")),
            ("ex2016..", Some("ex2016 ex2019 exse")),
            ("ex2010", Some("ex2010rtm ex2010sp1")),
            ("postfix|exim", Some("postfix exim")),
            ("win10", Some("ws2016 ws2019 ws2022")),
            ("ws2012..ws2008", None),
            ("ws2008..ex2010sp1", None),
            ("ws2008|ex2007", None),
            ("ws1999", None),
            ("", None),
        ] {
            let got = Versions::parse(text).map(|v| v.keys().collect::<Vec<_>>().join(" "));
            assert_eq!(got.as_deref(), want, "{text}");
        }
    }

    #[test]
    fn one_of_some_within_others() {
        for (host, allowed, want) in [
            ("ws2008", "ws2008..ws2012", Truth::Yes),
            ("ws2019", "ws2008..ws2012", Truth::No),
            ("ws2008..", "ws2008..ws2012", Truth::Unknown),
            ("linux", "windows", Truth::No),
            ("windows", "linux", Truth::No),
        ] {
            let got = Versions::parse(host)
                .unwrap()
                .within(Versions::parse(allowed).unwrap());
            assert_eq!(got, want, "{host} in {allowed}");
        }
    }

    #[test]
    fn words() {
        for (text, want) in [
            ("ws2003", "Windows Server 2003"),
            ("ws2008..ws2012r2", "Windows Server 2008 to 2012 R2"),
            ("ws2008..ws2008r2", "Windows Server 2008 or 2008 R2"),
            ("ws2012..", "Windows Server 2012 and later"),
            ("ws2012..|linux", "Windows Server 2012 and later or Linux"),
            ("ex2007|postfix", "Exchange 2007 or Postfix"),
            ("ex2007..ex2010sp1", "Exchange 2007 to 2010"),
        ] {
            assert_eq!(Versions::parse(text).unwrap().words(), want, "{text}");
        }
    }

    #[test]
    fn a_product_tells_the_system() {
        let on = |p: &str| Versions::parse(p).unwrap().systems().map(Versions::words);
        assert_eq!(
            on("ex2019").as_deref(),
            Some("Windows Server 2019 and later")
        );
        assert_eq!(
            on("ex2007").as_deref(),
            Some("Windows Server 2003 to 2008 R2")
        );
        assert_eq!(on("exo"), None, "nobody's business");
    }
}
