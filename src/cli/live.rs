//! `tcptriage live` and `tcptriage interfaces`.
//!
//! Takes:  the flags, signals
//! Gives:  lines while the run goes on, the report at its end
//! Never:  lets a slow terminal or pipe hold up the capture

use std::collections::HashSet;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use crossbeam_channel::{Receiver, Sender, TrySendError};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use tcptriage::capture::live::{Ring, RingOptions, Tap, TapOptions, filter_of_ports};
use tcptriage::detect::Severity;
use tcptriage::live::lines::{self, Look};
use tcptriage::live::privileges::{self, Account, Needs};
use tcptriage::live::{self as running, Hook, Metrics, News, Plan, Status, view};
use tcptriage::pipeline::Settings;
use tcptriage::pipeline::live::Run;
use tcptriage::report::{escape, format_named};

use super::args::{Live, LiveFormat, Talk};
use super::output::Held;
use super::{CANNOT, Outcome, Writing, note, output};

/// News that wait for a slow reader at most; what comes then is left out, and told so.
const WAITING: usize = 4_096;

/// A view that does not end so long after the run is left alone.
const CLOSED: Duration = Duration::from_secs(2);

/// Lists the interfaces.
pub(super) fn interfaces(talk: Talk) -> anyhow::Result<Outcome> {
    let expected = Settings::default();
    let ports = [expected.smtp_ports, expected.smb_ports].concat();
    let found = tcptriage::capture::live::interfaces(&ports)?;
    let (mut out, _) = output::stdout(talk.color, talk.verbose > 0);
    for line in lines::interfaces(&found) {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    Ok(Outcome::Done)
}

/// Captures and diagnoses until told to stop.
pub(super) fn live(talk: Talk, args: &Live) -> anyhow::Result<Outcome> {
    let mut settings = args.settings();
    check(args, &settings)?;
    let filter = settings.filter.take().or_else(|| {
        let ports = [&settings.smtp_ports[..], &settings.smb_ports[..]].concat();
        args.only_ports.then(|| filter_of_ports(&ports))
    });
    let options = TapOptions {
        snap_length: args.snap_length,
        buffer_octets: u32::try_from(args.buffer).unwrap_or(u32::MAX),
        promiscuous: args.promiscuous,
        filter,
    };
    let account = Account::choose(args.user.as_deref()).map_err(anyhow::Error::msg)?;
    let mut hook = args
        .exec_on_finding
        .as_deref()
        .map(Hook::new)
        .transpose()
        .map_err(anyhow::Error::msg)?;
    let metrics = args
        .metrics
        .map(|address| {
            Metrics::bind(address).with_context(|| format!("cannot serve metrics at {address}"))
        })
        .transpose()?;
    let telling = &args.common.telling;
    super::check(telling, &[&settings])?;
    let tap = Tap::open(&args.interface, &options)?;
    let held = become_user(talk, args, account.as_ref())?;
    // From here on, nothing is done as root unless the user said so.
    let ring = match &args.write {
        None => Ring::unwritten(tap.interfaces()),
        Some(folder) => Ring::begin(
            tap.interfaces(),
            RingOptions {
                folder: folder.clone(),
                files: args.ring.files,
                octets: args.ring.octets.unwrap_or(u64::MAX),
                time: args.ring.time,
                pre_trigger: args.pre_trigger,
            },
        )
        .map_err(|error| match &account {
            Some(account) => anyhow::Error::new(error).context(format!(
                "as the user {}, which --user changes",
                account.name
            )),
            None => error.into(),
        })?,
    };

    let speak_from = match args.on_finding.map(Severity::from) {
        Some(least) => least,
        None if args.format == LiveFormat::Ndjson => Severity::Info,
        None => Severity::Warning,
    };
    let plan = Plan {
        stop_after: args.stop_after,
        frames: args.packets,
        until: args.until_finding.map(Severity::from),
        trigger: Some(
            args.on_finding
                .or(args.until_finding)
                .map_or(Severity::Warning, Severity::from),
        ),
        report_every: args.report_every,
    };
    let ndjson = args.format == LiveFormat::Ndjson;
    let run = Run::new(&settings, speak_from, ndjson && !settings.redact)?;
    confine(talk, args, &held)?;
    let stop = signals()?;
    note(
        talk,
        &format!(
            "capturing on {}; Ctrl-C ends it and prints the report, a second Ctrl-C ends it at once",
            args.interface.join(", ")
        ),
    );
    // Known now: a terminal that was closed is none.
    let fills = fills(talk, args, settings.redact);
    let (news, reader) = speaker(talk, args, (settings.redact, fills), &stop);
    let metrics = metrics.map(|(metrics, listener)| {
        metrics.serve(listener);
        metrics
    });
    let mut missed = 0u64;
    let mut called = HashSet::new();
    let report = running::run(tap, ring, run, &plan, &stop, &mut |item| {
        if let News::Status(status) = &item {
            if let Some(metrics) = &metrics {
                metrics.set(status);
            }
            if let Some(hook) = &mut hook {
                for text in call(hook, status, plan.trigger, &mut called) {
                    let _ = news.try_send(News::Trouble(status.snapshot.time, text));
                }
            }
        }
        if let Err(TrySendError::Full(_)) = news.try_send(item) {
            missed += 1;
        }
    });
    if let Some(hook) = hook {
        hook.finish();
    }
    drop(news);
    // A terminal that was closed may keep the view waiting for keys for ever.
    let until = Instant::now() + CLOSED;
    while fills && !reader.is_finished() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    let spoken = if fills && !reader.is_finished() {
        Ok(())
    } else {
        reader.join().unwrap_or(Ok(()))
    };
    if missed > 0 {
        note(
            talk,
            &format!("{missed} events were left out: whoever reads them is too slow"),
        );
    }
    spoken?;
    let mut report = report;
    // The report is printed even where a file of -o could not be written.
    let writing = Writing::new(&mut report, &settings);
    let written = super::write_files(talk, telling, &report, writing, &held);
    let format = match args.format {
        LiveFormat::Ndjson => None,
        LiveFormat::Text => format_named("text"),
        LiveFormat::Json => format_named("json"),
        LiveFormat::Markdown => format_named("markdown"),
        LiveFormat::Html => format_named("html"),
    };
    let outcome = match format {
        Some(format) => super::show(talk, telling, format, &report, 1)?,
        None => {
            let mut out = io::stdout().lock();
            lines::report_event(&report, false, &mut out).context("cannot write the report")?;
            out.flush().context("cannot write the report")?;
            super::outcome(&report, telling.fail_on.map(Severity::from))
        }
    };
    written?;
    Ok(outcome)
}

/// Says no to what cannot be done, before anything is opened.
fn check(args: &Live, settings: &Settings) -> anyhow::Result<()> {
    if settings.from.is_some() || settings.to.is_some() {
        bail!("--from and --to are for captures that exist; --for says how long to capture");
    }
    if settings.redact && (args.metrics.is_some() || args.exec_on_finding.is_some()) {
        bail!("--redact hides hosts, which --metrics and --exec-on-finding name: one or the other");
    }
    let whole = args.write.is_some() && args.pre_trigger.is_none();
    let outputs = &args.common.telling.output;
    if let Some(path) = outputs
        .iter()
        .find(|path| output::is_evidence(path) && !whole)
    {
        bail!(
            "cannot write {}: the frames cited are taken from the files of --write, without --pre-trigger",
            path.display()
        );
    }
    Ok(())
}

/// Becomes another user than root, and opens the files before that this user could not open.
fn become_user(talk: Talk, args: &Live, account: Option<&Account>) -> anyhow::Result<Held> {
    let mut held = Held::new();
    let Some(account) = account else {
        return Ok(held);
    };
    if let Some(folder) = &args.write {
        account
            .make_folder(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
    }
    for path in &args.common.telling.output {
        if !account.may_write(output::folder_of(path)) {
            let file = account
                .open_for_later(path)
                .with_context(|| format!("cannot write {}", path.display()))?;
            held.push((path.clone(), file));
        }
    }
    account.take_on().map_err(anyhow::Error::msg)?;
    if talk.verbose > 0 {
        note(talk, &format!("going on as {}", account.name));
    }
    Ok(held)
}

/// Gives up what the run does not need.
fn confine(talk: Talk, args: &Live, held: &Held) -> anyhow::Result<()> {
    let mut needs = Needs {
        folders: args.write.iter().cloned().collect(),
        programs: args.exec_on_finding.is_some(),
    };
    for path in &args.common.telling.output {
        if held.iter().any(|(held, _)| held == path) {
            continue;
        }
        let folder = output::folder_of(path);
        if !privileges::may_write(folder) {
            bail!(
                "cannot write {}: the folder may not be written to",
                path.display()
            );
        }
        needs.folders.push(folder.to_owned());
    }
    for text in privileges::confine(&needs).map_err(anyhow::Error::msg)? {
        if talk.verbose > 0 {
            note(talk, &text);
        }
    }
    Ok(())
}

/// Starts the command, once for each finding that is bad and sure enough: when it begins, or once it has become so. Gives sentences on what
/// could not be started.
fn call(
    hook: &mut Hook,
    status: &Status,
    least: Option<Severity>,
    called: &mut HashSet<u64>,
) -> Vec<String> {
    let mut failed = Vec::new();
    let on = &status.snapshot.alerts;
    called.retain(|number| on.iter().any(|a| a.number == *number));
    for alert in on
        .iter()
        .filter(|a| least.is_some_and(|least| a.calls_for(least)))
    {
        if !called.insert(alert.number) {
            continue;
        }
        let mut input = Vec::new();
        let time = status.snapshot.time.into();
        let written = lines::finding_event("finding-begin", alert, time, &mut input);
        let started = written
            .map_err(|error| error.to_string())
            .and_then(|()| hook.start(input));
        failed.extend(started.err());
    }
    failed
}

/// A flag that signals raise: the first asks for an end, a second Ctrl-C ends at once.
fn signals() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    flag::register_conditional_shutdown(SIGINT, i32::from(CANNOT), Arc::clone(&stop))?;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

/// Whether the view fills the terminal.
fn fills(talk: Talk, args: &Live, redact: bool) -> bool {
    let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    terminal && args.format == LiveFormat::Text && !(args.plain || talk.quiet || redact)
}

/// A thread that writes down the news: events as JSON, or lines. With a report for standard output, lines go to standard error.
fn speaker(
    talk: Talk,
    args: &Live,
    (redact, fills): (bool, bool),
    stop: &Arc<AtomicBool>,
) -> (Sender<News>, JoinHandle<anyhow::Result<()>>) {
    let (news_in, news_out) = crossbeam_channel::bounded(WAITING);
    let stop = Arc::clone(stop);
    let format = args.format;
    let interfaces = args.interface.join(", ");
    let thread = std::thread::spawn(move || {
        let spoken = match format {
            LiveFormat::Ndjson => speak_json(&news_out, redact),
            LiveFormat::Text if fills => {
                let shown = view::show(&interfaces, &news_out, &stop);
                if shown
                    .as_ref()
                    .is_err_and(|e| e.kind() == io::ErrorKind::Interrupted)
                {
                    // Asked to end a second time.
                    std::process::exit(i32::from(CANNOT));
                }
                shown.map_err(anyhow::Error::from)
            }
            LiveFormat::Text => speak(&news_out, talk, redact, &mut io::stdout()),
            _ => speak(&news_out, talk, redact, &mut io::stderr()),
        };
        // Nobody reads any more: nothing is left to be done than to end in good order.
        if spoken.is_err() {
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            news_out.into_iter().for_each(drop);
        }
        spoken
    });
    (news_in, thread)
}

fn speak_json(news: &Receiver<News>, redact: bool) -> anyhow::Result<()> {
    let mut out = io::stdout();
    for item in news {
        lines::events(&item, redact, &mut out)?;
        out.flush()?;
    }
    Ok(())
}

fn speak(
    news: &Receiver<News>,
    talk: Talk,
    redact: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut look = Look::new(talk.verbose > 0);
    for item in news {
        if talk.quiet || (redact && !matches!(item, News::Trouble(..))) {
            continue;
        }
        for line in look.lines(&item) {
            writeln!(out, "{}", escape::line(&line))?;
        }
        out.flush()?;
    }
    Ok(())
}
