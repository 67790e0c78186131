//! The real binary on interfaces of hosts that the test makes: what it says while it runs, what it leaves behind, and what befalls it.
//!
//! Each test makes its own hosts (`support/netns.rs`). Where namespaces or a peer are not to be had, a test says so and passes. How fast the
//! machine is decides nothing: what has to come about is waited for, and brought about again until it has; what a slow machine may bring about
//! by itself is not held against the run.
#![cfg(all(feature = "live", target_os = "linux"))]
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::daemons::{USER, postfix, samba};
use support::netns::{Folder, Host, INTERFACE, command, lab, missing};
use tcptriage::pipeline::{Settings, analyze};

/// Longest wait for anything: a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// Pause between two tries of what takes no time itself.
const BREATH: Duration = Duration::from_millis(200);

/// A run under way, and the events that it tells.
struct Live {
    child: Child,
    events: PathBuf,
    errors: PathBuf,
}

impl Live {
    /// Starts `tcptriage live` in `host`, and waits until it captures.
    fn start(host: &Host, folder: &Folder, arguments: &[&str]) -> Self {
        let (events, errors) = (folder.0.join("events"), folder.0.join("errors"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_tcptriage"));
        command
            .args(["live", "-i", INTERFACE, "--format", "ndjson"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(File::create(&events).unwrap())
            .stderr(File::create(&errors).unwrap());
        let child = host.enter(|| command.spawn().unwrap());
        let mut live = Self {
            child,
            events,
            errors,
        };
        live.wait_for("it captures", |live, _| {
            live.errors().contains("capturing on")
        });
        live
    }

    fn errors(&self) -> String {
        fs::read_to_string(&self.errors).unwrap()
    }

    fn events(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.events).unwrap();
        // The last line may be under way.
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    fn wait_for(&mut self, what: &str, there: impl Fn(&Self, &[Value]) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !there(self, &self.events()) {
            let over = self.child.try_wait().unwrap();
            assert!(
                Instant::now() < end && over.is_none(),
                "{what}: not seen; over: {over:?}; {}{:#?}",
                self.errors(),
                self.events()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Does `work` again and again, until a finding whose id starts with `id` has begun.
    fn provoke(&mut self, id: &str, mut work: impl FnMut()) {
        let end = Instant::now() + PATIENCE;
        loop {
            let events = self.events();
            if begun(&events).any(|found| found.starts_with(id)) {
                return;
            }
            assert!(Instant::now() < end, "{id}: not seen; {events:#?}");
            work();
        }
    }

    /// Waits until so many octets are written.
    fn wait_for_written(&mut self, octets: u64) {
        self.wait_for("octets are written", |_, events| written(events) >= octets);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end; gives the exit code.
    fn wait(&mut self) -> Option<i32> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < end, "it does not end: {}", self.errors());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Asks it to end, and gives its report.
    fn end(&mut self) -> Value {
        self.signal(Signal::TERM);
        assert_eq!(self.wait(), Some(0), "{}", self.errors());
        self.report()
    }

    fn report(&self) -> Value {
        let last = self.events().pop().unwrap();
        assert_eq!(last["event"], "report", "{last:#}");
        last["report"].clone()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ids of the findings that began.
fn begun(events: &[Value]) -> impl Iterator<Item = &str> {
    let begin = events.iter().filter(|e| e["event"] == "finding-begin");
    begin.filter_map(|e| e["finding"]["id"].as_str())
}

/// Octets written so far.
fn written(events: &[Value]) -> u64 {
    let written = events
        .iter()
        .rev()
        .find_map(|e| e["written"]["octets"].as_u64());
    written.unwrap_or(0)
}

fn troubles(events: &[Value]) -> String {
    let trouble = events.iter().filter(|e| e["event"] == "trouble");
    trouble
        .map(|e| format!("{}\n", e["text"].as_str().unwrap()))
        .collect()
}

/// Ids of the findings of a report that hurt.
fn hurting(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .filter(|f| f["severity"] != "info")
        .map(|f| f["id"].as_str().unwrap())
        .collect()
}

/// What `analyze` says of the files that a run wrote.
fn of_files(folder: &str) -> Value {
    let settings = Settings {
        captures: vec![folder.to_owned()],
        ..Settings::default()
    };
    let text = serde_json::to_string(&analyze(&settings).unwrap()).unwrap();
    // By way of text, as the numbers of the live report went.
    serde_json::from_str(&text).unwrap()
}

/// A run says the same at its end as `analyze` says of its files.
fn same(name: &str, live: &Value, files: &Value) {
    for (key, value) in live.as_object().unwrap() {
        assert_eq!(value, &files[key], "{name}: {key}");
    }
}

/// Takes connections on a port, and reads what comes.
fn sink(host: &Host, port: u16) {
    let listener = host.enter(|| TcpListener::bind((host.addr, port)).unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            thread::spawn(move || {
                let _ = stream.write_all(b"220 sink\r\n");
                let _ = std::io::copy(&mut stream, &mut std::io::sink());
            });
        }
    });
}

/// Sends so many octets to a sink, in a connection of its own.
fn send(from: &Host, to: &Host, port: u16, octets: usize) {
    let to = SocketAddr::from((to.addr, port));
    from.enter(|| {
        let mut stream = TcpStream::connect_timeout(&to, PATIENCE).unwrap();
        stream.read_exact(&mut [0; 10]).unwrap();
        stream.write_all(&vec![b'x'; octets]).unwrap();
    });
}

/// Tries to connect; whether that is refused, or nobody answers.
fn knock(from: &Host, to: &Host, port: u16, patience: Duration) {
    let to = SocketAddr::from((to.addr, port));
    assert!(
        from.enter(|| TcpStream::connect_timeout(&to, patience))
            .is_err()
    );
}

fn captures_in(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn a_refused_and_a_black_holed_server_are_told_while_it_runs() {
    let name = "a_refused_and_a_black_holed_server_are_told_while_it_runs";
    let Some(lab) = lab(name, &["nft"]) else {
        return;
    };
    let folder = Folder::new("live-refused");
    // The command that is called runs as nobody.
    let called = std::env::temp_dir().join(format!("tcptriage-{}-called", std::process::id()));
    let hook = format!("tee -a {}", called.display());
    let hole =
        "table inet hole { chain in { type filter hook input priority 0; tcp dport 587 drop; }; }";
    lab.server.run(command("nft", &[hole])).unwrap();
    let ring = folder.at("ring");
    let mut live = Live::start(
        &lab.client,
        &folder,
        &[
            "--write",
            &ring,
            "--exec-on-finding",
            &hook,
            "--on-finding",
            "warning",
        ],
    );
    live.provoke("connect.refused", || {
        knock(&lab.client, &lab.server, 25, PATIENCE);
        thread::sleep(BREATH);
    });
    live.provoke("connect.unanswered", || {
        knock(&lab.client, &lab.server, 587, Duration::from_secs(8));
    });
    let report = live.end();
    let mut hurts = hurting(&report);
    hurts.sort_unstable();
    assert_eq!(hurts, ["connect.refused", "connect.unanswered"]);
    same(name, &report, &of_files(&ring));
    let told = fs::read_to_string(&called).unwrap();
    fs::remove_file(&called).unwrap();
    assert!(
        told.contains("connect.refused") && told.contains("connect.unanswered"),
        "{told}"
    );
}

#[test]
fn mail_over_a_path_that_loses_is_told_while_it_runs() {
    let name = "mail_over_a_path_that_loses_is_told_while_it_runs";
    let Some(lab) = lab(name, &["nft", "postfix", "smtp-source"]) else {
        return;
    };
    let folder = Folder::new("live-mail");
    let mail = Folder::new("live-postfix");
    let _postfix = postfix(&lab.server, &mail.0, "25 inet n - n - - smtpd", "").unwrap();
    let ring = folder.at("ring");
    let mut live = Live::start(&lab.client, &folder, &["--write", &ring]);
    let to = format!("{}:25", lab.server.addr);
    let source = |messages: &str| {
        let arguments = [
            "-s",
            "2",
            "-m",
            messages,
            "-l",
            "100000",
            "-f",
            "a@example.net",
            "-t",
            "b@example.com",
            &to,
        ];
        lab.client.run(command("smtp-source", &arguments)).unwrap();
    };
    source("4");
    lab.lose_each(20).unwrap();
    live.provoke("loss.", || source("30"));
    let report = live.end();
    let smtp = report["flows"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| f["application"] == "smtp");
    assert!(
        smtp.count() >= 34,
        "each message in a connection of its own"
    );
    let findings = report["findings"].as_array().unwrap();
    let lost = |f: &Value| f["id"].as_str().unwrap().starts_with("loss.");
    assert!(findings.iter().any(lost));
    assert_ne!(report["verdict"]["grade"], "healthy");
    same(name, &report, &of_files(&ring));
}

#[test]
fn a_healthy_share_is_left_in_peace() {
    let name = "a_healthy_share_is_left_in_peace";
    let Some(lab) = lab(name, &["smbd", "smbclient", "smbpasswd"]) else {
        return;
    };
    let folder = Folder::new("live-share");
    let share = Folder::new("live-samba");
    let _samba = samba(&lab.server, &share.0, "").unwrap();
    fs::write(folder.0.join("sent"), vec![7; 4 << 20]).unwrap();
    let ring = folder.at("ring");
    let mut live = Live::start(&lab.server, &folder, &["--write", &ring]);
    let place = format!("//{}/files", lab.server.addr);
    let order = format!(
        "put {} a; get a {}; ls",
        folder.at("sent"),
        folder.at("got")
    );
    lab.client
        .run(command("smbclient", &[&place, "-U", USER, "-c", &order]))
        .unwrap();
    let report = live.end();
    assert!(
        report["flows"]
            .as_array()
            .unwrap()
            .iter()
            .any(|f| f["application"] == "smb")
    );
    same(name, &report, &of_files(&ring));
    // A busy machine may make a server slow, or wait for a timer. Where neither host sent anything again, nothing was lost or refused.
    let again = [&lab.client, &lab.server].map(Host::sent_again);
    let of_path = [
        "loss.",
        "storm.",
        "stall.",
        "checksum.",
        "connect.",
        "close.",
        "reordering.",
        "smb.errors",
    ];
    let accused: Vec<&str> = hurting(&report)
        .into_iter()
        .filter(|id| of_path.iter().any(|family| id.starts_with(family)))
        .collect();
    if again == [0, 0] {
        assert_eq!(accused, [""; 0]);
    } else {
        eprintln!("{name}: {again:?} segments were sent again; {accused:?}");
    }
}

#[test]
fn a_ring_keeps_the_last_files_and_a_kill_loses_one_block_at_most() {
    let name = "a_ring_keeps_the_last_files_and_a_kill_loses_one_block_at_most";
    let Some(lab) = lab(name, &[]) else { return };
    let folder = Folder::new("live-ring");
    let ring = folder.at("ring");
    sink(&lab.server, 25);
    let mut live = Live::start(
        &lab.client,
        &folder,
        &["--write", &ring, "--ring", "3x300kB"],
    );
    // Four times what the ring holds.
    while written(&live.events()) < 3_600_000 {
        send(&lab.client, &lab.server, 25, 400_000);
    }
    // In the middle of a transfer: it goes on until the run has been killed.
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let before = written(&live.events());
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                send(&lab.client, &lab.server, 25, 400_000);
            }
        });
        live.wait_for_written(before + 200_000);
        live.signal(Signal::KILL);
        live.wait();
        over.store(true, Ordering::Relaxed);
    });
    let files = captures_in(&ring);
    assert!((2..=3).contains(&files.len()), "{files:?}");
    let report = of_files(&ring);
    assert!(report["captures"].as_array().unwrap().len() >= 2);
    for capture in report["captures"].as_array().unwrap() {
        let problems = capture["problems"].as_array().unwrap();
        let cut = problems
            .iter()
            .all(|p| p["text"].as_str().unwrap().contains("breaks off"));
        assert!(problems.len() <= 1 && cut, "{capture:#}");
    }
    // The last one may have just begun.
    for file in files.iter().rev().skip(1) {
        assert!(
            fs::metadata(file).unwrap().len() <= 300_000,
            "{}",
            file.display()
        );
        if missing(&["tshark"]).is_none() {
            // It says 2 of a file that ends within a block, and has read all before it.
            let read = Command::new("tshark")
                .args(["-r", file.to_str().unwrap()])
                .output()
                .unwrap();
            assert!(
                !read.stdout.is_empty(),
                "{}",
                String::from_utf8_lossy(&read.stderr)
            );
        }
    }
}

#[test]
fn a_full_disk_ends_the_file_and_not_the_diagnosis() {
    let name = "a_full_disk_ends_the_file_and_not_the_diagnosis";
    let Some(lab) = lab(name, &["mount", "umount"]) else {
        return;
    };
    let folder = Folder::new("live-full");
    let disk = folder.at("disk");
    fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=400k,mode=1777", "none", &disk])
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("{name}: skipped: no small disk can be mounted");
        return;
    }
    sink(&lab.server, 25);
    let mut live = Live::start(&lab.client, &folder, &["--write", &disk]);
    send(&lab.client, &lab.server, 25, 1_500_000);
    live.wait_for("the disk is full", |_, events| {
        troubles(events).contains("No space left")
    });
    // The diagnosis goes on.
    live.provoke("connect.refused", || {
        knock(&lab.client, &lab.server, 26, PATIENCE);
        thread::sleep(BREATH);
    });
    let report = live.end();
    let files = of_files(&disk);
    Command::new("umount").arg(&disk).status().unwrap();
    let frames = |report: &Value| report["totals"]["frames"].as_u64().unwrap();
    assert!(
        frames(&files) >= 4 && frames(&files) < frames(&report),
        "{} of {}",
        frames(&files),
        frames(&report)
    );
    assert_eq!(
        files["captures"][0]["problems"].as_array().unwrap().len(),
        0,
        "it ends with a whole block"
    );
    let told = report["captures"][0]["problems"].to_string();
    assert!(told.contains("could not be written"), "{told}");
}

#[test]
fn an_interface_that_goes_and_comes_back_is_captured_on() {
    let name = "an_interface_that_goes_and_comes_back_is_captured_on";
    let Some(lab) = lab(name, &[]) else { return };
    let folder = Folder::new("live-down");
    sink(&lab.server, 25);
    let mut live = Live::start(&lab.server, &folder, &["--write", &folder.at("ring")]);
    send(&lab.client, &lab.server, 25, 10_000);
    let set = |arguments: &str| {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        lab.server.run(command("ip", &arguments)).unwrap();
    };
    set("link set eth0 down");
    live.wait_for("it is down", |_, events| {
        troubles(events).contains("is down")
    });
    set("link set eth0 up");
    set("route add default via 198.51.100.254");
    live.wait_for("it is up", |_, events| {
        troubles(events).contains("is up again")
    });
    send(&lab.client, &lab.server, 25, 10_000);
    let report = live.end();
    assert_eq!(report["totals"]["flows"], 2, "{:#}", report["flows"]);
    same(name, &report, &of_files(&folder.at("ring")));
}

#[test]
fn an_interface_that_is_removed_ends_the_run_in_good_order() {
    let name = "an_interface_that_is_removed_ends_the_run_in_good_order";
    let Some(lab) = lab(name, &[]) else { return };
    let folder = Folder::new("live-gone");
    sink(&lab.server, 25);
    let ring = folder.at("ring");
    let mut live = Live::start(&lab.client, &folder, &["--write", &ring]);
    send(&lab.client, &lab.server, 25, 10_000);
    live.wait_for("frames are counted", |_, events| {
        events.iter().any(|e| e["frames"].as_u64() >= Some(4))
    });
    let delete = ["link", "del", INTERFACE];
    lab.client.run(command("ip", &delete)).unwrap();
    assert_eq!(live.wait(), Some(0), "{}", live.errors());
    assert!(troubles(&live.events()).contains("is gone"));
    let report = live.report();
    assert_eq!(report["totals"]["flows"], 1, "{:#}", report["flows"]);
    same(name, &report, &of_files(&ring));
}

#[test]
fn readers_that_hang_or_go_away_hold_nothing_up() {
    let name = "readers_that_hang_or_go_away_hold_nothing_up";
    let Some(lab) = lab(name, &[]) else { return };
    let folder = Folder::new("live-readers");
    sink(&lab.server, 25);
    let mut live = Live::start(&lab.client, &folder, &["--metrics", "127.0.0.1:9184"]);
    let metrics = SocketAddr::from(([127, 0, 0, 1], 9184));
    let hanging: Vec<TcpStream> = lab.client.enter(|| {
        (0..20)
            .map(|_| TcpStream::connect(metrics).unwrap())
            .collect()
    });
    send(&lab.client, &lab.server, 25, 100_000);
    live.wait_for("frames are counted", |_, events| {
        events
            .iter()
            .any(|e| e["frames"].as_u64().is_some_and(|n| n >= 4))
    });
    // Those that hang are sent away in time.
    let end = Instant::now() + PATIENCE;
    loop {
        let mut text = String::new();
        lab.client.enter(|| {
            let mut stream = TcpStream::connect(metrics).unwrap();
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n");
            let _ = stream.read_to_string(&mut text);
        });
        if text.contains("tcptriage_service_payload_octets_total{service=\"smtp\"}") {
            break;
        }
        assert!(Instant::now() < end, "{text}");
        thread::sleep(Duration::from_millis(200));
    }
    drop(hanging);
    live.end();

    // Whoever reads the events goes away: the run ends in good order, and its file is closed.
    let ring = folder.at("ring");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcptriage"));
    command
        .args([
            "live", "-i", INTERFACE, "--format", "ndjson", "--write", &ring,
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = lab.client.enter(|| command.spawn().unwrap());
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 10]).unwrap();
    send(&lab.client, &lab.server, 25, 10_000);
    drop(stdout);
    let end = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < end, "it goes on without a reader");
        thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(status.code(), Some(0));
    let files = of_files(&ring);
    // Handshake and greeting came before the reader went away.
    assert!(files["totals"]["frames"].as_u64().unwrap() >= 4);
    assert_eq!(
        files["captures"][0]["problems"].as_array().unwrap().len(),
        0
    );
    assert_eq!(
        files["captures"][0]["dropped_by_capture"], 0,
        "it was closed with its counts"
    );
}

#[test]
fn what_came_before_a_finding_is_written_and_the_run_ends_with_it() {
    let name = "what_came_before_a_finding_is_written_and_the_run_ends_with_it";
    let Some(lab) = lab(name, &[]) else { return };
    let folder = Folder::new("live-before");
    let ring = folder.at("ring");
    sink(&lab.server, 25);
    let mut live = Live::start(
        &lab.client,
        &folder,
        &[
            "--write",
            &ring,
            "--pre-trigger",
            "1h",
            "--until-finding",
            "critical",
        ],
    );
    send(&lab.client, &lab.server, 25, 50_000);
    live.wait_for("a look at the flows", |_, events| {
        events.iter().any(|e| e["frames"].as_u64() >= Some(4))
    });
    assert_eq!(
        captures_in(&ring),
        [""; 0].map(PathBuf::from),
        "nothing was found so far"
    );
    while live.child.try_wait().unwrap().is_none() {
        knock(&lab.client, &lab.server, 26, PATIENCE);
        thread::sleep(BREATH);
    }
    assert_eq!(live.wait(), Some(0), "{}", live.errors());
    let files = of_files(&ring);
    let ports: Vec<&str> = files["flows"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|f| f["server"].as_str()?.rsplit(':').next())
        .collect();
    assert_eq!(ports.first(), Some(&"25"), "the flow from before");
    assert!(
        ports.len() > 1 && ports.iter().skip(1).all(|port| *port == "26"),
        "{ports:?}"
    );
    assert!(hurting(&files).contains(&"connect.refused"));
    assert_eq!(live.report()["captures"][0]["path"], INTERFACE);
}

#[test]
fn what_cannot_be_done_is_one_line_and_two() {
    let tcptriage = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tcptriage"));
        command
            .arg("live")
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    for (name, arguments, told) in [
        ("no such interface", &["-i", "nowhere0"][..], "nowhere0"),
        ("a time of a capture", &["-i", "lo", "--from", "5"], "--for"),
        (
            "evidence without files",
            &["-i", "lo", "-o", "e.pcapng"],
            "--write",
        ),
        (
            "a ring that is none",
            &["-i", "lo", "--ring", "soon"],
            "10x100MB",
        ),
        (
            "hosts hidden and named",
            &["-i", "lo", "--redact", "--metrics", "127.0.0.1:9184"],
            "--metrics",
        ),
        (
            "before what trigger",
            &["-i", "lo", "--pre-trigger", "5s"],
            "--write",
        ),
        (
            "metrics for all",
            &["-i", "lo", "--metrics", "0.0.0.0:9184"],
            "loopback",
        ),
        (
            "no such user",
            &["-i", "lo", "--user", "no-such-user"],
            "no-such-user",
        ),
    ] {
        let output = tcptriage(arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{name}: {errors}");
        assert!(
            errors.lines().count() == 1 && errors.contains(told),
            "{name}: {errors}"
        );
    }
    assert!(Path::new("e.pcapng").metadata().is_err());
}
