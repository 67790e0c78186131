"use strict";
// All text from captures goes on the page as text (textContent), never as markup.
const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = value;
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
};
const drawing = (tag, attributes) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

// Numbers and times as the rest of the report writes them.
const trim = (value, places) => value.toFixed(places).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
const duration = (s) => {
  if (s === 0) return "0 s";
  if (s < 0) return "-" + duration(-s);
  if (s < 0.0009995) return trim(s * 1e6, 0) + " µs";
  if (s < 0.0995) return trim(s * 1e3, 1) + " ms";
  if (s < 0.9995) return trim(s * 1e3, 0) + " ms";
  if (s < 99.95) return trim(s, s < 10 ? 2 : 1) + " s";
  const two = (big, unit, small, smallUnit) => big + " " + unit + (small ? " " + small + " " + smallUnit : "");
  const whole = Math.round(s);
  if (whole < 3600) return two(Math.floor(whole / 60), "min", whole % 60, "s");
  const minutes = Math.round(s / 60);
  if (minutes < 1440) return two(Math.floor(minutes / 60), "h", minutes % 60, "min");
  const hours = Math.round(s / 3600);
  return two(Math.floor(hours / 24), "d", hours % 24, "h");
};
const scaled = (value, unit) => {
  if (Math.abs(value) < 1000) return trim(value, 0) + " " + unit;
  let prefix = "";
  for (const next of ["k", "M", "G", "T"]) {
    if (Math.abs(value) < 999.5) break;
    value /= 1000;
    prefix = next;
  }
  return trim(value, Math.abs(value) < 9.995 ? 2 : Math.abs(value) < 99.95 ? 1 : 0) + " " + prefix + unit;
};
const octets = (n) => scaled(n, "B");
const count = (n) => n.toLocaleString("en-US");
const percent = (part, whole) => {
  if (!whole || !part) return "0 %";
  const p = (part * 100) / whole;
  return p < 0.01 ? "<0.01 %" : trim(p, p < 1 ? 2 : 1) + " %";
};

const data = JSON.parse(document.querySelector("#data").textContent);

// Copy buttons.
for (const block of document.querySelectorAll(".copyable")) {
  const pre = block.querySelector("pre");
  const button = make("button", { type: "button", text: "Copy", "aria-label": "Copy: " + pre.textContent.trim().slice(0, 60) });
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(pre.textContent);
    } catch {
      // A page opened from a file may not use the clipboard: select instead, and let the browser copy the selection.
      const range = document.createRange();
      range.selectNodeContents(pre);
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  block.append(button);
}

// A link to something folded away unfolds it.
const unfold = () => {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let element = target; element; element = element.parentElement) {
    if (element instanceof HTMLDetailsElement) element.open = true;
  }
  target.scrollIntoView();
};
addEventListener("hashchange", unfold);
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});

// The table of connections: pages, filter, order.
const PAGE = 100;
const table = document.querySelector("#flows");
if (table) {
  const word = (n) => data.words[n];
  const drawn = new Set(data.plots.map((p) => p.flow));
  const flows = data.rows.map((r, rank) => {
    const flow = {
      rank, index: r[0], client: word(r[1]) + ":" + r[2], server: word(r[3]) + ":" + r[4], kind: word(r[5]), up: r[6], down: r[7],
      repeats: r[8], segments: r[9], held: word(r[10]), heldFor: r[11], lasted: r[12], end: word(r[13]), worst: r[14], life: r[15],
    };
    flow.text = ["stream " + flow.index, flow.client, flow.server, flow.kind, flow.held, flow.end].join(" ").toLowerCase();
    return flow;
  });
  const columns = [
    ["n", (f) => f.index], ["", (f) => f.client], ["", (f) => f.server], ["", (f) => f.kind], ["n", (f) => f.up, (f) => octets(f.up)],
    ["n", (f) => f.down, (f) => octets(f.down)],
    ["n", (f) => f.repeats, (f) => (f.repeats ? count(f.repeats) + " (" + percent(f.repeats, f.segments) + ")" : "")],
    ["", (f) => f.heldFor, (f) => (f.held ? f.held + " " + duration(f.heldFor) : "")], ["n", (f) => f.lasted, (f) => duration(f.lasted)],
    ["", (f) => f.end],
  ];
  const body = table.tBodies[0];
  const filter = document.querySelector("#filter");
  const shown = document.querySelector("#shown");
  const [before, after] = ["#before", "#after"].map((id) => document.querySelector(id));
  let fitting = flows;
  let start = 0;
  let order = null;
  const lifeBar = (flow) => {
    const svg = drawing("svg", { class: "life", viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img" });
    const parts = [];
    let x = 0;
    for (let n = 0; n < flow.life.length; n += 2) {
      const [cause, seconds] = [word(flow.life[n]), flow.life[n + 1]];
      const width = flow.lasted > 0 ? (seconds * 100) / flow.lasted : 0;
      const rect = drawing("rect", { class: "c-" + cause, x: x.toFixed(2), width: width.toFixed(2), height: 10 });
      const title = drawing("title", {});
      title.textContent = cause + " " + duration(seconds);
      rect.append(title);
      svg.append(rect);
      parts.push(title.textContent);
      x += width;
    }
    svg.setAttribute("aria-label", "Where the time went: " + parts.join(", "));
    return parts.length ? svg : "";
  };
  const row = (flow) => {
    const tr = make("tr");
    columns.forEach(([kind, value, show], n) => {
      const td = make("td", { class: kind || undefined });
      const text = String((show || value)(flow));
      if (n === 0 && drawn.has(flow.index)) td.append(make("a", { href: "#flow-" + flow.index, text, "aria-label": "Graphs of stream " + text }));
      else td.textContent = text;
      tr.append(td);
    });
    tr.append(make("td", {}, lifeBar(flow)));
    return tr;
  };
  const show = () => {
    body.replaceChildren(...fitting.slice(start, start + PAGE).map(row));
    const last = Math.min(start + PAGE, fitting.length);
    shown.textContent = fitting.length
      ? count(start + 1) + " to " + count(last) + " of " + count(fitting.length) + (fitting.length < flows.length ? " that fit, of " + count(flows.length) : "")
      : "none of " + count(flows.length) + " fits";
    before.disabled = start === 0;
    after.disabled = last >= fitting.length;
  };
  const choose = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    fitting = words.length ? flows.filter((f) => words.every((w) => f.text.includes(w))) : [...flows];
    if (order) {
      const value = columns[order.column][1];
      const sign = order.up ? 1 : -1;
      fitting.sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        return (x < y ? -sign : x > y ? sign : 0) || a.rank - b.rank;
      });
    }
    start = 0;
    show();
  };
  [...table.tHead.rows[0].cells].slice(0, columns.length).forEach((th, column) => {
    const button = make("button", { type: "button", text: th.textContent });
    button.addEventListener("click", () => {
      order = { column, up: order && order.column === column ? !order.up : columns[column][0] !== "n" || column === 0 };
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      th.setAttribute("aria-sort", order.up ? "ascending" : "descending");
      choose();
    });
    th.replaceChildren(button);
  });
  before.addEventListener("click", () => { start = Math.max(0, start - PAGE); show(); });
  after.addEventListener("click", () => { start += PAGE; show(); });
  filter.addEventListener("input", choose);
  document.querySelector(".filter").hidden = false;
  choose();
}

// The graphs.
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
// Sum of differences, as the points are stored.
const summed = (differences) => {
  let sum = 0;
  return differences.map((d) => (sum += d));
};
const line = (stored) => {
  const known = (n) => (n < 0 ? null : n);
  return { t: summed(stored.t).map((us) => us / 1e6), v: summed(stored.v), o: stored.o.map(known), f: summed(stored.f), k: stored.k || [], all: stored.all };
};
// The place of the last time at or before `time`; -1 where there is none.
const at = (times, time) => {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
};
const KIND_COLOURS = ["--fast", "--timeout", "--tail", "--spur", "--spur", "--late", "--copy", "--copy", "--zero", "--ack", "--ack", "--timeout"];
// Each family of marks has a shape of its own, so that none is told by colour alone.
const stamp = (context, kind, x, y, size) => {
  context.beginPath();
  if (kind < 5) {
    context.moveTo(x - size, y - size); context.lineTo(x + size, y + size);
    context.moveTo(x + size, y - size); context.lineTo(x - size, y + size);
  } else if (kind < 7) {
    context.moveTo(x - size, y + size); context.lineTo(x, y - size); context.lineTo(x + size, y + size); context.closePath();
  } else if (kind < 9) {
    context.rect(x - size, y - size, 2 * size, 2 * size);
  } else {
    context.moveTo(x, y - 2 * size); context.lineTo(x, y + 2 * size);
  }
  context.stroke();
};

const HINT = "Point at a graph to read it; drag to zoom, double-click for the whole. With the keyboard: ← → from segment to segment, m to the next mark, + − 0.";

class Graphs {
  constructor(place, plot) {
    this.place = place;
    this.plot = plot;
    this.ways = plot.ways.map((way) => ({
      seg: line(way.seg), mark: line(way.mark), ack: line(way.ack), sack: line(way.sack), flight: line(way.flight), rtt: line(way.rtt), rates: way.rates,
    }));
    this.charts = [];
    this.way = plot.main;
    this.zoom = null;
    this.frame();
    this.draw();
    new ResizeObserver(() => {
      const width = this.width();
      if (width !== this.drawnWidth) this.resize(width);
    }).observe(this.stack);
  }

  width() {
    return Math.max(200, Math.floor(this.stack.clientWidth) - 2);
  }

  resize(width) {
    this.drawnWidth = width;
    for (const chart of this.charts) chart.setSize({ width, height: chart.height });
  }

  // What stands around the canvases.
  frame() {
    const button = (text, label, act, extra = {}) => {
      const b = make("button", { type: "button", text, "aria-label": label, ...extra });
      b.addEventListener("click", act);
      return b;
    };
    this.sides = ["Client to server", "Server to client"].map((text, way) =>
      button(text, text, () => { this.way = way; this.draw(); }));
    const tools = make("div", { class: "tools", role: "toolbar", "aria-label": "Direction and zoom of stream " + this.plot.flow }, ...this.sides,
      button("+", "Zoom in", () => this.scale(0.5)), button("−", "Zoom out", () => this.scale(2)),
      button("◀", "Earlier", () => this.shift(-0.5)), button("▶", "Later", () => this.shift(0.5)),
      button("Whole", "Whole connection", () => this.set(0, this.plot.length)));
    this.readout = make("p", { class: "readout soft", role: "status" });
    this.key = make("div", { class: "key marks" });
    this.stack = make("div", { class: "stack", tabindex: 0, role: "application",
      "aria-label": "Graphs of stream " + this.plot.flow + ". Arrow keys go from segment to segment, m to the next mark, plus and minus zoom, 0 shows the whole connection." });
    this.stack.addEventListener("keydown", (event) => this.keyed(event));
    this.place.append(tools, this.key, this.readout, this.stack);
  }

  keyed(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const acts = {
      ArrowLeft: () => this.step(this.ways[this.way].seg.t, -1), ArrowRight: () => this.step(this.ways[this.way].seg.t, 1),
      m: () => this.step(this.ways[this.way].mark.t, 1), M: () => this.step(this.ways[this.way].mark.t, -1),
      "+": () => this.scale(0.5), "=": () => this.scale(0.5), "-": () => this.scale(2), 0: () => this.set(0, this.plot.length),
    };
    if (acts[event.key]) {
      acts[event.key]();
      event.preventDefault();
    }
  }

  // To the next time of `times`, which comes into view if it is not.
  step(times, way) {
    if (!times.length) return;
    const now = this.cursor ?? (way > 0 ? -1 : Infinity);
    let place = way > 0 ? at(times, now + 5e-7) + 1 : at(times, now - 5e-7);
    place = Math.min(Math.max(place, 0), times.length - 1);
    const time = times[place];
    const [low, high] = this.range();
    if (time < low || time > high) this.set(time - (high - low) / 2, time + (high - low) / 2);
    this.cursor = time;
    const [first] = this.charts;
    if (first) first.setCursor({ left: first.valToPos(time, "x"), top: first.bbox.height / devicePixelRatio / 2 });
    this.tell(time);
  }

  range() {
    return this.zoom || [0, this.plot.length];
  }

  set(low, high) {
    const least = Math.min(this.plot.length, 2e-6);
    let width = Math.min(Math.max(high - low, least), this.plot.length);
    low = Math.min(Math.max(low, 0), this.plot.length - width);
    this.zoom = width >= this.plot.length ? null : [low, low + width];
    const [min, max] = this.range();
    this.zooming = true;
    for (const chart of this.charts) chart.setScale("x", { min, max });
    this.zooming = false;
    this.place.dataset.zoom = min.toFixed(6) + "-" + max.toFixed(6);
  }

  scale(factor) {
    const [low, high] = this.range();
    const middle = this.cursor !== undefined && this.cursor >= low && this.cursor <= high ? this.cursor : (low + high) / 2;
    this.set(middle - (middle - low) * factor, middle + (high - middle) * factor);
  }

  shift(share) {
    const [low, high] = this.range();
    const by = (high - low) * share;
    this.set(low + by, high + by);
  }

  // What the cursor points at, in words.
  tell(time) {
    if (time === undefined || time === null) return;
    this.cursor = time;
    const way = this.ways[this.way];
    const parts = ["at " + duration(Math.max(0, time))];
    const near = (times) => {
      const place = at(times, time);
      const next = place + 1 < times.length ? place + 1 : place;
      return place < 0 ? next : Math.abs(times[next] - time) < Math.abs(time - times[place]) ? next : place;
    };
    if (way.seg.t.length) {
      const n = near(way.seg.t);
      parts.push("frame " + way.seg.f[n] + ": octets " + count(way.seg.v[n]) + " to " + count(way.seg.v[n] + (way.seg.o[n] || 0)));
    }
    if (way.mark.t.length) {
      const n = near(way.mark.t);
      const [low, high] = this.range();
      if (Math.abs(way.mark.t[n] - time) <= (high - low) / 100) parts.push("frame " + way.mark.f[n] + " " + data.kinds[way.mark.k[n]][1]);
    }
    const last = (stored, text) => {
      const n = at(stored.t, time);
      if (n >= 0) parts.push(text(stored.v[n], stored.o[n]));
    };
    last(way.ack, (una) => "acknowledged " + count(una));
    last(way.flight, (flight, window) => "on their way " + octets(flight) + (window === null ? "" : ", window " + octets(window)));
    last(way.rtt, (nanos) => "round trip " + duration(nanos / 1e9));
    const bar = Math.floor(time / this.plot.bar) * 2;
    if (bar + 1 < way.rates.length) parts.push("acknowledged " + scaled((way.rates[bar + 1] * 8) / this.plot.bar, "bit/s"));
    for (const [from, to, number, id] of this.plot.findings) {
      if (time >= from && time <= to) parts.push("finding " + number + " " + id);
    }
    for (const [from, seconds, cause] of this.plot.stalls) {
      if (time >= from && time <= from + seconds) parts.push("silent for " + duration(seconds) + ": " + cause);
    }
    this.readout.textContent = parts.join(" · ");
  }

  draw() {
    for (const chart of this.charts) chart.destroy();
    this.charts = [];
    this.stack.replaceChildren();
    this.sides.forEach((b, n) => b.setAttribute("aria-pressed", String(n === this.way)));
    this.drawnWidth = this.width();
    const way = this.ways[this.way];
    this.keys(way);
    this.sequence(way);
    this.rates(way);
    if (way.rtt.t.length) this.rtt(way);
    if (way.flight.t.length) this.flight(way);
    const [min, max] = this.range();
    this.zooming = true;
    for (const chart of this.charts) chart.setScale("x", { min, max });
    this.zooming = false;
    this.readout.textContent = HINT;
  }

  // The marks that there are, with their number.
  keys(way) {
    this.key.replaceChildren();
    const item = (paint, text) => {
      const canvas = make("canvas", { width: 28, height: 28, class: "swatch", "aria-hidden": "true" });
      const context = canvas.getContext("2d");
      context.lineWidth = 3;
      paint(context);
      this.key.append(make("span", {}, canvas, text));
    };
    const stroke = (colour, dash = []) => (context) => {
      context.strokeStyle = css(colour);
      context.setLineDash(dash);
      context.beginPath(); context.moveTo(2, 14); context.lineTo(26, 14); context.stroke();
    };
    item((c) => { c.strokeStyle = css("--seg"); c.beginPath(); c.moveTo(14, 3); c.lineTo(14, 25); c.stroke(); }, "segment");
    item(stroke("--ack"), "acknowledged");
    if (way.ack.o.some((o) => o !== null)) item(stroke("--edge", [6, 4]), "window's edge");
    if (way.sack.t.length) item((c) => { c.strokeStyle = css("--sack"); c.beginPath(); c.moveTo(14, 3); c.lineTo(14, 25); c.stroke(); }, "SACK block (" + count(way.sack.all) + ")");
    data.kinds.forEach(([, about], kind) => {
      const number = way.mark.k.reduce((n, k) => n + (k === kind ? 1 : 0), 0);
      if (number) item((c) => { c.strokeStyle = css(KIND_COLOURS[kind]); stamp(c, kind, 14, 14, kind < 9 ? 9 : 6); }, about + " (" + count(number) + ")");
    });
    if (way.seg.all > way.seg.t.length) {
      this.key.append(make("span", { class: "soft", text: count(way.seg.t.length) + " of " + count(way.seg.all) + " segments are drawn: of each slice of time the first, the last and the extremes" }));
    }
    if (way.mark.all > way.mark.t.length) {
      this.key.append(make("span", { class: "soft", text: count(way.mark.t.length) + " of " + count(way.mark.all) + " marks are drawn" }));
    }
  }

  // Findings and silences behind the lines.
  bands(u) {
    const named = u === this.charts[0] || !this.charts.length;
    const { left, top, width, height } = u.bbox;
    const paint = (from, to, colour, text) => {
      const x = Math.max(u.valToPos(from, "x", true), left);
      const right = Math.min(u.valToPos(to, "x", true), left + width);
      if (right < left || x > left + width) return;
      u.ctx.fillStyle = css(colour);
      u.ctx.fillRect(x, top, Math.max(right - x, 2), height);
      if (named && text && right - x > 60 * devicePixelRatio) {
        u.ctx.fillStyle = css("--soft");
        u.ctx.font = 11 * devicePixelRatio + "px system-ui,sans-serif";
        u.ctx.textAlign = "left";
        u.ctx.textBaseline = "top";
        u.ctx.fillText(text, x + 4, top + 3, right - x - 8);
      }
    };
    u.ctx.save();
    for (const [from, seconds, cause] of this.plot.stalls) paint(from, from + seconds, "--stall", cause);
    for (const [from, to, , id] of this.plot.findings) if (id === "throughput.collapse") paint(from, to, "--band", id);
    u.ctx.restore();
  }

  chart(title, height, series, columns, hooks = {}, y = {}, show = octets) {
    const axis = (extra) => ({ stroke: css("--soft"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line"), width: 1 }, font: "12px system-ui,sans-serif", ...extra });
    this.stack.append(make("h4", { text: title }));
    const place = make("div", { class: "chart" });
    this.stack.append(place);
    const chart = new uPlot({
      width: this.drawnWidth, height, legend: { show: false }, padding: [8, 12, 0, 0],
      cursor: { sync: { key: "flow-" + this.plot.flow }, points: { show: false }, drag: { x: true, y: false, setScale: false } },
      scales: { x: { time: false, range: (u, min, max) => [min, max] }, y },
      axes: [axis({ values: (u, splits) => splits.map((s) => (s === 0 ? "0" : duration(s))), space: 90, size: 30 }), axis({ values: (u, splits) => splits.map(show), size: 76 })],
      series: [{}, ...series],
      hooks: {
        drawClear: [(u) => this.bands(u)],
        draw: hooks.draw ? [hooks.draw] : [],
        setCursor: [(u) => { if (u.cursor.left >= 0 && u === this.hovered) this.tell(u.posToVal(u.cursor.left, "x")); }],
        setSelect: [(u) => {
          const { left, width } = u.select;
          if (width > 3) this.set(u.posToVal(left, "x"), u.posToVal(left + width, "x"));
          u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        }],
      },
    }, columns, place);
    chart.over.addEventListener("mouseenter", () => { this.hovered = chart; });
    chart.over.addEventListener("dblclick", () => this.set(0, this.plot.length));
    this.charts.push(chart);
    return chart;
  }

  sequence(way) {
    const { seg, mark, ack, sack } = way;
    const times = ack.t.length ? ack.t : seg.t;
    const edge = ack.t.length ? ack.v.map((v, n) => (ack.o[n] === null ? null : v + ack.o[n])) : seg.t.map(() => null);
    const una = ack.t.length ? ack.v : seg.t.map(() => null);
    const stairs = uPlot.paths.stepped({ align: 1 });
    // The lowest and highest octet in view; the window's edge counts as long as it does not flatten the rest.
    const view = () => {
      const [min, max] = this.range();
      let [low, high, top] = [Infinity, -Infinity, -Infinity];
      const span = (stored, both) => {
        for (let n = Math.max(0, at(stored.t, min)); n < stored.t.length && stored.t[n] <= max; n++) {
          low = Math.min(low, stored.v[n]);
          high = Math.max(high, stored.v[n] + (both ? stored.o[n] || 0 : 0));
          if (!both && stored.o[n] !== null) top = Math.max(top, stored.v[n] + stored.o[n]);
        }
      };
      span(seg, true);
      span(ack, false);
      if (low > high) return [0, 1];
      if (top > high && top - low <= 3 * Math.max(high - low, 1)) high = top;
      const air = Math.max((high - low) * 0.05, 1);
      return [low - air, high + air];
    };
    const draw = (u) => {
      const { left, top, width, height } = u.bbox;
      const pixel = devicePixelRatio;
      const c = u.ctx;
      c.save();
      c.beginPath(); c.rect(left, top, width, height); c.clip();
      const [min, max] = [u.scales.x.min, u.scales.x.max];
      const upright = (stored, colour, thick) => {
        c.strokeStyle = css(colour);
        c.lineWidth = thick * pixel;
        c.beginPath();
        for (let n = Math.max(0, at(stored.t, min)); n < stored.t.length && stored.t[n] <= max; n++) {
          const x = u.valToPos(stored.t[n], "x", true);
          const y = u.valToPos(stored.v[n], "y", true);
          const end = u.valToPos(stored.v[n] + (stored.o[n] || 0), "y", true);
          c.moveTo(x, y);
          c.lineTo(x, Math.min(end, y - pixel));
        }
        c.stroke();
      };
      upright(sack, "--sack", 1);
      upright(seg, "--seg", 1.5);
      c.lineWidth = 1.6 * pixel;
      for (let n = Math.max(0, at(mark.t, min)); n < mark.t.length && mark.t[n] <= max; n++) {
        const kind = mark.k[n];
        c.strokeStyle = css(KIND_COLOURS[kind]);
        stamp(c, kind, u.valToPos(mark.t[n], "x", true), u.valToPos(mark.v[n] + (mark.o[n] || 0) / 2, "y", true), 4 * pixel);
      }
      c.restore();
    };
    this.chart("Octets of the stream: segments, acknowledgements, window", 300,
      [{ stroke: css("--ack"), width: 1.5, paths: stairs, points: { show: false } }, { stroke: css("--edge"), width: 1, dash: [6, 4], paths: stairs, points: { show: false } }],
      [times, una, edge], { draw }, { range: view });
  }

  rates(way) {
    const bar = this.plot.bar;
    const times = [];
    const [sent, acked] = [[], []];
    for (let n = 0; n < way.rates.length; n += 2) {
      times.push((n / 2) * bar);
      sent.push((way.rates[n] * 8) / bar);
      acked.push((way.rates[n + 1] * 8) / bar);
    }
    const stairs = uPlot.paths.stepped({ align: 1 });
    this.chart("Rate: acknowledged (filled) and sent (dashed), each " + duration(bar), 170,
      [{ stroke: css("--ack"), fill: css("--ack") + "33", width: 1.5, paths: stairs, points: { show: false } }, { stroke: css("--seg"), width: 1, dash: [3, 3], paths: stairs, points: { show: false } }],
      [times, acked, sent], {}, { range: (u, min, max) => [0, Math.max(max, 1) * 1.05] }, (v) => scaled(v, "bit/s"));
  }

  rtt(way) {
    this.chart("Round trip, data to its acknowledgement", 150,
      [{ stroke: css("--seg"), width: 1, paths: () => null, points: { show: true, size: 5, fill: css("--seg") } }],
      [way.rtt.t, way.rtt.v.map((v) => v / 1e9)], {}, { range: (u, min, max) => [0, Math.max(max, 1e-6) * 1.1] }, duration);
  }

  flight(way) {
    const stairs = uPlot.paths.stepped({ align: 1 });
    this.chart("On their way (solid) and the receiver's window (dashed)", 170,
      [{ stroke: css("--seg"), width: 1.5, paths: stairs, points: { show: false } }, { stroke: css("--edge"), width: 1, dash: [6, 4], paths: stairs, points: { show: false } }],
      [way.flight.t, way.flight.v, way.flight.o], {}, { range: (u, min, max) => [0, Math.max(max, 1) * 1.05] });
  }
}

const graphs = [];
for (const details of document.querySelectorAll("details.flow")) {
  const place = details.querySelector(".graphs");
  if (!place) continue;
  const draw = () => {
    if (!details.open || details.classList.contains("drawn")) return;
    details.classList.add("drawn");
    place.hidden = false;
    graphs.push(new Graphs(place, data.plots[Number(place.dataset.plot)]));
  };
  details.addEventListener("toggle", draw);
  draw();
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => graphs.forEach((g) => g.draw()));
unfold();
document.documentElement.dataset.ready = "true";
