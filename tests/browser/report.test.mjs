// Opens HTML reports in a headless Chromium: what a reader sees, hears and types, at two widths.
//
// Needs: the binary (TCPTRIAGE, or target/debug/tcptriage), Chromium (CHROMIUM, or where Debian has it), `npm ci` in this folder.
// SCREENSHOTS=FOLDER keeps pictures to look at.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import axe from "@axe-core/playwright";
import { chromium } from "playwright-core";
import { long, many, two } from "./make.mjs";

const root = join(import.meta.dirname, "../..");
const binary = process.env.TCPTRIAGE ?? join(root, "target/debug/tcptriage");
const AxeBuilder = axe.default ?? axe;
const WIDTHS = [360, 375, 1280, 1920];

let folder;
let browser;
const pages = {};

const report = (name, ...captures) => run(name, "analyze", ...captures);
const run = (name, ...command) => {
  pages[name] = join(folder, name + ".html");
  execFileSync(binary, ["-q", ...command, "-o", pages[name]], { stdio: ["ignore", "ignore", "inherit"] });
};

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "tcptriage-browser-"));
  report("sick", join(root, "captures/exchange2007-nic-team/capture.pcapng"));
  report("healthy", join(root, "captures/exchange2007-after/capture.pcapng"));
  many(join(folder, "many.pcap"), 10_000);
  report("many", join(folder, "many.pcap"));
  long(join(folder, "long.pcap"), 100_000);
  report("long", join(folder, "long.pcap"));
  two(join(folder, "here.pcap"), join(folder, "there.pcap"));
  run("compared", "compare", join(folder, "here.pcap"), join(folder, "there.pcap"));
  const [before, after] = ["exchange2007-nic-team", "exchange2007-after"].map((name) => join(root, "captures", name, "capture.pcapng"));
  run("verified", "verify", "--before", before, "--after", after);
  if (process.env.HOSTILE_HTML) pages.hostile = process.env.HOSTILE_HTML;
  const executablePath = process.env.CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
});

after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});

// Opens a report and fails on whatever the browser complains of.
const open = async (name, { width = 1280, ...settings } = {}, work) => {
  const context = await browser.newContext({ viewport: { width, height: 900 }, ...settings });
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (m) => complaints.push(m.text()));
  page.on("pageerror", (e) => complaints.push(e.message));
  page.on("dialog", (d) => { complaints.push("dialog " + d.message()); d.dismiss(); });
  page.on("request", (r) => { if (r.url() !== pathToFileURL(pages[name]).href) complaints.push("request " + r.url()); });
  await page.goto(pathToFileURL(pages[name]).href);
  if (settings.javaScriptEnabled !== false) await page.waitForSelector("html[data-ready]");
  const result = await work(page);
  if (process.env.SCREENSHOTS) {
    await page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}-${width}-${settings.colorScheme ?? "light"}.png`) });
  }
  await context.close();
  assert.deepEqual(complaints, [], name);
  return result;
};

// Canvases with more than one colour.
const drawn = (page) => page.evaluate(() => [...document.querySelectorAll(".chart canvas")].filter((canvas) => {
  const points = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  return new Set(points.filter((_, n) => n % 7 === 0)).size > 3;
}).length);

test("opens clean, draws its graphs and fits the screen", async () => {
  for (const name of ["sick", "healthy", "many", "long", "compared", "verified"]) {
    for (const width of WIDTHS) {
      for (const colorScheme of name === "sick" ? ["light", "dark"] : ["light"]) {
        await open(name, { width, colorScheme }, async (page) => {
          if (name !== "compared") assert.ok((await drawn(page)) >= 3, `${name} at ${width}: graphs`);
          const wide = await page.evaluate(() => document.documentElement.scrollWidth);
          assert.ok(wide <= width, `${name} is ${wide} wide at ${width}`);
        });
      }
    }
  }
});

test("says first how it is, what that cost, and what to do", async () => {
  await open("sick", {}, async (page) => {
    assert.match(await page.textContent("h1"), /sick/);
    assert.match(await page.textContent(".short li"), /\d+ (min|s).* lost/);
    for (const first of ["h1", ".short li", ".first a"]) {
      const box = await page.locator(first).first().boundingBox();
      assert.ok(box.y + box.height < 900, `${first} is on the first screen`);
    }
    await page.click(".first a");
    assert.match(page.url(), /#remedy-/);
  });
});

test("says what a page is of, and what its numbers are sums of", async () => {
  for (const [name, title] of [["sick", /^TCP health: sick$/], ["compared", /^TCP health between two captures: /], ["verified", /^Did the remedy work\?: /]]) {
    await open(name, {}, async (page) => {
      assert.match(await page.title(), title);
      assert.match((await page.textContent("h1")).trim(), title);
    });
  }
  await open("sick", {}, async (page) => {
    assert.match(await page.textContent(".short li"), /lost, summed over \d+ connections/);
    assert.match(await page.locator("#wrong ~ article h3").first().textContent(), /lost, summed over \d+ connections/);
  });
  await open("verified", {}, async (page) => {
    const named = (await page.locator("article[id^=finding]").count()) > 0;
    const said = await page.locator("#graphs + p").textContent();
    assert.ok(named || /no finding names any/.test(said), said);
  });
});

test("a comparison names its captures where it cites them", async () => {
  await open("compared", {}, async (page) => {
    assert.match(await page.textContent(".sides"), /left is .*here\.pcap; right is .*there\.pcap/);
    const first = page.locator("#wrong ~ article").first();
    assert.match(await first.textContent(), /(left|right) frame \d+/);
    assert.match(await first.textContent(), /Its proof alone.*in (left|right) \((here|there)\.pcap\)/s);
    assert.doesNotMatch(await page.textContent("main"), /capture \d+ frame/);
  });
});

test("delays have a scale, and dots to be seen", async () => {
  for (const width of [375, 1280]) {
    await open("compared", { width }, async (page) => {
      const ticks = await page.locator(".trend-y span").allTextContents();
      assert.equal(ticks.length, 5);
      assert.ok(ticks.every((t) => /^-?[\d.]+ ms$/.test(t)), ticks.join());
      assert.match(await page.textContent(".trend-x"), /UTC.*later/s);
      const dot = await page.locator("svg.trend path.g-seg").evaluate((p) => parseFloat(getComputedStyle(p).strokeWidth));
      assert.ok(dot >= 3, `${dot} pixels`);
      // Half of the drawing is not left to one spike.
      const heights = await page.locator("svg.trend path.g-seg").evaluate((p) => [...p.getAttribute("d").matchAll(/M[\d.]+ ([\d.]+)/g)].map((m) => Number(m[1])));
      assert.ok(Math.max(...heights) - Math.min(...heights) > 40, "spread");
    });
  }
});

test("tables beside the findings fit their box at a desk, and scroll inside it on a telephone", async () => {
  for (const name of ["compared", "verified"]) {
    await open(name, { width: 1280 }, async (page) => {
      for (const [inside, box] of await page.locator(".scroll:has(.beside)").evaluateAll((all) => all.map((e) => [e.scrollWidth, e.clientWidth]))) {
        assert.ok(inside <= box, `${name}: ${inside} in ${box}`);
      }
    });
    await open(name, { width: 375 }, async (page) => {
      const right = await page.locator(".scroll:has(.beside)").evaluateAll((all) => all.map((e) => e.getBoundingClientRect().right));
      assert.ok(right.length && right.every((x) => x <= 375), `${name}: ${right}`);
    });
  }
});

test("remedies of a finding are an order, and the first three are shown", async () => {
  await open("sick", {}, async (page) => {
    const first = page.locator("#wrong ~ article").first();
    const lists = first.locator("ol.remedies");
    assert.equal(await lists.first().locator("li").count(), 3);
    assert.equal(await first.locator("ol.remedies li:visible").count(), 3);
    assert.match(await first.locator("details:has(ol.remedies) summary").textContent(), /\d+ more/);
    assert.equal(await lists.nth(1).getAttribute("start"), "4");
    const hrefs = await first.locator("ol.remedies a").evaluateAll((all) => all.map((a) => a.getAttribute("href")));
    const order = await page.locator("article[id^=remedy]").evaluateAll((all) => all.map((a) => "#" + a.id));
    assert.deepEqual(hrefs, order.filter((id) => hrefs.includes(id)), "by rank");
  });
});

test("accessible by axe's rules", async () => {
  for (const [name, schemes] of [["sick", ["light", "dark"]], ["healthy", ["dark"]], ["long", ["light"]], ["compared", ["light", "dark"]], ["verified", ["light"]]]) {
    for (const width of [360, 1920]) {
      for (const colorScheme of schemes) {
        await open(name, { width, colorScheme }, async (page) => {
          await page.evaluate(() => document.querySelectorAll("details").forEach((d) => { d.open = true; }));
          await page.waitForTimeout(200);
          const { violations } = await new AxeBuilder({ page }).analyze();
          const told = violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(" | ")}`);
          assert.deepEqual(told, [], `${name} at ${width}, ${colorScheme}`);
        });
      }
    }
  }
});

test("zooms by button, mouse and key, all graphs together", async () => {
  await open("sick", {}, async (page) => {
    const place = page.locator(".graphs").first();
    const zoom = () => place.getAttribute("data-zoom");
    await place.getByRole("button", { name: "Zoom in" }).click();
    const [low, high] = (await zoom()).split("-").map(Number);
    assert.ok(low > 0 && high > low);
    await place.getByRole("button", { name: "Whole" }).click();
    const whole = (await zoom()).split("-").map(Number);
    assert.ok(Math.abs((whole[1] - whole[0]) / (high - low) - 2) < 0.01);
    const over = place.locator(".u-over").first();
    const box = await over.boundingBox();
    await page.mouse.move(box.x + box.width * 0.25, box.y + 50);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.5, box.y + 60, { steps: 5 });
    await page.mouse.up();
    const dragged = (await zoom()).split("-").map(Number);
    const share = (dragged[1] - dragged[0]) / (whole[1] - whole[0]);
    assert.ok(share > 0.22 && share < 0.28, `a quarter was dragged, ${share} is shown`);
    assert.match(await place.locator(".readout").textContent(), /frame \d+/);
    const cursors = await page.evaluate(() => [...document.querySelectorAll(".graphs")][0].querySelectorAll(".u-cursor-x").length);
    assert.ok(cursors >= 3);
    await over.dblclick();
    assert.equal(await zoom(), whole.map((x) => x.toFixed(6)).join("-"));
    await place.getByRole("application").focus();
    await page.keyboard.press("m");
    const said = await place.locator(".readout").textContent();
    assert.match(said, /frame \d+/);
    await page.keyboard.press("ArrowRight");
    assert.notEqual(await place.locator(".readout").textContent(), said);
    await page.keyboard.press("+");
    assert.notEqual(await zoom(), whole.map((x) => x.toFixed(6)).join("-"));
    await place.getByRole("button", { name: "Server to client" }).click();
    assert.equal(await place.getByRole("button", { name: "Server to client" }).getAttribute("aria-pressed"), "true");
  });
});

test("the keyboard reaches everything", async () => {
  await open("healthy", {}, async (page) => {
    const all = await page.evaluate(() => {
      const able = document.querySelectorAll("a[href], button:not(:disabled), input, summary, [tabindex='0']");
      const seen = [...able].filter((e) => e.checkVisibility());
      seen.forEach((e, n) => { e.dataset.place = n; });
      return seen.length;
    });
    const reached = new Set();
    for (let n = 0; n < all + 20 && reached.size < all; n++) {
      await page.keyboard.press("Tab");
      reached.add(await page.evaluate(() => document.activeElement.dataset.place));
      reached.delete(undefined);
    }
    assert.equal(reached.size, all);
  });
});

test("ten thousand connections: small, paged, filtered without a pause", async () => {
  assert.ok(statSync(pages.many).size < 5_000_000, `${statSync(pages.many).size} octets`);
  await open("many", {}, async (page) => {
    const rows = () => page.locator("#flows tbody tr").count();
    assert.equal(await rows(), 100);
    assert.match(await page.textContent("#shown"), /1 to 100 of 10,000/);
    await page.click("#after");
    assert.match(await page.textContent("#shown"), /101 to 200/);
    const took = await page.evaluate(() => {
      const filter = document.querySelector("#filter");
      const start = performance.now();
      filter.value = "10.1.0.2:25";
      filter.dispatchEvent(new Event("input"));
      return performance.now() - start;
    });
    assert.ok(took < 500, `the filter took ${took} ms`);
    assert.match(await page.textContent("#shown"), /that fit, of 10,000/);
    assert.ok((await page.locator("#flows tbody tr td:nth-child(3)").allTextContents()).every((t) => t === "10.1.0.2:25"));
    await page.fill("#filter", "");
    await page.getByRole("button", { name: "Sent again" }).click();
    assert.match(await page.locator("#flows tbody tr").first().textContent(), /1 \(/);
    await page.fill("#filter", "no such thing");
    assert.equal(await rows(), 0);
  });
});

test("a hundred thousand segments are thinned, and it says so", async () => {
  assert.ok(statSync(pages.long).size < 1_000_000, `${statSync(pages.long).size} octets`);
  await open("long", {}, async (page) => {
    assert.match(await page.locator(".marks").first().textContent(), /of 100,\d+ segments are drawn/);
    // Of the 100 repeats none is thinned away.
    assert.match(await page.locator(".marks").first().textContent(), /sent again: [a-z ]+ \(100\)/);
  });
});

test("readable without script", async () => {
  await open("sick", { javaScriptEnabled: false }, async (page) => {
    assert.ok(await page.locator(".first").isVisible());
    assert.ok(await page.locator("svg.sequence").first().isVisible());
    assert.ok((await page.locator("#flows tbody tr").count()) >= 50);
    assert.equal(await page.locator("button:visible").count(), 0);
  });
});

test("prints without controls, with drawings in place of canvases", async () => {
  await open("sick", { colorScheme: "dark" }, async (page) => {
    await page.emulateMedia({ media: "print" });
    assert.equal(await page.locator("canvas:visible").count(), 0);
    assert.ok(await page.locator("svg.sequence").first().isVisible());
    assert.equal(await page.locator("button:visible").count(), 0);
    assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(255, 255, 255)");
  });
});

test("hostile text stays text", { skip: process.env.HOSTILE_HTML ? false : "HOSTILE_HTML names no page" }, async () => {
  await open("hostile", {}, async (page) => {
    await page.evaluate(() => document.querySelectorAll("details").forEach((d) => { d.open = true; }));
    assert.match(await page.textContent("main"), /<script>alert\(1\)<\/script>/);
    assert.equal(await page.locator("script").count(), 3);
    assert.equal(await page.locator("main script, main img, main iframe, main a[href^='javascript']").count(), 0);
    for (const href of await page.evaluate(() => [...document.querySelectorAll("a[href]")].map((a) => a.getAttribute("href")))) {
      assert.match(href, /^(#|https:\/\/example\.com\/)/);
    }
  });
});

test("the plotting library is the published one", () => {
  for (const file of ["dist/uPlot.iife.min.js", "dist/uPlot.min.css", "LICENSE"]) {
    const published = readFileSync(join(import.meta.dirname, "node_modules/uplot", file));
    const ours = readFileSync(join(root, "src/report/vendor/uplot", file.replace("dist/", "")));
    assert.ok(published.equals(ours), file);
  }
});
