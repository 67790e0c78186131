//! The binary: flags to settings, settings to the library, its answer to standard output, the outcome to an exit code.
//!
//! Takes:  the command line
//! Gives:  results on standard output, everything else on standard error; 0, 1 or 2
//! Never:  works anything out itself; hands clap's types on

mod args;
mod crash;
mod knowledge;
#[cfg(all(feature = "live", target_os = "linux"))]
mod live;
mod output;
mod progress;
mod segments;
mod values;

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use tcptriage::capture;
use tcptriage::detect::Severity;
use tcptriage::pipeline::{self, Settings};
use tcptriage::report::evidence::Keeping;
use tcptriage::report::{self, Look, Redaction, escape, model};

use args::{Cli, Command, Talk, Telling};
use output::Held;

/// How a run went that did its work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    /// Nothing at or above `--fail-on`.
    Done,
    /// Something at or above it.
    Found,
}

/// The C library's own takes a fifth of a run.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code when the work could not be done.
const CANNOT: u8 = 2;

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    crash::watch();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    // A panic was told already.
    match panic::catch_unwind(AssertUnwindSafe(|| run(&cli))) {
        Ok(Ok(Outcome::Done)) => ExitCode::SUCCESS,
        Ok(Ok(Outcome::Found)) => ExitCode::from(1),
        Ok(Err(error)) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            complain(&told_once(&error));
            ExitCode::from(CANNOT)
        }
        Err(_) => ExitCode::from(CANNOT),
    }
}

/// The error and its causes, without those that the text before them names already.
fn told_once(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |mut text, cause| {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause);
        }
        text
    })
}

/// One line on standard error; nothing is left to do if that fails too.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "tcptriage: {}", escape::line(text));
}

/// Says in one line what was wrong with the command line; help and version are no mistakes.
fn refuse(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            return match error.print() {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
                Err(error) => {
                    complain(&format!("cannot write to standard output: {error}"));
                    ExitCode::from(CANNOT)
                }
            };
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            return ExitCode::from(CANNOT);
        }
        _ => {}
    }
    // clap's text is several paragraphs; its first says what is wrong, and its tips what was perhaps meant.
    let rendered = error.render().to_string();
    let mut message = String::new();
    for text in rendered.lines().map(str::trim) {
        if text.starts_with("Usage:") || text.starts_with("For more information") {
            break;
        }
        if text.is_empty() {
            continue;
        }
        if !message.is_empty() {
            message.push_str(if text.starts_with("tip:") { "; " } else { " " });
        }
        message.push_str(text);
    }
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    let command = std::env::args().nth(1).filter(|a| {
        Cli::command()
            .get_subcommands()
            .any(|c| c.get_name() == a.as_str())
    });
    let mut hint = "see tcptriage --help".to_owned();
    if let Some(command) = command {
        hint = format!("see tcptriage {command} --help");
    } else if error.kind() == ErrorKind::InvalidSubcommand
        && let Some(path) = std::env::args().nth(1)
        && PathBuf::from(&path).exists()
    {
        hint = format!("to read it: tcptriage analyze {path}");
    }
    complain(&format!("{message} ({hint})"));
    ExitCode::from(CANNOT)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    })
}

fn run(cli: &Cli) -> anyhow::Result<Outcome> {
    let talk = cli.talk;
    match &cli.command {
        Command::Analyze(args) => analyze(talk, args),
        Command::Live(args) => live(talk, args),
        Command::Compare(args) => compare(talk, args),
        Command::Verify(args) => verify(talk, args),
        Command::Segments(args) => segments::segments(talk, args),
        Command::Explain(args) => knowledge::explain(talk, args),
        Command::Rules(args) => knowledge::rules(talk, &args.command),
        Command::Facts(args) => knowledge::facts(talk, args),
        Command::Collect(args) => print(talk, knowledge::script(args.os).as_bytes()),
        Command::Interfaces => interfaces(talk),
        Command::Completions(args) => {
            let mut text = Vec::new();
            clap_complete::generate(args.shell, &mut Cli::command(), "tcptriage", &mut text);
            print(talk, &text)
        }
        Command::Man(args) => man(talk, args.command.as_deref()),
        Command::Schema => {
            let mut text = serde_json::to_vec_pretty(&report::schema())?;
            text.push(b'\n');
            print(talk, &text)
        }
    }
}

/// Writes a finished text to standard output.
fn print(talk: Talk, text: &[u8]) -> anyhow::Result<Outcome> {
    let (mut out, _) = output::stdout(talk.color, talk.verbose > 0);
    out.write_all(text)?;
    out.flush()?;
    Ok(Outcome::Done)
}

/// A line on standard error about what is being done.
fn note(talk: Talk, text: &str) {
    if !talk.quiet {
        let _ = writeln!(io::stderr(), "{}", escape::line(text));
    }
}

fn analyze(talk: Talk, args: &args::Analyze) -> anyhow::Result<Outcome> {
    let mut settings = args.settings();
    let telling = &args.common.telling;
    check(telling, &[&settings])?;
    settings.plots = output::has_graphs(telling, args.format);
    let meter = progress::Meter::new(talk.quiet);
    settings.progress = meter.callback();
    let started = Instant::now();
    let report = pipeline::analyze(&settings);
    meter.finish();
    let report = report?;
    if talk.verbose > 0 {
        note(talk, &effort(&report, started));
    }
    tell(talk, telling, args.format, report, &settings)
}

fn compare(talk: Talk, args: &args::Compare) -> anyhow::Result<Outcome> {
    let mut settings = args.settings();
    let telling = &args.common.telling;
    check(telling, &[&settings])?;
    let meter = progress::Meter::new(talk.quiet);
    settings.progress = meter.callback();
    let started = Instant::now();
    let sides = [
        std::slice::from_ref(&args.left),
        std::slice::from_ref(&args.right),
    ];
    let report = pipeline::compare(&settings, sides);
    meter.finish();
    let report = report?;
    if talk.verbose > 0 {
        note(talk, &effort(&report, started));
    }
    tell(talk, telling, args.format, report, &settings)
}

fn verify(talk: Talk, args: &args::Verify) -> anyhow::Result<Outcome> {
    let (mut before, mut after) = args.settings();
    let telling = &args.common.telling;
    check(telling, &[&before, &after])?;
    let meter = progress::Meter::new(talk.quiet);
    before.progress = meter.callback();
    after.progress = meter.callback();
    after.plots = output::has_graphs(telling, args.format);
    let report = pipeline::verify(&before, &after);
    meter.finish();
    tell(talk, telling, args.format, report?, &after)
}

/// What was read, and how fast.
fn effort(report: &model::Report, started: Instant) -> String {
    let totals = &report.totals;
    let seconds = started.elapsed().as_secs_f64();
    let mut text = format!(
        "{} frames, {} octets, {} TCP segments, {} flows in {seconds:.2} s",
        totals.frames, totals.octets, totals.tcp_segments, totals.flows
    );
    if seconds > 0.0 {
        #[allow(clippy::cast_precision_loss)]
        let rate = totals.octets as f64 / seconds / 1e6;
        let _ = write!(text, " ({rate:.0} MB/s)");
    }
    text
}

/// All files that a run may read.
fn inputs(settings: &Settings) -> Vec<PathBuf> {
    // What an argument does not name is told when it is read.
    let captures = settings.captures.iter();
    let captures = captures.flat_map(|c| capture::named(c).unwrap_or_default());
    let facts = settings.facts.iter().map(|(_, path)| path.clone());
    captures
        .map(PathBuf::from)
        .chain(facts)
        .chain(settings.logs.iter().cloned())
        .chain(settings.rules.iter().cloned())
        .collect()
}

/// Says no, before anything is read, to what could not be read or not be written in the end.
fn check(telling: &Telling, runs: &[&Settings]) -> anyhow::Result<()> {
    let captures = || runs.iter().flat_map(|run| &run.captures);
    let pipes: Vec<&String> = captures().filter(|c| is_pipe(c)).collect();
    for (place, pipe) in pipes.iter().enumerate() {
        if pipes.iter().take(place).any(|other| other == pipe) {
            bail!("cannot read {} twice: save it to a file first", shown(pipe));
        }
    }
    let inputs: Vec<PathBuf> = runs.iter().flat_map(|run| inputs(run)).collect();
    let mut targets: Vec<&PathBuf> = Vec::new();
    for path in telling.output.iter().chain(&telling.redact_key) {
        output::check_target(path, &inputs)?;
        if targets.iter().any(|other| output::same_target(other, path)) {
            bail!("cannot write {} twice", path.display());
        }
        targets.push(path);
        if output::is_evidence(path)
            && let Some(pipe) = pipes.first()
        {
            bail!(
                "cannot write {}: {} cannot be read a second time; save it to a file first",
                path.display(),
                shown(pipe)
            );
        }
    }
    Ok(())
}

/// Whether a capture can be read once only: standard input, a pipe, a terminal.
fn is_pipe(path: &str) -> bool {
    path == "-" || fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
}

fn shown(pipe: &str) -> &str {
    if pipe == "-" { "standard input" } else { pipe }
}

/// Prints the report, writes the files of `-o`, and says how it went.
fn tell(
    talk: Talk,
    telling: &Telling,
    format: args::ReportFormat,
    mut report: model::Report,
    settings: &Settings,
) -> anyhow::Result<Outcome> {
    // The report is printed even where a file cannot be written, and the files are written even where nobody reads on.
    let writing = Writing::new(&mut report, settings);
    let shown = show(talk, telling, format, &report, settings.threads());
    write_files(talk, telling, &report, writing, &Held::new())?;
    // The program ends now: giving back each flow's memory by itself would keep the user waiting, with many of them.
    std::mem::forget(report);
    shown
}

/// Prints the report, with so many threads, and says how it went.
fn show(
    talk: Talk,
    telling: &Telling,
    format: args::ReportFormat,
    report: &model::Report,
    jobs: usize,
) -> anyhow::Result<Outcome> {
    let (mut out, mut look) = output::stdout_for(format, talk.color, talk.verbose > 0);
    look.jobs = jobs;
    format
        .write(report, look, &mut out)
        .context("cannot write the report")?;
    out.flush().context("cannot write the report")?;
    Ok(outcome(report, telling.fail_on.map(Severity::from)))
}

/// What is needed to write files, of a report that may have been redacted.
struct Writing {
    /// Where the captures are.
    paths: Vec<String>,
    payload: bool,
    redaction: Option<Redaction>,
    /// Threads to write with.
    jobs: usize,
}

impl Writing {
    /// Redacts the report where that was asked for.
    fn new(report: &mut model::Report, settings: &Settings) -> Self {
        Self {
            paths: report.captures.iter().map(|c| c.path.clone()).collect(),
            payload: settings.show_addresses,
            redaction: settings.redact.then(|| report::redact(report)),
            jobs: settings.threads(),
        }
    }
}

/// Writes the files of `-o`: all that can be written. The first error is told.
fn write_files(
    talk: Talk,
    telling: &Telling,
    report: &model::Report,
    mut writing: Writing,
    held: &Held,
) -> anyhow::Result<()> {
    let read: Vec<PathBuf> = writing.paths.iter().map(PathBuf::from).collect();
    let look = Look {
        full: talk.verbose > 0,
        jobs: writing.jobs,
        ..Look::default()
    };
    let mut all = Ok(());
    for path in &telling.output {
        let keeping = Keeping {
            paths: &writing.paths,
            payload: writing.payload,
            redaction: writing.redaction.as_mut(),
        };
        let is_held = held.iter().any(|(held, _)| held == path);
        let done = match output::check_target(path, &read) {
            Err(error) if !is_held => Err(error),
            _ => output::write_report(path, report, keeping, look, held),
        };
        if done.is_ok() && talk.verbose > 0 {
            note(talk, &format!("wrote {}", path.display()));
        }
        all = all.and(done);
    }
    // Last, as the evidence may show addresses that the report does not.
    if let (Some(path), Some(redaction)) = (&telling.redact_key, &writing.redaction) {
        let done = output::check_target(path, &read)
            .and_then(|()| output::write_secret(path, |out| redaction.write_key(out)));
        all = all.and(done);
    }
    all
}

fn outcome(report: &model::Report, fail_on: Option<Severity>) -> Outcome {
    let Some(least) = fail_on else {
        return Outcome::Done;
    };
    let found = report
        .findings
        .iter()
        .any(|f| report::severity_named(f.severity).is_some_and(|s| s >= least));
    if found { Outcome::Found } else { Outcome::Done }
}

#[cfg(all(feature = "live", target_os = "linux"))]
use live::{interfaces, live};

/// How to get what this build lacks.
#[cfg(not(all(feature = "live", target_os = "linux")))]
const WITHOUT_LIVE: &str = "this build has no live capture; on Linux, install libpcap's headers (Debian: apt install libpcap-dev) and \
                            build with the feature live, which is on by default: cargo install --path .";

#[cfg(not(all(feature = "live", target_os = "linux")))]
fn live(_: Talk, _: &args::Live) -> anyhow::Result<Outcome> {
    bail!(WITHOUT_LIVE)
}

#[cfg(not(all(feature = "live", target_os = "linux")))]
fn interfaces(_: Talk) -> anyhow::Result<Outcome> {
    bail!(WITHOUT_LIVE)
}

/// The manual page of the program, or of one of its commands.
fn man(talk: Talk, command: Option<&str>) -> anyhow::Result<Outcome> {
    let mut all = Cli::command();
    all.build();
    let page = match command {
        None => all,
        Some(name) => {
            let found = all.find_subcommand(name).cloned();
            let page = found.with_context(|| format!("there is no command '{name}'"))?;
            page.name(format!("tcptriage-{name}"))
        }
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text)?;
    print(talk, &text)
}
