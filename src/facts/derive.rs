//! Facts that follow from other facts: a driver's age, and whether it lies in a range known to be bad.
//!
//! Takes:  all facts, and today's date from the caller
//! Gives:  `nic.driver.age_days`, `nic.driver.known_bad`, `virtual` of adapters that only a hypervisor, or only its host, has
//! Never:  reads a clock; judges Microsoft's own drivers by their date, which is fixed

use std::collections::{HashMap, HashSet};

use crate::net::Timestamp;

use super::{Fact, Facts, value};

/// Adds what follows from the facts read. `today` is the moment against which ages are told. Call it once, when all is read.
pub fn derive(facts: &mut Facts, today: Timestamp) {
    let mut derived = Vec::new();
    // Vendor and name of each adapter, as its own file tells them.
    let mut adapters: HashMap<(Adapter<'_>, &str), &str> = HashMap::new();
    for fact in &facts.facts {
        if matches!(fact.name.as_str(), "nic.driver.vendor" | "nic.driver.name") {
            adapters
                .entry((adapter(fact), &fact.name))
                .or_insert(&fact.value);
        }
    }
    let mut virtual_hosts: HashSet<Option<&str>> = facts
        .facts
        .iter()
        .filter(|fact| fact.name == "virtual")
        .map(|fact| fact.host.as_deref())
        .collect();
    let mut hyperv_hosts: HashSet<Option<&str>> = HashSet::new();
    for fact in &facts.facts {
        let of_same = |name: &'static str| adapters.get(&(adapter(fact), name));
        let mut add = |name: &str, subject: Option<String>, value: String| {
            derived.push(Fact {
                name: name.to_owned(),
                subject,
                value,
                inferred: true,
                ..fact.clone()
            });
        };
        match fact.name.as_str() {
            "nic.driver.date" => {
                let vendor = of_same("nic.driver.vendor");
                // Drivers that come with Windows carry 2006-06-21 whatever their age.
                let inbox = fact.value == "2006-06-21"
                    || vendor.is_some_and(|v| v.to_lowercase().contains("microsoft"));
                let days = value::days(&fact.value)
                    .and_then(|day| (today.0.div_euclid(86_400_000_000_000)).checked_sub(day));
                if let (false, Some(days @ 0..)) = (inbox, days) {
                    add(
                        "nic.driver.age_days",
                        fact.subject.clone(),
                        days.to_string(),
                    );
                }
            }
            "nic.driver.version" => {
                let name = of_same("nic.driver.name");
                if let Some(bad) = name.and_then(|n| known_bad(n, &fact.value)) {
                    let value = if bad { "yes" } else { "no" };
                    add(
                        "nic.driver.known_bad",
                        fact.subject.clone(),
                        value.to_owned(),
                    );
                }
            }
            "nic.driver.name" => {
                let lower = fact.value.to_lowercase();
                let hypervisor = [
                    ("vmxnet3", "vmware"),
                    ("microsoft hyper-v network adapter", "hyper-v"),
                    ("virtio", "kvm"),
                    ("xen net", "xen"),
                ]
                .into_iter()
                .find(|(word, _)| lower.contains(word));
                // The host's own door to its virtual switch; a guest has `Microsoft Hyper-V Network Adapter`.
                if lower.contains("hyper-v virtual ethernet adapter")
                    && hyperv_hosts.insert(fact.host.as_deref())
                {
                    add("virtual", None, "host".to_owned());
                }
                // Several adapters tell the same of their host.
                if let Some((_, name)) = hypervisor
                    && virtual_hosts.insert(fact.host.as_deref())
                {
                    add("virtual", None, "true".to_owned());
                    add("virtual.hypervisor", None, name.to_owned());
                }
            }
            _ => {}
        }
    }
    facts.facts.extend(derived);
}

/// Host, adapter and file of a fact.
type Adapter<'a> = (Option<&'a str>, Option<&'a str>, &'a str);

fn adapter(fact: &Fact) -> Adapter<'_> {
    (fact.host.as_deref(), fact.subject.as_deref(), &fact.file)
}

/// Names of Windows drivers for Broadcom's BCM5706 and BCM5708 with TCP offload, under all makers' labels.
const NETXTREME2: &[&str] = &[
    "bcm5706",
    "bcm5708",
    "netxtreme ii",
    "nc370",
    "nc371",
    "nc373",
    "nc374",
];
/// First version of the virtual bus driver without the fault; it is numbered 2.x.
const FIRST_GOOD_BUS: [u32; 3] = [2, 8, 18];
/// First version of the adapter's driver without the fault.
const FIRST_GOOD: [u32; 3] = [3, 7, 19];

/// Whether a driver of a family with a known bad range lies in it; `None` for other families.
fn known_bad(description: &str, version: &str) -> Option<bool> {
    let lower = description.to_lowercase();
    if !NETXTREME2.iter().any(|name| lower.contains(name)) {
        return None;
    }
    let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
    let mut next = || parts.next().unwrap_or(Some(0));
    let version = [next()?, next()?, next()?];
    let first_good = if version[0] <= 2 {
        FIRST_GOOD_BUS
    } else {
        FIRST_GOOD
    };
    Some(version < first_good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_ranges() {
        for (description, version, want) in [
            (
                "HP NC373i Multifunction Gigabit Server Adapter",
                "2.8.13.0",
                Some(true),
            ),
            (
                "HP NC373i Multifunction Gigabit Server Adapter",
                "5.0.13.0",
                Some(false),
            ),
            (
                "Broadcom BCM5708C NetXtreme II GigE (NDIS VBD Client)",
                "3.7.18",
                Some(true),
            ),
            (
                "Broadcom BCM5708C NetXtreme II GigE (NDIS VBD Client)",
                "3.7.19",
                Some(false),
            ),
            ("Broadcom BCM5708C", "2.8.18", Some(false)),
            ("vmxnet3 Ethernet Adapter", "1.0", None),
            ("HP NC373i", "unknown", None),
        ] {
            assert_eq!(
                known_bad(description, version),
                want,
                "{description} {version}"
            );
        }
    }
}
