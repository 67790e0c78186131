//! Hostile text on its whole way, from packets, names, comments and the name of the file into every format.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::convo::{C2S, Convo, S2C};
use support::scene::{About, Scene, pcapng};

/// Markup, quotes, a formula, terminal and bidirectional controls, a link, a template.
const HOSTILE: &str = "=cmd|'/C calc'!A0 <script>alert(1)</script>\"'` \u{1b}[31m\u{9b}31m\u{202e}\u{2066}\u{200b} [x](http://evil.example) {{7*7}}";

fn run(args: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_tcptriage"))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(!said.contains('\u{1b}'), "standard error");
    output.stdout
}

/// A server whose greeting comes late, refuses, and says hostile things all along; another that greets with ten megabytes.
fn capture(folder: &Path) -> PathBuf {
    let hostile = HOSTILE.as_bytes();
    let line = |start: &[u8]| [start, hostile, &[0xff, 0xfe, 0xc3, 0x28], b"\r\n"].concat();
    let mut scene = Scene::new();
    let slow = Convo::new()
        .handshake()
        .wait_ms(40_000)
        .send(S2C, &line(b"220 mx "))
        .send(C2S, &line(b"EHLO c"))
        .send(S2C, &line(b"250 hello "))
        .send(C2S, b"MAIL FROM:<a@b.example>\r\n")
        .send(S2C, b"250 ok\r\n")
        .send(C2S, b"RCPT TO:<c@d.example>\r\n")
        .wait_ms(8_000)
        .send(S2C, &line(b"550 5.7.1 "))
        .send(C2S, b"QUIT\r\n")
        .send(S2C, &line(b"221 "))
        .close(C2S);
    scene.add(slow);
    let long: Vec<u8> = hostile.iter().copied().cycle().take(10_000_000).collect();
    scene.add(
        Convo::new()
            .isn(7, 8)
            .at(60_000_000_000)
            .handshake()
            .stream(S2C, &[b"220 ", &long[..], b"\r\n"].concat())
            .send(C2S, b"QUIT\r\n")
            .close(C2S),
    );
    let about = About {
        comment: HOSTILE,
        interface: HOSTILE,
        names: &[([192, 0, 2, 1], HOSTILE), ([192, 0, 2, 2], HOSTILE)],
    };
    let path = folder.join("a<script>alert(1)<\u{1b}[31m\u{202e}=x.pcapng");
    std::fs::write(&path, pcapng(&about, &scene.frames())).unwrap();
    path
}

/// What must not be in a text, whoever reads it.
fn check(name: &str, octets: &[u8], own_colours: bool) -> String {
    let text = String::from_utf8(octets.to_vec()).unwrap_or_else(|_| panic!("{name}: not UTF-8"));
    for c in text.chars() {
        let acts = matches!(u32::from(c), 0x200b..=0x200f | 0x202a..=0x202e | 0x2066..=0x2069 | 0x80..=0x9f)
            || (c.is_control() && c != '\n' && !(own_colours && c == '\u{1b}'));
        assert!(!acts, "{name}: {:#x}", u32::from(c));
    }
    text
}

#[test]
fn nothing_acts_in_any_format() {
    let folder = std::env::temp_dir().join(format!("tcptriage-hostile-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = capture(&folder);
    let path = path.to_str().unwrap();
    let files: Vec<PathBuf> = ["html", "md", "csv", "txt", "json", "pcapng"]
        .iter()
        .map(|ending| folder.join(format!("r.{ending}")))
        .collect();
    let mut args = vec!["analyze", "--color=always", "-v"];
    for file in &files {
        args.extend(["-o", file.to_str().unwrap()]);
    }
    args.push(path);
    // What colours the program itself needs is bold, faint, red, yellow, green, and their end.
    let text = check("terminal", &run(&args), true);
    for sequence in text.split('\u{1b}').skip(1) {
        let own = ["[0m", "[1m", "[2m", "[31;1m", "[33;1m", "[32;1m"];
        assert!(
            own.iter().any(|o| sequence.starts_with(o)),
            "{sequence:.20}"
        );
    }
    assert!(
        text.contains("<script>alert(1)</script>"),
        "the banner is shown: {text}"
    );
    for file in &files {
        let octets = std::fs::read(file).unwrap();
        assert!(
            octets.len() < 2_000_000,
            "{} octets in {}",
            octets.len(),
            file.display()
        );
        let ending = file.extension().unwrap().to_str().unwrap();
        if ending == "pcapng" {
            let comment = HOSTILE.as_bytes();
            let raw = |part: &[u8]| octets.windows(part.len()).any(|w| w == part);
            assert!(!raw(comment) && !raw(b"\x1b[31m") && !raw("\u{202e}".as_bytes()));
            continue;
        }
        let text = check(ending, &octets, false);
        match ending {
            "html" | "md" => {
                assert!(!text.contains("<script>alert"), "{ending}");
                assert!(!text.contains("\"http://evil"), "{ending}");
                assert!(
                    ending == "html" || !text.contains("](http://evil"),
                    "{ending}"
                );
                assert!(
                    !text.contains("example) 49"),
                    "{ending}: a template was run"
                );
            }
            "csv" => {
                for field in text.lines().flat_map(|l| l.split(',')) {
                    let field = field.trim_start_matches('"');
                    assert!(!field.starts_with(['=', '+', '@', '|', '%']), "{field}");
                }
            }
            "json" => {
                let report: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!(report["flows"].as_array().unwrap().len(), 2);
            }
            _ => {}
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}
