//! Every rule through the whole pipe: what fires it, and what nearly does.
//!
//! A row of [`rows`] names a rule, a capture (from `support/scenes.rs`) with what the user says of the hosts besides, as their own
//! commands print it, and the same with the one thing missing that calls for the rule. A rule without a row fails.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use support::convo::S2C;
use support::scene::{Scene, pcap};
use support::scenes::*;
use support::wire::Checksum;
use tcptriage::pipeline::{Settings, analyze};
use tcptriage::report::model::{Remedy, Report};
use tcptriage::rules::{Engine, SYSTEMS, Scale, Truth, Versions};

/// A capture, and what the user says besides.
#[derive(Clone)]
struct Given {
    scene: Scene,
    os: Vec<(&'static str, String)>,
    facts: Vec<(&'static str, String)>,
    /// Rule files of the user's own.
    rules: Vec<PathBuf>,
}

fn on(scene: Scene) -> Given {
    Given {
        scene,
        os: Vec::new(),
        facts: Vec::new(),
        rules: Vec::new(),
    }
}

impl Given {
    fn os(mut self, host: &'static str, os: &str) -> Self {
        self.os.push((host, os.to_owned()));
        self
    }

    /// Output of the host's own commands.
    fn facts(mut self, host: &'static str, text: &str) -> Self {
        self.facts.push((host, text.to_owned()));
        self
    }

    /// A sample of such output in `tests/facts`.
    fn sample(self, host: &'static str, name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/facts")
            .join(name);
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        self.facts(host, &text)
    }

    /// What `Get-ExchangeServer` says of this version.
    fn exchange(self, host: &'static str, version: &str) -> Self {
        let (_, build) = EXCHANGE_BUILDS.iter().find(|(v, _)| *v == version).unwrap();
        self.facts(
            host,
            &format!("Name                : MAIL\nAdminDisplayVersion : {build}\n\n"),
        )
    }

    fn report(&self) -> Report {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let folder = std::env::temp_dir().join(format!(
            "tcptriage-rules-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        ));
        fs::create_dir_all(&folder).unwrap();
        let capture = folder.join("capture.pcap");
        fs::write(&capture, pcap(&self.scene.clone().frames())).unwrap();
        let mut settings = Settings {
            captures: vec![capture.to_str().unwrap().to_owned()],
            os: self
                .os
                .iter()
                .map(|(h, os)| ((*h).to_owned(), os.clone()))
                .collect(),
            rules: self.rules.clone(),
            ..Settings::default()
        };
        for (n, (host, text)) in self.facts.iter().enumerate() {
            let path: PathBuf = folder.join(format!("facts{n}.txt"));
            fs::write(&path, text).unwrap();
            settings.facts.push((Some((*host).to_owned()), path));
        }
        let report = analyze(&settings).unwrap();
        fs::remove_dir_all(folder).unwrap();
        report
    }
}

const EXCHANGE_BUILDS: &[(&str, &str)] = &[
    ("ex2007", "Version 8.3 (Build 83.6)"),
    ("ex2010rtm", "Version 14.0 (Build 639.21)"),
    ("ex2010sp1", "Version 14.3 (Build 123.4)"),
    ("ex2013", "Version 15.0 (Build 847.32)"),
    ("ex2016", "Version 15.1 (Build 2507.6)"),
    ("ex2019", "Version 15.2 (Build 1118.7)"),
    ("exse", "Version 15.2 (Build 2562.17)"),
];

/// What hosts print.
const NO_TEAM: &str =
    "=== Get-NetLbfoTeam | Measure-Object | Format-List Count ===\n\nCount : 0\n\n=== end ===\n";
const HALF_DUPLEX: &str = "Settings for eth0:\n\tSpeed: 100Mb/s\n\tDuplex: Half\n";
const FULL_DUPLEX: &str = "Settings for eth0:\n\tSpeed: 100Mb/s\n\tDuplex: Full\n";

fn queue_error(error: &str) -> String {
    format!(
        "Identity      : MAIL\\12\nNextHopDomain : example.org\nStatus        : Retry\nLastError     : {error}\n\n"
    )
}

fn adapter(description: &str, version: &str, date: &str) -> String {
    format!(
        "Name                 : Ethernet\nInterfaceDescription : {description}\nDriverProvider       : Vendor\n\
         DriverVersion        : {version}\nDriverDate           : {date}\n\n"
    )
}

fn wmic(description: &str, version: &str) -> String {
    format!(
        "=== wmic path win32_pnpsigneddriver get Description,DriverDate,DriverVersion,Manufacturer /format:list ===\n\n\
         Description={description}\nDriverDate=20230630000000.000000-000\nDriverVersion={version}\nManufacturer=HP\n\n"
    )
}

fn connector(line: &str) -> String {
    format!("Identity : MAIL\\Relay\n{line}\n\n")
}

const RATE: &str =
    "421 4.4.2 Message submission rate for this client has exceeded the configured limit";
const RELAY: &str = "550 5.7.1 Unable to relay";
const LIMIT: &str = "421 4.3.2 The maximum number of concurrent connections has exceeded a limit, closing transmission channel";
const RCPT: &str = "RCPT TO:<x@example.org>";
const MAIL: &str = "MAIL FROM:<a@example.com>";
/// Minutes at which a hub transport server tries a failed one.
const BOOK: [i64; 13] = [0, 1, 2, 3, 4, 9, 14, 19, 24, 29, 34, 44, 54];
const UNICAST: [u8; 6] = [0x02, 0xbf, 192, 0, 2, 25];
const MULTICAST: [u8; 6] = [0x03, 0xbf, 192, 0, 2, 25];

/// NTSTATUS.
const FILE_CLOSED: u32 = 0xC000_0128;
const ACCESS_DENIED: u32 = 0xC000_0022;
const SHARING: u32 = 0xC000_0043;
const DISK_FULL: u32 = 0xC000_007F;
const NO_SUCH_NAME: u32 = 0xC000_0034;

/// A storm with checksums that nobody filled in.
fn storm() -> Given {
    on(checksums(Checksum::UnfilledPartial, false))
}

/// The rule, what fires it, what nearly does.
type Row = (&'static str, Given, Given);

fn rows() -> Vec<Row> {
    let mut all = tcp_rows();
    all.extend(host_rows());
    all.extend(smtp_rows());
    all.extend(smb_rows());
    all.extend(many_rows());
    all
}

/// Rules that the path or TCP calls for.
fn tcp_rows() -> Vec<Row> {
    use Answer::{AtOnce, Late, Nothing, Refused, WithoutEcn};
    vec![
        ("capture-better", on(mid_stream()), on(healthy())),
        ("capture-other-end", storm(), on(healthy())),
        ("collect-host-facts", on(shut(900)), on(shut(900)).os(SERVER, "linux")),
        ("nic-link-loss", on(outage(8_000)), on(outage(0))),
        ("path-asymmetric", on(attempts(8080, Nothing)), on(attempts(8080, Refused))),
        ("path-bufferbloat", on(queue(true)), on(queue(false))),
        ("path-duplicate-frames", on(twice(1, 3)), on(healthy())),
        ("path-idle-timeout", on(reset_after(300, 200)), on(reset_after(7, 200))),
        ("path-inline-inspection", on(late_answers(1_500)), on(late_answers(100))),
        ("path-jumbo-mismatch", on(black_hole(8_960, false)), on(black_hole(1_460, false))),
        ("path-mtu-blackhole", on(black_hole(1_460, false)), on(black_hole(1_460, true))),
        ("path-no-route", on(attempts(8080, Nothing)), on(attempts(8080, Refused))),
        ("path-rst-injected", on(reset_after(7, 120)), on(reset_after(7, 200))),
        ("path-seq-randomisation-sack", on(loss_reported(50, 0x1234_5678)), on(loss(50))),
        ("path-wscale-stripped", on(stripped(Stripped::Scale)), on(stripped(Stripped::Sack))),
        ("tcp-timestamps", on(stripped(Stripped::Stamps)), on(stripped(Stripped::Nothing))),
        ("server-next-step", on(late_answers(1_500)), on(smb(CREATE, 2_000, 0, 5))),
        ("symptom-background", on(pauses(80)), on(healthy())),
        ("tcp-ackfrequency", on(delayed_ack(200)).os(SERVER, "ws2008r2"), on(delayed_ack(200)).os(SERVER, "ws2016")),
        ("tcp-app-window", on(window_limited(Some(0), 65_535)), on(healthy())),
        ("path-window-lowered", on(window_lowered()), on(window_limited(Some(0), 65_535))),
        (
            "tcp-autotuning-off",
            on(window_limited(None, 65_535)).os(SERVER, "ws2012"),
            on(window_limited(None, 65_535)).sample(SERVER, "netsh-tcp-global.ws2012.txt"),
        ),
        ("tcp-delayed-ack-nagle", on(delayed_ack(200)), on(delayed_ack(5))),
        ("tcp-ecn-blackhole", on(attempts(8080, WithoutEcn)), on(attempts(8080, Late))),
        (
            "tcp-keepalive-exchange",
            on(reset_after(300, 200)).exchange(SERVER, "ex2016"),
            on(reset_after(300, 200)).exchange(SERVER, "ex2016").facts(
                SERVER,
                "=== reg query HKLM\\SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters ===\n\n\
                 HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters\n    KeepAliveTime    REG_DWORD    0x1b7740\n\n",
            ),
        ),
        ("tcp-min-rto", on(needless(true)).os(CLIENT, "ws2016"), on(needless(false)).os(CLIENT, "ws2016")),
        ("tcp-refused", on(attempts(8080, Refused)), on(attempts(8080, Nothing))),
        ("tcp-retransmits-rate", on(loss(50)), on(healthy())),
        ("tcp-rto-exhausted", storm(), on(checksums(Checksum::UnfilledPartial, true))),
        (
            "tcp-scaling-heuristics",
            on(window_limited(None, 65_535)).os(SERVER, "ws2008r2"),
            on(window_limited(None, 65_535)).os(SERVER, "ws2012"),
        ),
        ("tcp-syn-backlog", on(attempts(8080, Late)), on(attempts(8080, AtOnce))),
        ("tcp-syn-fallback-options", on(attempts(8080, Late)).os(CLIENT, "ws2012"), on(attempts(8080, Late)).os(CLIENT, "ws2016")),
        ("tcp-syn-timeout", on(attempts(8080, Nothing)), on(attempts(8080, Refused))),
        ("tcp-zero-window", on(shut(900)), on(shut(0))),
        ("verify-after-change", on(loss(50)), on(healthy())),
    ]
}

/// Rules that a host's adapter, driver, offloads or team call for.
fn host_rows() -> Vec<Row> {
    let quiet = || on(healthy());
    let broadcom = "Broadcom BCM5719 NetXtreme Gigabit Ethernet";
    let vmq = |enabled: &str| {
        format!("Name             : NIC1\nEnabled          : {enabled}\nBaseVmqProcessor : 0:0\n\n")
    };
    let lbfo = "Name        : Team1\nMembers     : {NIC2, NIC1}\nTeamingMode : SwitchIndependent\nStatus      : Up\n\n";
    let overflow = |drops: &str| {
        format!(
            "Name                     : Ethernet\nReceivedDiscardedPackets : {drops}\nReceivedPacketErrors     : 0\n\n"
        )
    };
    let power = |on: &str| {
        format!("Name                         : Ethernet\nAllowComputerToTurnOffDevice : {on}\n\n")
    };
    vec![
        (
            "link-duplex",
            quiet().facts(CLIENT, HALF_DUPLEX),
            quiet().facts(CLIENT, FULL_DUPLEX),
        ),
        ("link-errors", on(corruption(6)), on(corruption(1))),
        ("host-discards", on(passed_over(6)), on(corruption(6))),
        (
            "local-bind",
            quiet().facts(CLIENT, &queue_error("441 4.4.1 Error encountered while communicating with primary target IP address: Failed to connect. Winsock error code: 10013")),
            quiet().facts(CLIENT, &queue_error("441 4.4.1 Error encountered while communicating with primary target IP address: Failed to connect. Winsock error code: 10060")),
        ),
        (
            "nic-broadcom-toe",
            quiet().os(CLIENT, "ws2003").facts(CLIENT, &wmic("HP NC373i Multifunction Gigabit Server Adapter", "2.8.13.0")),
            quiet().os(CLIENT, "ws2003").facts(CLIENT, &wmic("HP NC373i Multifunction Gigabit Server Adapter", "5.0.13.0")),
        ),
        (
            "nic-driver-age",
            quiet().facts(CLIENT, &adapter("Intel(R) I350", "12.7.28.0", "2020-03-01")),
            quiet().facts(CLIENT, &adapter("Intel(R) I350", "13.0.1.0", "2023-03-01")),
        ),
        ("nic-power-saving", quiet().os(CLIENT, "ws2016").facts(CLIENT, &power("Enabled")), quiet().os(CLIENT, "ws2016").facts(CLIENT, &power("Disabled"))),
        ("offload-capture-artifact", on(checksums(Checksum::UnfilledPartial, true)), storm()),
        ("offload-chimney", storm().os(CLIENT, "ws2008r2"), storm().os(CLIENT, "ws2008r2").sample(CLIENT, "netsh-chimneystats.ws2008r2.txt")),
        (
            "offload-lso",
            storm(),
            storm().facts(CLIENT, "Features for eth0:\nrx-checksumming: on\ntx-checksumming: on\ntcp-segmentation-offload: off\ngeneric-receive-offload: on\n"),
        ),
        ("offload-netdma", storm().os(CLIENT, "ws2008r2"), storm().os(CLIENT, "ws2008r2").sample(CLIENT, "netsh-tcp-global.ws2008r2-snp-off.txt")),
        (
            "offload-rsc",
            quiet().os(CLIENT, "ws2016").sample(CLIENT, "get-netadapterrsc.capture-running.txt"),
            quiet().os(CLIENT, "ws2016").sample(CLIENT, "get-netadapterrsc.ok.txt"),
        ),
        (
            "offload-rss-disabled",
            quiet().os(CLIENT, "ws2016").sample(CLIENT, "get-netadapterrss.disabled.txt"),
            quiet().os(CLIENT, "ws2016").sample(CLIENT, "get-netadapterrss.ws2016.txt"),
        ),
        ("offload-rss-off-as-test", storm().os(CLIENT, "ws2008r2"), storm().os(CLIENT, "ws2012")),
        ("offload-rxcsum-corruption", on(corruption(6)), on(corruption(1))),
        ("offload-snp2003", storm().os(CLIENT, "ws2003"), storm().os(CLIENT, "ws2008")),
        (
            "offload-taskoffload-global",
            storm().os(CLIENT, "ws2012"),
            storm().os(CLIENT, "ws2012").facts(
                CLIENT,
                "ReceiveSideScaling           : Enabled\nReceiveSegmentCoalescing     : Enabled\nChimney                      : Disabled\nTaskOffload                  : Disabled\n\n",
            ),
        ),
        (
            "offload-vmq",
            on(loss(50)).os(CLIENT, "ws2012").facts(CLIENT, &(adapter(broadcom, "15.6.0.10", "2023-03-01") + &vmq("True"))),
            on(loss(50)).os(CLIENT, "ws2012").facts(CLIENT, &(adapter(broadcom, "15.6.0.10", "2023-03-01") + &vmq("False"))),
        ),
        (
            "offload-vmq",
            on(loss(50)).os(CLIENT, "ws2012").facts(CLIENT, &(adapter(broadcom, "15.6.0.10", "2023-03-01").replace("DriverProvider ", "LinkSpeed            : 1 Gbps\nDriverProvider ") + &vmq("True"))),
            on(loss(50)).os(CLIENT, "ws2012").facts(CLIENT, &(adapter(broadcom, "15.6.0.10", "2023-03-01").replace("DriverProvider ", "LinkSpeed            : 10 Gbps\nDriverProvider ") + &vmq("True"))),
        ),
        (
            "offload-vmxnet3-drops",
            quiet().os(CLIENT, "ws2016").facts(CLIENT, &(adapter("vmxnet3 Ethernet Adapter", "1.9.5.0", "2023-03-01") + &overflow("5000"))),
            quiet().os(CLIENT, "ws2016").facts(CLIENT, &(adapter("vmxnet3 Ethernet Adapter", "1.9.5.0", "2023-03-01") + &overflow("0"))),
        ),
        (
            "tcp-port-exhaustion",
            quiet().facts(CLIENT, &queue_error("421 4.2.1 Unable to connect: Socket error code 10048")),
            quiet().facts(CLIENT, &queue_error("421 4.2.1 Unable to connect: Socket error code 10061")),
        ),
        (
            "team-lacp-mismatch",
            quiet().sample(CLIENT, "proc-net-bonding.lacp-no-partner.txt").os(CLIENT, "linux"),
            quiet().sample(CLIENT, "proc-net-bonding.lacp-ok.txt").os(CLIENT, "linux"),
        ),
        ("team-lacp-unaware-switch", storm(), storm().facts(CLIENT, NO_TEAM)),
        (
            "team-lbfo-hyperv",
            on(loss(50)).os(CLIENT, "ws2016").facts(CLIENT, lbfo).facts(CLIENT, &adapter("Hyper-V Virtual Ethernet Adapter", "10.0.14393.0", "2006-06-21")),
            on(loss(50)).os(CLIENT, "ws2016").facts(CLIENT, lbfo).facts(CLIENT, &adapter("Intel(R) I350", "12.7.28.0", "2023-03-01")),
        ),
        ("team-mac-flap", on(twice(10, 3_000)), on(twice(10, 3_000)).facts(CLIENT, NO_TEAM)),
        ("team-untie-test", storm(), storm().facts(CLIENT, NO_TEAM)),
    ]
}

/// Rules that mail calls for.
fn smtp_rows() -> Vec<Row> {
    let answer = |banner: &str, reply: &str| on(refused(banner, MAIL, 0, reply));
    let prx = "451 4.7.0 Temporary server error. Please try again later. PRX2";
    let inactive = "421 4.3.2 Service not active";
    let shadow = "451 4.4.0 Message failed to be made redundant";
    let exim_full = "421 Too many concurrent SMTP connections; please try again later.";
    let slow = [(MAIL, 2_500, "250 ok"), ("NOOP", 1_500, "250 ok")];
    vec![
        (
            "lb-source-nat",
            on(turned_away(EXCHANGE, 20, LIMIT)),
            on(turned_away(EXCHANGE, 1, inactive)),
        ),
        (
            "path-smtp-inspection",
            on(smtp("220 *************************", &message(0))),
            on(smtp(EXCHANGE, &message(0))),
        ),
        (
            "smtp-auth-tarpit",
            on(refused(
                EXCHANGE,
                "AUTH LOGIN",
                5_000,
                "535 5.7.3 Authentication unsuccessful",
            ))
            .exchange(SERVER, "ex2016"),
            on(refused(EXCHANGE, RCPT, 5_000, RELAY)).exchange(SERVER, "ex2016"),
        ),
        (
            "smtp-server-slow",
            on(smtp(EXCHANGE, &slow)),
            on(late_answers(1_500)),
        ),
        (
            "smtp-backpressure",
            answer(EXCHANGE, "452 4.3.1 Insufficient system resources"),
            answer(EXCHANGE, RELAY),
        ),
        (
            "smtp-bare-lf",
            answer(EXCHANGE, "550 5.6.11 SMTPSEND.BareLinefeedsAreIllegal"),
            answer(EXCHANGE, "502 5.5.2 Error: command not recognized"),
        ),
        (
            "smtp-component-inactive",
            answer(EXCHANGE, inactive).exchange(SERVER, "ex2013"),
            answer(EXCHANGE, inactive).exchange(SERVER, "ex2010sp1"),
        ),
        (
            "smtp-connection-dropped",
            on(dropped(S2C, 200)),
            on(smtp(EXCHANGE, &message(0))),
        ),
        (
            "smtp-connection-limit",
            on(turned_away(EXCHANGE, 20, LIMIT)),
            on(turned_away(EXCHANGE, 20, LIMIT)).facts(
                SERVER,
                &connector("MaxInboundConnectionPerSource : Unlimited"),
            ),
        ),
        (
            "smtp-delayed-ack-2010",
            on(smtp(EXCHANGE, &message(30_000))).exchange(SERVER, "ex2010sp1"),
            on(smtp(EXCHANGE, &message(30_000))).exchange(SERVER, "ex2013"),
        ),
        (
            "smtp-dns-failed",
            answer(EXCHANGE, "451 4.4.0 DNS query failed"),
            on(meanwhile(late_greeting(EXCHANGE, 10_000), false)).exchange(SERVER, "ex2010sp1"),
        ),
        (
            "smtp-exim-limits",
            on(turned_away(EXIM, 20, exim_full)),
            on(turned_away(POSTFIX, 20, exim_full)),
        ),
        (
            "smtp-exo-throttle",
            answer(EXCHANGE, "451 4.7.500 Server busy. Please try again later"),
            answer(EXCHANGE, RATE),
        ),
        (
            "smtp-expired",
            answer(EXCHANGE, "550 4.4.7 QUEUE.Expired; message expired"),
            answer(EXCHANGE, RELAY),
        ),
        (
            "smtp-greet-delay",
            on(late_greeting(POSTFIX, 6_000)),
            on(late_greeting(EXCHANGE, 6_000)),
        ),
        (
            "smtp-greylist",
            on(refused(
                POSTFIX,
                RCPT,
                0,
                "450 4.2.0 <x@example.org>: Recipient address rejected: Greylisted",
            )),
            on(refused(
                POSTFIX,
                RCPT,
                0,
                "550 5.1.1 <x@example.org>: User unknown",
            )),
        ),
        (
            "smtp-ident",
            on(meanwhile(late_greeting(SENDMAIL, 30_000), true)),
            on(meanwhile(late_greeting(POSTFIX, 30_000), true)),
        ),
        (
            "smtp-iis-advice",
            on(smtp(IIS, &slow)),
            on(smtp(EXCHANGE, &slow)),
        ),
        ("smtp-lockstep-latency", on(messages(20)), on(messages(1))),
        (
            "smtp-loop",
            answer(
                EXCHANGE,
                "554 5.4.6 Hop count exceeded - possible mail loop",
            ),
            answer(EXCHANGE, RELAY),
        ),
        (
            "smtp-postfix-limits",
            on(refused(POSTFIX, RCPT, 1_000, "550 5.1.1 unknown")),
            on(refused(EXCHANGE, RCPT, 5_000, RELAY)),
        ),
        (
            "smtp-prx-proxy",
            answer(EXCHANGE, prx).exchange(SERVER, "ex2013"),
            answer(EXCHANGE, prx).exchange(SERVER, "ex2010sp1"),
        ),
        (
            "smtp-queue-concurrency",
            on(pauses(25)).exchange(CLIENT, "ex2013"),
            on(pauses(80)).exchange(CLIENT, "ex2013"),
        ),
        (
            "smtp-rate-limit",
            answer(EXCHANGE, RATE),
            answer(
                EXCHANGE,
                "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded",
            ),
        ),
        (
            "smtp-rdns-delay",
            on(meanwhile(late_greeting(POSTFIX, 10_000), false)),
            on(meanwhile(late_greeting(EXCHANGE, 10_000), false)).exchange(SERVER, "ex2010sp1"),
        ),
        (
            "smtp-relay-denied",
            on(refused(EXCHANGE, RCPT, 0, RELAY)),
            on(refused(
                EXCHANGE,
                RCPT,
                0,
                "550 5.7.1 Message rejected as spam by Content Filtering",
            )),
        ),
        (
            "smtp-shadow-2013plus",
            on(refused(EXCHANGE, "DATA", 0, shadow)).exchange(SERVER, "ex2013"),
            on(refused(EXCHANGE, "DATA", 0, shadow)).exchange(SERVER, "ex2010sp1"),
        ),
        (
            "smtp-storedrv-throttle",
            answer(
                EXCHANGE,
                "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded",
            ),
            answer(EXCHANGE, RATE),
        ),
        (
            "smtp-stuck-one-database",
            on(smtp(EXCHANGE, &slow)),
            on(smtp(EXCHANGE, &message(0))),
        ),
        (
            "smtp-tarpit",
            on(refused(EXCHANGE, RCPT, 5_000, RELAY)),
            on(refused(EXCHANGE, RCPT, 0, RELAY)),
        ),
        (
            "smtp-throttling-policy",
            answer(EXCHANGE, RATE).exchange(SERVER, "ex2010sp1"),
            answer(EXCHANGE, RATE).exchange(SERVER, "ex2007"),
        ),
        ("smtp-tls-failed", on(tls(true)), on(tls(false))),
        (
            "smtp-xexps-blocked",
            answer(
                EXCHANGE,
                "530 5.7.3 cannot achieve Exchange Server authentication",
            ),
            on(refused(
                EXCHANGE,
                "AUTH LOGIN",
                0,
                "535 5.7.3 Authentication unsuccessful",
            )),
        ),
    ]
}

/// Rules that SMB calls for.
fn smb_rows() -> Vec<Row> {
    let status = |status| on(smb(CREATE, 0, status, 12));
    let denied = |command| on(smb(command, 0, ACCESS_DENIED, 12));
    let dialect = |dialect: &str| {
        on(smb(CREATE, 2_000, 0, 5)).facts(
            SERVER,
            &format!(
                "ServerName : FS1\nShareName  : data\nDialect    : {dialect}\nEncrypted  : True\n\n"
            ),
        )
    };
    let sockopts = |line: &str| {
        on(healthy()).os(SERVER, "linux").facts(
            SERVER,
            &format!("=== testparm -s ===\n[global]\n\t{line}\n\tsync always = No\n\n"),
        )
    };
    vec![
        (
            "smb-auth-rate-limiter",
            on(smb(SESSION_SETUP, 2_000, 0xC000_006D, 5)).os(SERVER, "ws2025"),
            on(smb(SESSION_SETUP, 2_000, 0xC000_006D, 5)).os(SERVER, "ws2019"),
        ),
        (
            "smb-credits",
            on(smb_reads(65_536, 40, 60, 1)),
            on(smb_reads(65_536, 40, 60, 64)),
        ),
        (
            "smb-dc-unreachable",
            on(smb(SESSION_SETUP, 0, 0xC000_005E, 12)),
            on(smb(SESSION_SETUP, 0, 0xC000_006D, 12)),
        ),
        (
            "smb-durable",
            on(smb_broken(FILE_CLOSED, true)),
            on(smb_broken(FILE_CLOSED, false)),
        ),
        ("smb-encryption", dialect("3.0"), dialect("3.1.1")),
        (
            "smb-guest-blocked",
            denied(SESSION_SETUP).os(CLIENT, "ws2019"),
            denied(CREATE).os(CLIENT, "ws2019"),
        ),
        (
            "smb-latency-bound",
            on(smb_reads(512, 40, 200, 64)),
            on(smb_reads(512, 1, 50, 64)),
        ),
        (
            "smb-multichannel",
            on(attempts(445, Answer::Nothing)),
            on(attempts(8080, Answer::Nothing)),
        ),
        ("smb-name-deleted", status(0xC000_00C9), status(SHARING)),
        (
            "smb-oplock-break",
            on(smb(CREATE, 2_000, 0, 5)),
            on(smb(READ, 2_000, 0, 5)),
        ),
        ("smb-resources", status(0xC000_0205), status(SHARING)),
        ("smb-storage-fault", status(DISK_FULL), status(SHARING)),
        ("smb-errors-log", status(DISK_FULL), status(NO_SUCH_NAME)),
        (
            "smb-samba-sockopts",
            sockopts("socket options = TCP_NODELAY SO_RCVBUF=8192"),
            sockopts("socket options = TCP_NODELAY"),
        ),
        (
            "smb-server-slow",
            on(smb(CREATE, 2_000, 0, 5)),
            on(smb(CREATE, 100, 0, 5)),
        ),
        ("smb-session-expired", status(0xC000_035C), status(SHARING)),
        ("smb-access-denied", denied(CREATE), denied(CLOSE)),
        ("smb-signing", denied(SESSION_SETUP), denied(CREATE)),
        ("smb-signing", denied(CLOSE), denied(READ)),
        (
            "smb-small-files",
            on(smb_reads(512, 40, 200, 64)),
            on(smb_reads(512, 1, 50, 64)),
        ),
        ("smb-smb1", on(smb1()), on(smb(CREATE, 0, 0, 5))),
    ]
}

/// Rules that several servers call for.
fn many_rows() -> Vec<Row> {
    let hubs = [
        "hub1.example.com",
        "hub2.example.com",
        "hub1.example.com",
        "hub2.example.com",
    ];
    let book = || on(retries(&BOOK, Answer::Nothing));
    let dead = [false, true, false, true, false, true, false, true];
    vec![
        (
            "lb-hss-cadence",
            book().exchange(CLIENT, "ex2010sp1"),
            book().exchange(CLIENT, "ex2007"),
        ),
        (
            "lb-hss-heartbeat",
            book(),
            on(retries(&[0, 7, 9, 30, 31, 55], Answer::Nothing)),
        ),
        (
            "lb-intraorg-unsupported",
            on(exchange_to_exchange(&hubs)),
            on(exchange_to_exchange(&hubs[..1])),
        ),
        (
            "lb-rr-skew",
            on(round_robin(40, true)).exchange(CLIENT, "ex2007"),
            on(round_robin(40, true)).exchange(CLIENT, "ex2010sp1"),
        ),
        (
            "lb-uneven",
            on(spread(&[24, 3, 3])),
            on(spread(&[10, 10, 10])),
        ),
        (
            "nlb-blind",
            on(cluster(UNICAST, &dead)),
            on(cluster(UNICAST, &[false; 4])),
        ),
        (
            "nlb-multicast",
            on(cluster(MULTICAST, &[false; 4])),
            on(cluster(UNICAST, &[false; 4])),
        ),
        (
            "nlb-unicast-flood",
            on(cluster(UNICAST, &[false; 4])),
            on(cluster(MULTICAST, &[false; 4])),
        ),
    ]
}

fn remedy<'a>(report: &'a Report, id: &str) -> Option<&'a Remedy> {
    report.remediations.iter().find(|r| r.id == id)
}

fn told(report: &Report) -> String {
    let findings: Vec<&str> = report.findings.iter().map(|f| f.id.as_str()).collect();
    let remedies: Vec<&str> = report.remediations.iter().map(|r| r.id.as_str()).collect();
    format!(
        "findings {findings:?}, remedies {remedies:?}, notes {:?}",
        report.notes
    )
}

#[test]
fn every_rule_has_a_row() {
    let engine = Engine::load(&[]).unwrap();
    let rules: BTreeSet<&str> = engine.rules().iter().map(|r| r.id.as_str()).collect();
    let rows = rows();
    let ids: BTreeSet<&str> = rows.iter().map(|r| r.0).collect();
    let without: Vec<_> = rules.difference(&ids).collect();
    assert!(
        without.is_empty(),
        "rules without a row in tests/rules.rs: {without:?}"
    );
    let unknown: Vec<_> = ids.difference(&rules).collect();
    assert!(unknown.is_empty(), "rows of no rule: {unknown:?}");
}

#[test]
fn every_rule_fires_and_its_near_miss_does_not() {
    let mut wrong = Vec::new();
    for (id, fires, misses) in rows() {
        let report = fires.report();
        match remedy(&report, id) {
            None => wrong.push(format!("{id} does not fire: {}", told(&report))),
            // What calls for it was found, not only not ruled out.
            Some(remedy) => {
                let guessed = remedy.unknown.iter().any(|u| u.starts_with("finding "));
                if guessed {
                    wrong.push(format!(
                        "{id} fires by what no finding tells: {:?}",
                        remedy.unknown
                    ));
                }
            }
        }
        let report = misses.report();
        if remedy(&report, id).is_some() {
            wrong.push(format!("{id} fires on its near miss: {}", told(&report)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Only lost SYNs are proven: where they got lost comes before why a server might not have taken them.
#[test]
fn lost_syns_call_for_a_look_at_the_path_first() {
    let beside_client = on(attempts(8080, Answer::Late)).report();
    let place = |report: &Report, id| {
        let mut all = report.remediations.iter();
        all.position(|r| r.id == id)
            .unwrap_or_else(|| panic!("{id}: {}", told(report)))
    };
    let backlog = place(&beside_client, "tcp-syn-backlog");
    for first in ["tcp-retransmits-rate", "capture-other-end"] {
        assert!(
            place(&beside_client, first) < backlog,
            "{first}: {}",
            told(&beside_client)
        );
    }
    let change = remedy(&beside_client, "tcp-syn-backlog").unwrap();
    assert!(
        change.fix.iter().all(|s| !s.only_if.is_empty()),
        "a change for what is not proven: {:?}",
        change.fix
    );
    let counted =
        "=== nstat -az ===\n#kernel\nTcpExtListenOverflows           1204               0.0\n";
    let overflows = on(attempts(8080, Answer::Late))
        .facts(SERVER, counted)
        .report();
    assert!(
        place(&overflows, "tcp-syn-backlog") < place(&overflows, "tcp-retransmits-rate"),
        "{}",
        told(&overflows)
    );
    let change = remedy(&overflows, "tcp-syn-backlog").unwrap();
    assert!(
        change.fix.iter().any(|s| s.only_if.is_empty()),
        "{:?}",
        change.fix
    );
}

/// Of each remedy that is bound to some versions, the sets of versions: of systems, or of mail servers.
fn bound(id: &str) -> Vec<Versions> {
    include_str!("support/applies.tsv")
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter(|(remedy, _)| *remedy == id)
        .map(|(_, versions)| {
            Versions::parse(versions).unwrap_or_else(|| panic!("{id}: {versions}"))
        })
        .collect()
}

/// Each remedy, called for on a host of each version, is allowed exactly where the table says so.
#[test]
fn each_remedy_on_each_version() {
    let mut wrong = Vec::new();
    let mut cases = 0;
    let engine = Engine::load(&[]).unwrap();
    for (id, fires, _) in rows() {
        // The one rule that asks for the version is silent once that is known; and where options are taken out, no host is to blame.
        if id == "collect-host-facts" || id == "path-wscale-stripped" {
            continue;
        }
        let bound = bound(id);
        let rule = engine.rule(id).unwrap();
        let allowed = |version: &str| {
            let host = Versions::parse(version).unwrap();
            let fits = |v: &Versions| v.scale() != host.scale() || host.within(*v) == Truth::Yes;
            // What is for all versions is said where there is something to type.
            let mut steps = rule.confirm.iter().chain(&rule.fix);
            let has_step = steps.any(|s| {
                s.applies
                    .systems
                    .iter()
                    .chain(&s.applies.products)
                    .all(fits)
            });
            bound.iter().all(fits) && has_step
        };
        let products = bound.iter().any(|v| v.scale() == Scale::Product);
        let mut plain = fires.clone();
        plain.os.clear();
        plain
            .facts
            .retain(|(_, text)| !text.contains("AdminDisplayVersion"));
        let mut check = |version: &str, given: Given| {
            cases += 1;
            let report = given.report();
            if remedy(&report, id).is_some() != allowed(version) {
                wrong.push(format!("{id} on {version}: {}", told(&report)));
            }
        };
        if products {
            // A mail server tells its system; what binds the remedy to a system as well is checked by the servers that run there.
            for (version, _) in EXCHANGE_BUILDS {
                check(
                    version,
                    plain
                        .clone()
                        .exchange(CLIENT, version)
                        .exchange(SERVER, version),
                );
            }
        } else {
            // The knowledge base says nothing of BSD.
            for (version, _) in SYSTEMS.iter().filter(|(key, _)| *key != "bsd") {
                check(
                    version,
                    plain.clone().os(CLIENT, version).os(SERVER, version),
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases > 900, "{cases}");
}

/// The rule of a site's own in the README reads, speaks, and when it is broken, the error points at line and key.
#[test]
fn the_readmes_own_rule_works() {
    let readme =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let (_, rest) = readme.split_once("`app-relay.toml`:\n\n```toml\n").unwrap();
    let (rule, _) = rest.split_once("```").unwrap();
    let folder = std::env::temp_dir().join(format!("tcptriage-own-rule-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("app-relay.toml");
    fs::write(&path, rule).unwrap();
    let ask = |millis| {
        let mut given = on(refused(EXCHANGE, RCPT, millis, RELAY)).exchange(SERVER, "ex2016");
        given.rules = vec![path.clone()];
        given.report()
    };
    let report = ask(5_000);
    let own = remedy(&report, "app-relay").unwrap_or_else(|| panic!("{}", told(&report)));
    assert_eq!(
        own.title,
        "send the billing application to the relay connector"
    );
    assert_eq!(own.confirm[0].expect, format!("{CLIENT} is among them"));
    assert_eq!(own.fix[0].on.as_deref(), Some(CLIENT));
    assert!(remedy(&ask(0), "app-relay").is_none());
    for (from, to, line, key) in [
        ("likely = 0.9", "likly = 0.9", 2, "likly"),
        ("smtp.tarpit", "smtp.tarpitt", 6, "when.all.symptom"),
        (
            "connector.tarpit_s",
            "connector.tarpit",
            9,
            "when.none.fact",
        ),
        (
            "\"ex2007..exse\"",
            "\"ex2006..exse\"",
            17,
            "remedy.applies_to",
        ),
    ] {
        fs::write(&path, rule.replacen(from, to, 1)).unwrap();
        let error = tcptriage::rules::check(&path).unwrap_err();
        assert_eq!((error.line, error.key.as_str()), (line, key), "{error}");
    }
    fs::remove_dir_all(folder).unwrap();
}
