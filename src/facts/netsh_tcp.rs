//! `netsh int tcp show global`, `show heuristics`, and the ranges and switches of `netsh int ip`.
//!
//! Takes:  a section at a title or a row
//! Gives:  the settings, by their labels in English, German and Japanese, else by the order of the rows; and `os` as far
//!         as the set of rows tells it, once the table is seen to be whole
//! Never:  fails at an unknown label; takes a value word that `netsh` does not have

use super::{Found, Section, Sink, value};

/// Rows of the table that carry facts, or tell versions apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Row {
    Rss,
    Chimney,
    NetDma,
    Dca,
    AutoTuning,
    Provider,
    Ecn,
    Timestamps,
    InitialRto,
    Rsc,
    NonSack,
    MaxSyn,
    FastOpen,
    FastOpenFallback,
    HyStart,
    Prr,
    Pacing,
    TaskOffload,
    Heuristics,
    Threshold,
    StartPort,
    Ports,
}

/// Labels in lower case with single blanks.
const LABELS: &[(&str, Row)] = &[
    ("receive-side scaling state", Row::Rss),
    ("zustand der empfangsseitigen skalierung", Row::Rss),
    ("receive-side scaling 状態", Row::Rss),
    ("chimney offload state", Row::Chimney),
    ("netdma state", Row::NetDma),
    // The first is how 2008 R2 spells it.
    ("direct cache acess (dca)", Row::Dca),
    ("direct cache access (dca)", Row::Dca),
    ("receive window auto-tuning level", Row::AutoTuning),
    ("autom. abstimmungsgrad empfangsfenster", Row::AutoTuning),
    ("受信ウィンドウ自動チューニング レベル", Row::AutoTuning),
    ("add-on congestion control provider", Row::Provider),
    ("add-on \"überlastungssteuerungsanbieter\"", Row::Provider),
    ("アドオン輻輳制御プロバイダー", Row::Provider),
    ("ecn capability", Row::Ecn),
    ("ecn-funktion", Row::Ecn),
    ("ecn 機能", Row::Ecn),
    ("rfc 1323 timestamps", Row::Timestamps),
    ("rfc 1323-zeitstempel", Row::Timestamps),
    ("rfc 1323 タイムスタンプ", Row::Timestamps),
    ("initial rto", Row::InitialRto),
    ("rto (anfänglich)", Row::InitialRto),
    ("初期 rto", Row::InitialRto),
    ("receive segment coalescing state", Row::Rsc),
    ("zustand der empfangssegmentzusammenfügung", Row::Rsc),
    ("receive segment coalescing 状態", Row::Rsc),
    ("non sack rtt resiliency", Row::NonSack),
    ("nicht-sack-rtt-widerstandsfähigkeit", Row::NonSack),
    ("非 sack の rtt 回復性", Row::NonSack),
    ("max syn retransmissions", Row::MaxSyn),
    ("maximale syn-neuübertragungen", Row::MaxSyn),
    ("syn の最大再送信数", Row::MaxSyn),
    ("tcp fast open", Row::FastOpen),
    ("fast open", Row::FastOpen),
    ("fast open fallback", Row::FastOpenFallback),
    ("fast open-fallback", Row::FastOpenFallback),
    ("fast open フォールバック", Row::FastOpenFallback),
    ("hystart", Row::HyStart),
    ("proportional rate reduction", Row::Prr),
    ("proportionale ratenreduzierung", Row::Prr),
    ("pacing profile", Row::Pacing),
    ("schrittsteuerungsprofil", Row::Pacing),
    ("ペーシング プロファイル", Row::Pacing),
    ("task offload", Row::TaskOffload),
    ("window scaling heuristics", Row::Heuristics),
    ("qualifying destination threshold", Row::Threshold),
    ("start port", Row::StartPort),
    ("number of ports", Row::Ports),
];

/// Lines that are no rows and need not be listed.
const TITLES: &[&str] = &[
    "Querying active state...",
    "アクティブ状態を照会しています...",
    "TCP Global Parameters",
    "Globale TCP-Parameter",
    "TCP グローバル パラメーター",
    "TCP Window Scaling heuristics Parameters",
    "Protocol tcp Dynamic Port Range",
    "General Global Parameters",
    "overriding any local/policy configuration on at least one profile.",
];

/// Rows that a table may have; more are another text.
const MAX_ROWS: usize = 24;

struct Read<'a> {
    row: Option<Row>,
    value: &'a str,
    line: usize,
}

/// Reads one table, if the section has one at its start.
pub(super) fn read(section: &Section<'_>, from: usize, out: &mut Sink) -> usize {
    let first = section.at(from).trim();
    if TITLES.contains(&first) {
        return 1;
    }
    if first.starts_with(
        "** The above autotuninglevel setting is the result of Windows Scaling heuristics",
    ) {
        out.fact(Found::new("tcp.autotuning.overridden", "yes", from));
        return 1;
    }
    // A title in a language that is not known stands over a line of dashes.
    if is_rule(section.at(from + 1)) && row(section.at(from + 2)).is_some() {
        return if table(section, from + 2) > 0 || asked(section) {
            1
        } else {
            0
        };
    }
    if is_rule(first) {
        // Told of with the rows below it, if they are known; a rule alone says nothing.
        return usize::from(
            row(section.at(from + 1)).is_some() || is_title(section.at(from.wrapping_sub(1))),
        );
    }
    let rows = table(section, from);
    if rows > 0 {
        emit(section, from, rows, out);
    }
    rows
}

fn asked(section: &Section<'_>) -> bool {
    section.command.contains("netsh") && section.command.contains("global")
}

fn is_title(line: &str) -> bool {
    TITLES.contains(&line.trim())
}

/// A line of five dashes or more and nothing else.
fn is_rule(line: &str) -> bool {
    let line = line.trim();
    line.len() >= 5 && line.bytes().all(|b| b == b'-')
}

/// Label and value of a row.
fn row(line: &str) -> Option<(&str, &str)> {
    let at = line.find(" :").or_else(|| line.find(':'))?;
    let (label, value) = (line.get(..at)?, line.get(at..)?);
    let value = value.trim_start_matches([' ', ':']).trim();
    let word = value
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    (!label.trim().is_empty() && !value.is_empty() && word).then_some((label.trim(), value))
}

fn label(text: &str) -> Option<Row> {
    let key = text.to_lowercase();
    let key = key.split_whitespace().collect::<Vec<_>>().join(" ");
    LABELS
        .iter()
        .find(|(known, _)| *known == key)
        .map(|(_, row)| *row)
}

/// Number of rows of a table of ours at `from`; 0 where it is none.
fn table(section: &Section<'_>, from: usize) -> usize {
    let rows = rows(section, from);
    let known = rows.iter().any(|r| r.row.is_some());
    if known || asked(section) || provider(&rows).is_some() {
        rows.len()
    } else {
        0
    }
}

fn rows<'a>(section: &'a Section<'_>, from: usize) -> Vec<Read<'a>> {
    (from..section.lines.len().min(from + MAX_ROWS))
        .map_while(|line| {
            let (text, value) = row(section.at(line))?;
            Some(Read {
                row: label(text),
                value,
                line,
            })
        })
        .collect()
}

/// The row of the congestion provider: its values are no other row's, so the rest of the table hangs on it.
fn provider(rows: &[Read<'_>]) -> Option<usize> {
    let at = rows
        .iter()
        .position(|r| r.row == Some(Row::Provider))
        .or_else(|| {
            rows.iter().position(|r| {
                r.row.is_none()
                    && matches!(
                        r.value,
                        "ctcp"
                            | "none"
                            | "default"
                            | "cubic"
                            | "dctcp"
                            | "newreno"
                            | "bbr2"
                            | "ledbat"
                    )
            })
        })?;
    matches!(at, 2 | 3 | 5).then_some(at)
}

/// Names the rows that their labels leave unknown by their order, where the provider's row shows it.
fn name_by_order(rows: &mut [Read<'_>]) {
    let Some(at) = provider(rows) else { return };
    let before: &[Row] = match at {
        2 => &[Row::Rss, Row::AutoTuning],
        3 => &[Row::Rss, Row::Chimney, Row::AutoTuning],
        _ => &[
            Row::Rss,
            Row::Chimney,
            Row::NetDma,
            Row::Dca,
            Row::AutoTuning,
        ],
    };
    let after = [
        Row::Provider,
        Row::Ecn,
        Row::Timestamps,
        Row::InitialRto,
        Row::Rsc,
        Row::NonSack,
        Row::MaxSyn,
    ];
    let order: Vec<Row> = before.iter().copied().chain(after).collect();
    // The order holds only if no label that is known contradicts it.
    let holds = rows
        .iter()
        .zip(&order)
        .all(|(r, row)| r.row.is_none_or(|known| known == *row));
    if holds {
        for (r, row) in rows.iter_mut().zip(order) {
            r.row = Some(row);
        }
    }
}

fn emit(section: &Section<'_>, from: usize, count: usize, out: &mut Sink) {
    let mut rows = rows(section, from);
    rows.truncate(count);
    name_by_order(&mut rows);
    for r in &rows {
        let switch = value::switch(r.value).map(|on| value::switched(on).to_owned());
        let number = value::number(r.value).map(|n| n.to_string());
        let word = Some(r.value.to_lowercase());
        let fact = match r.row {
            Some(Row::Rss) => switch.map(|v| ("nic.rss", v)),
            Some(Row::Chimney) => word
                .filter(|v| matches!(v.as_str(), "enabled" | "disabled" | "automatic" | "default"))
                .map(|v| ("nic.chimney", v)),
            Some(Row::NetDma) => switch.map(|v| ("nic.netdma", v)),
            Some(Row::Dca) => switch.map(|v| ("nic.dca", v)),
            Some(Row::AutoTuning) => word
                .filter(|v| super::records::is_level(v))
                .map(|v| ("tcp.autotuning", v)),
            Some(Row::Provider) => word.map(|v| ("tcp.congestion", v)),
            Some(Row::Ecn) => word
                .filter(|v| {
                    matches!(
                        v.as_str(),
                        "enabled" | "disabled" | "application" | "default"
                    )
                })
                .map(|v| ("tcp.ecn", v)),
            Some(Row::Timestamps) => word
                .filter(|v| matches!(v.as_str(), "enabled" | "disabled" | "allowed" | "default"))
                .map(|v| ("tcp.timestamps", v)),
            Some(Row::InitialRto) => number.map(|v| ("tcp.initial_rto_ms", v)),
            Some(Row::Rsc) => switch.map(|v| ("tcp.rsc", v)),
            Some(Row::MaxSyn) => number.map(|v| ("tcp.max_syn", v)),
            Some(Row::TaskOffload) => switch.map(|v| ("tcp.task_offload", v)),
            Some(Row::Heuristics) => switch.map(|v| ("tcp.heuristics", v)),
            Some(Row::StartPort) => number.map(|v| ("tcp.dynamic_ports.start", v)),
            Some(Row::Ports) => number.map(|v| ("tcp.dynamic_ports", v)),
            Some(_) => continue,
            None => None,
        };
        match fact {
            Some((name, value)) => out.fact(Found::new(name, value, r.line)),
            None if is_profile(section.at(r.line)) => {}
            None => out.not_understood(r.line),
        }
    }
    // The rows below the cut are missing from a broken-off text: then their absence says nothing.
    let whole =
        section.goes_on(from + count) || rows.last().is_some_and(|r| r.row == Some(Row::Pacing));
    if let (true, Some(first), Some(os)) = (whole, rows.first(), os(&rows)) {
        out.fact(Found {
            inferred: true,
            ..Found::new("os", os, first.line)
        });
    }
}

/// The profiles of `show heuristics`: understood, and of no use here.
fn is_profile(line: &str) -> bool {
    line.trim_start().starts_with("Profile type ")
}

/// Which versions of Windows have just these rows.
fn os(rows: &[Read<'_>]) -> Option<&'static str> {
    let has = |row| rows.iter().any(|r| r.row == Some(row));
    // A row whose label is not known may be one of those that tell.
    if rows.iter().any(|r| r.row.is_none())
        || !(has(Row::Rss) && has(Row::AutoTuning) && has(Row::Timestamps))
    {
        return None;
    }
    let any = [
        Row::Chimney,
        Row::NetDma,
        Row::InitialRto,
        Row::MaxSyn,
        Row::FastOpen,
        Row::HyStart,
        Row::Prr,
    ]
    .map(has);
    Some(match any {
        // chimney, NetDMA, initial RTO, max SYN, fast open, HyStart, PRR
        [true, false, false, false, false, false, false] => "ws2008",
        [true, true, false, false, false, false, false] => "ws2008r2",
        [true, true, true, false, false, false, false] => "ws2012",
        [true, true, true, true, false, false, false] => "ws2012r2",
        [true, _, true, true, true, false, false] => "ws2016",
        [false, false, true, true, true, true, false] => "ws2019",
        [false, false, true, true, true, true, true] => "ws2022..ws2025",
        _ => return None,
    })
}
