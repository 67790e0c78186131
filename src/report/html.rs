//! The report as one HTML file: no network, readable without script, under a Content-Security-Policy of its own.
//!
//! Foreign text is made harmless in `escape`, and all text once more by the template engine's escaping.

use std::io::{self, Write};
use std::sync::LazyLock;

use minijinja::{AutoEscape, Environment, Value, context};

use super::model::{Finding, Flow, Remedy, Report, Step};
use super::view::{View, end_shown, held_up_by, life, repeats_shown};
use super::words::{confidence, count, duration, moment, octets, rate, sentence};
use super::{Format, Look, escape, text};

const TEMPLATE: &str = include_str!("html/report.html");
const STYLE: &str = include_str!("html/report.css");
const SCRIPT: &str = include_str!("html/report.js");

/// Findings in full.
const FINDINGS: usize = 100;
/// Frames shown for one finding.
const FRAMES: usize = 50;
/// Rows of the table of flows; it says so when there are more.
const FLOWS: usize = 2_000;
/// Findings in the first screen's list.
const IN_SHORT: usize = 5;

/// One page.
pub(super) struct Html;

impl Format for Html {
    fn name(&self) -> &'static str {
        "html"
    }

    fn ending(&self) -> &'static str {
        ".html"
    }

    fn write(&self, report: &Report, _: Look, out: &mut dyn Write) -> io::Result<()> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        let template = environment
            .template_from_named_str("report.html", TEMPLATE)
            .map_err(io::Error::other)?;
        let text = template.render(page(report)).map_err(io::Error::other)?;
        writeln!(out, "{text}")
    }
}

/// Escaped by [`escape::line`]; the template engine does the rest.
fn line(text: &str) -> String {
    escape::line(text)
}

fn lines(texts: &[String]) -> Vec<String> {
    texts.iter().map(|t| line(&sentence(t))).collect()
}

fn page(report: &Report) -> Value {
    let view = View::new(report);
    let hurting = view.hurting();
    let harmless = view.harmless();
    let flows = view.flows_worst_first();
    let findings: Vec<Value> = hurting
        .iter()
        .take(FINDINGS)
        .map(|(number, f)| finding(&view, *number, f))
        .collect();
    let harmless: Vec<Value> = harmless
        .iter()
        .take(FINDINGS)
        .map(|(number, f)| finding(&view, *number, f))
        .collect();
    let captures: Vec<Value> = report
        .captures
        .iter()
        .take(FINDINGS)
        .map(|c| {
            let notes: Vec<String> = text::notes(c).iter().map(|n| line(n)).collect();
            context! { about => line(&text::about(c)), notes }
        })
        .collect();
    context! {
        style => Value::from_safe_string(STYLE.to_owned()),
        script => Value::from_safe_string(SCRIPT.to_owned()),
        style_hash => Value::from_safe_string(HASHES.0.clone()),
        script_hash => Value::from_safe_string(HASHES.1.clone()),
        grade => report.verdict.grade,
        grade_word => report.verdict.grade.replace('-', " "),
        verdict => line(&report.verdict.text),
        in_short => IN_SHORT,
        findings,
        findings_in_all => hurting.len(),
        harmless,
        todo => text::todo(report),
        remedies => report.remediations.iter().map(remedy).collect::<Vec<_>>(),
        flows => flows.iter().take(FLOWS).map(|f| flow(f)).collect::<Vec<_>>(),
        flows_in_all => count(report.totals.flows),
        flows_left_out => report.totals.flows > flows.len().min(FLOWS) as u64,
        captures,
        captures_in_all => report.captures.len(),
        notes => report.notes.iter().map(|n| line(&sentence(n))).collect::<Vec<_>>(),
        version => env!("CARGO_PKG_VERSION"),
    }
}

fn finding(view: &View<'_>, number: usize, finding: &Finding) -> Value {
    let hosts: Vec<String> = finding
        .hosts
        .iter()
        .take(FRAMES)
        .map(|h| line(&view.host(h)))
        .collect();
    let evidence: Vec<Value> = finding
        .evidence
        .iter()
        .take(FRAMES)
        .map(|e| context! { frame => view.frame(e), text => line(&e.text) })
        .collect();
    context! {
        number,
        id => line(&finding.id),
        severity => finding.severity,
        confidence => confidence(finding.confidence),
        summary => line(&sentence(&finding.summary)),
        lost => finding.seconds_lost.map(duration),
        hosts => hosts.join(", "),
        start => moment(finding.start),
        end => moment(finding.end),
        evidence,
        evidence_left_out => finding.evidence.len().saturating_sub(FRAMES),
        against => lines(&finding.against),
        filter => line(&finding.display_filter),
        remedies => finding.remediations.iter().map(|id| line(id)).collect::<Vec<_>>(),
    }
}

fn remedy(remedy: &Remedy) -> Value {
    let groups: Vec<Value> = [
        ("Confirm", &remedy.confirm),
        ("Fix", &remedy.fix),
        ("Undo", &remedy.undo),
    ]
    .into_iter()
    .filter(|(_, steps)| !steps.is_empty())
    .map(|(label, steps)| context! { label, steps => steps.iter().map(step).collect::<Vec<_>>() })
    .collect();
    let sources: Vec<Value> = remedy
        .sources
        .iter()
        .map(|source| {
            let is_address = source.starts_with("https://") || source.starts_with("http://");
            context! { text => line(source), is_address }
        })
        .collect();
    context! {
        rank => remedy.rank,
        id => line(&remedy.id),
        title => line(&sentence(&remedy.title)),
        why => line(&sentence(&remedy.why)),
        called_for_by => View::called_for_by(remedy),
        unknown => lines(&remedy.unknown),
        known => lines(&remedy.known),
        against => lines(&remedy.against),
        groups,
        risk => line(&sentence(&remedy.risk)),
        applies_to => line(&remedy.applies_to),
        sources,
    }
}

fn step(step: &Step) -> Value {
    let command: Vec<String> = step.command.lines().map(line).collect();
    context! {
        on => step.on.as_deref().map(line),
        only_if => line(&step.only_if),
        command => command.join("\n"),
        expect => line(&step.expect),
    }
}

fn flow(flow: &Flow) -> Value {
    let mean = |half: &super::model::Half| half.goodput_bps.as_ref().map(|g| rate(g.mean));
    let mut x = 0.0;
    let shares: Vec<Value> = life(flow)
        .into_iter()
        .map(|(cause, seconds)| {
            let width = if flow.duration > 0.0 { seconds * 100.0 / flow.duration } else { 0.0 };
            let start = x;
            x += width;
            context! { cause, seconds => duration(seconds), x => format!("{start:.2}"), width => format!("{width:.2}") }
        })
        .collect();
    context! {
        index => flow.index,
        client => line(&flow.client),
        server => line(&flow.server),
        application => line(&flow.application),
        up => octets(flow.client_to_server.octets),
        down => octets(flow.server_to_client.octets),
        up_rate => mean(&flow.client_to_server),
        down_rate => mean(&flow.server_to_client),
        repeats => repeats_shown(flow),
        held_up => held_up_by(flow),
        lasted => duration(flow.duration),
        end => end_shown(flow),
        life => shares,
    }
}

/// The sources that the policy allows: of the style sheet and of the script, as `sha256-…`.
static HASHES: LazyLock<(String, String)> =
    LazyLock::new(|| (source_hash(STYLE), source_hash(SCRIPT)));

fn source_hash(text: &str) -> String {
    format!("sha256-{}", base64(&super::sha256::sha256(text.as_bytes())))
}

/// RFC 4648 section 4, with padding.
fn base64(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in octets.chunks(3) {
        let at = |n: usize| u32::from(group.get(n).copied().unwrap_or_default());
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            if place > group.len() {
                out.push('=');
            } else {
                let index = (bits >> (18 - 6 * place)) & 63;
                out.push(char::from(ALPHABET[index as usize]));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn render(text: &str) -> String {
        let mut out = Vec::new();
        Html.write(
            &super::super::tests::sample(text),
            Look::default(),
            &mut out,
        )
        .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn base64_as_in_the_rfc() {
        for (plain, want) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(plain.as_bytes()), want);
        }
    }

    #[test]
    fn one_file_that_asks_nobody() {
        let page = render("");
        assert!(page.starts_with("<!doctype html>"));
        for hash in [&HASHES.0, &HASHES.1] {
            assert!(page.contains(hash.as_str()));
        }
        for (name, forbidden) in [
            ("style attribute", " style=\""),
            ("event handler", " onclick"),
            ("outside picture", "<img"),
            ("outside script", "<script src"),
            ("outside style", "<link"),
        ] {
            assert!(!page.contains(forbidden), "{name}");
        }
        assert_eq!(page.matches("<script").count(), 1);
        assert!(
            page.contains("storm.retransmission") && page.contains("Switch checksum offload off.")
        );
        assert!(page.contains("tcp.stream == 1 &amp;&amp; tcp.analysis.retransmission"));
    }

    #[test]
    fn foreign_text_adds_no_tags() {
        let tags = |page: &str| page.matches('<').count();
        assert_eq!(
            tags(&render("x")),
            tags(&render(
                "x<b>\"'</script><script>alert(1)</script>{{ 7*7 }}"
            ))
        );
        assert!(!render("{{ 7*7 }}").contains("49"));
    }
}
