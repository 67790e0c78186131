//! The flows as a table for spreadsheets: one line a flow, columns fixed, new ones only at the end.
//!
//! Takes:  a [`Report`]
//! Gives:  its flows; of a comparison or a check of a remedy its first table
//! Never:  lets a cell begin a formula

use std::io::{self, Write};

use super::model::{Flow, Half, Report};
use super::{Format, Look, escape};

/// CSV of the flows (RFC 4180, but lines end as everywhere else).
#[derive(Debug)]
pub(super) struct Csv;

/// Columns of one direction, after `up_` or `down_`.
const HALF: [&str; 11] = [
    "octets",
    "unique_octets",
    "data_segments",
    "retransmitted_segments",
    "retransmitted_octets",
    "out_of_order_segments",
    "bad_checksums",
    "unfilled_checksums",
    "zero_window_seconds",
    "rtt_median",
    "goodput_bps_mean",
];

impl Format for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn purpose(&self) -> &'static str {
        "The flows as a table"
    }

    fn ending(&self) -> &'static str {
        ".csv"
    }

    fn write(&self, report: &Report, _: Look, out: &mut dyn Write) -> io::Result<()> {
        if let Some(table) = report.beside.tables.first() {
            let heads: Vec<String> = table
                .columns
                .iter()
                .map(|(head, _)| escape::csv(head))
                .collect();
            writeln!(out, "{}", heads.join(","))?;
            for row in &table.rows {
                let cells: Vec<String> = row.iter().map(|cell| escape::csv(cell)).collect();
                writeln!(out, "{}", cells.join(","))?;
            }
            return Ok(());
        }
        write!(
            out,
            "index,capture,client,server,application,first_frame,last_frame,start,duration,handshake_rtt,syn_retries,end,ended_by"
        )?;
        for way in ["up", "down"] {
            for column in HALF {
                write!(out, ",{way}_{column}")?;
            }
        }
        writeln!(out, ",findings")?;
        let mut cited = std::collections::HashMap::<u64, Vec<&str>>::new();
        for finding in &report.findings {
            for flow in &finding.flows {
                cited.entry(*flow).or_default().push(&finding.id);
            }
        }
        for flow in &report.flows {
            let findings = cited.get(&flow.index).map(|ids| ids.join(" "));
            row(flow, &findings.unwrap_or_default(), out)?;
        }
        Ok(())
    }
}

fn row(flow: &Flow, findings: &str, out: &mut dyn Write) -> io::Result<()> {
    write!(
        out,
        "{},{},{},{},{},{},{},{},{},{},{},{},{}",
        flow.index,
        flow.capture,
        escape::csv(&flow.client),
        escape::csv(&flow.server),
        escape::csv(flow.application),
        flow.first_frame,
        flow.last_frame,
        flow.start.decimal(),
        flow.duration,
        number(flow.handshake.rtt),
        flow.handshake.syn_retries,
        flow.end,
        flow.ended_by.unwrap_or_default(),
    )?;
    half(&flow.client_to_server, out)?;
    half(&flow.server_to_client, out)?;
    writeln!(out, ",{}", escape::csv(findings))
}

fn half(half: &Half, out: &mut dyn Write) -> io::Result<()> {
    write!(
        out,
        ",{},{},{},{},{},{},{},{},{},{},{}",
        half.octets,
        half.unique_octets,
        half.data_segments,
        half.retransmitted_segments,
        half.retransmitted_octets,
        half.out_of_order_segments,
        half.bad_checksums,
        half.unfilled_checksums,
        half.zero_window_seconds,
        number(half.rtt.as_ref().map(|r| r.median)),
        number(half.goodput_bps.as_ref().map(|g| g.mean)),
    )
}

/// What was not seen stays empty.
fn number(value: Option<f64>) -> String {
    value.map_or_else(String::new, |v| v.to_string())
}
