#!/usr/bin/env python3
"""Instructions that each stage takes, by callgrind, beside the ones kept in instructions.tsv: what noise cannot hide.

    benches/instructions.py [BINARY]            prints a table; ends with 1 where a stage takes over 5 % more
    benches/instructions.py [BINARY] --keep     keeps what was counted

BINARY is target/release/tcptriage where it is left out. Inputs: all captures of the project, and a flood of SYNs made here. Counts are
of one thread, are the same from run to run within some tenths of a per cent, and hold for one compiler and one kind of processor: after a
change of either, keep them anew before comparing. Needs valgrind.
"""
import argparse, collections, glob, os, re, shutil, struct, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
KEPT = os.path.join(HERE, "instructions.tsv")
SYNS = 4_096
MUCH = 0.05

# Stage, and the functions that do its work: all that these call counts.
STAGES = {
    "rules loaded": ["rules::engine::Engine::load"],
    "decode": ["decode::decoder::Decoder::push"],
    "flow": ["flow::share::Deal::deal", "flow::table::FlowTable::push_share", "flow::table::FlowTable::finish_some"],
    "dialogs": ["pipeline::track::Follower::hand_on"],
    "detectors": ["pipeline::track::Found::take", "pipeline::track::Tracker::finish"],
    "advice": ["rules::engine::Engine::advise"],
    "report put together": ["report::build::build"],
    "JSON written": ["<tcptriage::report::json::Json as tcptriage::report::Format>::write"],
}


def flood(path):
    """A capture of SYNs, each from another port or address."""
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1))
        for n in range(SYNS):
            ip = struct.pack(">BBHHHBBHI4s", 0x45, 0, 40, n & 0xFFFF, 0x4000, 64, 6, 0, 0x0A000000 + n * 7919 % 65_521, bytes([192, 0, 2, 1]))
            tcp = struct.pack(">HHIIBBHHH", 1024 + n % 50_000, 25, n, 0, 0x50, 2, 64_240, 0, 0)
            pseudo = ip[12:20] + struct.pack(">HH", 6, len(tcp))
            total = sum(struct.unpack(f">{len(pseudo + tcp) // 2}H", pseudo + tcp))
            total = (total & 0xFFFF) + (total >> 16)
            total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
            tcp = tcp[:16] + struct.pack(">H", total) + tcp[18:]
            frame = bytes([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]) + ip + tcp
            out.write(struct.pack("<IIII", 1_700_000_000, n, len(frame), len(frame)) + frame)


def inclusive(path):
    """Instructions of each function with all that it calls, from a file of callgrind's."""
    names, costs, function, called = {}, collections.Counter(), None, False

    def name(text):
        number, _, known = text.partition(" ")
        return names.setdefault(number, known)

    with open(path) as lines:
        for line in lines:
            if line.startswith("fn="):
                function = name(line[3:].rstrip())
            elif line.startswith("cfn="):
                name(line[4:].rstrip())
            elif re.match(r"[0-9+*-]", line):
                costs[function] += int(line.split()[1])
    return costs


def count(binary, folder, captures):
    """Instructions by stage, and in all."""
    out = os.path.join(folder, "callgrind.out")
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", binary, "analyze", "--jobs", "1", "--format", "json", *captures]
    run = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    total = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode not in (0, 1) or not total:
        sys.exit(f"callgrind failed:\n{run.stderr}")
    costs = inclusive(out)
    costs = {name.removeprefix("tcptriage::"): cost for name, cost in costs.items() if name}
    counted = {"all": int(total[1])}
    for stage, functions in STAGES.items():
        for function in functions:
            if function not in costs:
                sys.exit(f"{function} is not called any more, or became part of its caller: STAGES has to name another")
        counted[stage] = sum(costs[function] for function in functions)
    return counted


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("binary", nargs="?", default=os.path.join(HERE, "..", "target", "release", "tcptriage"))
    options.add_argument("--keep", action="store_true")
    options = options.parse_args()
    if not shutil.which("valgrind"):
        print("skipped: valgrind is not installed")
        return 0
    kept = {}
    if os.path.exists(KEPT):
        with open(KEPT) as lines:
            rows = [line.rstrip("\n").split("\t") for line in lines if not line.startswith("#")]
        kept = {(what, stage): int(n) for what, stage, n in rows}
    counted = {}
    with tempfile.TemporaryDirectory() as folder:
        syns = os.path.join(folder, "syns.pcap")
        flood(syns)
        for what, captures in (("captures", sorted(glob.glob(os.path.join(HERE, "..", "captures", "*/")))), (f"{SYNS} SYNs", [syns])):
            for stage, n in count(options.binary, folder, captures).items():
                counted[what, stage] = n
    above = 0
    print(f"{'input':<12} {'stage':<24} {'million':>10} {'kept':>10} {'change':>8}")
    for (what, stage), n in counted.items():
        before = kept.get((what, stage))
        change = n / before - 1 if before and n else None
        # What is next to nothing varies, and decides nothing.
        much = change is not None and change > MUCH and n > counted[what, "all"] / 100
        above += much
        print(f"{what:<12} {stage:<24} {n / 1e6:>10.2f} {'' if before is None else f'{before / 1e6:.2f}':>10} "
              f"{'' if change is None else f'{change:+.1%}':>8}{'  MORE' if much else ''}")
    if options.keep:
        with open(KEPT, "w") as out:
            out.write("# input, stage, instructions: kept by benches/instructions.py --keep\n")
            out.writelines(f"{what}\t{stage}\t{n}\n" for (what, stage), n in counted.items())
        return 0
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main())
