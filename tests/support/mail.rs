//! A mail server that answers as a test wants it to, and a client that says what a test wants said. Both on real sockets.
//!
//! Takes:  for the server a script: what to answer to a command, after how long; for the client the octets of each turn
//! Gives:  threads in the hosts of a [`Lab`](super::netns::Lab)
//! Never:  waits longer than a minute; goes on when the other end has closed

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::netns::Host;

/// What happens after an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Then {
    GoOn,
    Close,
    /// Close with octets of the client unread, which makes the stack send RST.
    Reset,
}

/// An answer to one command.
#[derive(Clone, Debug)]
pub struct Answer {
    pub after_ms: u64,
    pub text: String,
    pub then: Then,
}

/// This, after so many milliseconds.
pub fn say(after_ms: u64, text: &str) -> Option<Answer> {
    let text = text.to_owned();
    let then = Then::GoOn;
    Some(Answer {
        after_ms,
        text,
        then,
    })
}

/// This at once, and then goodbye.
pub fn leave(text: &str, then: Then) -> Option<Answer> {
    let answer = say(0, text)?;
    Some(Answer { then, ..answer })
}

/// What departs from an ordinary server: asked with the verb in upper case (`CONNECT` for the greeting, `.` for the end of data), the
/// whole line, and how often that verb came before, in all connections.
pub type Script = fn(verb: &str, line: &str, before: usize) -> Option<Answer>;

fn usual(verb: &str) -> &'static str {
    match verb {
        "CONNECT" => "220 mail.example.com ESMTP ready",
        "EHLO" => "250-mail.example.com\r\n250-PIPELINING\r\n250 8BITMIME",
        "DATA" => "354 Go ahead",
        "QUIT" => "221 2.0.0 Bye",
        "STARTTLS" => "454 4.7.0 TLS not available due to local problem",
        _ => "250 2.0.0 OK",
    }
}

/// How long the server held its answers to each verb in all, by its own clock: a busy machine sleeps longer than it was told to.
pub type Held = Arc<Mutex<BTreeMap<String, Duration>>>;

/// Serves on port 25 of `host` for as long as the host lives.
pub fn serve(host: &Host, script: Script) -> Held {
    let listener = host.enter(|| TcpListener::bind((host.addr, 25)).unwrap());
    let held = Held::default();
    let told = Arc::clone(&held);
    thread::spawn(move || {
        let mut before = Vec::new();
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            // One after another: what a script counts does not depend on the order of threads.
            let _ = attend(stream, script, &mut before, &told);
        }
    });
    held
}

fn attend(
    mut stream: TcpStream,
    script: Script,
    before: &mut Vec<String>,
    held: &Held,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut line = "CONNECT".to_owned();
    let mut in_data = false;
    loop {
        let asked = Instant::now();
        let verb = if in_data { "." } else { &line };
        let verb = verb.split([' ', ':']).next().unwrap_or("");
        let verb = verb.to_ascii_uppercase();
        let nth = before.iter().filter(|one| **one == verb).count();
        before.push(verb.clone());
        let answer = script(&verb, &line, nth).or_else(|| say(0, usual(&verb)));
        let Some(answer) = answer else { return Ok(()) };
        thread::sleep(Duration::from_millis(answer.after_ms));
        stream.write_all(format!("{}\r\n", answer.text).as_bytes())?;
        *held.lock().unwrap().entry(verb.clone()).or_default() += asked.elapsed();
        in_data = answer.text.starts_with("354");
        match answer.then {
            Then::GoOn if verb == "QUIT" => return Ok(()),
            Then::GoOn => {}
            Then::Close => {
                // What the client still says is read, or the stack would send RST.
                stream.shutdown(Shutdown::Write)?;
                lines.read_to_end(&mut Vec::new())?;
                return Ok(());
            }
            Then::Reset => {
                thread::sleep(Duration::from_millis(300));
                return Ok(());
            }
        }
        loop {
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let end = line.trim_end().len();
            line.truncate(end);
            if !in_data || line == "." {
                break;
            }
        }
    }
}

/// One connection of the client: after the greeting each turn is sent when the one before is answered; when anything but a recipient
/// is refused, the last turn is next. Gives the last reply.
pub fn talk(host: &Host, server: &Host, turns: &[String]) -> String {
    let to = SocketAddr::from((server.addr, 25));
    host.enter(|| converse(to, turns).unwrap_or_default())
}

fn converse(to: SocketAddr, turns: &[String]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(20))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut reply = String::new();
    let mut given_up = false;
    for (number, turn) in std::iter::once(&String::new()).chain(turns).enumerate() {
        if given_up && number < turns.len() {
            continue;
        }
        if !turn.is_empty() && stream.write_all(turn.as_bytes()).is_err() {
            return Ok(reply);
        }
        loop {
            let mut line = String::new();
            match lines.read_line(&mut line) {
                Ok(0) | Err(_) => return Ok(reply),
                Ok(_) => {}
            }
            let is_last = line.as_bytes().get(3) != Some(&b'-');
            reply = line;
            if is_last {
                break;
            }
        }
        given_up = reply.starts_with(['4', '5']) && !turn.starts_with("RCPT");
    }
    Ok(reply)
}

/// Turns, each with its line end.
pub fn turns(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| format!("{line}\r\n")).collect()
}

/// The turns of one message with so many octets.
pub fn message(recipients: &[&str], octets: usize) -> Vec<String> {
    let mut all = turns(&["MAIL FROM:<sender@example.net>"]);
    all.extend(recipients.iter().map(|to| format!("RCPT TO:<{to}>\r\n")));
    all.push("DATA\r\n".to_owned());
    let line = "What a test sends has no meaning.\r\n";
    let body = line.repeat(octets.div_ceil(line.len()));
    all.push(format!("Subject: test\r\n\r\n{body}.\r\n"));
    all
}
