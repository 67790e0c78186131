//! What graphs are drawn of: a few flows over time, and their dialogs step by step.
//!
//! Takes:  a report, for the choice of flows; the [`Series`] and dialog of each, collected by a second reading of the captures
//! Gives:  [`Plot`]s
//! Never:  in JSON or CSV: they are for the eye

use super::model::{Flow, Report};
use super::view::{View, repeats};
use crate::flow::Series;
use crate::net::Timestamp;
use crate::proto::DialogRecord;

use super::build::hurts;

/// Flows that are drawn.
pub const MAX_PLOTS: usize = 12;

/// Flows that are drawn where nothing is wrong: the largest ones.
const HEALTHY_PLOTS: usize = 2;

/// Segments below which there is nothing to see.
const MIN_FRAMES: u64 = 4;

/// Steps of a dialog that are shown: so many from its start, and the slowest ones.
const FIRST_STEPS: usize = 30;

/// Steps in all.
const MAX_STEPS: usize = 100;

/// One flow, drawn.
#[derive(Clone, Debug)]
pub struct Plot {
    /// Index of the flow.
    pub flow: u64,
    /// Its segments over time.
    pub series: Series,
    /// Its dialog, in order of time.
    pub steps: Vec<Step>,
    /// Steps that the dialog had, as far as it was kept.
    pub steps_in_all: usize,
}

/// A request and its answer. Times are seconds since the start of the flow.
#[derive(Clone, Debug)]
pub struct Step {
    /// `MAIL`, `READ`, … (hostile)
    pub name: String,
    /// Phase of SMTP; empty elsewhere.
    pub phase: &'static str,
    /// Whether the client asked.
    pub by_client: bool,
    /// Frame of the request.
    pub frame: u64,
    /// When.
    pub asked: f64,
    /// When the peer acknowledged it.
    pub acked: Option<f64>,
    /// Frame and time of the answer.
    pub answer: Option<(u64, f64)>,
    /// Start of the answer (hostile).
    pub text: String,
}

/// The flows worth drawing: of each finding that hurts the first one, then those that suffer most. Places in `report.flows`.
#[must_use]
pub fn choose(report: &Report) -> Vec<usize> {
    let view = View::new(report);
    let place = |index: u64| report.flows.binary_search_by_key(&index, |f| f.index).ok();
    let drawable =
        |flow: &Flow| flow.client_to_server.frames + flow.server_to_client.frames >= MIN_FRAMES;
    let mut chosen: Vec<usize> = Vec::new();
    let mut add = |place: usize, most: usize| {
        let fits = report.flows.get(place).is_some_and(drawable);
        if fits && chosen.len() < most && !chosen.contains(&place) {
            chosen.push(place);
        }
    };
    for finding in report.findings.iter().filter(|f| hurts(f)) {
        let cited = finding.flows.iter().filter_map(|index| place(*index));
        let worst = cited.max_by_key(|place| {
            report
                .flows
                .get(*place)
                .map_or((false, 0), |f| (drawable(f), repeats(f)))
        });
        if let Some(worst) = worst {
            add(worst, MAX_PLOTS);
        }
    }
    for flow in view.flows_worst_first() {
        if view.is_hurt(flow)
            && let Some(place) = place(flow.index)
        {
            add(place, MAX_PLOTS);
        }
    }
    let mut largest: Vec<(u64, usize)> = (0..)
        .zip(&report.flows)
        .map(|(place, f)| (f.client_to_server.octets + f.server_to_client.octets, place))
        .collect();
    largest.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    for (_, place) in largest.into_iter().take(HEALTHY_PLOTS) {
        add(place, HEALTHY_PLOTS);
    }
    chosen
}

impl Plot {
    /// One flow and what was said on it.
    #[must_use]
    pub fn new(flow: u64, series: Series, dialog: &DialogRecord) -> Self {
        let mut steps = steps(dialog, series.start);
        let steps_in_all = steps.len();
        if steps_in_all > MAX_STEPS {
            let taken = |s: &Step| s.answer.map_or(f64::INFINITY, |(_, at)| at - s.asked);
            let mut rest = steps.split_off(FIRST_STEPS);
            rest.sort_by(|a, b| taken(b).total_cmp(&taken(a)));
            rest.truncate(MAX_STEPS - FIRST_STEPS);
            rest.sort_by(|a, b| a.asked.total_cmp(&b.asked));
            steps.append(&mut rest);
        }
        Self {
            flow,
            series,
            steps,
            steps_in_all,
        }
    }
}

/// SMTP has steps of its own; of the others, requests and answers.
fn steps(dialog: &DialogRecord, start: Timestamp) -> Vec<Step> {
    let since = |time: Timestamp| time.seconds_since(start);
    let of_smtp = dialog.smtp.iter().flat_map(|s| &s.steps).map(|s| {
        let code = s.code.map(|c| c.to_string()).unwrap_or_default();
        Step {
            name: s.verb.to_string(),
            phase: s.phase.name(),
            by_client: true,
            frame: s.frame.number(),
            asked: since(s.sent),
            acked: s.acked.map(since),
            answer: s
                .reply_frame
                .zip(s.replied)
                .map(|(f, t)| (f.number(), since(t))),
            text: format!("{code} {}", s.text).trim().to_owned(),
        }
    });
    let mut steps: Vec<Step> = of_smtp.collect();
    if steps.is_empty() {
        steps = dialog
            .exchanges
            .iter()
            .map(|e| Step {
                name: e.name.to_string(),
                phase: "",
                by_client: e.direction == crate::net::Direction::ClientToServer,
                frame: e.request_frame.number(),
                asked: since(e.requested),
                acked: e.acked.map(since),
                answer: e
                    .answer_frame
                    .zip(e.answered)
                    .map(|(f, t)| (f.number(), since(t))),
                text: String::new(),
            })
            .collect();
    }
    steps.sort_by(|a, b| a.asked.total_cmp(&b.asked));
    steps
}
