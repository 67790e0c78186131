//! The report as one HTML file: no network, readable without script, under a Content-Security-Policy of its own.
//!
//! Foreign text is made harmless in `escape`, and all text once more by the template engine's escaping, or by the script, which puts
//! it on the page as text. The graphs are uPlot's, from `vendor/`.

mod across;
mod beside;
mod data;
mod graph;

use std::io::{self, Write};
use std::sync::LazyLock;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use minijinja::{AutoEscape, Environment, Value, context};
use sha2::{Digest, Sha256};

use super::beside::Shape;
use super::model::{Finding, Flow, Remedy, Report, Step};
use super::plot::Plot;
use super::view::{
    View, data_segments, end_shown, held_up_by, life, lost, repeats, repeats_shown, together,
    unknown,
};
use super::words::{confidence, count, duration, moment, octets, rate, sentence};
use super::{Format, Look, escape, text};

const TEMPLATE: &str = include_str!("html/report.html");
const STYLE: &str = include_str!("html/report.css");
const SCRIPT: &str = include_str!("html/report.js");
const GRAPH_STYLE: &str = include_str!("vendor/uplot/uPlot.min.css");
const GRAPH_SCRIPT: &str = include_str!("vendor/uplot/uPlot.iife.min.js");

/// Findings in full.
const FINDINGS: usize = 100;
/// Frames shown for one finding.
const FRAMES: usize = 50;
/// Rows of the table of flows without script; it says so when there are more.
const FLOWS: usize = 50;
/// Captures named before the findings; the list of captures has all.
const SIDES: usize = 8;
/// Findings in the first screen's list.
const IN_SHORT: usize = 5;

/// One page.
#[derive(Debug)]
pub(super) struct Html;

impl Format for Html {
    fn name(&self) -> &'static str {
        "html"
    }

    fn purpose(&self) -> &'static str {
        "One self-contained page"
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

/// How many findings there are: what follows in the verdict stands in the list below it.
fn in_short(verdict: &str) -> String {
    let first = verdict.split_once("; ").map_or(verdict, |(first, _)| first);
    line(&sentence(first))
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
        styles => INLINE.styles.iter().map(|i| i.as_value()).collect::<Vec<_>>(),
        scripts => INLINE.scripts.iter().map(|i| i.as_value()).collect::<Vec<_>>(),
        data => Value::from_safe_string(data::data(&view, &flows)),
        heading => heading(report),
        sides => sides(&view),
        grade => report.verdict.grade,
        first => text::first_remedy(report).map(|r| context! { id => line(&r.id), title => line(&sentence(&r.title)) }),
        grade_word => report.verdict.grade.replace('-', " "),
        verdict => line(&report.verdict.text),
        verdict_in_short => in_short(&report.verdict.text),
        in_short => IN_SHORT,
        findings,
        findings_in_all => hurting.len(),
        harmless,
        todo => text::todo(report),
        remedies => report.remediations.iter().map(remedy).collect::<Vec<_>>(),
        flows => flows.iter().take(FLOWS).map(|f| flow(f)).collect::<Vec<_>>(),
        flows_in_all => count(report.totals.flows),
        flows_in_table => count(flows.len().min(data::MAX_ROWS) as u64),
        flows_left_out => report.totals.flows > flows.len().min(data::MAX_ROWS) as u64,
        flows_unseen => flows.len() > FLOWS,
        plots => report.plots.iter().filter_map(|p| plot(&view, p)).collect::<Vec<_>>(),
        plots_named => report.plots.iter().filter(|p| report.findings.iter().any(|f| f.flows.contains(&p.flow))).count(),
        tables => report.beside.tables.iter().map(beside::table).collect::<Vec<_>>(),
        trends => report.beside.trends.iter().filter_map(beside::trend).collect::<Vec<_>>(),
        hosts => across::hosts(&view),
        services => across::services(&view),
        timeline => across::timeline(&view),
        unseen => unseen(report).iter().map(|n| line(n)).collect::<Vec<_>>(),
        captures,
        captures_in_all => report.captures.len(),
        notes => report.notes.iter().map(|n| line(&sentence(n))).collect::<Vec<_>>(),
        version => env!("CARGO_PKG_VERSION"),
    }
}

/// What the page is about.
fn heading(report: &Report) -> &'static str {
    match &report.beside.shape {
        None => "TCP health",
        Some(Shape::Comparison(_)) => "TCP health between two captures",
        Some(Shape::Verification(_)) => "Did the remedy work?",
    }
}

/// A capture and its file, where there are several.
fn named_capture(view: &View<'_>, index: u32) -> Option<String> {
    let captures = &view.report.captures;
    let capture = captures
        .get(index as usize)
        .filter(|_| captures.len() > 1)?;
    let name = file_name(&capture.path);
    Some(format!("{} ({})", view.capture(index), line(name)))
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Captures by the names that proofs call them by, where there are several.
fn sides(view: &View<'_>) -> Vec<Value> {
    let captures = &view.report.captures;
    let several = captures.len() > 1;
    (0..)
        .zip(captures.iter().take(SIDES))
        .filter(|_| several)
        .map(|(index, c)| context! { name => view.capture(index), path => line(&c.path) })
        .collect()
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
    let remedies: Vec<Value> = view
        .report
        .remediations
        .iter()
        .filter(|r| finding.remediations.contains(&r.id))
        .map(|r| context! { id => line(&r.id), title => line(&sentence(&r.title)) })
        .collect();
    let proof_filters: Vec<Value> = View::proof_filters(finding)
        .into_iter()
        .map(|(capture, filter)| context! { of => named_capture(view, capture), filter })
        .collect();
    context! {
        number,
        id => line(&finding.id),
        severity => finding.severity,
        confidence => confidence(finding.confidence),
        summary => line(&sentence(&finding.summary)),
        lost => lost(finding),
        hosts => hosts.join(", "),
        start => moment(finding.start),
        end => moment(finding.end),
        evidence,
        evidence_left_out => finding.evidence.len().saturating_sub(FRAMES),
        against => lines(&finding.against),
        filter => line(&finding.display_filter),
        proof_filters,
        filter_note => finding.display_filter.contains("tcp.checksum.status").then_some(text::CHECKSUMS_ON),
        graphs => view.report.plots.iter().map(|p| p.flow).filter(|f| finding.flows.contains(f)).collect::<Vec<_>>(),
        remedies,
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
    .map(|(label, steps)| context! { label, steps => together(steps).iter().map(step).collect::<Vec<_>>() })
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
        unknown => lines(&unknown(remedy)),
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
    let shares = graph::life(&life(flow), flow.duration);
    context! {
        index => flow.index,
        client => line(&flow.client),
        server => line(&flow.server),
        application => line(flow.application),
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

/// One flow in detail.
fn plot(view: &View<'_>, plot: &Plot) -> Option<Value> {
    let flow = view.report.flows.iter().find(|f| f.index == plot.flow)?;
    let findings: Vec<Value> = (1_usize..)
        .zip(&view.report.findings)
        .filter(|(_, f)| super::build::hurts(f) && f.flows.contains(&flow.index))
        .map(|(number, f)| context! { number, id => line(&f.id) })
        .collect();
    let phases: Vec<Value> = flow
        .smtp
        .iter()
        .flat_map(|s| &s.phases)
        .map(|(phase, p)| context! {
            name => phase.replace('_', " "), count => count(p.count), min => duration(p.min), median => duration(p.median),
            max => duration(p.max), sum => duration(p.sum),
        })
        .collect();
    let sealed = flow
        .smb
        .iter()
        .filter_map(|s| s.encrypted_requests.as_ref());
    let commands = flow.smb.iter().flat_map(|s| &s.commands);
    let commands: Vec<Value> = commands
        .map(|(name, c)| (name.as_str(), c))
        .chain(sealed.map(|c| ("encrypted requests", c)))
        .map(|(name, c)| context! {
            name => line(name), count => count(c.count), unanswered => count(c.unanswered), min => c.min.map(duration),
            median => c.median.map(duration), max => c.max.map(duration), sum => c.sum.map(duration),
        })
        .chain(flow.rpc.iter().flat_map(|r| &r.operations).map(|(name, o)| context! {
            name => line(name), count => count(o.count), unanswered => count(o.unanswered), min => o.min.map(duration),
            median => o.median.map(duration), max => o.max.map(duration), sum => o.sum.map(duration),
        }))
        .collect();
    Some(context! {
        index => flow.index,
        client => line(&view.endpoint(&flow.client)),
        server => line(&view.endpoint(&flow.server)),
        application => line(flow.application),
        held_up => held_up_by(flow),
        repeats => (repeats(flow) > 0).then(|| format!("{} of {}", count(repeats(flow)), count(data_segments(flow)))),
        start => moment(flow.start),
        lasted => duration(flow.duration),
        end => end_shown(flow),
        vantage => flow.vantage,
        vantage_basis => line(flow.vantage_basis),
        filter => view.stream_filter(flow),
        life => graph::life(&life(flow), flow.duration),
        findings,
        sequence => graph::sequence(plot),
        ladder => graph::ladder(plot, flow),
        phases,
        commands,
    })
}

/// What the report says nothing of.
fn unseen(report: &Report) -> Vec<String> {
    let mut out = Vec::new();
    let mut say = |number: u64, text: &dyn Fn(String) -> String| {
        if number > 0 {
            out.push(text(count(number)));
        }
    };
    let captures = || report.captures.iter();
    let totals = &report.totals;
    let undecoded: u64 = captures().map(|c| c.undecoded_frames).sum();
    let dropped: u64 = captures().filter_map(|c| c.dropped_by_capture).sum();
    let cut: u64 = captures().map(|c| c.truncated_frames).sum();
    let mid_stream = report
        .flows
        .iter()
        .filter(|f| !f.handshake.complete && f.end != "unanswered" && f.end != "refused");
    let sealed = report.flows.iter().filter(|f| {
        f.application == "tls"
            || f.smtp.as_ref().is_some_and(|s| s.tls != "none")
            || f.smb.as_ref().is_some_and(|s| s.encrypted == Some(true))
    });
    say(
        totals
            .frames
            .saturating_sub(totals.tcp_segments)
            .saturating_sub(undecoded),
        &|n| {
            format!("{n} frames are no TCP: only what ICMP and DNS say of TCP was taken from them.")
        },
    );
    say(undecoded, &|n| {
        format!("{n} frames could not be decoded; the list of captures says why.")
    });
    say(dropped, &|n| {
        format!("{n} frames never reached the capture: the capturing system dropped them.")
    });
    say(cut, &|n| {
        format!("{n} frames are cut short: what their applications said is known in part only.")
    });
    say(sealed.count() as u64, &|n| {
        format!(
            "What was said inside encryption on {n} connections: only sizes and times were seen."
        )
    });
    say(mid_stream.count() as u64, &|n| {
        format!(
            "The beginning of {n} connections: without it, window scales and round trips of the handshake are unknown."
        )
    });
    say(totals.flows_omitted, &|n| {
        format!("{n} connections without findings are not listed.")
    });
    out.push("What happened beyond the capture point: each capture shows one point of the path, and a second one at the other end would show the rest.".to_owned());
    out.push("Logs and settings of hosts, apart from those that were given.".to_owned());
    out
}

/// A style sheet or script inside the page, and the source that the policy allows for it: `sha256-…`.
struct Inline {
    text: &'static str,
    source: String,
}

impl Inline {
    fn new(text: &'static str) -> Self {
        Self {
            text,
            source: source_hash(text),
        }
    }

    /// Ours, or the plotting library's: no foreign text is in it.
    fn as_value(&self) -> Value {
        context! {
            text => Value::from_safe_string(self.text.to_owned()),
            source => Value::from_safe_string(self.source.clone()),
        }
    }
}

struct Inlines {
    styles: [Inline; 2],
    scripts: [Inline; 2],
}

static INLINE: LazyLock<Inlines> = LazyLock::new(|| Inlines {
    styles: [Inline::new(GRAPH_STYLE), Inline::new(STYLE)],
    scripts: [Inline::new(GRAPH_SCRIPT), Inline::new(SCRIPT)],
});

fn source_hash(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
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
    fn one_file_that_asks_nobody() {
        let page = render("");
        assert!(page.starts_with("<!doctype html>"));
        for inline in INLINE.styles.iter().chain(&INLINE.scripts) {
            assert!(page.contains(&format!("'{}'", inline.source)));
            assert!(page.contains(inline.text));
            assert!(!inline.text.contains("</script") && !inline.text.contains("</style"));
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
        assert_eq!(page.matches("<script").count(), 3, "two that run, and data");
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
