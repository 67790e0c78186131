//! Serves how the run stands to Prometheus, as OpenMetrics text over HTTP, on loopback.
//!
//! Takes:  a [`Status`] now and then
//! Gives:  counters of frames, drops, hosts and services; a gauge for each finding that is on
//! Never:  lets a client that hangs hold up the run or other clients: each has a thread of its own, few are let in at once, and none for long
//!
//! Source: <https://prometheus.io/docs/specs/om/open_metrics_spec/>

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::Status;
use crate::pipeline::live::{MAX_COUNTED, OTHERS, Sums};

/// Clients at one time.
const MAX_CLIENTS: usize = 8;

/// What a client may take for all of it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Octets of a request that are read at most.
const MAX_REQUEST: usize = 8_192;

/// The endpoint.
pub struct Metrics {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    patience: Duration,
}

#[derive(Default)]
struct State {
    status: Status,
    /// Counters never go back, even where flows under way were too many to be counted all.
    hosts: BTreeMap<String, Sums>,
    services: BTreeMap<String, Sums>,
}

impl Metrics {
    /// Opens the endpoint; it answers once [`serve`](Self::serve) was called.
    ///
    /// # Errors
    /// Where the address is not one of loopback, or is taken.
    pub fn bind(address: SocketAddr) -> io::Result<(Self, TcpListener)> {
        if !address.ip().to_canonical().is_loopback() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "metrics are served on loopback alone, as in 127.0.0.1:9184",
            ));
        }
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State::default()));
        let metrics = Self {
            state,
            address,
            patience: PATIENCE,
        };
        Ok((metrics, listener))
    }

    /// Where it is served.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers clients, in threads of its own, until the process ends.
    pub fn serve(&self, listener: TcpListener) {
        let state = Arc::clone(&self.state);
        let patience = self.patience;
        std::thread::spawn(move || {
            let clients = Arc::new(AtomicUsize::new(0));
            for stream in listener.incoming() {
                let Ok(stream) = stream else {
                    std::thread::sleep(Duration::from_millis(100));
                    continue;
                };
                if clients.fetch_add(1, Ordering::Relaxed) >= MAX_CLIENTS {
                    clients.fetch_sub(1, Ordering::Relaxed);
                    continue;
                }
                let (state, clients) = (Arc::clone(&state), Arc::clone(&clients));
                std::thread::spawn(move || {
                    // A client that goes away is its own affair.
                    let _ = answer(stream, &state, patience);
                    clients.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
    }

    /// How the run stands now.
    pub fn set(&self, status: &Status) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        let State {
            hosts, services, ..
        } = &mut *state;
        for (kept, counted) in [
            (hosts, &status.snapshot.counted.hosts),
            (services, &status.snapshot.counted.services),
        ] {
            for (name, sums) in counted {
                // Each look may show other connections under way, and so other names.
                if kept.len() >= MAX_COUNTED && name != OTHERS && !kept.contains_key(name) {
                    continue;
                }
                let kept = kept.entry(name.clone()).or_default();
                kept.flows = kept.flows.max(sums.flows);
                kept.octets = kept.octets.max(sums.octets);
                kept.segments = kept.segments.max(sums.segments);
                kept.retransmitted = kept.retransmitted.max(sums.retransmitted);
            }
        }
        state.status = status.clone();
    }
}

/// Reads a request and answers it.
fn answer(mut stream: TcpStream, state: &Mutex<State>, patience: Duration) -> io::Result<()> {
    let until = Instant::now() + patience;
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || request.len() >= MAX_REQUEST {
            return Ok(());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            n => request.extend_from_slice(buffer.get(..n).unwrap_or(&[])),
        }
    }
    let wanted = request.starts_with(b"GET /metrics") || request.starts_with(b"GET / ");
    let (code, body) = if wanted {
        let text = state.lock().map(|state| render(&state)).unwrap_or_default();
        ("200 OK", text)
    } else {
        ("404 Not Found", String::new())
    };
    let head = format!(
        "HTTP/1.1 {code}\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.set_write_timeout(Some(PATIENCE))?;
    let whole = [head.as_bytes(), body.as_bytes()].concat();
    let mut rest = whole.as_slice();
    while !rest.is_empty() && Instant::now() < until + PATIENCE {
        let n = stream.write(rest)?;
        rest = rest.get(n..).unwrap_or(&[]);
    }
    Ok(())
}

/// A metric without labels.
struct Plain(&'static str, &'static str, &'static str, u64);

fn render(state: &State) -> String {
    let mut out = String::new();
    let status = &state.status;
    let snapshot = &status.snapshot;
    let ring = status.ring.clone().unwrap_or_default();
    for Plain(name, kind, help, value) in [
        Plain("frames", "counter", "Frames captured.", snapshot.frames),
        Plain("octets", "counter", "Octets captured.", snapshot.octets),
        Plain(
            "tcp_segments",
            "counter",
            "TCP segments captured.",
            snapshot.segments,
        ),
        Plain(
            "flows_under_way",
            "gauge",
            "TCP connections under way.",
            snapshot.under_way as u64,
        ),
        Plain(
            "written_frames",
            "counter",
            "Frames written to capture files.",
            ring.frames,
        ),
        Plain(
            "written_octets",
            "counter",
            "Octets written to capture files.",
            ring.octets,
        ),
        Plain(
            "unwritten_frames",
            "counter",
            "Frames that could not be written.",
            ring.lost,
        ),
    ] {
        family(&mut out, name, kind, help);
        let total = if kind == "counter" { "_total" } else { "" };
        let _ = writeln!(out, "tcptriage_{name}{total} {value}");
    }
    family(
        &mut out,
        "dropped_frames",
        "counter",
        "Frames that were not captured.",
    );
    for (by, value) in [
        ("kernel", status.drops.by_kernel),
        ("interface", status.drops.by_interface),
    ] {
        let _ = writeln!(out, "tcptriage_dropped_frames_total{{by=\"{by}\"}} {value}");
    }
    for (label, of, sums) in [
        ("host", "sent by a host", &state.hosts),
        ("service", "of a service", &state.services),
    ] {
        for (name, help, value) in [
            (
                "flows",
                "TCP connections",
                (|s| s.flows) as fn(&Sums) -> u64,
            ),
            ("payload_octets", "Octets of TCP payload", |s| s.octets),
            ("data_segments", "TCP segments with payload", |s| s.segments),
            (
                "retransmitted_segments",
                "TCP segments with payload that was sent before",
                |s| s.retransmitted,
            ),
        ] {
            family(
                &mut out,
                &format!("{label}_{name}"),
                "counter",
                &format!("{help} {of}."),
            );
            for (key, sums) in sums {
                let _ = writeln!(
                    out,
                    "tcptriage_{label}_{name}_total{{{label}=\"{}\"}} {}",
                    escaped(key),
                    value(sums)
                );
            }
        }
    }
    family(
        &mut out,
        "finding",
        "gauge",
        "1 for each finding that is on.",
    );
    for alert in &snapshot.alerts {
        let f = &alert.finding;
        let _ = writeln!(
            out,
            "tcptriage_finding{{number=\"{}\",id=\"{}\",severity=\"{}\",subject=\"{}\",peer=\"{}\"}} 1",
            alert.number,
            escaped(&f.id),
            f.severity,
            escaped(f.subject.as_deref().unwrap_or("")),
            escaped(f.peer.as_deref().unwrap_or(""))
        );
    }
    out.push_str("# EOF\n");
    out
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(
        out,
        "# TYPE tcptriage_{name} {kind}\n# HELP tcptriage_{name} {help}"
    );
}

/// The value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn it_answers_although_clients_hang_and_counts_never_go_back() {
        let (mut metrics, listener) = Metrics::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        // Longer than any test takes: those that hang are still there when others are answered.
        metrics.patience = Duration::from_secs(3_600);
        metrics.serve(listener);
        let hanging: Vec<_> = (0..4)
            .map(|_| TcpStream::connect(metrics.address()).unwrap())
            .collect();
        let mut status = Status::default();
        for (octets, want) in [(5, 5), (9, 9), (2, 9)] {
            let sums = Sums {
                octets,
                ..Sums::default()
            };
            status
                .snapshot
                .counted
                .hosts
                .insert("2001:db8::1".to_owned(), sums);
            metrics.set(&status);
            let text = ask(
                metrics.address(),
                "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n",
            );
            let line =
                format!("tcptriage_host_payload_octets_total{{host=\"2001:db8::1\"}} {want}\n");
            assert!(
                text.starts_with("HTTP/1.1 200 OK") && text.ends_with("# EOF\n"),
                "{text}"
            );
            assert!(text.contains(&line), "{text}");
        }
        assert!(ask(metrics.address(), "GET /secret HTTP/1.1\r\n\r\n").contains("404"));
        drop(hanging);
    }

    #[test]
    fn hosts_that_change_from_look_to_look_stay_within_the_limit() {
        let (metrics, _listener) = Metrics::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        for look in 0..4 {
            let mut status = Status::default();
            let hosts = &mut status.snapshot.counted.hosts;
            for host in 0..MAX_COUNTED / 2 {
                hosts.insert(format!("2001:db8::{look}:{host:x}"), Sums::default());
            }
            hosts.insert(OTHERS.to_owned(), Sums::default());
            metrics.set(&status);
        }
        let state = metrics.state.lock().unwrap();
        assert_eq!(state.hosts.len(), MAX_COUNTED);
        assert!(state.hosts.contains_key(OTHERS));
    }

    #[test]
    fn it_is_served_on_loopback_alone() {
        for (address, ok) in [
            ("0.0.0.0:0", false),
            ("192.0.2.1:9184", false),
            ("[::1]:0", true),
            ("127.0.0.1:0", true),
        ] {
            let bound = Metrics::bind(address.parse().unwrap());
            let loopback =
                bound.is_ok() || bound.is_err_and(|e| e.kind() != io::ErrorKind::InvalidInput);
            assert_eq!(loopback, ok, "{address}");
        }
    }
}
