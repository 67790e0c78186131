#!/usr/bin/env python3
"""Live capture beside dumpcap and tcpdump on one veth pair, in one run: the highest rate without a dropped frame.

    sudo benches/live.py target/release/tcptriage                 # rates, each capturer in turn
    sudo benches/live.py target/release/tcptriage --soak 30m --rate 20000 --write
    sudo benches/live.py target/release/tcptriage --soak 30m --rate 125000 --same

Takes root, iproute2, tcpreplay, and the peers that are installed (Debian: wireshark-common, tcpdump); for rates beyond 100,000 frames a second netsniff-ng
and tshark. Makes two network namespaces and takes them away again. Frames are those of a capture of the project, sent over and over: by
trafgen the same ones, as fast as can be; by tcpreplay each time between other addresses, as a soak wants it (or the same ones: --same). A rate counts as kept if every
frame that was sent was captured and the kernel dropped none. Sender and capturers share the machine's processors: compare figures of one run
alone.
"""
import argparse, json, os, re, shutil, signal, subprocess, sys, tempfile, time

A, B = (f"tcptriage-bench-{os.getpid()}-{end}" for end in "ab")
BUFFER = 32  # MiB, for all of them


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True)


def inside(space, *command):
    return ["ip", "netns", "exec", space, *command]


def make_hosts():
    for space in (A, B):
        subprocess.run(["ip", "netns", "del", space], capture_output=True)
        run("ip", "netns", "add", space)
    run("ip", "link", "add", "veth0", "netns", A, "type", "veth", "peer", "name", "veth0", "netns", B)
    for space in (A, B):
        run(*inside(space, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"))
        run(*inside(space, "ip", "link", "set", "veth0", "arp", "off", "up"))


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Capturer:
    """One way to capture; `counts` gives (captured, dropped) once it has ended."""

    def __init__(self, name, command, counts):
        self.name, self.command, self.counts = name, command, counts

    def start(self, folder):
        self.log = open(os.path.join(folder, "log"), "w+")
        command = [word.replace("FOLDER", folder) for word in self.command]
        self.process = subprocess.Popen(inside(B, *command), stdout=subprocess.PIPE, stderr=self.log)
        # A flow each would be gigabytes in a soak.
        self.rest = subprocess.Popen(["grep", "--line-buffered", "-v", '^{"event":"flow"'], stdin=self.process.stdout, stdout=self.log)
        self.process.stdout.close()
        # Each says when it is ready; a busy machine takes its time.
        for _ in range(300):
            with open(self.log.name) as said:
                if re.search("capturing on|listening on|^File: ", said.read(), re.MULTILINE):
                    break
            time.sleep(0.1)
        time.sleep(0.5)

    def stop(self):
        time.sleep(1.5)
        self.seconds = processor_seconds(self.process.pid)
        self.process.send_signal(signal.SIGINT)
        self.process.wait(120)
        self.rest.wait()
        self.log.seek(0)
        return self.counts(self.log.read())


def of_dumpcap(text):
    received, dropped = re.search(r"on interface '?\S+?'?: (\d+)/(\d+)", text).groups()
    return int(received), int(dropped)


def of_tcpdump(text):
    captured = int(re.search(r"(\d+) packets? captured", text).group(1))
    return captured, int(re.search(r"(\d+) packets? dropped by kernel", text).group(1))


def of_tcptriage(text):
    stats = [json.loads(line) for line in text.splitlines() if line.startswith('{"event":"stats"')]
    return stats[-1]["frames"], stats[-1]["dropped_by_kernel"] + stats[-1]["dropped_by_interface"]


def capturers(binary):
    live = [binary, "live", "-i", "veth0", "--format", "ndjson", "--user", "root", "--buffer", f"{BUFFER}MiB"]
    found = [
        Capturer("tcptriage live", live, of_tcptriage),
        Capturer("tcptriage live --write", [*live, "--write", "FOLDER/ring", "--ring", "10x100MB"], of_tcptriage),
    ]
    if shutil.which("dumpcap"):
        words = f"dumpcap -q -i veth0 -B {BUFFER} -w FOLDER/d.pcapng"
        found.append(Capturer("dumpcap -w", words.split(), of_dumpcap))
    if shutil.which("tcpdump"):
        words = f"tcpdump -i veth0 -s 0 -Z root -B {BUFFER * 1024} -w FOLDER/t.pcap"
        found.append(Capturer("tcpdump -w", words.split(), of_tcpdump))
    return found


class Tcpreplay:
    """Gives each round of the capture addresses of its own; gets no further than 100,000 frames a second."""

    def __init__(self, capture, folder):
        self.capture = capture

    def command(self, rate, *more):
        speed = f"--pps={rate}" if rate else "--topspeed"
        return inside(A, "tcpreplay", "-q", "-K", "-i", "veth0", "--unique-ip", "--loop=0", speed, *more, self.capture)

    def send(self, rate, frames):
        out = run(*self.command(rate, f"--limit={frames}"))
        text = out.stdout + out.stderr
        sent = int(re.search(r"Successful packets:\s+(\d+)", text).group(1))
        return sent, float(re.search(r"in (\d+(?:\.\d+)?) seconds", text).group(1))


class Trafgen:
    """Sends the first frames of the capture round and round from a ring that the kernel shares: several times as fast."""

    FRAMES = 5_000

    def __init__(self, capture, folder, senders=1):
        self.senders = str(senders)
        some, self.frames = (os.path.join(folder, name) for name in ("some.pcap", "frames.cfg"))
        # Frames beyond the MTU, which adapters put together, cannot be sent.
        run("tshark", "-r", capture, "-Y", "frame.len <= 1514", "-c", str(self.FRAMES), "-F", "pcap", "-w", some)
        run("netsniff-ng", "--in", some, "--out", self.frames, "-s")
        started = time.time()
        run(*self.command(0, "--num", "1"))
        self.beginning = time.time() - started

    def command(self, rate, *more):
        speed = ["--rate", f"{rate}pps"] if rate else []
        return inside(A, "trafgen", "--dev", "veth0", "--conf", self.frames, "--cpus", self.senders, "-C", *speed, *more)

    def send(self, rate, frames):
        started = time.time()
        run(*self.command(rate, "--num", str(frames)))
        return frames, max(time.time() - started - self.beginning, 0.001)


def rates(args, capture, folder):
    fast = all(shutil.which(program) for program in ("trafgen", "netsniff-ng", "tshark"))
    sender = Trafgen(capture, folder, args.senders) if fast and not args.unique else Tcpreplay(capture, folder)
    print(f"{'sent a second':>14} {'capturer':<24} {'sent':>9} {'captured':>9} {'dropped':>8} {'processor s':>11}", flush=True)
    best = {}
    for rate in args.rates:
        for capturer in capturers(args.binary):
            place = tempfile.mkdtemp(dir=folder)
            capturer.start(place)
            sent, seconds = sender.send(rate, (rate or 400_000) * args.seconds)
            captured, dropped = capturer.stop()
            shutil.rmtree(place)
            reached = sent / seconds
            print(f"{reached:14.0f} {capturer.name:<24} {sent:9} {captured:9} {dropped:8} {capturer.seconds:11.2f}", flush=True)
            if dropped == 0 and captured >= sent:
                best[capturer.name] = max(best.get(capturer.name, 0), reached)
    for name, rate in best.items():
        print(f"{name}: no frame dropped at {rate:.0f} a second")


def memory(pid):
    """Resident MiB: in all, at most so far, and what is its own (without mapped files and the buffer that it shares with the kernel)."""
    with open(f"/proc/{pid}/status") as status:
        text = status.read()
    return [int(re.search(rf"{name}:\s+(\d+)", text).group(1)) / 1024 for name in ("VmRSS", "VmHWM", "RssAnon")]


def soak(args, capture, folder):
    """Resident memory and drops each minute, at a steady rate of frames; each round of the capture is between new addresses."""
    own, stats, read = [], {}, 0
    unit = {"s": 1, "m": 60, "h": 3600}
    sender = (Trafgen if args.same else Tcpreplay)(capture, folder)
    live = capturers(args.binary)[1 if args.write else 0]
    live.start(folder)
    until = time.time() + float(args.soak[:-1]) * unit[args.soak[-1]]
    sending = subprocess.Popen(sender.command(args.rate), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    started = time.time()
    try:
        while time.time() < until:
            time.sleep(min(60, max(1, until - time.time())))
            resident, most, anonymous = memory(live.process.pid)
            with open(os.path.join(folder, "log")) as log:
                log.seek(read)
                lines = log.readlines()
                read = log.tell()
            told = [line for line in lines if line.startswith('{"event":"stats"') and line.endswith("\n")]
            stats = json.loads(told[-1]) if told else stats
            own.append(anonymous)
            print(f"{time.time() - started:7.0f} s  {resident:7.1f} MiB, {most:7.1f} at most, of its own {anonymous:7.1f}  {stats.get('frames')} frames  "
                  f"{stats.get('flows_under_way')} flows under way  {stats.get('dropped_by_kernel')} dropped", flush=True)
    finally:
        # It may have children, and nobody else is in there.
        for pid in run("ip", "netns", "pids", A).stdout.split():
            os.kill(int(pid), signal.SIGKILL)
        sending.wait()
        captured, dropped = live.stop()
    # The first third fills what is bounded.
    third = max(1, len(own) // 3)
    print(f"of its own at most: {max(own[:third]):.1f} MiB in the first third, {max(own[third:-third] or own):.1f} in the second, "
          f"{max(own[-third:]):.1f} in the last; {captured} frames, {live.seconds:.0f} s of processor time, {dropped} dropped")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--capture", default=os.path.join(os.path.dirname(__file__), "../captures/exchange2007-nic-team/capture.pcapng"))
    parser.add_argument("--rates", type=lambda text: [int(rate) for rate in text.split(",")], default=[50_000, 100_000, 150_000, 200_000, 250_000, 300_000, 400_000, 0], help="frames a second, by commas; 0: as fast as can be")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--senders", type=int, default=1, help="processors that trafgen sends from")
    parser.add_argument("--unique", action="store_true", help="tcpreplay even where trafgen is installed: new addresses in each round")
    parser.add_argument("--soak", help="instead: run so long (30m) at one rate")
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--write", action="store_true", help="soak with --write")
    parser.add_argument("--same", action="store_true", help="soak with the same frames over and over, by trafgen: rates beyond 50,000")
    args = parser.parse_args()
    args.binary = os.path.abspath(args.binary)
    capture = os.path.abspath(args.capture)
    folder = tempfile.mkdtemp(prefix="tcptriage-bench-")
    # So that a signal leaves no hosts behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    make_hosts()
    try:
        (soak if args.soak else rates)(args, capture, folder)
    finally:
        for space in (A, B):
            subprocess.run(["ip", "netns", "del", space], capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
