//! What the script of the page works on, as JSON inside the page: the table of flows, and the points of the graphs.
//!
//! Takes:  the report
//! Gives:  one JSON text that can stand in a `script` element
//! Never:  markup: the script puts each text on the page as text

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::super::escape;
use super::super::model::{Flow, Report};
use super::super::plot::Plot;
use super::super::view::{self, View};
use crate::flow::{Line, PointKind, Series, Way};

/// Flows in the table of the page; it says so when there are more.
pub(super) const MAX_ROWS: usize = 20_000;

/// The kinds of marks, in the order of their numbers: name, and what it is.
pub(super) const KINDS: [(&str, &str); 12] = [
    ("fast", "sent again: fast retransmission"),
    ("timeout", "sent again: timeout"),
    ("probe", "sent again: tail loss probe"),
    ("spurious", "sent again needlessly"),
    ("repeat", "sent again, reason not told"),
    ("reordered", "late: reordered by the network"),
    ("copy", "copy of a frame"),
    ("alive", "keep-alive or window probe"),
    ("zero", "window shut"),
    ("syn", "SYN"),
    ("fin", "FIN"),
    ("reset", "RST"),
];

/// Place in [`KINDS`].
pub(super) const fn kind(kind: PointKind) -> Option<usize> {
    Some(match kind {
        PointKind::Plain => return None,
        PointKind::Fast => 0,
        PointKind::Timeout => 1,
        PointKind::TailProbe => 2,
        PointKind::Spurious => 3,
        PointKind::Repeat => 4,
        PointKind::Reordered => 5,
        PointKind::Copy => 6,
        PointKind::Probe => 7,
        PointKind::ZeroWindow => 8,
        PointKind::Syn => 9,
        PointKind::Fin => 10,
        PointKind::Reset => 11,
    })
}

/// The data of the page.
pub(super) fn data(view: &View<'_>, flows: &[&Flow]) -> String {
    let report = view.report;
    let mut words = Words::default();
    let rows: Vec<Value> = flows
        .iter()
        .take(MAX_ROWS)
        .map(|flow| row(view, flow, &mut words))
        .collect();
    let plots: Vec<Value> = report.plots.iter().map(|p| plot(report, p)).collect();
    let text =
        json!({ "rows": rows, "words": words.list, "plots": plots, "kinds": KINDS }).to_string();
    // Inside a script element nothing but `</script` and `<!--` acts: without `<` neither can be.
    text.replace('<', "\\u003c")
}

/// Texts that stand in many rows, once.
#[derive(Default)]
struct Words {
    list: Vec<String>,
    places: HashMap<String, usize>,
}

impl Words {
    fn place(&mut self, text: &str) -> usize {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        let place = self.list.len();
        self.list.push(escape::line(text));
        self.places.insert(text.to_owned(), place);
        place
    }
}

fn row(view: &View<'_>, flow: &Flow, words: &mut Words) -> Value {
    let (client, client_port) = ends(&flow.client);
    let (server, server_port) = ends(&flow.server);
    let held = view::held_up_most(flow);
    let mut life = Vec::new();
    for (cause, seconds) in view::life(flow) {
        life.push(json!(words.place(cause)));
        life.push(json!(rounded(seconds)));
    }
    json!([
        flow.index,
        words.place(client),
        client_port,
        words.place(server),
        server_port,
        words.place(flow.application),
        flow.client_to_server.octets,
        flow.server_to_client.octets,
        view::repeats(flow),
        view::data_segments(flow),
        words.place(held.map_or("", |(cause, _)| cause)),
        held.map_or(0.0, |(_, seconds)| rounded(seconds)),
        rounded(flow.duration),
        words.place(&view::end_shown(flow)),
        view.worst_of(flow),
        life,
    ])
}

/// `ip` and `port`.
fn ends(endpoint: &str) -> (&str, &str) {
    endpoint.rsplit_once(':').unwrap_or((endpoint, ""))
}

/// To the microsecond: what is beyond it only makes the file larger.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

#[derive(Serialize)]
struct Points {
    /// Microseconds since the start, each as the difference to the one before.
    t: Vec<i64>,
    /// Values, likewise.
    v: Vec<i64>,
    /// What goes with each value, or -1.
    o: Vec<i64>,
    /// Frame numbers, each as the difference to the one before.
    f: Vec<i64>,
    /// Marks, where the line has any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    k: Vec<usize>,
    /// How many there were before the line was thinned.
    all: u64,
}

/// `other` of a point may be told relative to its value.
fn points(line: &Line, marks: bool, other: impl Fn(i64, i64) -> i64) -> Points {
    let mut before = (0, 0, 0);
    let mut out = Points {
        t: Vec::new(),
        v: Vec::new(),
        o: Vec::new(),
        f: Vec::new(),
        k: Vec::new(),
        all: line.all,
    };
    for point in &line.points {
        let frame = i64::try_from(point.frame.number()).unwrap_or(i64::MAX);
        let now = (point.at / 1_000, point.value, frame);
        out.t.push(now.0 - before.0);
        out.v.push(now.1.wrapping_sub(before.1));
        out.f.push(now.2 - before.2);
        out.o
            .push(point.other.map_or(-1, |o| other(point.value, o).max(0)));
        if marks {
            out.k.push(kind(point.kind).unwrap_or_default());
        }
        before = now;
    }
    out
}

fn way(way: &Way) -> Value {
    let as_is = |_: i64, other: i64| other;
    let beyond = |value: i64, other: i64| other.wrapping_sub(value);
    json!({
        "seg": points(&way.segments, false, as_is),
        "mark": points(&way.marks, true, as_is),
        "ack": points(&way.acks, false, beyond),
        "sack": points(&way.blocks, false, beyond),
        "flight": points(&way.flight, false, as_is),
        "rtt": points(&way.rtt, false, as_is),
        "rates": way.rates.iter().flat_map(|(sent, acked)| [*sent, *acked]).collect::<Vec<u64>>(),
    })
}

fn plot(report: &Report, plot: &Plot) -> Value {
    let Series {
        start,
        length,
        bar,
        ways,
    } = &plot.series;
    let since = |time: crate::net::Timestamp| rounded(time.seconds_since(*start));
    let findings: Vec<Value> = (1..)
        .zip(&report.findings)
        .filter(|(_, f)| f.flows.contains(&plot.flow) && super::super::build::hurts(f))
        .map(|(number, f): (usize, _)| {
            json!([
                since(f.start.0),
                since(f.end.0),
                number,
                escape::line(&f.id)
            ])
        })
        .collect();
    let flow = report.flows.iter().find(|f| f.index == plot.flow);
    let stalls: Vec<Value> = flow
        .iter()
        .flat_map(|f| {
            f.client_to_server
                .stalls
                .iter()
                .chain(&f.server_to_client.stalls)
        })
        .map(|s| json!([since(s.start.0), rounded(s.seconds), s.cause, s.frame]))
        .collect();
    #[allow(clippy::cast_precision_loss)] // graphs need no more
    let (length, bar) = (*length as f64 / 1e9, *bar as f64 / 1e9);
    json!({
        "flow": plot.flow,
        "main": main_way(plot),
        "length": rounded(length),
        "bar": bar,
        "findings": findings,
        "stalls": stalls,
        "ways": [way(&ways[0]), way(&ways[1])],
    })
}

/// The direction worth looking at first: where more was sent again, else where more was sent.
pub(super) fn main_way(plot: &Plot) -> usize {
    let weight = |way: &Way| {
        let repeats = way
            .marks
            .points
            .iter()
            .filter(|m| kind(m.kind).is_some_and(|k| k < 5))
            .count();
        (repeats, way.segments.points.last().map_or(0, |p| p.value))
    };
    usize::from(weight(&plot.series.ways[1]) > weight(&plot.series.ways[0]))
}
