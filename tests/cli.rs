//! The real binary: exit codes, pipes, bad flags, what goes where.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use support::program::tcptriage;

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A sound capture.
const CAPTURE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/captures/exchange2007-after/capture.pcapng"
);

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tcptriage-cli-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn what_cannot_be_done_is_one_line_and_two() {
    for (name, args, said) in [
        ("unknown flag", &["analyze", "--nonsense"][..], "--nonsense"),
        ("unknown command", &["diagnose"], "diagnose"),
        ("no capture", &["analyze"], "CAPTURE"),
        (
            "no such format",
            &["analyze", "x", "--format", "jsn"],
            "json",
        ),
        (
            "no such capture",
            &["analyze", "/no/such/file.pcap"],
            "tcptriage: ",
        ),
        (
            "ending without a format",
            &["analyze", "x", "-o", "report.doc"],
            "report.doc",
        ),
        (
            "folder that is not there",
            &["analyze", "x", "-o", "/no/such/folder/r.json"],
            "/no/such/folder",
        ),
        (
            "bad ports",
            &["analyze", "x", "--ports", "smtp=mail"],
            "smtp=mail",
        ),
        (
            "bad time",
            &["analyze", "x", "--from", "teatime"],
            "teatime",
        ),
        (
            "bad size",
            &["analyze", "x", "--max-memory", "much"],
            "much",
        ),
        ("bad pool", &["analyze", "x", "--pool", "hubs"], "hubs"),
        ("no jobs", &["analyze", "x", "--jobs", "0"], "--jobs"),
        (
            "no such rule",
            &["rules", "show", "no-such-rule"],
            "no-such-rule",
        ),
        (
            "rule file that is not there",
            &["rules", "check", "/no/such.toml"],
            "/no/such.toml",
        ),
        (
            "facts that are not there",
            &["facts", "/no/such/facts.txt"],
            "/no/such/facts.txt",
        ),
        ("no page", &["man", "nonsense"], "nonsense"),
        ("no shell", &["completions", "cmd"], "cmd"),
        (
            "escape sequence in a name",
            &["analyze", "x", "-o", "\u{1b}[31m.doc"],
            ".doc",
        ),
    ] {
        let output = tcptriage(args);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{name}: {text}");
        assert!(output.stdout.is_empty(), "{name}");
        assert!(text.contains(said), "{name}: {text}");
        assert!(
            text.starts_with("tcptriage: ") && !text.contains('\u{1b}'),
            "{name}: {text}"
        );
        let lines = text.lines().count();
        assert!(
            lines == 1 || (name.starts_with("rule file") && lines == 2),
            "{name}: {text}"
        );
    }
}

#[test]
fn help_and_version_are_results() {
    for args in [
        &["--help"][..],
        &["--version"],
        &["analyze", "--help"],
        &["help", "compare"],
    ] {
        let output = tcptriage(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(
            !output.stdout.is_empty() && output.stderr.is_empty(),
            "{args:?}"
        );
    }
    let output = tcptriage(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty() && stderr(&output).contains("Usage:"));
}

#[test]
fn every_command_is_there() {
    let help = stdout(&tcptriage(&["--help"]));
    for command in [
        "analyze",
        "live",
        "compare",
        "verify",
        "segments",
        "explain",
        "rules",
        "facts",
        "collect",
        "interfaces",
        "completions",
        "man",
        "schema",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
        let page = tcptriage(&["man", command]);
        assert_eq!(page.status.code(), Some(0), "{command}");
        assert!(stdout(&page).contains(".SH SYNOPSIS"), "{command}");
    }
}

#[test]
fn every_option_is_there() {
    let common = [
        "-o",
        "--facts",
        "--os",
        "--logs",
        "--rules",
        "--ports",
        "--filter",
        "--from",
        "--to",
        "--jobs",
        "--max-memory",
        "--pool",
        "--show-addresses",
        "--fail-on",
        "--redact",
        "--color",
        "-q",
        "-v",
        "--format",
    ];
    let live = [
        "--for",
        "--packets",
        "--until-finding",
        "--on-finding",
        "--write",
        "--ring",
        "--pre-trigger",
        "--report-every",
        "--metrics",
        "--exec-on-finding",
        "--user",
        "--interface",
    ];
    for (command, own) in [
        ("analyze", &[][..]),
        ("compare", &[]),
        ("verify", &["--before", "--after"]),
        ("live", &live),
    ] {
        let help = stdout(&tcptriage(&[command, "--help"]));
        for option in common.iter().chain(own) {
            assert!(
                help.contains(&format!("{option} "))
                    || help.contains(&format!("{option},"))
                    || help.contains(&format!("{option}\n"))
                    || help.contains(&format!("{option}...")),
                "{command} {option}"
            );
        }
    }
}

#[test]
fn schema_completions_and_scripts() {
    let schema: serde_json::Value = serde_json::from_slice(&tcptriage(&["schema"]).stdout).unwrap();
    for field in [
        "schema",
        "captures",
        "totals",
        "flows",
        "findings",
        "remediations",
        "verdict",
    ] {
        let required = schema["required"].as_array().unwrap();
        assert!(required.iter().any(|r| r == field), "{field}");
    }
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(
            stdout(&tcptriage(&["completions", shell])).contains("tcptriage"),
            "{shell}"
        );
    }
    for os in ["windows", "windows2003", "linux"] {
        assert!(
            tcptriage(&["collect", "--os", os]).stdout.len() > 500,
            "{os}"
        );
    }
}

#[test]
fn rules_are_listed_shown_and_checked() {
    let list = stdout(&tcptriage(&["rules", "list"]));
    let first = list.split_whitespace().next().unwrap();
    let shown = stdout(&tcptriage(&["rules", "show", first]));
    assert!(
        shown.starts_with(&format!("{first}: ")) && shown.len() > 300,
        "{shown}"
    );

    let folder = folder("rules");
    let file = folder.join("my-rule.toml");
    std::fs::write(&file, "title = 5\n").unwrap();
    let output = tcptriage(&["rules", "check", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("my-rule.toml:"),
        "{}",
        stderr(&output)
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn ids_and_codes_are_explained() {
    for id in [
        "smtp.tarpit",
        "offload-chimney",
        "server-think",
        "4.4.2",
        "421",
        "STATUS_ACCESS_DENIED",
        "10054",
    ] {
        let output = tcptriage(&["explain", id]);
        assert_eq!(output.status.code(), Some(0), "{id}: {}", stderr(&output));
        assert!(output.stdout.len() > 40, "{id}");
    }
    let together = tcptriage(&["explain", "421", "4.4.2"]);
    assert_eq!(together.stdout, tcptriage(&["explain", "421 4.4.2"]).stdout);
    assert_eq!(together.status.code(), Some(0));
    let spoken = tcptriage(&["explain", "Connection dropped"]);
    assert!(stderr(&spoken).contains("4.4.2"), "{}", stderr(&spoken));
    let output = tcptriage(&["explain", "smtp.tarpitt"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("smtp.tarpit") && stderr(&output).lines().count() == 1);
}

#[test]
fn facts_are_shown_with_their_place_and_hostile_lines_are_harmless() {
    let folder = folder("facts");
    let file = folder.join("netsh.txt");
    std::fs::write(
        &file,
        "Receive-Side Scaling State          : enabled\n\u{1b}]0;owned\u{7}\n",
    )
    .unwrap();
    let name = format!("hub1={}", file.display());
    let text = stdout(&tcptriage(&["facts", &name]));
    assert!(
        text.starts_with("hub1\n")
            && text.contains("nic.rss = enabled")
            && text.contains("netsh.txt:1"),
        "{text}"
    );
    assert!(
        !text.contains('\u{1b}') && !text.contains('\u{7}'),
        "{text}"
    );
    let json: serde_json::Value =
        serde_json::from_slice(&tcptriage(&["facts", &name, "--format", "json"]).stdout).unwrap();
    assert_eq!(json["facts"][0]["host"], "hub1");
    assert_eq!(json["facts"][0]["line"], 1);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_file_that_is_no_facts_and_no_log_is_an_error_that_names_what_is_known() {
    let folder = folder("unknown");
    let write = |name: &str, text: &str| {
        let file = folder.join(name);
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let notes = write("notes.txt", "Dear all,\n\nthe mail is slow.\n");
    let empty = write("empty.txt", "");
    let netsh = write(
        "netsh.txt",
        "Receive-Side Scaling State          : enabled\n",
    );
    let log = write(
        "RECV1.LOG",
        "#Software: Microsoft Exchange Server\n#Version: 14.0.0.0\n#Log-type: SMTP Receive Protocol Log\n\
         #Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context\n",
    );
    let capture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/captures/exchange2007-after/capture.pcapng"
    );
    for (name, args, code, said) in [
        ("facts, shown", vec!["facts", &notes], 2, "ethtool"),
        (
            "facts, one of two",
            vec!["facts", &netsh, &empty],
            2,
            "empty.txt",
        ),
        ("facts, good", vec!["facts", &netsh], 0, ""),
        (
            "facts",
            vec!["analyze", capture, "--facts", &notes],
            2,
            "netsh",
        ),
        (
            "nothing",
            vec!["analyze", capture, "--facts", &empty],
            2,
            "empty.txt",
        ),
        (
            "a log",
            vec!["analyze", capture, "--logs", &notes],
            2,
            "SmtpReceive",
        ),
        (
            "facts for a log",
            vec!["analyze", "--logs", &netsh],
            2,
            "#Fields",
        ),
        (
            "a log of a quiet day",
            vec!["analyze", capture, "--logs", &log],
            0,
            "",
        ),
    ] {
        let output = tcptriage(&args);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{name}: {text}");
        assert!(text.contains(said), "{name}: {text}");
        if code == 2 {
            assert_eq!(text.lines().count(), 1, "{name}: {text}");
        }
    }
    let two = stdout(&tcptriage(&["facts", &netsh, &empty]));
    assert!(
        two.contains("nic.rss = enabled"),
        "what was understood is shown: {two}"
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_cause_is_told_once_and_a_span_that_leaves_nothing_is_named() {
    let text = stderr(&tcptriage(&["analyze", "/no/such/file.pcap"]));
    assert_eq!(text.matches("os error").count(), 1, "{text}");
    let capture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/captures/exchange2007-after/capture.pcapng"
    );
    let host = "192.0.2.1=Windows Server 2008 R2";
    let args = ["analyze", capture, "--to", "1999-01-01", "--os", host];
    let text = stdout(&tcptriage(&args));
    assert!(
        text.starts_with("CANNOT TELL: The filter or time span leaves 0 of "),
        "{text}"
    );
}

#[test]
fn an_input_is_never_written_over() {
    let folder = folder("input");
    let file = folder.join("facts.txt");
    std::fs::write(&file, "precious").unwrap();
    let name = file.to_str().unwrap();
    for args in [
        ["analyze", name, "-o", name, "--color", "never"],
        ["analyze", "x.pcap", "--facts", name, "-o", name],
    ] {
        let output = tcptriage(&args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn no_file_of_a_folder_or_pattern_is_written_over() {
    let folder = folder("inside");
    let inside = folder.join("before");
    std::fs::create_dir_all(&inside).unwrap();
    let (precious, other) = (inside.join("v.pcapng"), folder.join("after.pcapng"));
    for file in [&precious, &other] {
        std::fs::copy(CAPTURE, file).unwrap();
    }
    let was = std::fs::read(&precious).unwrap();
    let [inside, precious, other] = [&inside, &precious, &other].map(|p| p.to_str().unwrap());
    let pattern = format!("{inside}/*.pcapng");
    for args in [
        &[
            "verify", "--before", inside, "--after", other, "-o", precious,
        ][..],
        &[
            "verify", "--before", &pattern, "--after", other, "-o", precious,
        ],
        &[
            "verify", "--before", other, "--after", inside, "-o", precious,
        ],
        &["compare", inside, other, "-o", precious],
        &["compare", other, &pattern, "-o", precious],
        &["analyze", inside, "-o", precious],
        &["analyze", inside, "--redact", "--redact-key", precious],
        &["analyze", other, "--rules", precious, "-o", precious],
        &["analyze", other, "--logs", precious, "-o", precious],
    ] {
        let output = tcptriage(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            stderr(&output).contains("one of the files to be read"),
            "{args:?}: {}",
            stderr(&output)
        );
        assert!(std::fs::read(precious).unwrap() == was, "{args:?}");
    }
    let new = folder.join("new.html");
    let new = new.to_str().unwrap();
    let key = ["--redact", "--redact-key", new];
    let twice = tcptriage(&[&["analyze", other, "-o", new][..], &key].concat());
    assert!(stderr(&twice).contains("twice") && !std::path::Path::new(new).exists());
    std::fs::remove_dir_all(folder).unwrap();
}

#[cfg(unix)]
#[test]
fn what_can_be_read_once_is_read_once() {
    let folder = folder("pipes");
    let [evidence, page] = ["e.pcapng", "r.html"].map(|n| folder.join(n).display().to_string());
    let tool = env!("CARGO_BIN_EXE_tcptriage");
    let run = |script: &str| {
        Command::new("bash")
            .args(["-c", script])
            .stdin(Stdio::null())
            .output()
    };
    if run("cat <(true)").is_ok_and(|done| done.status.success()) {
        // `/dev/fd/63` and `/dev/fd/62` differ in numbers only, and are no rotated set.
        let two = run(&format!(
            "'{tool}' analyze --format json <(cat '{CAPTURE}') <(cat '{CAPTURE}')"
        ));
        let two = two.unwrap();
        assert_eq!(two.status.code(), Some(0), "{}", stderr(&two));
        let report: serde_json::Value = serde_json::from_slice(&two.stdout).unwrap();
        let frames = |at: usize| report["captures"][at]["frames"].as_u64().unwrap();
        assert!(frames(0) > 0 && frames(0) == frames(1));
        // Refused before the pipe is opened: nobody ever writes into it.
        let made = run(&format!("mkfifo '{0}/a' '{0}/b'", folder.display()));
        assert!(made.unwrap().status.success());
        let pipe = folder.join("a").display().to_string();
        for (args, said) in [
            (vec!["analyze", &pipe, "-o", &evidence], "a second time"),
            (vec!["analyze", "-", "-o", &evidence], "a second time"),
            (
                vec!["compare", &pipe, CAPTURE, "-o", &evidence],
                "a second time",
            ),
            (
                vec![
                    "verify", "--before", &pipe, "--after", CAPTURE, "-o", &evidence,
                ],
                "a second time",
            ),
            (vec!["compare", &pipe, &pipe], "twice"),
        ] {
            let output = tcptriage(&args);
            assert_eq!(output.status.code(), Some(2), "{args:?}");
            let text = stderr(&output);
            assert!(text.contains(said) && text.contains("save it"), "{text}");
        }
        let once = run(&format!("cat '{CAPTURE}' | '{tool}' analyze - -o '{page}'"));
        assert_eq!(once.unwrap().status.code(), Some(0));
    }
    for args in [["compare", "-", "-"], ["analyze", "-", "-"]] {
        let text = stderr(&tcptriage(&args));
        assert!(text.contains("standard input twice"), "{text}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[cfg(unix)]
#[test]
fn the_report_is_printed_where_a_file_cannot_be_written() {
    let folder = folder("full");
    // The folder is taken away while the capture is read, which comes by a pipe that the test holds.
    let inside = folder.join("inside");
    std::fs::create_dir_all(&inside).unwrap();
    let target = inside.join("r.json").display().to_string();
    let other = folder.join("other.json").display().to_string();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tcptriage"))
        .args([
            "analyze", "-", "-o", &target, "-o", &other, "--format", "json",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let octets = std::fs::read(CAPTURE).unwrap();
    let (head, tail) = octets.split_at(octets.len() / 2);
    let mut pipe = child.stdin.take().unwrap();
    // More than a pipe holds: when it has gone in, the arguments were looked at.
    assert!(head.len() > 1 << 18);
    pipe.write_all(head).unwrap();
    std::fs::remove_dir_all(&inside).unwrap();
    let _ = pipe.write_all(tail);
    drop(pipe);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("r.json"), "{}", stderr(&output));
    serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
    serde_json::from_slice::<serde_json::Value>(&std::fs::read(&other).unwrap()).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn names_that_shells_and_patterns_read_otherwise() {
    let folder = folder("names");
    let missing = folder.join("a[b.pcap").display().to_string();
    let text = stderr(&tcptriage(&["analyze", &missing]));
    assert!(text.contains("there is no such file"), "{text}");
    let snoop = folder.join("a $(x).snoop").display().to_string();
    std::fs::write(&snoop, b"snoop\0\0\0\0\0\0\x01\0\0\0\x04").unwrap();
    let text = stderr(&tcptriage(&["analyze", &snoop]));
    assert!(
        text.contains(&format!("editcap -F pcapng '{snoop}' '{snoop}.pcapng'")),
        "{text}"
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tcptriage"))
        .arg("schema")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", stderr(&output));
}

#[cfg(not(feature = "live"))]
#[test]
fn without_live_it_says_how_to_get_it() {
    for args in [&["live", "-i", "eth0"][..], &["interfaces"]] {
        let output = tcptriage(args);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("libpcap-dev") && stderr(&output).lines().count() == 1);
    }
}
