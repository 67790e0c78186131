//! `ethtool`: settings, features (`-k`), driver (`-i`), counters (`-S`).
//!
//! Takes:  a section at one of their first lines
//! Gives:  the facts of one adapter, named by the output or by the command that was typed
//! Never:  names the adapter otherwise

use super::{Found, Section, Sink, value};

/// Reads one output.
pub(super) fn read(section: &Section<'_>, from: usize, out: &mut Sink) -> usize {
    let line = section.at(from);
    let named = |prefix: &str| {
        line.strip_prefix(prefix)?
            .strip_suffix(':')
            .map(str::to_owned)
    };
    if let Some(adapter) = named("Settings for ") {
        return settings(section, from, Some(adapter), out);
    }
    if let Some(adapter) = named("Features for ").or_else(|| named("Offload parameters for ")) {
        return features(section, from, Some(adapter), out);
    }
    let typed = section.argument("ethtool").map(str::to_owned);
    if line == "NIC statistics:" {
        return counters(section, from, typed, out);
    }
    if line.starts_with("driver: ") {
        return driver(section, from, typed, out);
    }
    // What ethtool says where an adapter has nothing to tell.
    usize::from(
        line == "no stats available"
            || section.command.starts_with("ethtool") && line == "No data available"
            || line.starts_with("netlink error: ")
            || line.starts_with("Cannot get "),
    )
}

/// Walks `key: value` lines that `take` accepts, and gives each to it.
fn walk(
    section: &Section<'_>,
    from: usize,
    mut take: impl FnMut(&str, &str, usize) -> bool,
) -> usize {
    let mut at = from;
    while at < section.lines.len() {
        let Some((key, text)) = section.at(at).split_once(':') else {
            break;
        };
        if !take(key, text.trim(), at) {
            break;
        }
        at += 1;
    }
    at
}

fn settings(section: &Section<'_>, from: usize, adapter: Option<String>, out: &mut Sink) -> usize {
    let mut at = from + 1;
    // Link modes go on over lines of their own; all lines are indented.
    while section.at(at).starts_with(['\t', ' ']) {
        if let Some((key, text)) = section.at(at).split_once(':') {
            let text = text.trim().to_lowercase();
            let fact = match key.trim() {
                "Speed" => value::speed(&text).map(|v| ("nic.speed_mbps", v)),
                "Duplex" if matches!(text.as_str(), "half" | "full") => Some(("nic.duplex", text)),
                _ => None,
            };
            if let Some((name, value)) = fact {
                out.fact(Found {
                    subject: adapter.clone(),
                    ..Found::new(name, value, at)
                });
            }
        }
        at += 1;
    }
    at - from
}

fn features(section: &Section<'_>, from: usize, adapter: Option<String>, out: &mut Sink) -> usize {
    let end = walk(section, from + 1, |key, text, line| {
        let Some(on) = text.split_whitespace().next().and_then(value::switch) else {
            return false;
        };
        let name = match key.trim() {
            "tx-checksumming" => "nic.checksum_offload",
            "tcp-segmentation-offload" => "nic.lso",
            "generic-receive-offload" => "nic.gro",
            "large-receive-offload" => "nic.lro",
            _ => return true,
        };
        out.fact(Found {
            subject: adapter.clone(),
            ..Found::new(name, value::switched(on), line)
        });
        true
    });
    end - from
}

fn driver(section: &Section<'_>, from: usize, adapter: Option<String>, out: &mut Sink) -> usize {
    let end = walk(section, from, |key, text, line| {
        let name = match key {
            "driver" => "nic.driver.name",
            "version" => "nic.driver.version",
            "firmware-version" => "nic.driver.firmware",
            "expansion-rom-version" | "bus-info" => return true,
            _ => return key.starts_with("supports-"),
        };
        if !text.is_empty() && text != "N/A" {
            out.fact(Found {
                subject: adapter.clone(),
                ..Found::new(name, text.to_lowercase(), line)
            });
            let hypervisor = match (name, text) {
                ("nic.driver.name", "vmxnet3") => "vmware",
                ("nic.driver.name", "virtio_net") => "kvm",
                ("nic.driver.name", "hv_netvsc") => "hyper-v",
                ("nic.driver.name", "xen-netfront" | "vif") => "xen",
                _ => return true,
            };
            out.hypervisor(hypervisor, line, true);
        }
        true
    });
    end - from
}

fn counters(section: &Section<'_>, from: usize, adapter: Option<String>, out: &mut Sink) -> usize {
    let end = walk(section, from + 1, |key, text, line| {
        let (Some(count), true) = (value::number(text), key.starts_with("     ")) else {
            return false;
        };
        // Drivers name their counters as they like; these are the names of bnx2, e1000, igb, tg3, mlx and virtio.
        let name = match key.trim() {
            "rx_crc_errors" | "rx_fcs_errors" | "rx_crc_errors_phy" => "nic.crc_errors",
            "rx_align_errors" | "rx_alignment_errors" => "nic.align_errors",
            "tx_late_collisions" | "tx_abort_late_coll" => "nic.late_collisions",
            "rx_discards" | "rx_fw_discards" | "rx_missed_errors" | "rx_no_buffer_count"
            | "rx_out_of_buffer" | "rx_drops" | "rx_dropped" => "nic.discards",
            _ => return true,
        };
        out.fact(Found {
            subject: adapter.clone(),
            ..Found::new(name, count.to_string(), line)
        });
        true
    });
    end - from
}
