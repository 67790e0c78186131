//! The report for a ticket: Markdown as GitHub, GitLab and most trackers read it.
//!
//! Takes:  a [`Report`]
//! Gives:  findings and remedies in full, the worst flows in short
//! Never:  lets foreign text act as Markdown or HTML

use std::io::{self, Write};

use super::escape::{markdown as esc, markdown_code as code};
use super::model::{Finding, Remedy, Report, Step};
use super::view::{
    View, end_shown, explained, held_up_by, repeats_shown, together, unknown, weight,
};
use super::words::{confidence, count, duration, moment, octets, sentence};
use super::{Format, Look, services, text};

/// Findings in full; trackers cut long texts.
const FINDINGS: usize = 30;
/// Frames shown for one finding.
const FRAMES: usize = 10;
/// Flows in the table.
const FLOWS: usize = 20;

/// Markdown for tickets.
#[derive(Debug)]
pub(super) struct Markdown;

impl Format for Markdown {
    fn name(&self) -> &'static str {
        "markdown"
    }

    fn purpose(&self) -> &'static str {
        "For a ticket"
    }

    fn ending(&self) -> &'static str {
        ".md"
    }

    fn write(&self, report: &Report, look: Look, out: &mut dyn Write) -> io::Result<()> {
        let view = View::new(report);
        let verdict = &report.verdict;
        writeln!(
            out,
            "# TCP health: {}\n\n{}",
            verdict.grade.replace('-', " "),
            esc(&verdict.text)
        )?;
        tables(report, out)?;
        findings(&view, out)?;
        remedies(report, out)?;
        harmless(&view, out)?;
        flows(&view, out)?;
        if look.full {
            load(&view, out)?;
        }
        captures(report, out)
    }
}

/// What a comparison or a verification adds.
fn tables(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for table in &report.beside.tables {
        writeln!(out, "\n## {}\n", esc(&table.title))?;
        for text in &table.text {
            writeln!(out, "{}\n", esc(&sentence(text)))?;
        }
        if table.rows.is_empty() {
            continue;
        }
        let heads: Vec<&str> = table.columns.iter().map(|(head, _)| *head).collect();
        let rules: Vec<&str> = table
            .columns
            .iter()
            .map(|(_, number)| if *number { "---:" } else { "---" })
            .collect();
        writeln!(out, "| {} |\n| {} |", heads.join(" | "), rules.join(" | "))?;
        for row in &table.rows {
            let cells: Vec<String> = row.iter().map(|cell| esc(cell)).collect();
            writeln!(out, "| {} |", cells.join(" | "))?;
        }
    }
    Ok(())
}

fn findings(view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
    let hurting = view.hurting();
    if hurting.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## What is wrong")?;
    for (number, finding) in hurting.iter().take(FINDINGS) {
        one(view, *number, finding, out)?;
    }
    more(hurting.len().saturating_sub(FINDINGS), "findings", out)
}

fn more(number: usize, what: &str, out: &mut dyn Write) -> io::Result<()> {
    if number > 0 {
        writeln!(out, "\n… and {} more {what}.", count(number as u64))?;
    }
    Ok(())
}

fn one(view: &View<'_>, number: usize, finding: &Finding, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "\n### {number}. {} {} ({})\n\n{}\n",
        finding.severity,
        code(&finding.id),
        weight(finding),
        esc(&sentence(&finding.summary))
    )?;
    if !finding.hosts.is_empty() {
        let hosts: Vec<String> = finding
            .hosts
            .iter()
            .take(8)
            .map(|h| esc(&view.host(h)))
            .collect();
        let rest = finding.hosts.len().saturating_sub(8);
        let rest = if rest > 0 {
            format!(", {rest} more")
        } else {
            String::new()
        };
        writeln!(out, "- **Hosts:** {}{rest}", hosts.join(", "))?;
    }
    writeln!(
        out,
        "- **When:** {} to {} UTC",
        moment(finding.start),
        moment(finding.end)
    )?;
    if !finding.evidence.is_empty() {
        writeln!(out, "- **Proof:**")?;
        for evidence in finding.evidence.iter().take(FRAMES) {
            writeln!(out, "  - {}: {}", view.frame(evidence), esc(&evidence.text))?;
        }
        let rest = finding.evidence.len().saturating_sub(FRAMES);
        if rest > 0 {
            writeln!(out, "  - … and {rest} more frames")?;
        }
    }
    for against in &finding.against {
        writeln!(out, "- **But:** {}", esc(&sentence(against)))?;
    }
    if !finding.display_filter.is_empty() {
        writeln!(out, "- **Wireshark:** {}", code(&finding.display_filter))?;
        if finding.display_filter.contains("tcp.checksum.status") {
            writeln!(out, "  {}", esc(text::CHECKSUMS_ON))?;
        }
    }
    if !finding.remediations.is_empty() {
        let ids: Vec<String> = finding.remediations.iter().map(|id| code(id)).collect();
        writeln!(out, "- **Remedy:** {}", ids.join(", "))?;
    }
    Ok(())
}

fn harmless(view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
    let harmless = view.harmless();
    if harmless.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## Worth knowing\n")?;
    for (_, finding) in harmless.iter().take(FINDINGS) {
        writeln!(
            out,
            "- {} ({}{}): {}",
            code(&finding.id),
            confidence(finding.confidence),
            explained(finding).map_or(String::new(), |reason| format!("; {}", esc(reason))),
            esc(&sentence(&finding.summary))
        )?;
    }
    more(harmless.len().saturating_sub(FINDINGS), "of these", out)
}

fn remedies(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    if report.remediations.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## {}", text::todo(report))?;
    for remedy in &report.remediations {
        one_remedy(remedy, out)?;
    }
    Ok(())
}

fn one_remedy(remedy: &Remedy, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "\n### {}. {}\n\n{} ({}, {})",
        remedy.rank,
        esc(&remedy.title),
        esc(&sentence(&remedy.why)),
        code(&remedy.id),
        View::called_for_by(remedy)
    )?;
    let mut notes = String::new();
    for (label, texts) in [
        ("Not known", &unknown(remedy)),
        ("Known", &remedy.known),
        ("But", &remedy.against),
    ] {
        for text in texts {
            notes.push_str(&format!("\n- **{label}:** {}", esc(&sentence(text))));
        }
    }
    if !notes.is_empty() {
        writeln!(out, "{notes}")?;
    }
    steps("Confirm", &remedy.confirm, out)?;
    steps("Fix", &remedy.fix, out)?;
    steps("Undo", &remedy.undo, out)?;
    let mut rest = Vec::new();
    if !remedy.risk.is_empty() {
        rest.push(format!("- **Risk:** {}", esc(&sentence(&remedy.risk))));
    }
    if !remedy.applies_to.is_empty() {
        rest.push(format!("- **Holds for:** {}", esc(&remedy.applies_to)));
    }
    for source in &remedy.sources {
        let source = super::escape::line(source);
        let is_address = source.starts_with("https://") || source.starts_with("http://");
        rest.push(if is_address && !source.contains(['<', '>', ' ']) {
            format!("- **Source:** <{source}>")
        } else {
            format!("- **Source:** {}", esc(&source))
        });
    }
    if !rest.is_empty() {
        writeln!(out, "\n{}", rest.join("\n"))?;
    }
    Ok(())
}

fn steps(label: &str, steps: &[Step], out: &mut dyn Write) -> io::Result<()> {
    for step in together(steps) {
        let on = step
            .on
            .as_ref()
            .map_or_else(String::new, |host| format!(" on {}", esc(host)));
        let only_if = if step.only_if.is_empty() {
            String::new()
        } else {
            format!(", if {}", esc(&step.only_if))
        };
        writeln!(out, "\n{label}{on}{only_if}:\n")?;
        for line in step.command.lines() {
            // An indented block: nothing in it can end it.
            writeln!(out, "    {}", super::escape::line(line))?;
        }
        if !step.expect.is_empty() {
            writeln!(out, "\nExpect: {}", esc(&step.expect))?;
        }
    }
    Ok(())
}

fn flows(view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
    let flows = view.flows_worst_first();
    if flows.is_empty() {
        return Ok(());
    }
    let all = view.report.totals.flows;
    let shown = flows.len().min(FLOWS);
    if all > shown as u64 {
        writeln!(
            out,
            "\n## Connections (the worst {shown} of {})\n",
            count(all)
        )?;
    } else {
        writeln!(out, "\n## Connections (worst first)\n")?;
    }
    writeln!(
        out,
        "| stream | client | server | kind | up | down | lasted | sent again | held up by | end |"
    )?;
    writeln!(out, "|---:|---|---|---|---:|---:|---:|---|---|---|")?;
    for flow in flows.iter().take(FLOWS) {
        let cells = [
            flow.index.to_string(),
            esc(&flow.client),
            esc(&flow.server),
            esc(flow.application),
            octets(flow.client_to_server.octets),
            octets(flow.server_to_client.octets),
            duration(flow.duration),
            repeats_shown(flow),
            held_up_by(flow),
            end_shown(flow),
        ];
        writeln!(out, "| {} |", cells.join(" | "))?;
    }
    Ok(())
}

fn load(view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
    let all = &view.report.services;
    for service in all.iter().take(text::SERVICES) {
        writeln!(
            out,
            "\n## Load of {}\n\n{}\n",
            esc(&services::heading(service)),
            esc(&sentence(&services::about_bars(service)))
        )?;
        writeln!(out, "| {} |", services::HEADS.join(" | "))?;
        writeln!(out, "|---|---:|---:|---:|---:|---|")?;
        for row in services::rows(view, service, text::SERVERS) {
            writeln!(out, "| {} |", row.map(|cell| esc(&cell)).join(" | "))?;
        }
        let left_out = service.servers.len().saturating_sub(text::SERVERS);
        more(left_out, "servers", out)?;
    }
    more(all.len().saturating_sub(text::SERVICES), "services", out)
}

fn captures(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n## What was read\n")?;
    for (number, capture) in (1..).zip(report.captures.iter().take(FINDINGS)) {
        writeln!(out, "{number}. {}", esc(&text::about(capture)))?;
        for note in text::notes(capture) {
            writeln!(out, "   - {}", esc(&note))?;
        }
    }
    more(
        report.captures.len().saturating_sub(FINDINGS),
        "captures",
        out,
    )?;
    if !report.notes.is_empty() {
        writeln!(out, "\n## Notes\n")?;
    }
    for note in report.notes.iter().take(FINDINGS) {
        writeln!(out, "- {}", esc(&sentence(note)))?;
    }
    more(report.notes.len().saturating_sub(FINDINGS), "notes", out)
}
