//! The view that fills a terminal while a run goes on.
//!
//! Takes:  [`News`], keys
//! Gives:  a screen: flows by trouble, findings as they come and go, drops in plain sight
//! Never:  holds up the run; leaves the terminal as it is after a panic (ratatui's hook puts it right); prints text from packets unescaped

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, TryRecvError};
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row, Sparkline, Table, TableState, Wrap};

use super::{News, Status};
use crate::detect::Severity;
use crate::pipeline::live::{Alert, FlowNow};
use crate::report::escape;
use crate::report::words::bar;

/// Longest wait for a key, and so for news to be shown.
const WAIT: Duration = Duration::from_millis(100);

/// Columns of the history of a flow in the list.
const HISTORY: usize = 20;

/// Octets of the words that select flows.
const MAX_FILTER: usize = 100;

/// Troubles kept.
const MAX_TROUBLES: usize = 3;

/// Order of the flows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Order {
    #[default]
    Trouble,
    Rate,
    Repeats,
    Age,
}

impl Order {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Trouble, "trouble"),
        (Self::Rate, "rate"),
        (Self::Repeats, "sent again"),
        (Self::Age, "age"),
    ];

    fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(order, _)| *order == self)
            .map_or("", |(_, name)| name)
    }

    fn next(self) -> Self {
        let at = Self::ALL
            .iter()
            .position(|(order, _)| *order == self)
            .unwrap_or(0);
        Self::ALL
            .get(at + 1)
            .map_or(Self::Trouble, |(order, _)| *order)
    }
}

/// What a key asks for beyond the view itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    Nothing,
    End,
}

/// What is shown.
#[derive(Debug, Default)]
struct View {
    interfaces: String,
    status: Status,
    /// What came while the view stood still.
    newest: Option<Box<Status>>,
    frozen: bool,
    order: Order,
    filter: String,
    typing: bool,
    chosen: Option<u64>,
    open: bool,
    rate: (u64, u64),
    troubles: Vec<String>,
}

/// Shows the run until no more news come. `Ctrl-C` and `q` raise `stop`.
///
/// # Errors
/// Where the terminal refuses; the run is asked to end then.
pub fn show(interfaces: &str, news: &Receiver<News>, stop: &AtomicBool) -> io::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let mut view = View {
        interfaces: interfaces.to_owned(),
        ..View::default()
    };
    let shown = loop {
        if let Err(error) = terminal.draw(|frame| view.draw(frame)) {
            break Err(error);
        }
        let more = loop {
            match news.try_recv() {
                Ok(item) => view.take(item),
                Err(TryRecvError::Empty) => break true,
                Err(TryRecvError::Disconnected) => break false,
            }
        };
        if !more {
            break Ok(());
        }
        match event::poll(WAIT).and_then(|there| there.then(event::read).transpose()) {
            Ok(Some(Event::Key(key))) if key.kind != KeyEventKind::Release => {
                if view.key(key) == Asked::End && stop.swap(true, Ordering::Relaxed) {
                    // Asked for a second time: at once.
                    break Err(io::Error::from(io::ErrorKind::Interrupted));
                }
            }
            Ok(_) => {}
            Err(error) => break Err(error),
        }
    };
    // A terminal that was closed refuses all of it. ratatui would say so on that terminal, and end the process over it.
    let closed = terminal.show_cursor().is_err();
    let _ = ratatui::try_restore();
    if closed {
        std::mem::forget(terminal);
    }
    if shown.is_err() {
        stop.store(true, Ordering::Relaxed);
    }
    shown
}

impl View {
    fn take(&mut self, item: News) {
        match item {
            News::Status(status) if self.frozen => self.newest = Some(status),
            News::Status(status) => self.set(*status),
            News::Trouble(_, text) => {
                self.troubles.push(escape::line(&text));
                if self.troubles.len() > MAX_TROUBLES {
                    self.troubles.remove(0);
                }
            }
            News::Flow(_) | News::Interim(_) => {}
        }
    }

    fn set(&mut self, status: Status) {
        let (old, new) = (&self.status, &status);
        let span = new.elapsed.saturating_sub(old.elapsed).as_millis().max(1);
        let rate = |new: u64, old: u64| {
            u64::try_from(u128::from(new.saturating_sub(old)) * 1000 / span).unwrap_or(u64::MAX)
        };
        self.rate = (
            rate(new.snapshot.frames, old.snapshot.frames),
            rate(new.snapshot.octets, old.snapshot.octets),
        );
        self.status = status;
    }

    fn key(&mut self, key: KeyEvent) -> Asked {
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return Asked::End;
        }
        if self.typing {
            match key.code {
                KeyCode::Enter => self.typing = false,
                KeyCode::Esc => {
                    self.typing = false;
                    self.filter.clear();
                }
                KeyCode::Backspace => {
                    self.filter.pop();
                }
                KeyCode::Char(c) if self.filter.len() < MAX_FILTER => self.filter.push(c),
                _ => {}
            }
            return Asked::Nothing;
        }
        match key.code {
            KeyCode::Char('q') => return Asked::End,
            KeyCode::Char('s') => self.order = self.order.next(),
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char(' ') => {
                self.frozen = !self.frozen;
                if let Some(newest) = self.newest.take().filter(|_| !self.frozen) {
                    self.set(*newest);
                }
            }
            KeyCode::Up | KeyCode::Char('k') => self.move_by(-1),
            KeyCode::Down | KeyCode::Char('j') => self.move_by(1),
            KeyCode::Enter => {
                if self.chosen.is_none() {
                    self.move_by(0);
                }
                self.open = self.chosen.is_some();
            }
            KeyCode::Esc if self.open => self.open = false,
            KeyCode::Esc => self.filter.clear(),
            _ => {}
        }
        Asked::Nothing
    }

    /// Chooses the next flow, or the one before.
    fn move_by(&mut self, step: isize) {
        let flows = self.flows();
        let at = flows.iter().position(|f| Some(f.index) == self.chosen);
        let to = at.map_or(0, |at| at.saturating_add_signed(step));
        self.chosen = flows
            .get(to.min(flows.len().saturating_sub(1)))
            .map(|f| f.index);
    }

    /// The flows to show, in order.
    fn flows(&self) -> Vec<&FlowNow> {
        let words: Vec<String> = self
            .filter
            .to_lowercase()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        let mut flows: Vec<&FlowNow> = self
            .status
            .snapshot
            .flows
            .iter()
            .filter(|f| {
                let text = format!(
                    "{} {} {} {}",
                    f.client,
                    f.server,
                    f.application,
                    f.phase.map_or("", |(p, _)| p)
                );
                words.iter().all(|word| text.contains(word.as_str()))
            })
            .collect();
        match self.order {
            // They come so.
            Order::Trouble => {}
            Order::Rate => flows.sort_by_key(|f| std::cmp::Reverse(f.rate.last().copied())),
            Order::Repeats => flows.sort_by_key(|f| std::cmp::Reverse(f.retransmitted)),
            Order::Age => flows.sort_by(|a, b| b.age.total_cmp(&a.age)),
        }
        flows
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        let alerts = self.status.snapshot.alerts.len();
        let findings = u16::try_from(alerts.clamp(1, 8)).unwrap_or(8) + 2;
        let [head, findings, flows, keys] = Layout::vertical([
            Constraint::Length(2),
            Constraint::Length(findings.min(frame.area().height / 3).max(3)),
            Constraint::Min(3),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        frame.render_widget(self.head(), head);
        self.draw_findings(frame, findings);
        let chosen = self
            .status
            .snapshot
            .flows
            .iter()
            .find(|f| Some(f.index) == self.chosen);
        match chosen.filter(|_| self.open) {
            Some(flow) => self.draw_flow(frame, flows, flow),
            None => self.draw_flows(frame, flows),
        }
        frame.render_widget(self.keys(), keys);
    }

    fn head(&self) -> Paragraph<'_> {
        let Status {
            elapsed,
            snapshot,
            drops,
            ring,
        } = &self.status;
        let seconds = elapsed.as_secs();
        let mut first = vec![
            Span::styled(
                format!("tcptriage {} ", escape::line(&self.interfaces)),
                Modifier::BOLD,
            ),
            Span::raw(format!(
                "{}:{:02}:{:02}  {} frames  {}/s  {}bit/s  {} flows  ",
                seconds / 3600,
                seconds / 60 % 60,
                seconds % 60,
                snapshot.frames,
                self.rate.0,
                short(self.rate.1.saturating_mul(8)),
                snapshot.under_way
            )),
        ];
        let dropped = format!(
            "dropped {} by the kernel, {} by the interface",
            drops.by_kernel, drops.by_interface
        );
        first.push(if drops.all() > 0 {
            Span::styled(
                format!(" {dropped} "),
                Style::new().fg(Color::White).bg(Color::Red),
            )
        } else {
            Span::styled("nothing dropped", Color::Green)
        });
        if self.frozen {
            first.push(Span::styled("  FROZEN", Modifier::REVERSED));
        }
        let mut second = Vec::new();
        if let Some(ring) = ring {
            let file = ring
                .file
                .as_deref()
                .map_or_else(|| "no file open".to_owned(), escape::line);
            second.push(Span::raw(format!(
                "writing: {} frames, {}B, {file}",
                ring.frames,
                short(ring.octets)
            )));
            if ring.lost > 0 {
                let lost = format!(" {} could not be written ", ring.lost);
                second.push(Span::styled(
                    lost,
                    Style::new().fg(Color::White).bg(Color::Red),
                ));
            }
        }
        if let Some(trouble) = self.troubles.last() {
            second.push(Span::styled(format!("  {trouble}"), Color::Yellow));
        }
        Paragraph::new(vec![Line::from(first), Line::from(second)])
    }

    fn draw_findings(&self, frame: &mut Frame<'_>, area: Rect) {
        let alerts = &self.status.snapshot.alerts;
        let rows = alerts.iter().map(|alert| {
            let f = &alert.finding;
            Row::new(vec![
                Cell::from(f.severity).style(colour(Some(alert.severity()))),
                Cell::from(f.id.as_str()),
                Cell::from(escape::line(&f.summary)),
            ])
        });
        let title = if alerts.is_empty() {
            " no findings so far ".to_owned()
        } else {
            format!(" {} findings are on ", alerts.len())
        };
        let widths = [
            Constraint::Length(8),
            Constraint::Length(28),
            Constraint::Min(20),
        ];
        let table = Table::new(rows, widths).block(Block::bordered().title(title));
        frame.render_widget(table, area);
    }

    fn draw_flows(&self, frame: &mut Frame<'_>, area: Rect) {
        let flows = self.flows();
        let rows = flows.iter().map(|f| {
            Row::new(vec![
                Cell::from(f.index.to_string()),
                Cell::from(format!(
                    "{} > {}",
                    escape::line(&f.client),
                    escape::line(&f.server)
                )),
                Cell::from(f.application.as_str()),
                Cell::from(bars(&f.rate)),
                Cell::from(bars(&f.repeats)).style(Color::Red),
                Cell::from(repeated(f)),
                Cell::from(f.rtt.map_or_else(String::new, span)),
                Cell::from(standing(f)),
            ])
            .style(colour(f.worst))
        });
        let widths = [
            Constraint::Length(6),
            Constraint::Min(20),
            Constraint::Length(8),
            Constraint::Length(20),
            Constraint::Length(20),
            Constraint::Length(11),
            Constraint::Length(7),
            Constraint::Length(19),
        ];
        let head = [
            "flow",
            "client > server",
            "kind",
            "rate, last 20 s",
            "sent again",
            "again",
            "rtt",
            "stands",
        ];
        let mut title = format!(" {} flows by {} ", flows.len(), self.order.name());
        if !self.filter.is_empty() || self.typing {
            title += &format!("with '{}' ", escape::line(&self.filter));
        }
        let table = Table::new(rows, widths)
            .header(Row::new(head).style(Modifier::UNDERLINED))
            .row_highlight_style(Modifier::REVERSED)
            .block(Block::bordered().title(title));
        let at = flows.iter().position(|f| Some(f.index) == self.chosen);
        frame.render_stateful_widget(table, area, &mut TableState::default().with_selected(at));
    }

    /// One flow in full.
    fn draw_flow(&self, frame: &mut Frame<'_>, area: Rect, flow: &FlowNow) {
        let title = format!(
            " flow {}: {} > {} ",
            flow.index,
            escape::line(&flow.client),
            escape::line(&flow.server)
        );
        let block = Block::bordered().title(title);
        let inside = block.inner(area);
        frame.render_widget(block, area);
        let [rate, repeats, rest] = Layout::vertical([
            Constraint::Length(4),
            Constraint::Length(3),
            Constraint::Min(1),
        ])
        .areas(inside);
        let most = flow.rate.iter().max().copied().unwrap_or(0);
        let rate_title = format!(
            "octets a second, last {} s, at most {}B",
            flow.rate.len(),
            short(most)
        );
        frame.render_widget(
            Sparkline::default()
                .block(Block::new().title(rate_title))
                .data(&flow.rate),
            rate,
        );
        let again = Sparkline::default()
            .block(Block::new().title("sent again"))
            .data(&flow.repeats);
        frame.render_widget(again.style(Color::Red), repeats);
        let [up, down] = flow.octets;
        let mut lines = vec![
            Line::raw(format!(
                "{}, {}; open for {}, silent for {}; up {}B, down {}B; sent again {}{}",
                flow.application,
                standing(flow),
                span(flow.age),
                span(flow.silent),
                short(up),
                short(down),
                repeated(flow),
                flow.rtt
                    .map_or_else(String::new, |rtt| format!("; round trip {}", span(rtt)))
            )),
            Line::raw(flow.said.as_ref().map_or_else(String::new, |said| {
                format!("last said: {}", escape::line(said))
            })),
        ];
        let alerts = &self.status.snapshot.alerts;
        for alert in alerts.iter().filter(|a| flow.alerts.contains(&a.number)) {
            lines.extend(of_alert(alert));
        }
        frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }), rest);
    }

    fn keys(&self) -> Paragraph<'_> {
        Paragraph::new(if self.typing {
            format!(
                "show flows with: {}_   Enter keeps it, Esc shows all",
                escape::line(&self.filter)
            )
        } else {
            "up/down choose  Enter open  Esc back  s sort  / filter  space freeze  q end and report"
                .to_owned()
        })
        .style(Modifier::DIM)
    }
}

fn of_alert(alert: &Alert) -> Vec<Line<'static>> {
    let f = &alert.finding;
    let mut lines = vec![Line::styled(
        format!("{} {}: {}", f.severity, f.id, escape::line(&f.summary)),
        colour(Some(alert.severity())),
    )];
    if let Some(remedy) = f.remediations.first() {
        lines.push(Line::raw(format!("  first: tcptriage explain {remedy}")));
    }
    lines
}

fn colour(severity: Option<Severity>) -> Style {
    match severity {
        Some(Severity::Critical) => Style::new().fg(Color::Red),
        Some(Severity::Warning) => Style::new().fg(Color::Yellow),
        _ => Style::new(),
    }
}

/// How a flow stands: the phase of its dialog, or its state.
fn standing(f: &FlowNow) -> String {
    match f.phase {
        Some((phase, since)) => format!("{phase} {}", span(since)),
        None => f.state.to_owned(),
    }
}

/// `12 (3.4 %)`.
#[allow(clippy::cast_precision_loss)]
fn repeated(f: &FlowNow) -> String {
    match f.retransmitted {
        0 => "-".to_owned(),
        n => format!("{n} ({:.1} %)", 100.0 * n as f64 / f.segments.max(1) as f64),
    }
}

/// The last seconds as bars, scaled to the tallest.
fn bars(values: &[u64]) -> String {
    let values = values
        .get(values.len().saturating_sub(HISTORY)..)
        .unwrap_or(values);
    let most = values.iter().max().copied().unwrap_or(0);
    values.iter().map(|&value| bar(value, most)).collect()
}

/// `340 µs`, `12 ms`, `3.4 s`, `5 min`.
fn span(seconds: f64) -> String {
    match seconds {
        s if s < 0.001 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 100.0 => format!("{s:.1} s"),
        s => format!("{:.0} min", s / 60.0),
    }
}

/// `999 `, `1.2 k`, `34 M`.
#[allow(clippy::cast_precision_loss)]
fn short(value: u64) -> String {
    let mut value = value as f64;
    for unit in ["", "k", "M", "G"] {
        if value < 1000.0 {
            return if value < 10.0 && !unit.is_empty() {
                format!("{value:.1} {unit}")
            } else {
                format!("{value:.0} {unit}")
            };
        }
        value /= 1000.0;
    }
    format!("{value:.1} T")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::capture::live::Drops;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn flow(index: u64, client: &str, retransmitted: u64) -> FlowNow {
        FlowNow {
            index,
            client: client.to_owned(),
            server: "192.0.2.9:25".to_owned(),
            application: "smtp".to_owned(),
            segments: 100,
            retransmitted,
            rate: vec![0, 1, 50, 100],
            repeats: vec![0, 0, 0, 10],
            phase: Some(("end_of_data", 12.0)),
            said: Some("250 \u{1b}[2Jok".to_owned()),
            age: 30.0,
            ..FlowNow::default()
        }
    }

    fn status(frames: u64) -> Box<Status> {
        let mut status = Status {
            elapsed: Duration::from_secs(frames),
            ..Status::default()
        };
        status.snapshot.frames = frames;
        status.snapshot.flows = vec![
            flow(3, "192.0.2.1:40000", 12),
            flow(1, "192.0.2.2:40001", 0),
        ];
        Box::new(status)
    }

    fn screen(view: &View) -> String {
        let mut terminal = Terminal::new(TestBackend::new(140, 24)).unwrap();
        terminal.draw(|frame| view.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer();
        let mut text = String::new();
        for y in 0..24 {
            for x in 0..140 {
                text.push_str(buffer[(x, y)].symbol());
            }
            text.push('\n');
        }
        text
    }

    fn press(view: &mut View, keys: &str) {
        for c in keys.chars() {
            let code = match c {
                '\n' => KeyCode::Enter,
                '\u{1b}' => KeyCode::Esc,
                '↓' => KeyCode::Down,
                c => KeyCode::Char(c),
            };
            view.key(KeyEvent::from(code));
        }
    }

    #[test]
    fn keys_sort_filter_open_and_freeze() {
        for (name, keys, shown, not_shown) in [
            (
                "flows with their phases",
                "",
                &[
                    "192.0.2.1:40000 > 192.0.2.9:25",
                    "end_of_data 12.0 s",
                    "12 (12.0 %)",
                    "▁▄█",
                    "nothing dropped",
                    "by trouble",
                ][..],
                &["FROZEN"][..],
            ),
            ("sorted", "s", &["by rate"], &[]),
            ("sorted to the end and round", "ssss", &["by trouble"], &[]),
            (
                "filtered",
                "/2.2:\n",
                &["192.0.2.2:40001", "1 flows by"],
                &["192.0.2.1:40000"],
            ),
            (
                "the filter is given up",
                "/2.2:\u{1b}",
                &["192.0.2.1:40000"],
                &["with '"],
            ),
            (
                "opened",
                "\n",
                &[" flow 3: ", "last said: 250 ", "open for 30.0 s"],
                &["\u{1b}[2J", "by trouble"],
            ),
            ("the second is opened", "↓↓\n", &[" flow 1: "], &[]),
            ("closed again", "\n\u{1b}", &["by trouble"], &["last said"]),
            ("frozen", " ", &["FROZEN", "5 frames"], &["9 frames"]),
            (
                "frozen and thawed",
                "  ",
                &["9 frames"],
                &["FROZEN", "5 frames"],
            ),
        ] {
            let mut view = View::default();
            view.take(News::Status(status(5)));
            let (before, after) = if keys == "  " { (" ", " ") } else { (keys, "") };
            press(&mut view, before);
            if keys.starts_with(' ') {
                view.take(News::Status(status(9)));
            }
            press(&mut view, after);
            let text = screen(&view);
            for part in shown {
                assert!(text.contains(part), "{name}: {part}\n{text}");
            }
            for part in not_shown {
                assert!(!text.contains(part), "{name}: {part}\n{text}");
            }
        }
    }

    #[test]
    fn drops_stand_in_plain_sight_and_ctrl_c_ends() {
        let mut view = View::default();
        let mut lossy = status(5);
        lossy.drops = Drops {
            by_kernel: 17,
            by_interface: 2,
        };
        view.take(News::Status(lossy));
        view.take(News::Trouble(
            crate::net::Timestamp(0),
            "the disk is full".to_owned(),
        ));
        let text = screen(&view);
        assert!(
            text.contains("dropped 17 by the kernel, 2 by the interface")
                && text.contains("the disk is full"),
            "{text}"
        );
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(view.key(interrupt), Asked::End);
        press(&mut view, "/q");
        assert_eq!(view.filter, "q", "a letter of the filter is no command");
    }

    #[test]
    fn no_screen_is_too_small() {
        let mut view = View::default();
        view.take(News::Status(status(5)));
        for (width, height) in [(1, 1), (10, 3), (40, 8), (300, 100)] {
            for open in [false, true] {
                view.open = open;
                view.chosen = Some(3);
                let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
                terminal.draw(|frame| view.draw(frame)).unwrap();
            }
        }
    }
}
