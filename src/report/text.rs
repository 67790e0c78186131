//! The report for a terminal: verdict, what is wrong, what to do, then the figures.
//!
//! Colour only repeats what a word says already.

use std::io::{self, Write};

use owo_colors::{OwoColorize, Style};

use super::build::hurts;
use super::model::{Capture, Finding, Remedy, Report, Step};
use super::view::{
    View, end_shown, explained, held_up_by, repeats_shown, together, unknown, weight,
};
use super::words::{confidence, count, duration, moment, octets, plural, sentence};
use super::{Format, Look, escape, services};

/// Findings shown in full; the rest get one line each.
const FINDINGS_IN_FULL: usize = 20;
/// Findings shown at all.
const FINDINGS: usize = 100;
/// Frames shown for one finding: the first and the last ones.
const FRAMES: usize = 6;
/// Remedies shown with all that they say; the rest get one line each.
const REMEDIES_IN_FULL: usize = 4;
/// What the rules engine puts between the reason of a remedy and the finding that it quotes.
const QUOTED: &str = ". Seen here: ";
/// Said behind a filter that finds nothing as Wireshark comes.
pub(super) const CHECKSUMS_ON: &str =
    "(switch on Preferences > Protocols > TCP > Validate the TCP checksum first)";
/// Flows in the table.
const FLOWS: usize = 20;
/// Services whose servers are compared, and servers of each.
pub(super) const SERVICES: usize = 12;
pub(super) const SERVERS: usize = 24;
/// Captures, problems of a capture, reasons of undecoded frames shown.
const NOTES: usize = 20;

/// Text for people.
#[derive(Debug)]
pub(super) struct Text;

impl Format for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn purpose(&self) -> &'static str {
        "For reading on a terminal"
    }

    fn ending(&self) -> &'static str {
        ".txt"
    }

    fn write(&self, report: &Report, look: Look, out: &mut dyn Write) -> io::Result<()> {
        let view = View::new(report);
        let mut page = Page { out, look };
        page.verdict(report)?;
        page.tables(report)?;
        page.findings(&view)?;
        page.remedies(&view)?;
        page.harmless(&view)?;
        page.flows(&view)?;
        if look.full {
            page.services(&view)?;
        }
        page.captures(report)
    }
}

const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const BAD: Style = Style::new().red().bold();
const DOUBTFUL: Style = Style::new().yellow().bold();
const GOOD: Style = Style::new().green().bold();

fn style_of(word: &str) -> Style {
    match word {
        "critical" | "sick" | "worse" => BAD,
        "warning" | "suspect" | "cannot-tell" => DOUBTFUL,
        "healthy" | "better" => GOOD,
        _ => STRONG,
    }
}

/// A text that is being written.
pub(super) struct Page<'a> {
    pub(super) out: &'a mut dyn Write,
    pub(super) look: Look,
}

impl Page<'_> {
    fn styled(&self, text: &str, style: Style) -> String {
        if self.look.color {
            text.style(style).to_string()
        } else {
            text.to_owned()
        }
    }

    /// A heading, with an empty line before it.
    pub(super) fn heading(&mut self, text: &str) -> io::Result<()> {
        let text = self.styled(text, STRONG);
        writeln!(self.out, "\n{text}")
    }

    /// Foreign text, escaped and wrapped; the first line after `first`, the others indented by `indent`.
    pub(super) fn wrapped(
        &mut self,
        first: &str,
        first_style: Style,
        indent: usize,
        text: &str,
    ) -> io::Result<()> {
        let mut lead = first.to_owned();
        let used = lead.chars().count();
        lead.extend(std::iter::repeat_n(' ', indent.saturating_sub(used)));
        let start = used.max(indent);
        let lead = self.styled(&lead, first_style);
        let width = self.look.width.max(indent + 20);
        let mut lines = wrap(
            &escape::line(text),
            width - start.min(width - 20),
            width - indent,
        )
        .into_iter();
        writeln!(self.out, "{lead}{}", lines.next().unwrap_or_default())?;
        for line in lines {
            writeln!(self.out, "{:indent$}{line}", "")?;
        }
        Ok(())
    }

    fn labelled(&mut self, label: &str, text: &str) -> io::Result<()> {
        self.wrapped(&format!("   {label}"), FAINT, 14, text)
    }

    fn verdict(&mut self, report: &Report) -> io::Result<()> {
        let verdict = &report.verdict;
        let word = match verdict.grade {
            "cannot-tell" => "CANNOT TELL".to_owned(),
            word => word.to_uppercase(),
        };
        self.wrapped(
            &format!("{word}: "),
            style_of(verdict.grade),
            2,
            &verdict.text,
        )?;
        if let Some(first) = first_remedy(report) {
            self.wrapped("First: ", STRONG, 2, &sentence(&first.title))?;
        }
        Ok(())
    }

    /// What a comparison or a verification adds.
    fn tables(&mut self, report: &Report) -> io::Result<()> {
        for table in &report.beside.tables {
            self.heading(&table.title)?;
            for text in &table.text {
                self.wrapped("   ", Style::new(), 3, &sentence(text))?;
            }
            let cells: Vec<Vec<String>> = table
                .rows
                .iter()
                .map(|row| row.iter().map(|cell| escape::line(cell)).collect())
                .collect();
            let wide = |text: &str| text.chars().count();
            let widths: Vec<usize> = table
                .columns
                .iter()
                .enumerate()
                .map(|(n, (head, _))| {
                    let longest = cells.iter().filter_map(|row| row.get(n)).map(|c| wide(c));
                    longest.fold(wide(head), usize::max)
                })
                .collect();
            let line = |row: &mut dyn Iterator<Item = &str>| -> String {
                let mut line = "   ".to_owned();
                for ((cell, width), (_, number)) in row.zip(&widths).zip(&table.columns) {
                    let fill = " ".repeat(width.saturating_sub(wide(cell)));
                    let (before, after) = if *number {
                        (fill.as_str(), "")
                    } else {
                        ("", fill.as_str())
                    };
                    line += &format!("{before}{cell}{after}  ");
                }
                line.trim_end().to_owned()
            };
            if cells.is_empty() {
                continue;
            }
            let head = line(&mut table.columns.iter().map(|(head, _)| *head));
            writeln!(self.out, "\n{}", self.styled(&head, FAINT))?;
            for row in &cells {
                writeln!(self.out, "{}", line(&mut row.iter().map(String::as_str)))?;
            }
        }
        Ok(())
    }

    /// What hurts.
    pub(super) fn findings(&mut self, view: &View<'_>) -> io::Result<()> {
        let hurting = view.hurting();
        if hurting.is_empty() {
            return Ok(());
        }
        self.heading("What is wrong")?;
        for (place, (number, finding)) in hurting.iter().take(FINDINGS).enumerate() {
            if place < FINDINGS_IN_FULL {
                self.finding(view, *number, finding)?;
            } else {
                self.finding_in_short(view, *number, finding)?;
            }
        }
        self.more(hurting.len().saturating_sub(FINDINGS), "findings")
    }

    fn more(&mut self, number: usize, what: &str) -> io::Result<()> {
        if number > 0 {
            let text = format!(
                "   … and {} more {what}; --format json has all",
                count(number as u64)
            );
            writeln!(self.out, "{}", self.styled(&text, FAINT))?;
        }
        Ok(())
    }

    fn finding(&mut self, view: &View<'_>, number: usize, finding: &Finding) -> io::Result<()> {
        writeln!(self.out)?;
        let severity = self.styled(finding.severity, style_of(finding.severity));
        let id = escape::line(&finding.id);
        writeln!(self.out, "{number:2} {severity} {id} ({})", weight(finding))?;
        self.wrapped("   ", Style::new(), 3, &sentence(&finding.summary))?;
        if !finding.hosts.is_empty() {
            let mut hosts: Vec<String> =
                finding.hosts.iter().take(8).map(|h| view.host(h)).collect();
            if finding.hosts.len() > 8 {
                hosts.push(format!("{} more", finding.hosts.len() - 8));
            }
            self.labelled("hosts", &hosts.join(", "))?;
        }
        self.labelled(
            "when",
            &format!(
                "{} UTC, {}",
                moment(finding.start),
                match finding.end.0.seconds_since(finding.start.0) {
                    s if s > 0.0 => format!("for {}", duration(s)),
                    _ => "at one moment".to_owned(),
                }
            ),
        )?;
        self.proof(view, number, finding)?;
        for (place, against) in finding.against.iter().enumerate() {
            self.labelled(if place == 0 { "but" } else { "" }, &sentence(against))?;
        }
        if !finding.display_filter.is_empty() {
            self.code("wireshark", &finding.display_filter)?;
            if finding.display_filter.contains("tcp.checksum.status") {
                self.labelled("", CHECKSUMS_ON)?;
            }
        }
        if self.look.full
            && let Some(filter) = View::proof_filter(finding)
        {
            self.code("its proof", &filter)?;
        }
        if !finding.remediations.is_empty() {
            self.labelled("remedy", &finding.remediations.join(", "))?;
        }
        Ok(())
    }

    /// The frames, once: what proves two findings stands with the first of them.
    fn proof(&mut self, view: &View<'_>, number: usize, finding: &Finding) -> io::Result<()> {
        if !self.look.full
            && let Some(other) = view.same_proof(number, finding)
        {
            return self.labelled("proof", &format!("as in finding {other}"));
        }
        let all = finding.evidence.len();
        // One line in place of one frame would gain nothing.
        let left_out = match all.saturating_sub(FRAMES) {
            0 | 1 => 0..0,
            _ if self.look.full => 0..0,
            more => FRAMES / 2..FRAMES / 2 + more,
        };
        for (place, evidence) in finding.evidence.iter().enumerate() {
            if place == left_out.start && !left_out.is_empty() {
                let more = count(left_out.len() as u64);
                self.labelled("", &format!("… {more} more (--format json has all)"))?;
            }
            if !left_out.contains(&place) {
                self.labelled(
                    if place == 0 { "proof" } else { "" },
                    &format!("{}: {}", view.frame(evidence), evidence.text),
                )?;
            }
        }
        Ok(())
    }

    /// Something to copy: never wrapped.
    fn code(&mut self, label: &str, text: &str) -> io::Result<()> {
        let lead = self.styled(&format!("   {label:<11}"), FAINT);
        for (place, line) in text.lines().enumerate() {
            if place == 0 {
                writeln!(self.out, "{lead}{}", escape::line(line))?;
            } else {
                writeln!(self.out, "{:14}{}", "", escape::line(line))?;
            }
        }
        Ok(())
    }

    fn finding_in_short(
        &mut self,
        view: &View<'_>,
        number: usize,
        finding: &Finding,
    ) -> io::Result<()> {
        let mut text = format!(
            "{} ({}): {}",
            finding.id,
            confidence(finding.confidence),
            finding.summary.trim()
        );
        if let Some(evidence) = finding.evidence.first() {
            text.push_str(&format!(" ({})", view.frame(evidence)));
        }
        if let Some(reason) = explained(finding) {
            text.push_str(&format!("; {reason}"));
        }
        self.wrapped(&format!("{number:2} "), Style::new(), 3, &text)
    }

    /// What is only worth knowing.
    pub(super) fn harmless(&mut self, view: &View<'_>) -> io::Result<()> {
        let harmless = view.harmless();
        if harmless.is_empty() {
            return Ok(());
        }
        self.heading("Worth knowing")?;
        for (number, finding) in harmless.iter().take(FINDINGS_IN_FULL) {
            self.finding_in_short(view, *number, finding)?;
        }
        self.more(harmless.len().saturating_sub(FINDINGS_IN_FULL), "of these")
    }

    /// What to do.
    pub(super) fn remedies(&mut self, view: &View<'_>) -> io::Result<()> {
        if view.report.remediations.is_empty() {
            return Ok(());
        }
        self.heading(todo(view.report))?;
        let all = &view.report.remediations;
        let in_full = if self.look.full {
            all.len()
        } else if calls_for_action(view.report) {
            REMEDIES_IN_FULL
        } else {
            0
        };
        for remedy in all.iter().take(in_full) {
            writeln!(self.out)?;
            self.remedy_in_short(remedy)?;
            self.remedy(view, remedy)?;
        }
        if all.len() > in_full {
            if in_full > 0 {
                writeln!(self.out)?;
            }
            for remedy in all.iter().skip(in_full) {
                self.remedy_in_short(remedy)?;
            }
            let text = "   tcptriage rules show ID explains each; -v prints all in full";
            writeln!(self.out, "{}", self.styled(text, FAINT))?;
        }
        Ok(())
    }

    fn remedy_in_short(&mut self, remedy: &Remedy) -> io::Result<()> {
        let title = self.styled(&escape::line(&remedy.title), STRONG);
        let called = View::called_for_by(remedy);
        let note = if called.is_empty() {
            format!("[{}]", escape::line(&remedy.id))
        } else {
            format!("[{}, {called}]", escape::line(&remedy.id))
        };
        let note = self.styled(&note, FAINT);
        writeln!(self.out, "{:2} {title} {note}", remedy.rank)
    }

    fn remedy(&mut self, view: &View<'_>, remedy: &Remedy) -> io::Result<()> {
        let why = if self.look.full {
            remedy.why.clone()
        } else {
            without_quotation(&remedy.why, view.report)
        };
        self.wrapped("   ", Style::new(), 3, &sentence(&why))?;
        for (label, texts) in [
            ("not known", &unknown(remedy)),
            ("known", &remedy.known),
            ("but", &remedy.against),
        ] {
            for (place, text) in texts.iter().enumerate() {
                self.labelled(if place == 0 { label } else { "" }, &sentence(text))?;
            }
        }
        self.steps("confirm", &remedy.confirm)?;
        self.steps("fix", &remedy.fix)?;
        self.steps("undo", &remedy.undo)?;
        if !remedy.risk.is_empty() {
            self.labelled("risk", &sentence(&remedy.risk))?;
        }
        if !remedy.applies_to.is_empty() {
            self.labelled("holds for", &remedy.applies_to)?;
        }
        for (place, source) in remedy.sources.iter().enumerate() {
            self.code(if place == 0 { "sources" } else { "" }, source)?;
        }
        Ok(())
    }

    fn steps(&mut self, label: &str, steps: &[Step]) -> io::Result<()> {
        let (mut host, mut condition) = (None, "");
        let steps = together(steps);
        for (place, step) in steps.iter().enumerate() {
            let mut label = if place == 0 { label } else { "" };
            let moved = step.on != host;
            let mut head = Vec::new();
            match step.on.as_deref().filter(|_| moved) {
                Some(on) => head.push(format!("on {on}")),
                None if moved => head.push("anywhere".to_owned()),
                None => {}
            }
            // Said once for steps in a row, so that commands stand alone and can be copied.
            if !step.only_if.is_empty() && (moved || step.only_if != condition) {
                head.push(format!("if {}", step.only_if));
            } else if step.only_if.is_empty() && !condition.is_empty() && !moved {
                head.push("in any case".to_owned());
            }
            if !head.is_empty() {
                self.labelled(label, &format!("{}:", head.join(", ")))?;
                label = "";
            }
            self.code(label, &step.command)?;
            host.clone_from(&step.on);
            condition = &step.only_if;
            if !step.expect.is_empty() {
                self.wrapped(&format!("{:14}-> ", ""), FAINT, 17, &step.expect)?;
            }
        }
        Ok(())
    }

    fn flows(&mut self, view: &View<'_>) -> io::Result<()> {
        let flows = view.flows_worst_first();
        if flows.is_empty() {
            return Ok(());
        }
        let all = view.report.totals.flows;
        let shown = flows.len().min(FLOWS);
        self.heading(&if all > shown as u64 {
            format!(
                "Connections (the worst {shown} of {}; --format csv has all)",
                count(all)
            )
        } else {
            "Connections (worst first)".to_owned()
        })?;
        let mut rows = vec![
            [
                "stream",
                "client",
                "server",
                "kind",
                "up",
                "down",
                "sent again",
                "held up by",
                "lasted",
                "end",
            ]
            .map(str::to_owned),
        ];
        rows.extend(flows.iter().take(FLOWS).map(|flow| {
            [
                flow.index.to_string(),
                escape::line(&flow.client),
                escape::line(&flow.server),
                escape::line(flow.application),
                octets(flow.client_to_server.octets),
                octets(flow.server_to_client.octets),
                repeats_shown(flow),
                held_up_by(flow),
                duration(flow.duration),
                end_shown(flow),
            ]
        }));
        self.table(&rows, &[0, 4, 5, 8])
    }

    /// How servers share the load.
    fn services(&mut self, view: &View<'_>) -> io::Result<()> {
        let all = &view.report.services;
        for service in all.iter().take(SERVICES) {
            self.heading(&format!("Load of {}", services::heading(service)))?;
            self.wrapped(" ", FAINT, 1, &sentence(&services::about_bars(service)))?;
            let mut rows = vec![services::HEADS.map(str::to_owned)];
            let servers = services::rows(view, service, SERVERS);
            rows.extend(servers.into_iter().map(|row| row.map(|c| escape::line(&c))));
            self.table(&rows, &[1, 2, 3, 4])?;
            let left_out = service.servers.len().saturating_sub(SERVERS);
            self.more(left_out, "servers")?;
        }
        self.more(all.len().saturating_sub(SERVICES), "services")
    }

    /// Rows in columns, the first row a heading. Columns at the end that do not fit are left out as a whole: a table that wraps
    /// cannot be read.
    pub(super) fn table<const N: usize>(
        &mut self,
        rows: &[[String; N]],
        right: &[usize],
    ) -> io::Result<()> {
        let mut widths = [0; N];
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        let mut used = 1;
        let fitting = widths
            .iter()
            .take_while(|width| {
                used += **width + 2;
                used <= self.look.width + 2
            })
            .count();
        for (place, row) in rows.iter().enumerate() {
            let mut line = String::from(" ");
            for (column, (cell, width)) in row.iter().zip(widths).take(fitting).enumerate() {
                let gap = " ".repeat(width.saturating_sub(cell.chars().count()));
                let (before, after) = if right.contains(&column) {
                    (gap.as_str(), "")
                } else {
                    ("", gap.as_str())
                };
                line.push_str(&format!("{before}{cell}{after}  "));
            }
            let line = line.trim_end();
            let line = if place == 0 {
                self.styled(line, FAINT)
            } else {
                line.to_owned()
            };
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }

    fn captures(&mut self, report: &Report) -> io::Result<()> {
        self.heading(if report.captures.len() == 1 {
            "Capture"
        } else {
            "Captures"
        })?;
        for (number, capture) in (1..).zip(report.captures.iter().take(NOTES)) {
            self.capture(number, capture)?;
        }
        self.more(report.captures.len().saturating_sub(NOTES), "captures")?;
        if !report.notes.is_empty() {
            self.heading("Notes")?;
        }
        for note in report.notes.iter().take(NOTES) {
            self.wrapped(" - ", FAINT, 3, &sentence(note))?;
        }
        self.more(report.notes.len().saturating_sub(NOTES), "notes")
    }

    fn capture(&mut self, number: usize, capture: &Capture) -> io::Result<()> {
        self.wrapped(&format!("{number:2} "), Style::new(), 3, &about(capture))?;
        for note in notes(capture) {
            self.wrapped("   - ", FAINT, 5, &note)?;
        }
        Ok(())
    }
}

/// Whether somebody has to do something: not where nothing is wrong, nor where a remedy has helped and nothing hurts any more.
pub(super) fn calls_for_action(report: &Report) -> bool {
    match report.verdict.grade {
        "healthy" => false,
        "better" | "same" => report.findings.iter().any(|f| f.severity != "info"),
        _ => true,
    }
}

/// What to do first: of the remedies for what hurts, where anything does.
pub(super) fn first_remedy(report: &Report) -> Option<&Remedy> {
    let mends = |remedy: &&Remedy| {
        let mut findings = remedy.findings.iter();
        findings.any(|n| report.findings.get(*n).is_some_and(hurts))
    };
    let any = !report.findings.iter().any(hurts);
    let mut remedies = report.remediations.iter();
    remedies
        .find(|remedy| any || mends(remedy))
        .filter(|_| calls_for_action(report))
}

/// The heading of the remedies.
pub(super) fn todo(report: &Report) -> &'static str {
    if calls_for_action(report) {
        "What to do, in this order"
    } else {
        "Optional: nothing is wrong here, but this may be worth a look"
    }
}

/// The reason of a remedy, with a number in place of the finding that it quotes, which stands further up.
fn without_quotation(why: &str, report: &Report) -> String {
    if let Some((before, behind)) = why.split_once(QUOTED) {
        let shown = report.findings.iter().take(FINDINGS);
        for (number, finding) in (1..).zip(shown) {
            if !finding.summary.is_empty()
                && let Some(rest) = behind.strip_prefix(finding.summary.as_str())
            {
                return format!("{before} (see finding {number}){rest}");
            }
        }
    }
    why.to_owned()
}

/// One capture in one sentence.
pub(super) fn about(capture: &Capture) -> String {
    let mut text = format!("{}: {}", capture.path, capture.format);
    if !capture.link_types.is_empty() {
        text.push_str(&format!(", {}", capture.link_types.join(", ")));
    }
    text.push_str(&format!(
        ", {}, {}",
        plural(capture.frames, "frame", "frames"),
        octets(capture.octets)
    ));
    if let (Some(first), Some(last)) = (capture.first, capture.last) {
        text.push_str(&format!(
            ", {} UTC, {}",
            moment(first),
            duration(last.0.seconds_since(first.0))
        ));
    }
    text
}

/// What a reader must know of a capture before believing anything.
pub(super) fn notes(capture: &Capture) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(dropped) = capture.dropped_by_capture.filter(|n| *n > 0) {
        notes.push(format!(
            "The capturing system dropped {}: gaps in this capture are no proof of loss.",
            plural(dropped, "frame", "frames")
        ));
    }
    if capture.truncated_frames > 0 {
        notes.push(format!(
            "{} cut short by the snap length.",
            plural(capture.truncated_frames, "frame was", "frames were")
        ));
    }
    let copies = capture
        .duplicates_removed
        .saturating_sub(capture.seen_twice);
    if copies > 0 {
        notes.push(format!(
            "{} made by the capture itself, left out of all counts.",
            plural(copies, "copy was", "copies were")
        ));
    }
    if capture.seen_twice > 0 {
        notes.push(format!(
            "{} seen twice: their connections were followed in another capture of them.",
            plural(capture.seen_twice, "segment was", "segments were")
        ));
    }
    for undecoded in capture.undecoded.iter().take(NOTES) {
        notes.push(format!(
            "{} not decoded: {} (first: frame {}).",
            plural(undecoded.frames, "frame", "frames"),
            undecoded.reason,
            undecoded.first_frame
        ));
    }
    for problem in capture.problems.iter().take(NOTES) {
        notes.push(match problem.frame {
            Some(frame) => format!("frame {frame}: {}", sentence(&problem.text)),
            None => sentence(&problem.text),
        });
    }
    let more = capture.problems.len().saturating_sub(NOTES)
        + capture.undecoded.len().saturating_sub(NOTES);
    if more > 0 {
        notes.push(format!("{more} more notes: --format json has all."));
    }
    notes
}

/// Breaks a line at spaces; the first piece fits `first` columns, the others `width`. A word that is too long is broken.
fn wrap(text: &str, first: usize, width: usize) -> Vec<String> {
    let (mut lines, mut line, mut room) = (Vec::new(), String::new(), first.max(1));
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > room {
            lines.push(std::mem::take(&mut line));
            (used, room) = (0, width.max(1));
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        for c in word.chars() {
            if used >= room {
                lines.push(std::mem::take(&mut line));
                (used, room) = (0, width.max(1));
            }
            line.push(c);
            used += 1;
        }
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotations() {
        let report = super::super::tests::sample("");
        let summary = &report.findings[0].summary;
        for (why, want) in [
            (
                format!("Old drivers do this. Seen here: {summary}. More."),
                "Old drivers do this (see finding 1). More.",
            ),
            ("No quotation.".to_owned(), "No quotation."),
            ("So. Seen here: else.".to_owned(), "So. Seen here: else."),
        ] {
            assert_eq!(without_quotation(&why, &report), want);
        }
    }

    #[test]
    fn wrapping() {
        for (name, text, first, width, want) in [
            ("fits", "a b", 10, 10, &["a b"][..]),
            ("breaks", "aa bb cc", 5, 5, &["aa bb", "cc"]),
            ("narrow first", "aa bb cc", 2, 8, &["aa", "bb cc"]),
            ("long word", "abcdef", 4, 4, &["abcd", "ef"]),
            ("empty", "", 4, 4, &[""]),
            ("no room at all", "ab", 0, 0, &["a", "b"]),
        ] {
            assert_eq!(wrap(text, first, width), want, "{name}");
        }
    }
}
