//! Secrets and what people wrote, planted as markers in dialogs that have every reason to be told of: none of them is in any output, unless
//! it was asked for by name.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use support::convo::{C2S, Convo, S2C};
use support::scene::{About, Scene, pcapng};
use support::scenes::*;

/// Passwords, hashes, contents: nobody may ask for them.
const SECRETS: &[&str] = &[
    "sesame-plain",
    "sesame-login-user",
    "sesame-login-word",
    "sesame-cram",
    "sesame-late",
    "sesame-lower",
    "sesame-bare",
    "sesame-echoed",
    "sesame-oauth",
    "sesame-http",
    "sesame-imap",
    "sesame-pop",
    "sesame-ntlm-user",
    "sesame-ntlm-hash",
    "sesame-smb1-word",
    "sesame-file",
    "sesame-subject",
    "sesame-body",
    "sesame-header",
    "sesame-bdat",
    "sesame-unknown",
    "sesame-burl",
    "sesame-client",
    "sesame-mistyped",
    "sesame-noop",
    "sesame-help",
    "XSESAME-WORD",
    "sesame-timeout",
    "sesame-line",
];

/// The same in what hosts say of themselves.
const FACTS: &[&str] = &["sesame-fact", "sesame-inline", "sesame-key", "sesame-table"];

/// Addresses of mail users: for `--show-addresses`.
const ADDRESSES: &[&str] = &[
    "marker-sender",
    "marker-recipient",
    "marker-refused",
    "marker-asked",
    "marker-xtext",
    "marker-bounces",
    "marker-url",
];

fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Whether octets hold a marker in any of the ways that it was sent in.
fn holds(octets: &[u8], marker: &str) -> bool {
    // Of base64, what does not depend on its neighbours.
    let forms = (0..3).map(|skip| {
        let coded = base64(&format!("{}{marker}", &"---"[skip..]));
        coded.as_bytes()[4..coded.len() - 4].to_vec()
    });
    forms
        .chain([marker.as_bytes().to_vec(), wide(marker)])
        .any(|form| octets.windows(form.len()).any(|w| w == form))
}

/// Turns of an SMTP session: what the client says, and the answer, late, so that it is told of.
fn mail(port: u16, turns: &[(String, &str)]) -> Convo {
    let mut convo = between(1, port, 25, 25)
        .handshake()
        .wait_ms(6_000)
        .send(S2C, b"220 mx.example ESMTP\r\n")
        .send(C2S, b"EHLO client.example\r\n")
        .send(
            S2C,
            b"250-mx.example\r\n250-AUTH PLAIN LOGIN CRAM-MD5 NTLM XOAUTH2\r\n250-CHUNKING\r\n250 SIZE\r\n",
        );
    for (said, answer) in turns {
        convo = convo
            .send(C2S, format!("{said}\r\n").as_bytes())
            .ack(S2C)
            .wait_ms(7_000)
            .send(S2C, format!("{answer}\r\n").as_bytes());
    }
    convo
        .send(C2S, b"QUIT\r\n")
        .send(S2C, b"221 bye\r\n")
        .close(C2S)
}

/// An NTLM message that proves who the client is ([MS-NLMP] section 2.2.1.3), with fields at their offsets.
fn ntlm() -> Vec<u8> {
    let (user, hash) = (wide("sesame-ntlm-user"), b"sesame-ntlm-hash");
    let mut message = b"NTLMSSP\0\x03\0\0\0".to_vec();
    let mut at = 64;
    for length in [0, hash.len(), 0, user.len(), 0, 0] {
        message.extend((length as u16).to_le_bytes());
        message.extend((length as u16).to_le_bytes());
        message.extend((at as u32).to_le_bytes());
        at += length;
    }
    message.extend([5, 2, 0, 0]);
    message.extend(hash);
    message.extend(user);
    message
}

/// Mail with every kind of login, SMB with logins and contents, and other protocols.
fn capture(folder: &Path) -> PathBuf {
    let t = |said: &str, answer: &'static str| (said.to_owned(), answer);
    let mut scene = Scene::new();
    let sessions: Vec<Vec<(String, &str)>> = vec![
        vec![
            (
                format!("AUTH PLAIN {}", base64("\0user\0sesame-plain")),
                "535 5.7.8 no",
            ),
            t("AUTH LOGIN", "334 VXNlcm5hbWU6"),
            (base64("sesame-login-user"), "334 UGFzc3dvcmQ6"),
            (base64("sesame-login-word"), "535 5.7.8 no"),
            t("AUTH CRAM-MD5", "334 PDE2LjE+"),
            (base64("user sesame-cram"), "535 5.7.8 no"),
            t("AUTH PLAIN", "334 "),
            (base64("\0u\0sesame-late"), "454 4.7.0 later"),
            (
                format!("auth plain {}", base64("\0u\0sesame-lower")),
                "535 5.7.8 no",
            ),
            (
                format!("AUTH XOAUTH2 {}", base64("auth=Bearer sesame-oauth")),
                "334 eyJzdGF0dXMiOiI0MDEifQ==",
            ),
            t("", "535 5.7.8 no"),
            (
                format!("AUTH NTLM {}", STANDARD.encode(ntlm())),
                "535 5.7.8 no",
            ),
            // A client that has lost its place, and a server that says what it did not understand.
            (base64("sesame-bare"), "500 5.5.1 what"),
            (
                base64("xx sesame-echoed"),
                "500 5.5.1 unknown command eHggc2VzYW1lLWVjaG9lZA==",
            ),
        ],
        vec![
            t("MAIL FROM:<marker-sender@a.example>", "250 ok"),
            t(
                "RCPT TO:<marker-refused@b.example>",
                "550 5.1.1 <marker-refused@b.example>: no such user marker-refused@b.example",
            ),
            t(
                "RCPT TO:<marker-recipient@b.example>",
                "451 4.3.0 marker-recipient@b.example try later",
            ),
            t(
                "VRFY marker-asked@b.example",
                "252 perhaps marker-asked@b.example",
            ),
            t(
                "RCPT TO:<marker-recipient@b.example>",
                "250 ok marker-recipient@b.example",
            ),
            t("DATA", "354 go"),
            t(
                "From: marker-sender@a.example\r\nTo: marker-recipient@b.example\r\nSubject: sesame-subject\r\n\
                 X-Secret: sesame-header\r\nMessage-ID: <1@a.example>\r\n\r\nsesame-body\r\nAUTH PLAIN sesame-body\r\n.",
                "452 4.3.1 from marker-sender@a.example to <marker-recipient@b.example>: out of room",
            ),
            t("MAIL FROM:<marker-sender@a.example>", "250 ok"),
            t("RCPT TO:<marker-recipient@b.example>", "250 ok"),
            t(
                "BDAT 14 LAST\r\nsesame-bdat\r\n",
                "550 5.7.1 marker-sender@a.example not wanted",
            ),
        ],
        // Commands with secrets in them, each refused, and late.
        vec![
            t("XCLIENT LOGIN=ann PASS=sesame-client", "550 5.7.0 no"),
            t("XAUTH PLAIN sesame-mistyped", "500 5.5.1 what"),
            t("NOOP sesame-noop", "450 4.3.2 later"),
            t("HELP sesame-help", "450 4.3.2 later"),
            t("AUTH LOGIN", "504 5.5.4 no"),
            t("XSESAME-WORD", "500 5.5.1 what"),
            t(
                "MAIL FROM:<marker-bounces=ann.example@a.example> AUTH=marker-xtext+40b.example",
                "450 4.1.8 <marker-bounces=ann.example@a.example>: see http://x.example/?to=marker-url%40b.example",
            ),
            t(
                "DATA",
                "421 4.4.2 timeout; last was: AUTH PLAIN sesame-timeout01=",
            ),
            t(
                "BURL imap://ann@b.example/;URLAUTH=submit+ann:internal:sesame-burl LAST",
                "550 5.7.8 no",
            ),
        ],
        // The capture has lost its place: lines of a body look like commands.
        vec![
            t("DATA", "354 go"),
            t("quit", "250 ok"),
            t("Xavier wrote sesame-line", "450 4.3.2 later"),
            t("Data sesame-line", "450 4.3.2 later"),
            t("Send sesame-line now", "450 4.3.2 later"),
        ],
    ];
    for (n, turns) in (0..).zip(&sessions) {
        scene.add(mail(49_152 + n, turns));
    }

    let mut login = vec![25, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 88, 0];
    let token = ntlm();
    login.extend((token.len() as u16).to_le_bytes());
    login.resize(24, 0);
    login.extend(&token);
    let mut write = vec![49, 0, 112, 0];
    write.extend(11_u32.to_le_bytes());
    write.resize(48, 0);
    write.extend(b"sesame-file");
    let mut read = vec![17, 0, 80, 0];
    read.extend(11_u32.to_le_bytes());
    read.resize(16, 0);
    read.extend(b"sesame-file");
    let mut smb = between(1, 50_000, 40, 445).handshake();
    for (id, (command, request, status, response)) in [
        (
            1_u16,
            &login,
            0xc000_006d_u32,
            &vec![9, 0, 0, 0, 0, 0, 0, 0],
        ),
        (1, &login, 0, &vec![9, 0, 0, 0, 0, 0, 0, 0]),
        (9, &write, 0xc000_007f, &vec![9, 0, 0, 0, 0, 0, 0, 0]),
        (
            9,
            &write,
            0,
            &vec![17, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ),
        (8, &vec![49, 0, 80, 0], 0, &read),
    ]
    .into_iter()
    .enumerate()
    {
        smb = smb
            .send(C2S, &smb2(command, id as u64, None, 1, request))
            .ack(S2C)
            .wait_ms(8_000)
            .send(S2C, &smb2(command, id as u64, Some(status), 1, response));
    }
    scene.add(smb.close(C2S));

    // SMB 1 with a password in clear ([MS-CIFS] section 2.2.4.53.1).
    let mut words = vec![0xff, 0, 0, 0, 0xff, 0xff, 2, 0, 1, 0, 0, 0, 0, 0];
    words.extend([16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let mut one = b"\xffSMB\x73\0\0\0\0\x18\x01\0".to_vec();
    one.resize(32, 0);
    one.push(13);
    one.extend(&words);
    one.extend([30, 0]);
    one.extend(b"sesame-smb1-wordsesame-ntlm-user\0");
    let mut message = (one.len() as u32).to_be_bytes().to_vec();
    message.extend(&one);
    let mut refused = b"\xffSMB\x73\x6d\0\0\xc0\x98\x01\0".to_vec();
    refused.resize(32, 0);
    refused.extend([0, 0, 0]);
    let mut answer = (refused.len() as u32).to_be_bytes().to_vec();
    answer.extend(&refused);
    scene.add(
        between(1, 50_100, 41, 445)
            .handshake()
            .send(C2S, &message)
            .ack(S2C)
            .wait_ms(8_000)
            .send(S2C, &answer)
            .close(C2S),
    );

    for (n, port, asked, told) in [
        (
            0,
            80,
            format!(
                "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {}\r\n\r\n",
                base64("u:sesame-http")
            ),
            "HTTP/1.1 401 No\r\n\r\n",
        ),
        (
            1,
            143,
            "a LOGIN user sesame-imap\r\n".to_owned(),
            "a NO\r\n",
        ),
        (2, 110, "PASS sesame-pop\r\n".to_owned(), "-ERR no\r\n"),
        (
            3,
            9999,
            "sesame-unknown\r\n".to_owned(),
            "sesame-unknown too\r\n",
        ),
    ] {
        scene.add(
            between(1, 50_200 + n, 42, port)
                .handshake()
                .send(C2S, asked.as_bytes())
                .ack(S2C)
                .wait_ms(8_000)
                .send(S2C, told.as_bytes())
                .send(C2S, asked.as_bytes())
                .wait_ms(900)
                .again()
                .rst(S2C),
        );
    }
    let path = folder.join("secrets.pcapng");
    fs::write(&path, pcapng(&About::default(), &scene.frames())).unwrap();
    path
}

/// What two hosts say of themselves, with passwords where administrators put them.
fn facts(folder: &Path) -> PathBuf {
    let text = "$ postconf -n\nsmtpd_error_sleep_time = 1s\nsmtp_sasl_password_maps = static:relay:sesame-fact\n\
                smtp_sasl_auth_cache_name = inline:{x=sesame-inline}\n\
                postscreen_dnsbl_reply_map = inline:{{sesame-key.example = list.example}}\n\
                smtpd_client_restrictions = check_client_access static:{sesame-table}, permit\n\
                $ sysctl -a\nnet.ipv4.tcp_sack = 1\n";
    let path = folder.join("facts.txt");
    fs::write(&path, text).unwrap();
    path
}

/// A receive log of the first session, as Exchange writes it where somebody had it write everything.
fn log(folder: &Path) -> PathBuf {
    let mut text = "#Software: Microsoft Exchange Server\r\n#Version: 14.0.0.0\r\n#Log-type: SMTP Receive Protocol Log\r\n\
         #Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context\r\n"
        .to_owned();
    for (n, (event, data)) in [
        ("+", String::new()),
        (">", "220 mx.example ESMTP".to_owned()),
        ("<", "EHLO client.example".to_owned()),
        (
            "<",
            format!("AUTH PLAIN {}", base64("\0user\0sesame-plain")),
        ),
        (">", "535 5.7.8 no".to_owned()),
        ("<", base64("sesame-bare")),
        ("<", "MAIL FROM:<marker-sender@a.example>".to_owned()),
        (">", "451 4.7.0 marker-sender@a.example not now".to_owned()),
        ("-", String::new()),
    ]
    .into_iter()
    .enumerate()
    {
        text.push_str(&format!(
            "2023-11-14T22:13:{:02}.000Z,MAIL\\In,08D892B7A9441226,{n},192.0.2.25:25,192.0.2.1:49152,{event},{data},\r\n",
            20 + n * 3
        ));
    }
    let path = folder.join("RECV.LOG");
    fs::write(&path, text).unwrap();
    path
}

/// Standard output and standard error together.
fn run(args: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_tcptriage"))
        .args(args)
        .env("RUST_LOG", "trace")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{args:?}: {said}");
    [output.stdout, output.stderr].concat()
}

fn folder(name: &str) -> PathBuf {
    let folder =
        std::env::temp_dir().join(format!("tcptriage-secrets-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Everything that the program writes of the capture with these options, each with its name.
fn outputs(folder: &Path, options: &[&str]) -> Vec<(String, Vec<u8>)> {
    let (capture, log, facts) = (capture(folder), log(folder), facts(folder));
    let [capture, log, facts] = [&capture, &log, &facts].map(|path| path.to_str().unwrap());
    let mut all = Vec::new();
    let known = format!("192.0.2.25={facts}");
    let mut args = vec!["analyze", "-v", "--logs", log, "--facts", &known];
    args.extend(options);
    let files: Vec<PathBuf> = ["json", "md", "html", "txt", "csv", "pcapng"]
        .map(|ending| folder.join(format!("report.{ending}")))
        .to_vec();
    for file in &files {
        args.extend(["-o", file.to_str().unwrap()]);
    }
    args.push(capture);
    all.push(("terminal".to_owned(), run(&args)));
    for file in &files {
        let name = file.extension().unwrap().to_str().unwrap();
        all.push((name.to_owned(), fs::read(file).unwrap()));
    }
    for command in ["compare", "verify"] {
        let mut args = vec![command, "-v", "--format", "json"];
        args.extend(options);
        if command == "verify" {
            args.extend(["--before", capture, "--after", capture]);
        } else {
            args.extend([capture, capture]);
        }
        all.push((command.to_owned(), run(&args)));
    }
    for format in ["text", "json"] {
        let name = format!("facts as {format}");
        all.push((name, run(&["facts", "--format", format, facts])));
    }
    all
}

#[test]
fn no_secret_is_in_any_output() {
    let folder = folder("all");
    let mut all = outputs(&folder, &[]);
    let capture = folder.join("secrets.pcapng");
    for format in ["text", "tsv", "json"] {
        let told = run(&[
            "segments",
            "-v",
            "--format",
            format,
            capture.to_str().unwrap(),
        ]);
        all.push((format!("segments as {format}"), told));
    }
    let raw = [fs::read(&capture), fs::read(folder.join("facts.txt"))].map(Result::unwrap);
    let raw = raw.concat();
    for marker in SECRETS.iter().chain(FACTS).chain(ADDRESSES) {
        assert!(holds(&raw, marker), "{marker} is not planted");
        for (name, octets) in &all {
            assert!(!holds(octets, marker), "{marker} is in {name}");
        }
    }
    // What is told of the dialogs is told.
    let text = String::from_utf8_lossy(&all[0].1);
    assert!(text.contains("535") || text.contains("550"), "{text}");
    assert!(
        all.iter()
            .any(|(name, octets)| name == "facts as text" && holds(octets, "permit"))
    );
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn addresses_are_shown_where_they_are_asked_for_and_secrets_never() {
    let folder = folder("shown");
    let all = outputs(&folder, &["--show-addresses"]);
    for marker in SECRETS.iter().chain(FACTS) {
        for (name, octets) in &all {
            // The evidence has whole frames then.
            assert!(
                name == "pcapng" || !holds(octets, marker),
                "{marker} is in {name}"
            );
        }
    }
    let json = &all.iter().find(|(name, _)| name == "json").unwrap().1;
    assert!(holds(json, "marker-refused"));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn redaction_leaves_no_address() {
    let folder = folder("redacted");
    let all = outputs(&folder, &["--redact", "--show-addresses"]);
    let hosts = [
        "192.0.2.1",
        "192.0.2.25",
        "192.0.2.40",
        "192.0.2.41",
        "192.0.2.42",
    ];
    let raw = fs::read(folder.join("secrets.pcapng")).unwrap();
    for (name, octets) in &all {
        for marker in SECRETS.iter().chain(ADDRESSES) {
            assert!(!holds(octets, marker), "{marker} is in {name}");
        }
        for name_of in ["mx.example", "client.example"] {
            assert!(!holds(octets, name_of), "{name_of} is in {name}");
        }
        let text = String::from_utf8_lossy(octets);
        for host in hosts {
            let digits = |c: char| c.is_ascii_digit() || c == '.';
            let whole = text.match_indices(host).any(|(at, _)| {
                !text[..at].ends_with(digits) && !text[at + host.len()..].starts_with(digits)
            });
            assert!(!whole, "{host} is in {name}");
            let bits: Vec<u8> = host.split('.').map(|n| n.parse().unwrap()).collect();
            assert!(raw.windows(4).any(|w| w == bits), "{host}");
            assert!(
                name != "pcapng" || !octets.windows(4).any(|w| w == bits),
                "{host} is in the evidence"
            );
        }
    }
    fs::remove_dir_all(folder).unwrap();
}

/// What names hosts, people and places, in every text that servers and clients send, and in the names of folders and files.
const NAMES: &[&str] = &[
    "zaphodhost",
    "zaphodcorp",
    "zaphodclient",
    "zaphodpc",
    "zaphodfiles",
    "zaphod-share",
    "zaphodtown",
    "zaphodfolder",
    "zaphodcut",
    "10-9-8-7",
    "192.168.77.88",
    "47110815",
];

/// A server that says much of itself, and is stuck in the end.
fn talkative(banner: &str, ehlo: &str) -> Vec<u8> {
    let mut scene = Scene::new();
    let mut convo = between(1, 49_152, 25, 25)
        .handshake()
        .wait_ms(6_000)
        .send(S2C, format!("220 {banner}\r\n").as_bytes())
        .send(C2S, format!("EHLO {ehlo}\r\n").as_bytes())
        .send(
            S2C,
            b"250-zaphodhost Hello zaphodclient [192.168.77.88]\r\n250 SIZE\r\n",
        );
    for text in [
        "from zaphodhost [192.168.77.88] user <a@b.example>, host=ip-10-9-8-7 zaphodpc$",
        r"\\zaphodfiles\zaphod-share of zaphodcorp, call zaphodtown 47110815",
    ] {
        convo = convo
            .send(C2S, b"RCPT TO:<a@b.example>\r\n")
            .ack(S2C)
            .wait_ms(7_000)
            .send(S2C, format!("550 5.1.1 {text}\r\n").as_bytes());
    }
    convo = convo.send(C2S, b"QUIT\r\n");
    for _ in 0..6 {
        convo = convo.wait_ms(3_000).again();
    }
    scene.add(convo.rst(C2S));
    pcapng(&About::default(), &scene.frames())
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).to_lowercase()
}

#[test]
fn redaction_leaves_no_word_of_others() {
    let folder = folder("words");
    let inside = folder.join("zaphodfolder");
    fs::create_dir_all(&inside).unwrap();
    let banner = "zaphodhost Microsoft ESMTP MAIL Service, Version: 6.0 ready at zaphodcorp";
    let capture = inside.join("zaphodtown.pcapng");
    fs::write(&capture, talkative(banner, "zaphodclient")).unwrap();
    fs::write(inside.join("zaphodcut.pcap"), b"no capture").unwrap();
    fs::write(inside.join("facts.txt"), b"net.ipv4.tcp_sack = 0\n").unwrap();
    let [inside, capture, facts] =
        [&inside, &capture, &inside.join("facts.txt")].map(|p| p.to_str().unwrap().to_owned());
    let outputs = ["json", "md", "html", "txt", "csv", "pcapng"];
    let outputs = outputs.map(|ending| folder.join(format!("r.{ending}")));
    let told = |redact: &[&str]| {
        let mut all = Vec::new();
        for (name, command) in [
            ("analyze", vec!["analyze", "-v", &inside, "--facts", &facts]),
            (
                "a host by name",
                vec!["analyze", "-v", &capture, "--os", "zaphodpc=ws2008r2"],
            ),
            ("compare", vec!["compare", "-v", &inside, &capture]),
            (
                "verify",
                vec!["verify", "-v", "--before", &inside, "--after", &capture],
            ),
        ] {
            let mut args = [&command, redact].concat();
            for output in &outputs {
                args.extend(["-o", output.to_str().unwrap()]);
            }
            let output = Command::new(env!("CARGO_BIN_EXE_tcptriage"))
                .args(["-q"])
                .args(&args)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            assert_eq!(
                output.status.code(),
                Some(0),
                "{name}: {}",
                text(&output.stderr)
            );
            all.push((format!("{name} on the terminal"), text(&output.stdout)));
            for output in &outputs {
                let ending = output.extension().unwrap().to_str().unwrap();
                all.push((
                    format!("{name} as {ending}"),
                    text(&fs::read(output).unwrap()),
                ));
            }
        }
        all
    };
    let (open, redacted) = (told(&[]), told(&["--redact"]));
    for name in NAMES {
        let said = open.iter().any(|(_, text)| text.contains(name));
        assert!(said, "{name} is in no report that is not redacted");
        for (place, text) in &redacted {
            let at = text.find(name);
            let around = at.map(|at| {
                text[at.saturating_sub(80)..]
                    .chars()
                    .take(200)
                    .collect::<String>()
            });
            assert_eq!(around, None, "{name} in {place}");
        }
    }
    // What is ours stays.
    for stays in [
        "microsoft esmtp mail service",
        "550 5.1.1",
        "left out: ",
        "is not a capture file",
    ] {
        assert!(redacted[0].1.contains(stays), "{stays}: {}", redacted[0].1);
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn redaction_leaves_advice_as_it_is() {
    let folder = folder("advice");
    let words = "netsh int tcp set global show interface ethtool on if the host runs windows linux segments switch";
    let captures = [
        (
            "hosts called by our words",
            talkative("smtp.corp.example ESMTP 4.6.16.0", "server.corp.example"),
        ),
        ("a name of several words", talkative("switch ESMTP", words)),
        (
            "a storm",
            fs::read(
                Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("captures/exchange2007-nic-team/capture.pcapng"),
            )
            .unwrap(),
        ),
    ];
    let mut advice = 0;
    for (name, octets) in captures {
        let (capture, key) = (folder.join("a.pcapng"), folder.join("key.txt"));
        fs::write(&capture, octets).unwrap();
        let report = |redact: &[&str]| -> serde_json::Value {
            let args = [
                "analyze",
                "-q",
                "--format",
                "json",
                capture.to_str().unwrap(),
            ];
            serde_json::from_slice(&run(&[&args, redact].concat())).unwrap()
        };
        let open = report(&[]);
        let redacted = report(&["--redact", "--redact-key", key.to_str().unwrap()]);
        let key = fs::read_to_string(&key).unwrap();
        let mut addresses: Vec<(&str, &str)> = key
            .lines()
            .filter_map(|line| line.strip_prefix("address\t")?.split_once('\t'))
            .collect();
        addresses.sort_by_key(|(was, _)| std::cmp::Reverse(was.len()));
        // The version that a banner has is a version in a rule.
        addresses.retain(|(was, _)| *was != "4.6.16.0");
        // By two steps, as what stands for one address may be another's.
        let replaced = |text: &str| {
            let mut text = text.to_owned();
            for (n, (was, _)) in addresses.iter().enumerate() {
                text = text.replace(was, &format!("<<{n}>>"));
            }
            for (n, (_, is)) in addresses.iter().enumerate() {
                text = text.replace(&format!("<<{n}>>"), is);
            }
            text
        };
        let (open, redacted) = (&open["remediations"], &redacted["remediations"]);
        let pairs = open
            .as_array()
            .unwrap()
            .iter()
            .zip(redacted.as_array().unwrap());
        for (was, is) in pairs {
            for part in [
                "id",
                "title",
                "risk",
                "applies_to",
                "unknown",
                "sources",
                "confirm",
                "fix",
                "undo",
            ] {
                let (was, is) = (was[part].to_string(), is[part].to_string());
                assert_eq!(replaced(&was), is, "{name}: {part}");
                advice += 1;
            }
            // Before what was seen.
            let reason = |remedy: &serde_json::Value| {
                let why = remedy["why"].as_str().unwrap();
                why.split(". Seen here: ").next().unwrap().to_owned()
            };
            if was["why"].as_str().unwrap().contains(". Seen here: ") {
                assert_eq!(replaced(&reason(was)), reason(is), "{name}");
            }
        }
    }
    assert!(advice > 200, "{advice}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn redaction_leaves_our_own_sentences() {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    for name in [
        "exchange2007-nic-team",
        "smtp-tarpit",
        "samba-nt1",
        "postfix-connection-limit",
    ] {
        let capture = all.join(name).join("capture.pcapng");
        let report = run(&[
            "analyze",
            "-q",
            "--redact",
            "--format",
            "json",
            capture.to_str().unwrap(),
        ]);
        let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
        let findings = report["findings"].as_array().unwrap();
        assert!(!findings.is_empty(), "{name}");
        for finding in findings {
            for part in ["summary", "against", "display_filter"] {
                let text = finding[part].to_string();
                assert!(!text.contains('‹'), "{name}: {text}");
            }
        }
        assert!(!report["verdict"].to_string().contains('‹'), "{name}");
    }
}

/// What a run on an interface tells while it runs, and to whom it tells it.
#[cfg(all(feature = "live", target_os = "linux"))]
mod live {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::os::unix::fs::PermissionsExt;
    use std::thread;
    use std::time::{Duration, Instant};

    use tcptriage::capture::{FrameBatch, OpenOptions, open};

    use super::support::netns::{Folder, Host, INTERFACE, lab};
    use super::*;

    const METRICS: &str = "127.0.0.1:9184";

    /// Puts the frames of the capture on the host's interface once.
    fn send(host: &Host, capture: &Path) {
        host.enter(|| {
            let device = pcap::Capture::from_device(INTERFACE).unwrap();
            let mut out = device.open().unwrap();
            let mut source = open(capture.to_str().unwrap(), &OpenOptions::default()).unwrap();
            let mut batch = FrameBatch::default();
            while source.next_batch(&mut batch).unwrap() {
                for frame in &batch.frames {
                    out.sendpacket(batch.captured(frame)).unwrap();
                    // Slowly enough for the answers to take a while.
                    thread::sleep(Duration::from_millis(1));
                }
            }
        });
    }

    fn says(octets: &[u8], text: &str) -> bool {
        String::from_utf8_lossy(octets).contains(text)
    }

    fn metrics() -> Vec<u8> {
        let mut text = Vec::new();
        if let Ok(mut stream) = TcpStream::connect(METRICS) {
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n");
            let _ = stream.read_to_end(&mut text);
        }
        text
    }

    #[test]
    fn no_secret_is_in_what_a_run_tells_while_it_runs() {
        let name = "no_secret_is_in_what_a_run_tells_while_it_runs";
        let Some(lab) = lab(name, &[]) else { return };
        let folder = Folder::new("secrets-live");
        let capture = capture(&folder.0);
        let at = |name: &str| folder.0.join(name);
        let hook = format!("tee -a {}", at("hook").display());
        // The run gives up its rights, and so does what it starts.
        fs::write(at("hook"), "").unwrap();
        fs::set_permissions(at("hook"), fs::Permissions::from_mode(0o666)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tcptriage"));
        command
            .args([
                "live",
                "-i",
                INTERFACE,
                "-v",
                "--format",
                "ndjson",
                "--metrics",
                METRICS,
            ])
            .args(["--exec-on-finding", &hook, "--on-finding", "info"])
            .env("RUST_LOG", "trace")
            .stdin(Stdio::null())
            .stdout(fs::File::create(at("events")).unwrap())
            .stderr(fs::File::create(at("errors")).unwrap());
        let mut child = lab.client.enter(|| command.spawn().unwrap());
        let read = |name: &str| fs::read(at(name)).unwrap();
        let end = Instant::now() + Duration::from_secs(120);
        let mut wait_for = |what: &str, there: &dyn Fn() -> bool| {
            while !there() {
                let over = child.try_wait().unwrap();
                let told = [read("errors"), read("hook")].concat();
                let told = String::from_utf8_lossy(&told).into_owned();
                assert!(Instant::now() < end && over.is_none(), "{what}: {told}");
                thread::sleep(Duration::from_millis(50));
            }
        };
        wait_for("it captures", &|| says(&read("errors"), "capturing on"));
        wait_for("findings of mail and files", &|| {
            send(&lab.client, &capture);
            let told = read("hook");
            says(&told, "\"smtp.") && says(&told, "\"smb.")
        });
        let counts = || lab.client.enter(metrics);
        wait_for("counts of mail", &|| says(&counts(), "service=\"smtp\""));
        let counted = counts();
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert!(says(&read("events"), "\"event\":\"report\""));
        for marker in SECRETS.iter().chain(ADDRESSES) {
            assert!(!holds(&counted, marker), "{marker} is in the metrics");
            for name in ["events", "errors", "hook"] {
                assert!(!holds(&read(name), marker), "{marker} is in {name}");
            }
        }
    }
}
