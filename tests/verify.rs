//! Before and after a remedy, through the real binary and the whole pipe.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use support::program::tcptriage;

const BEFORE: &str = "captures/exchange2007-nic-team/capture.pcapng";
const AFTER: &str = "captures/exchange2007-after/capture.pcapng";

fn json(args: &[&str]) -> Value {
    let output = tcptriage(args);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn ids(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_str().unwrap())
        .collect()
}

#[test]
fn the_published_case_got_better() {
    let v = json(&[
        "-q", "verify", "--before", BEFORE, "--after", AFTER, "--format", "json",
    ]);
    assert_eq!(v["schema"], "tcptriage.verify/1");
    assert_eq!(v["verdict"], "better", "{}", v["text"]);
    for id in ["storm.retransmission", "throughput.collapse"] {
        assert!(ids(&v["findings"]["gone"]).contains(&id), "{id}");
    }
    assert_eq!(ids(&v["findings"]["new"]), Vec::<&str>::new());
    let test = v["pairs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|p| p["service"] == "tcp/5001" && !p["after"].is_null())
        .unwrap();
    assert_eq!(
        test["hosts"],
        serde_json::json!(["192.168.24.34", "192.168.15.63"])
    );
    let octets_a_second = |run: &str| test[run]["goodput_bps"].as_f64().unwrap() / 8.0;
    assert!(
        (octets_a_second("before") - 557.0).abs() < 10.0,
        "{}",
        octets_a_second("before")
    );
    let after = octets_a_second("after") * 8.0;
    assert!((50e6..70e6).contains(&after), "{after}");
    let goodput = test["changes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["measure"] == "goodput")
        .unwrap();
    assert_eq!(goodput["verdict"], "better");
    assert!(goodput["low"].as_f64().unwrap() > 100.0, "{goodput}");
    // One sentence.
    let text = v["text"].as_str().unwrap();
    assert!(
        text.starts_with("The remedy worked: goodput between 192.168.24.34 and 192.168.15.63"),
        "{text}"
    );
}

#[test]
fn the_other_way_round_and_against_itself() {
    for (name, before, after, want) in [
        ("worse", AFTER, BEFORE, "worse"),
        ("the same capture", AFTER, AFTER, "same"),
        ("the same trouble", BEFORE, BEFORE, "same"),
    ] {
        let v = json(&[
            "-q", "verify", "--before", before, "--after", after, "--format", "json",
        ]);
        assert_eq!(v["verdict"], want, "{name}: {}", v["text"]);
        if name == "the same trouble" {
            assert!(ids(&v["findings"]["still"]).contains(&"storm.retransmission"));
        }
    }
}

#[test]
fn formats_and_exit_codes() {
    for (name, args, code, says) in [
        (
            "text",
            &["--format", "text"][..],
            0,
            "BETTER: The remedy worked",
        ),
        (
            "markdown",
            &["--format", "markdown"],
            0,
            "## Before and after",
        ),
        ("html", &["--format", "html"], 0, "Before and after"),
        ("csv", &["--format", "csv"], 0, "Hosts,Service"),
        (
            "still something bad",
            &["--fail-on", "critical"],
            0,
            "BETTER",
        ),
        ("redacted", &["--redact"], 0, "BETTER"),
    ] {
        let mut all = vec!["-q", "verify", "--before", BEFORE, "--after", AFTER];
        all.extend(args);
        let output = tcptriage(&all);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "{name}");
        assert!(text.contains(says), "{name}: {text:.300}");
        if name == "redacted" {
            assert!(!text.contains("192.168.24.34"), "{name}");
        }
    }
    let worse = tcptriage(&[
        "-q",
        "verify",
        "--before",
        AFTER,
        "--after",
        BEFORE,
        "--fail-on",
        "critical",
    ]);
    assert_eq!(worse.status.code(), Some(1));
    let missing = tcptriage(&["verify", "--before", "/no/such.pcap", "--after", AFTER]);
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn compare_speaks_all_formats() {
    for (name, args, says) in [
        (
            "text",
            &["--format", "text"][..],
            "Between the two captures",
        ),
        (
            "markdown",
            &["--format", "markdown"],
            "## Between the two captures",
        ),
        ("html", &["--format", "html"], "Between the two captures"),
        ("csv", &["--format", "csv"], "From,To,Left,Lost"),
        ("json", &["--format", "json"], "tcptriage.compare/1"),
    ] {
        let mut all = vec!["-q", "compare", AFTER, AFTER];
        all.extend(args);
        let output = tcptriage(&all);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{name}");
        assert!(text.contains(says), "{name}: {text:.300}");
    }
    let v = json(&["-q", "compare", AFTER, AFTER, "--format", "json"]);
    assert_eq!(v["clock"]["offset"], 0.0);
    let flows = v["flows"].as_array().unwrap();
    assert!(!flows.is_empty());
    for flow in flows {
        for way in ["client_to_server", "server_to_client"] {
            for key in [
                "matched",
                "lost",
                "corrupted",
                "duplicated",
                "reordered",
                "modified",
                "only_right",
                "delay",
            ] {
                assert!(!flow[way][key].is_null() || key == "delay", "{key}");
            }
            assert_eq!(flow[way]["lost"], 0);
            assert_eq!(flow[way]["only_right"], 0);
        }
    }
    assert_eq!(
        tcptriage(&["compare", AFTER, "/no/such.pcap"])
            .status
            .code(),
        Some(2)
    );
    assert_eq!(tcptriage(&["compare", AFTER]).status.code(), Some(2));
}
