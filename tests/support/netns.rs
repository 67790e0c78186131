//! Two hosts with a router between them, made of Linux network namespaces: what a test needs to let real programs talk and to capture it.
//!
//! Takes:  the right to make namespaces (root), and iproute2; tcpdump for captures, nftables for losses
//! Gives:  a [`Lab`] of a client and a server, programs and threads that run in either, captures of either's end
//! Never:  touches a network that it did not make; outlives the test: hosts go with what runs in them when the [`Lab`] is dropped

use std::fs::{self, File};
use std::io::Read;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Name of the interface at either end.
pub const INTERFACE: &str = "eth0";

/// Two hosts, and the router that joins their networks.
#[derive(Debug)]
pub struct Lab {
    pub client: Host,
    pub server: Host,
    router: Host,
}

/// A network namespace.
#[derive(Debug)]
pub struct Host {
    name: String,
    pub addr: Ipv4Addr,
}

/// A program that runs in a host; dropping it ends it.
#[derive(Debug)]
pub struct Running(Child);

/// A running capture.
#[derive(Debug)]
pub struct Capture {
    tcpdump: Running,
    pub file: PathBuf,
}

/// Whether a program can be started by its name.
pub fn has(program: &str) -> bool {
    let places = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&places)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .any(|place| place.join(program).is_file())
}

/// The first of `programs` that is missing, as a reason to skip a test.
pub fn missing(programs: &[&str]) -> Option<String> {
    let gone = programs.iter().find(|program| !has(program))?;
    Some(format!("{gone} is not installed"))
}

/// A program by its name, looked for where daemons are, too; it reads nothing, and says nothing to the terminal.
pub fn command(program: &str, arguments: &[&str]) -> Command {
    let place = ["/usr/sbin", "/sbin"]
        .iter()
        .map(|place| Path::new(place).join(program))
        .find(|path| path.is_file());
    let mut command = Command::new(place.unwrap_or_else(|| program.into()));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Runs a program to its end; `Err` is what it complained of.
fn run(command: &mut Command) -> Result<Output, String> {
    let program = command.get_program().to_owned();
    let told = |reason: String| format!("{}: {reason}", program.display());
    let output = Command::output(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let output = output.map_err(|error| told(error.to_string()))?;
    if output.status.success() {
        Ok(output)
    } else {
        Err(told(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ))
    }
}

fn ip(arguments: &str) -> Result<Output, String> {
    run(&mut command(
        "ip",
        &arguments.split(' ').collect::<Vec<_>>(),
    ))
}

/// Two hosts, or `None` where this machine does not let us, or a program is missing; says why.
pub fn lab(test: &str, programs: &[&str]) -> Option<Lab> {
    let reason = match missing(&["ip"]).or_else(|| missing(programs)) {
        Some(reason) => reason,
        None => match Lab::new() {
            Ok(lab) => return Some(lab),
            Err(reason) => reason,
        },
    };
    eprintln!("{test}: skipped: {reason}");
    None
}

/// A folder that goes with the test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("tcptriage-{}-{number}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The path of a file in it.
    pub fn at(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Lab {
    /// Makes the hosts; `Err` tells why this machine does not let us.
    pub fn new() -> Result<Self, String> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let host = |role: &str, addr: [u8; 4]| {
            let name = format!("tcptriage-{}-{number}-{role}", std::process::id());
            ip(&format!("netns add {name}"))?;
            // From here on the namespace is taken away again, whatever fails.
            let addr = Ipv4Addr::from(addr);
            Ok::<_, String>(Host { name, addr })
        };
        let lab = Self {
            client: host("client", [192, 0, 2, 1])?,
            server: host("server", [198, 51, 100, 1])?,
            router: host("router", [0, 0, 0, 0])?,
        };
        let router = &lab.router.name;
        for (host, port) in [(&lab.client, "eth1"), (&lab.server, "eth2")] {
            let Host { name, addr } = host;
            let [a, b, c, _] = addr.octets();
            let gateway = Ipv4Addr::new(a, b, c, 254);
            for arguments in [
                format!(
                    "link add {INTERFACE} netns {name} type veth peer name {port} netns {router}"
                ),
                format!("-n {name} addr add {addr}/24 dev {INTERFACE}"),
                format!("-n {router} addr add {gateway}/24 dev {port}"),
                format!("-n {name} link set lo up"),
                format!("-n {name} link set {INTERFACE} up"),
                format!("-n {router} link set {port} up"),
                format!("-n {name} route add default via {gateway}"),
            ] {
                ip(&arguments)?;
            }
            // So that captures show what a wire would carry. Without ethtool they show larger segments and empty checksums.
            let off = format!("-K {INTERFACE} tx off tso off gso off gro off");
            let off: Vec<&str> = off.split(' ').collect();
            let _ = host.run(command("ethtool", &off));
        }
        lab.router
            .enter(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))
            .map_err(|error| format!("ip_forward: {error}"))?;
        Ok(lab)
    }

    /// From now on the router loses each so-many-th packet that either host sends.
    pub fn lose_each(&self, nth: u32) -> Result<(), String> {
        let rules = format!(
            "table inet lab {{ chain path {{ type filter hook forward priority 0; \
             numgen inc mod {nth} == 0 drop; }}; }}"
        );
        self.router.run(command("nft", &[&rules])).map(drop)
    }

    /// From now on the router loses that share of what either host sends, at random.
    pub fn lose(&self, percent: u32) -> Result<(), String> {
        let rules = format!(
            "table inet lab {{ chain path {{ type filter hook forward priority 0; \
             numgen random mod 100 < {percent} drop; }}; }}"
        );
        self.router.run(command("nft", &[&rules])).map(drop)
    }
}

impl Host {
    /// Does `work` in a thread that stands in this host: sockets that it opens and programs that it starts are this host's.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let place = self.place();
        thread::scope(|scope| {
            let entered = scope.spawn(move || {
                stand_in(&place);
                work()
            });
            entered.join().unwrap()
        })
    }

    /// Starts a thread that stands in this host and goes on for as long as it likes.
    pub fn background(&self, work: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
        let place = self.place();
        thread::spawn(move || {
            stand_in(&place);
            work();
        })
    }

    fn place(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// Runs a program here to its end; `Err` is what it complained of.
    pub fn run(&self, mut command: Command) -> Result<Output, String> {
        self.enter(|| run(&mut command))
    }

    /// Starts a program here.
    pub fn spawn(&self, mut command: Command) -> Result<Running, String> {
        let child = self.enter(|| command.spawn());
        child
            .map(Running)
            .map_err(|error| format!("{}: {error}", command.get_program().display()))
    }

    /// TCP segments that this host has sent again so far, by its own count.
    pub fn sent_again(&self) -> u64 {
        let text = self.enter(|| fs::read_to_string("/proc/thread-self/net/snmp").unwrap());
        let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
        let (names, counts) = (lines.next().unwrap(), lines.next().unwrap());
        let at = names.split(' ').position(|name| name == "RetransSegs");
        counts.split(' ').nth(at.unwrap()).unwrap().parse().unwrap()
    }

    /// Captures TCP at this end from now on.
    pub fn capture(&self, file: &Path) -> Result<Capture, String> {
        let name = file.to_string_lossy();
        // `-Z root`: otherwise it gives up the right to write where the test wants it to. `--immediate-mode`: otherwise the kernel
        // keeps frames back for a second, and those are lost at the end.
        let arguments = format!("-i {INTERFACE} -s 0 --immediate-mode -U -Z root -w");
        let mut arguments: Vec<&str> = arguments.split(' ').collect();
        arguments.extend([&*name, "tcp"]);
        let mut tcpdump = command("tcpdump", &arguments);
        tcpdump.stderr(Stdio::piped());
        let mut tcpdump = self.spawn(tcpdump)?;
        let mut said = Vec::new();
        let mut octet = [0];
        let stderr = tcpdump.0.stderr.as_mut().ok_or("tcpdump says nothing")?;
        // It says when it is ready: "tcpdump: listening on eth0, ...".
        while !said.ends_with(b"listening on") {
            match stderr.read(&mut octet) {
                Ok(1) => said.extend(octet),
                _ => return Err(String::from_utf8_lossy(&said).trim().to_owned()),
            }
        }
        let file = file.to_owned();
        Ok(Capture { tcpdump, file })
    }

    /// Waits until something listens on `port` here.
    pub fn wait_for_port(&self, port: u16) -> Result<(), String> {
        let listens = format!("{port:04X} ");
        let end = Instant::now() + Duration::from_secs(120);
        while Instant::now() < end {
            let tables = self.enter(|| {
                ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"]
                    .map(|table| std::fs::read_to_string(table).unwrap_or_default())
            });
            // "  0: 00000000:0019 00000000:0000 0A": local address, remote address, state (0A: LISTEN).
            let found = tables.iter().flat_map(|table| table.lines()).any(|line| {
                let mut words = line.split_whitespace().skip(1);
                let local = words.next().unwrap_or_default();
                local.ends_with(listens.trim()) && words.nth(1) == Some("0A")
            });
            if found {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Err(format!("nothing listens on port {port}"))
    }
}

/// Moves the calling thread.
fn stand_in(place: &Path) {
    let file = File::open(place).unwrap();
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

impl Drop for Host {
    fn drop(&mut self) {
        // Daemons have children that nobody else knows of. Threads of the test are not listed: a process counts by its first thread.
        let pids = ip(&format!("netns pids {}", self.name)).map_or(Vec::new(), |out| out.stdout);
        for pid in String::from_utf8_lossy(&pids).split_whitespace() {
            if let Some(pid) = pid.parse().ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        let _ = ip(&format!("netns del {}", self.name));
    }
}

impl Running {
    /// Waits for its end, so long at most; then it is killed.
    pub fn wait(mut self, most: Duration) -> bool {
        let end = Instant::now() + most;
        while Instant::now() < end {
            if let Ok(Some(status)) = self.0.try_wait() {
                return status.success();
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// Asks it to end.
    pub fn signal(&self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.0), signal);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Capture {
    /// Ends the capture; what came before is in the file.
    pub fn stop(self) -> PathBuf {
        thread::sleep(Duration::from_millis(100));
        self.tcpdump.signal(Signal::INT);
        self.tcpdump.wait(Duration::from_secs(5));
        self.file
    }
}
