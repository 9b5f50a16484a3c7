// The charts of a day, drawn by uPlot from the figures the page's tables hold, too; a reader of tables needs neither.

const REFRESH = 60000;
const HEIGHT = 220;
const charts = document.getElementById("charts");
const drawn = new Map();

function colour(name) {
  return getComputedStyle(document.body).getPropertyValue(name).trim();
}

function axis(values, more = {}) {
  // Tabler's own colours are made of functions a canvas does not know: take them as the page came to have them.
  const ink = getComputedStyle(charts).color;
  const grid = { stroke: getComputedStyle(charts.querySelector(".card")).borderTopColor, width: 1 };
  return { stroke: ink, grid, ticks: grid, values, ...more };
}

function whole(_plot, splits) {
  return splits.map((value) => (Number.isInteger(value) ? value : ""));
}

function bars(place, align) {
  return window.uPlot.paths.bars({ size: [place, 60], align });
}

function draw(slot, options, data) {
  const element = charts.querySelector(`[data-slot="${slot}"]`);
  if (element === null) return;
  drawn.get(slot)?.destroy();
  const plot = new window.uPlot({ width: element.clientWidth, height: HEIGHT, cursor: { drag: { x: false } }, ...options }, data, element);
  drawn.set(slot, plot);
}

function drawCalls(hours) {
  const said = charts.dataset;
  const ticks = hours.map((_one, at) => at);
  const busy = hours.flatMap((one, at) => (one.answered + one.lost > 0 ? [at] : []));
  // Working hours, and whatever lies outside them.
  const first = Math.min(16, ...busy), last = Math.max(36, ...busy);
  const label = (_plot, at) => (at === null ? "" : hours[at]?.label ?? "");
  draw("calls", {
    scales: { x: { time: false, range: [first - 1, last + 1] }, y: { range: (_plot, _least, most) => [0, Math.max(4, Math.ceil(most * 1.1))] } },
    axes: [axis((_plot, splits) => splits.map((at) => hours[at]?.label ?? ""), { incrs: [1, 2, 4, 8], space: 60 }), axis(whole, { size: 40 })],
    series: [
      { label: said.time, value: label },
      { label: said.answered, stroke: colour("--mark-good"), fill: colour("--mark-good"), paths: bars(0.4, -1), points: { show: false } },
      { label: said.lost, stroke: colour("--mark-bad"), fill: colour("--mark-bad"), paths: bars(0.4, 1), points: { show: false } },
    ],
  }, [ticks, hours.map((one) => one.answered || null), hours.map((one) => one.lost || null)]);
}

function cut(name) {
  return name.length > 10 ? `${name.slice(0, 9)}…` : name;
}

function drawTalk(agents) {
  const said = charts.dataset;
  const name = (at) => agents[at]?.name ?? "";
  draw("talk", {
    scales: { x: { time: false, range: [-0.7, Math.max(1.7, agents.length - 0.3)] }, y: { range: (_plot, _least, most) => [0, Math.max(5, Math.ceil(most * 1.1))] } },
    axes: [axis((_plot, splits) => splits.map((at) => (Number.isInteger(at) ? cut(name(at)) : "")), { incrs: [1, 2, 5, 10], space: 48 }), axis(whole, { size: 44 })],
    series: [
      { label: said.agent, value: (_plot, at) => (at === null ? "" : name(at)) },
      { label: said.talk, stroke: colour("--mark-busy"), fill: colour("--mark-busy"), paths: bars(0.6, 0), points: { show: false } },
    ],
  }, [agents.map((_one, at) => at), agents.map((one) => one.talk_minutes)]);
}

let figures = null;

function redraw() {
  if (figures === null) return;
  drawCalls(figures.half_hours);
  drawTalk(figures.agents);
}

async function refresh() {
  try {
    const answer = await fetch(charts.dataset.figures, { headers: { accept: "application/json" } });
    if (!answer.ok || answer.redirected) return;
    figures = await answer.json();
  } catch {
    return; // the network is away; what is drawn stays
  }
  redraw();
}

let resized = null;
window.addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(redraw, 150); });
// Colours are read when drawn: draw anew when light turns to dark.
new MutationObserver(redraw).observe(document.documentElement, { attributes: true, attributeFilter: ["data-bs-theme"] });
if ("live" in charts.dataset) setInterval(refresh, REFRESH);
refresh();
