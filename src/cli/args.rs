//! The flags: what can be typed, and its help.
//!
//! Takes:  the command line
//! Gives:  [`Cli`], and [`Settings`] made of it
//! Never:  does any work

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use tcptriage::detect::Severity;
use tcptriage::net::Timestamp;
use tcptriage::pipeline::Settings;
use tcptriage::report::{FORMATS, Format, format_named};

use super::values::{self, Service};

/// Finds out from packet captures why mail and file transfers over TCP are slow or fail, and prints what to do about it.
#[derive(Debug, Parser)]
#[command(
    name = "tcptriage",
    version,
    arg_required_else_help = true,
    max_term_width = 110,
    after_help = "Exit codes: 0 done; 1 done, and something at or above --fail-on was found; 2 the work could not be done."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) talk: Talk,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How much is said, and how.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Talk {
    /// When to colour; the variable NO_COLOR turns auto off
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: When,
    /// Print results only: no progress, no notes
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Print the text report in full, and say on standard error what was done
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal
    Auto,
    /// Even into a file or pipe
    Always,
    /// Not at all
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read captures and report what is wrong and what to do
    Analyze(Analyze),
    /// Capture on interfaces, show what is wrong while it runs, report at the end
    Live(Box<Live>),
    /// Two captures of the same traffic at two points: where does each segment go wrong?
    Compare(Compare),
    /// Did the remedy work? The same measures before and after, side by side
    Verify(Verify),
    /// One line a TCP segment, labelled
    Segments(Segments),
    /// Explain a symptom, a remedy, an SMTP reply, an NTSTATUS or a Winsock error
    Explain(Explain),
    /// What the rules engine knows, and a check of a rule file of your own
    Rules(Rules),
    /// Show what was understood of host facts (netsh, Get-Net*, ethtool, …)
    Facts(FactsOf),
    /// Print a script that gathers host facts into one text file and changes nothing
    Collect(Collect),
    /// List the interfaces that `live` can capture on
    Interfaces,
    /// Print completions for a shell
    Completions(Completions),
    /// Print the manual page, of all or of one command
    Man(Man),
    /// Print the JSON Schema of the report
    Schema,
}

/// What is read of the captures.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "What to read")]
pub(crate) struct Reading {
    /// Ports of a service: smtp=25,587,2525 or smb=445,139
    #[arg(long, value_name = "SERVICE=PORT,..", value_parser = values::ports)]
    ports: Vec<(Service, Vec<u16>)>,
    /// Leave out frames that do not match this capture filter (BPF: 'host 192.0.2.1 and port 25')
    #[arg(long, value_name = "BPF")]
    filter: Option<String>,
    /// Leave out what was captured before: 2010-01-05T15:22:00Z, '2010-01-05 15:22' (UTC), or seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = values::moment)]
    from: Option<Timestamp>,
    /// Leave out what was captured at or after this moment
    #[arg(long, value_name = "TIME", value_parser = values::moment)]
    to: Option<Timestamp>,
    /// Threads to work with; 1 reads and analyses in turn [default: as many as keep all processors at work]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Stay below this much memory: 500M, 2GiB; 200M or more. Where that is scarce, fewer flows are followed and listed, which the report says
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    max_memory: Option<u64>,
}

/// What is known beside the captures.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "What is known beside the captures")]
pub(crate) struct Knowing {
    /// What a host says of itself: output of netsh, Get-Net*, ethtool, …
    #[arg(long, value_name = "[HOST=]FILE", value_parser = values::host_file)]
    facts: Vec<(Option<String>, PathBuf)>,
    /// Operating system of a host: hub1=ws2008r2, or hub1='Windows Server 2008 R2'
    #[arg(long, value_name = "HOST=VERSION", value_parser = values::host_os)]
    os: Vec<(String, String)>,
    /// A log of a server, to set beside the packets
    #[arg(long, value_name = "FILE")]
    logs: Vec<PathBuf>,
    /// A rule file of your own
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// Servers that share one job: hubs=192.0.2.1,192.0.2.2
    #[arg(long, value_name = "NAME=IP,..", value_parser = values::pool)]
    pool: Vec<(String, Vec<IpAddr>)>,
}

/// What is told, and where.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "What to tell")]
pub(crate) struct Telling {
    /// Write the report to a file, format by its ending: .txt .md .html .json .csv, or .pcapng for the frames cited, cut behind their headers; can be given again
    #[arg(short, long = "output", value_name = "FILE", value_parser = super::output::target)]
    pub(crate) output: Vec<PathBuf>,
    /// Exit with 1 when a finding is at least this bad
    #[arg(long, value_name = "SEVERITY")]
    pub(crate) fail_on: Option<Grade>,
    /// Show the addresses of mail users, and write what frames carry into .pcapng files; both are left out otherwise
    #[arg(long)]
    show_addresses: bool,
    /// Replace addresses, names and domains, in .pcapng files too, the same one always by the same; hosts of one subnet stay together
    #[arg(long)]
    redact: bool,
    /// Write to a file, for yourself alone, what stands for what
    #[arg(long, value_name = "FILE", requires = "redact")]
    pub(crate) redact_key: Option<PathBuf>,
}

/// Options of every command that analyses.
#[derive(Clone, Debug, Args)]
pub(crate) struct Common {
    #[command(flatten)]
    pub(crate) telling: Telling,
    #[command(flatten)]
    pub(crate) reading: Reading,
    #[command(flatten)]
    pub(crate) knowing: Knowing,
}

/// How bad.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Grade {
    Info,
    Warning,
    Critical,
}

impl From<Grade> for Severity {
    fn from(grade: Grade) -> Self {
        match grade {
            Grade::Info => Self::Info,
            Grade::Warning => Self::Warning,
            Grade::Critical => Self::Critical,
        }
    }
}

/// A format of the report, as `--format` names it: those that the library has.
pub(crate) type ReportFormat = &'static dyn Format;

fn report_format() -> impl TypedValueParser<Value = ReportFormat> {
    let formats = FORMATS
        .iter()
        .map(|format| PossibleValue::new(format.name()).help(format.purpose()));
    PossibleValuesParser::new(formats).try_map(|name| format_named(&name).ok_or("no such format"))
}

#[derive(Debug, Args)]
pub(crate) struct Analyze {
    /// Captures: files, folders, 'patterns*.pcap', - for standard input; with --logs or --facts none is needed
    #[arg(required_unless_present_any = ["logs", "facts"], value_name = "CAPTURE")]
    captures: Vec<String>,
    /// Format on standard output
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = report_format())]
    pub(crate) format: ReportFormat,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[cfg(all(feature = "live", target_os = "linux"))]
impl Live {
    pub(crate) fn settings(&self) -> Settings {
        settings(Vec::new(), &self.common)
    }
}

impl Analyze {
    pub(crate) fn settings(&self) -> Settings {
        settings(self.captures.clone(), &self.common)
    }
}

/// Formats of `live` on standard output.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum LiveFormat {
    /// A view that fills the terminal, lines elsewhere; then the report
    #[default]
    Text,
    /// The report as JSON at the end
    Json,
    /// The report for a ticket at the end
    Markdown,
    /// The report as a page at the end
    Html,
    /// One JSON object a line for each event, the report last
    Ndjson,
}

#[derive(Debug, Args)]
#[cfg_attr(not(all(feature = "live", target_os = "linux")), allow(dead_code))]
pub(crate) struct Live {
    /// Interface to capture on, or `any`; can be given again; see `tcptriage interfaces`
    #[arg(
        short,
        long,
        value_name = "IFACE",
        required = true,
        value_delimiter = ','
    )]
    pub(crate) interface: Vec<String>,
    /// Format on standard output
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: LiveFormat,
    /// Stop after this long: 30s, 5m, 1h
    #[arg(long = "for", value_name = "TIME", value_parser = values::duration)]
    pub(crate) stop_after: Option<Duration>,
    /// Stop after so many packets
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) packets: Option<u64>,
    /// Stop at the first finding that is at least this bad, and likely
    #[arg(long, value_name = "SEVERITY")]
    pub(crate) until_finding: Option<Grade>,
    /// Speak of findings at least this bad while running [default: warning; info with --format ndjson]
    #[arg(long, value_name = "SEVERITY")]
    pub(crate) on_finding: Option<Grade>,
    /// Keep a ring of capture files in this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) write: Option<PathBuf>,
    /// Files of the ring, and the size of each, or the time that each covers (24x1h), or both (24x100MBx1h)
    #[arg(long, value_name = "FILESxSIZE", default_value = "10x100MB", value_parser = values::ring)]
    pub(crate) ring: values::Ring,
    /// Keep frames in memory, and write those of so long before a finding of --on-finding or --until-finding, and what follows for 30 s
    #[arg(long, value_name = "SECONDS", value_parser = values::duration, requires = "write")]
    pub(crate) pre_trigger: Option<Duration>,
    /// Report this often on what ended meanwhile and what is under way
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub(crate) report_every: Option<Duration>,
    /// Serve metrics for Prometheus at this address: 127.0.0.1:9184
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) metrics: Option<std::net::SocketAddr>,
    /// Run a command at each finding that --on-finding speaks of, and that is likely: no shell, the finding as JSON on its standard input
    #[arg(long, value_name = "CMD")]
    pub(crate) exec_on_finding: Option<String>,
    /// Become this user once the interfaces are open [default, as root: who called sudo, or else nobody]
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Octets captured of each frame at most
    #[arg(long, value_name = "OCTETS", default_value = "262144", value_parser = clap::value_parser!(u32).range(64..=262_144))]
    pub(crate) snap_length: u32,
    /// Buffer of the kernel, for each interface
    #[arg(long, value_name = "SIZE", default_value = "32MiB", value_parser = values::size)]
    pub(crate) buffer: u64,
    /// Take in frames for other hosts too (mirror ports)
    #[arg(long)]
    pub(crate) promiscuous: bool,
    /// Capture nothing but the ports of SMTP and SMB, and ICMP
    #[arg(long, conflicts_with = "filter")]
    pub(crate) only_ports: bool,
    /// Print lines even on a terminal, instead of the view that fills it
    #[arg(long)]
    pub(crate) plain: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// Capture at the one point, nearer to the client where there is a choice
    #[arg(value_name = "LEFT")]
    pub(crate) left: String,
    /// Capture at the other
    #[arg(value_name = "RIGHT")]
    pub(crate) right: String,
    /// Format on standard output
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = report_format())]
    pub(crate) format: ReportFormat,
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Compare {
    pub(crate) fn settings(&self) -> Settings {
        settings(vec![self.left.clone(), self.right.clone()], &self.common)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Captures from before the remedy
    #[arg(long, value_name = "CAPTURE", required = true, num_args = 1..)]
    pub(crate) before: Vec<String>,
    /// Captures from after it
    #[arg(long, value_name = "CAPTURE", required = true, num_args = 1..)]
    pub(crate) after: Vec<String>,
    /// Format on standard output
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = report_format())]
    pub(crate) format: ReportFormat,
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Verify {
    /// Settings of the run over the captures from before, and of that from after.
    pub(crate) fn settings(&self) -> (Settings, Settings) {
        (
            settings(self.before.clone(), &self.common),
            settings(self.after.clone(), &self.common),
        )
    }
}

/// Formats of `segments`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum SegmentsFormat {
    /// Columns for reading
    #[default]
    Text,
    /// Tab-separated, with a header line
    Tsv,
    /// One object a line
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Segments {
    /// The capture; - for standard input
    #[arg(value_name = "CAPTURE")]
    capture: String,
    /// Format on standard output
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: SegmentsFormat,
    #[command(flatten)]
    reading: Reading,
}

impl Segments {
    pub(crate) fn settings(&self) -> Settings {
        let mut settings = Settings {
            captures: vec![self.capture.clone()],
            ..Settings::default()
        };
        read_settings(&self.reading, &mut settings);
        settings
    }
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// smtp.tarpit, offload-chimney, server-think, 4.4.2, 421, STATUS_ACCESS_DENIED, 0xC0000022, 10054, …
    #[arg(value_name = "ID", required = true)]
    pub(crate) id: Vec<String>,
    /// A rule file of your own
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Rules {
    #[command(subcommand)]
    pub(crate) command: RulesCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RulesCommand {
    /// All rules, one a line
    List,
    /// One rule in full
    Show {
        /// Its id
        id: String,
    },
    /// Check a rule file of your own
    Check {
        /// The files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

/// Formats of `facts`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum FactsFormat {
    /// Columns for reading
    #[default]
    Text,
    /// For programs
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct FactsOf {
    /// Files with the output of netsh, Get-Net*, ethtool, …
    #[arg(required = true, value_name = "[HOST=]FILE", value_parser = values::host_file)]
    pub(crate) files: Vec<(Option<String>, PathBuf)>,
    /// Format on standard output
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: FactsFormat,
}

/// Systems that `collect` has a script for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum CollectOs {
    /// A PowerShell script, for Windows Server 2008 R2 and later
    Windows,
    /// A batch file, for Windows Server 2003
    Windows2003,
    /// A shell script
    Linux,
}

#[derive(Debug, Args)]
pub(crate) struct Collect {
    /// System of the host to gather from
    #[arg(long)]
    pub(crate) os: CollectOs,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// One command
    pub(crate) command: Option<String>,
}

/// Flags to settings, once.
fn settings(captures: Vec<String>, common: &Common) -> Settings {
    let Common {
        telling,
        reading,
        knowing,
    } = common.clone();
    let mut settings = Settings {
        captures,
        pools: knowing.pool,
        facts: knowing.facts,
        os: knowing.os,
        logs: knowing.logs,
        rules: knowing.rules,
        show_addresses: telling.show_addresses,
        redact: telling.redact,
        ..Settings::default()
    };
    read_settings(&reading, &mut settings);
    settings
}

fn read_settings(reading: &Reading, settings: &mut Settings) {
    let of = |wanted: Service| -> Option<Vec<u16>> {
        let ports: Vec<u16> = reading
            .ports
            .iter()
            .filter(|(service, _)| *service == wanted)
            .flat_map(|(_, ports)| ports.iter().copied())
            .collect();
        (!ports.is_empty()).then_some(ports)
    };
    if let Some(ports) = of(Service::Smtp) {
        settings.smtp_ports = ports;
    }
    if let Some(ports) = of(Service::Smb) {
        settings.smb_ports = ports;
    }
    settings.filter.clone_from(&reading.filter);
    settings.from = reading.from;
    settings.to = reading.to;
    settings.jobs = reading.jobs.map(usize::from);
    settings.max_memory = reading.max_memory;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_become_settings() {
        let line = "tcptriage analyze a.pcap b --ports smtp=25 --ports smtp=26 --from 5 --to 6.5 --jobs 2 --max-memory 1G \
                    --pool hubs=192.0.2.1 --facts hub1=netsh.txt --os hub1=WS2008R2 --logs l --rules r --redact --show-addresses \
                    --filter tcp";
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Analyze(analyze) = cli.command else {
            panic!("not analyze");
        };
        let settings = analyze.settings();
        assert_eq!(settings.captures, ["a.pcap", "b"]);
        assert_eq!(settings.smtp_ports, [25, 26]);
        assert_eq!(settings.smb_ports, Settings::default().smb_ports);
        assert_eq!(settings.filter.as_deref(), Some("tcp"));
        assert_eq!(settings.from, Some(Timestamp(5_000_000_000)));
        assert_eq!(settings.to, Some(Timestamp(6_500_000_000)));
        assert_eq!(settings.jobs, Some(2));
        assert_eq!(settings.max_memory, Some(1_000_000_000));
        assert_eq!(settings.pools.len(), 1);
        assert_eq!(settings.facts[0].0.as_deref(), Some("hub1"));
        assert_eq!(settings.os, [("hub1".to_owned(), "ws2008r2".to_owned())]);
        assert_eq!((settings.logs.len(), settings.rules.len()), (1, 1));
        assert!(settings.redact && settings.show_addresses);
    }
}
