// Captures for the browser tests, written octet by octet: pcap, Ethernet, IPv4, TCP. Frames are cut behind 60 octets of payload, so that
// large transfers make small files.
import { writeFileSync } from "node:fs";

const KEPT = 60;

class Pcap {
  constructor() {
    this.parts = [Buffer.from("d4c3b2a1020004000000000000000000ffff000001000000", "hex")];
  }

  // `from` and `to`: [address as a number, port].
  segment(seconds, from, to, seq, ack, flags, octets = 0, window = 65535) {
    const kept = Math.min(octets, KEPT);
    const frame = Buffer.alloc(54 + kept, 0x61);
    frame.writeUIntBE(0x020000000001, 0, 6);
    frame.writeUIntBE(0x020000000002, 6, 6);
    frame.writeUInt16BE(0x0800, 12);
    frame.writeUInt16BE(0x4500, 14);
    frame.writeUInt16BE(40 + octets, 16);
    frame.writeUInt32BE(0, 18);
    frame.writeUInt16BE(0x4006, 22);
    frame.writeUInt16BE(0, 24);
    frame.writeUInt32BE(from[0], 26);
    frame.writeUInt32BE(to[0], 30);
    frame.writeUInt16BE(from[1], 34);
    frame.writeUInt16BE(to[1], 36);
    frame.writeUInt32BE(seq >>> 0, 38);
    frame.writeUInt32BE(ack >>> 0, 42);
    frame.writeUInt8(0x50, 46);
    frame.writeUInt8(flags, 47);
    frame.writeUInt16BE(window, 48);
    frame.writeUInt32BE(0, 50);
    const record = Buffer.alloc(16);
    record.writeUInt32LE(Math.floor(seconds), 0);
    record.writeUInt32LE(Math.round((seconds % 1) * 1e6), 4);
    record.writeUInt32LE(54 + kept, 8);
    record.writeUInt32LE(54 + octets, 12);
    this.parts.push(record, frame);
  }

  write(path) {
    writeFileSync(path, Buffer.concat(this.parts));
  }
}

const [SYN, ACK, PSH_ACK, FIN_ACK] = [2, 16, 24, 17];

// One connection: the client sends `segments` of 1400 octets, `lost(n)` says which of them come a second time after a timeout.
function connection(pcap, start, client, server, segments, gap, lost) {
  let time = start;
  let seq = 1000;
  pcap.segment(time, client, server, seq++, 0, SYN);
  pcap.segment((time += 0.01), server, client, 5000, seq, SYN | ACK);
  pcap.segment((time += 0.0001), client, server, seq, 5001, ACK);
  for (let n = 0; n < segments; n++) {
    pcap.segment((time += gap), client, server, seq, 5001, PSH_ACK, 1400);
    if (lost(n)) pcap.segment((time += 0.3), client, server, seq, 5001, PSH_ACK, 1400);
    seq += 1400;
    pcap.segment((time += 0.0101), server, client, 5001, seq, ACK);
  }
  pcap.segment((time += 0.001), client, server, seq, 5001, FIN_ACK);
  pcap.segment((time += 0.01), server, client, 5001, seq + 1, FIN_ACK);
  pcap.segment((time += 0.0001), client, server, seq + 1, 5002, ACK);
}

// Many short connections to three servers; one in fifty repeats a segment.
export function many(path, flows) {
  const pcap = new Pcap();
  for (let n = 0; n < flows; n++) {
    const client = [0x0a000000 + (n % 200), 20000 + (n % 40000)];
    const server = [0x0a010001 + (n % 3), n % 2 ? 25 : 445];
    connection(pcap, 1700000000 + n * 0.2, client, server, 3, 0.001, (k) => k === 1 && n % 50 === 0);
  }
  pcap.write(path);
}

// One long connection.
export function long(path, segments) {
  const pcap = new Pcap();
  connection(pcap, 1700000000, [0x0a000001, 40000], [0x0a010001, 25], segments, 0.0001, (n) => n % 1000 === 500);
  pcap.write(path);
}

// One connection at two points of its path: the right one a millisecond later (some half a second), and without what got lost between them.
export function two(left, right) {
  const [one, other] = [new Pcap(), new Pcap()];
  connection(one, 1700000000, [0x0a000001, 40000], [0x0a010001, 25], 400, 0.004, (n) => n % 20 === 7);
  let data = 0;
  let last = 0;
  for (let n = 1; n < one.parts.length; n += 2) {
    const [record, frame] = [Buffer.from(one.parts[n]), one.parts[n + 1]];
    const time = record.readUInt32LE(0) + record.readUInt32LE(4) / 1e6;
    const up = frame.readUInt16BE(34) === 40000;
    const first = record.readUInt32LE(12) > 54 && data++ % 21 === 7;
    if (first) continue;
    const there = Math.max(last + 1e-5, time + (up ? (n % 200 === 101 ? 0.5 : 0.001) : -0.001));
    last = time;
    record.writeUInt32LE(Math.floor(there), 0);
    record.writeUInt32LE(Math.round((there % 1) * 1e6) % 1000000, 4);
    other.parts.push(record, frame);
  }
  one.write(left);
  other.write(right);
}
