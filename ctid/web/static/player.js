// Recordings in place: turns the browser's own player within <ctid-player> into one with a waveform.
// Law: a waveform is fetched when it is seen, sound when it is asked for; one plays at a time, in all of the user's tabs.
// What the server sent is drawn on a canvas or shown as text; nothing here makes markup out of it.

import { clock } from "./elements.js";

const STEP = 5;
const LEAP = 30;
const SPEED = "ctid.player.speed";
const VOLUME = "ctid.player.volume";
const BAR = 2;
const GAP = 1;
// A quiet call is drawn larger, but a silent one stays a line.
const QUIETEST = 12;
// Between two strokes of the hatching over a pause, and the least width of one, in pixels.
const STROKES = 6;
const SLIT = 3;

const players = new Set();
const tabs = "BroadcastChannel" in window ? new BroadcastChannel("ctid.player") : null;
tabs?.addEventListener("message", () => { for (const player of players) player.audio.pause(); });

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) entry.target.load();
}, { rootMargin: "100px" });
const sized = new ResizeObserver((entries) => { for (const entry of entries) entry.target.closest("ctid-player")?.draw(); });
new MutationObserver(() => { for (const player of players) player.draw(); })
  .observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });

/** Whole seconds, as people read a player: it is not there before it is. */
const whole = (seconds) => clock(Math.floor(seconds) * 1000);

/** What was remembered under that name, if it lies between the two; `usual` where nothing was or may be remembered. */
function remembered(name, least, most, usual) {
  try {
    const kept = Number.parseFloat(window.localStorage.getItem(name));
    return kept >= least && kept <= most ? kept : usual;
  } catch { return usual; }
}

function remember(name, value) {
  try { window.localStorage.setItem(name, String(value)); } catch { /* a browser that keeps nothing: then not */ }
}

class Player extends HTMLElement {
  connectedCallback() {
    this.audio ??= this.querySelector("audio");
    this.bar ??= this.querySelector(".player-bar");
    if (!this.audio || !this.bar) return;
    players.add(this);
    if (!this.parts) this.furnish();
    this.recall();
    seen.observe(this);
    sized.observe(this.canvas);
  }

  disconnectedCallback() {
    players.delete(this);
    seen.unobserve(this);
    if (this.canvas) sized.unobserve(this.canvas);
    this.audio?.pause();  // sound without a page would go on
  }

  furnish() {
    this.parts = {};
    for (const part of this.bar.querySelectorAll("[data-part]")) this.parts[part.dataset.part] = part;
    this.canvas = this.parts.wave.querySelector("canvas");
    this.peaks = null;
    const seconds = (this.dataset.pauses ?? "").split(" ").filter(Boolean).map(Number);
    this.pauses = seconds.flatMap((begins, place) => (place % 2 ? [] : [[begins, seconds[place + 1]]]));
    this.held = null;
    this.audio.removeAttribute("controls");
    this.audio.hidden = true;
    this.bar.hidden = false;
    const { play, wave, back, on, speed, volume } = this.parts;
    play.addEventListener("click", () => this.toggle());
    back.addEventListener("click", () => this.seek(this.at - STEP));
    on.addEventListener("click", () => this.seek(this.at + STEP));
    speed.addEventListener("change", () => { remember(SPEED, speed.value); for (const player of players) player.recall(); });
    volume.addEventListener("input", () => { remember(VOLUME, volume.value); for (const player of players) player.recall(); });
    wave.addEventListener("keydown", (event) => this.key(event));
    wave.addEventListener("pointerdown", (event) => this.take(event));
    wave.addEventListener("pointermove", (event) => { if (this.held !== null) { this.held = this.under(event); this.show(); } });
    wave.addEventListener("pointerup", (event) => { if (this.held !== null) { this.held = null; this.seek(this.under(event)); } });
    wave.addEventListener("pointercancel", () => { this.held = null; this.show(); });
    for (const name of ["timeupdate", "seeked", "durationchange"]) this.audio.addEventListener(name, () => this.show());
    for (const name of ["play", "pause", "ended"]) this.audio.addEventListener(name, () => this.turn());
    this.audio.addEventListener("error", () => this.fail());
    this.show();
  }

  get at() { return this.audio.currentTime; }

  get length() {
    const known = this.audio.duration;
    return Number.isFinite(known) && known > 0 ? known : this.peaks?.seconds ?? (Number.parseFloat(this.dataset.seconds) || 0);
  }

  recall() {
    const speed = remembered(SPEED, 0.75, 2, 1);
    const volume = remembered(VOLUME, 0, 1, 1);
    this.parts.speed.value = String(speed);
    this.parts.volume.value = String(volume);
    this.audio.defaultPlaybackRate = speed;
    this.audio.playbackRate = speed;
    this.audio.volume = volume;
  }

  toggle() {
    if (!this.audio.paused) { this.audio.pause(); return; }
    this.parts.said.textContent = "";
    if (this.audio.error) { const at = this.at; this.audio.load(); this.audio.currentTime = at; }
    for (const player of players) if (player !== this) player.audio.pause();
    tabs?.postMessage("playing");
    // Refused where the sound does not come; the error event says so.
    this.audio.play().catch(() => {});
  }

  seek(to) {
    this.audio.currentTime = Math.min(Math.max(0, to), this.length || 0);
    this.show();
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const to = {
      ArrowLeft: this.at - STEP, ArrowDown: this.at - STEP, ArrowRight: this.at + STEP, ArrowUp: this.at + STEP,
      PageDown: this.at - LEAP, PageUp: this.at + LEAP, Home: 0, End: this.length,
    }[event.key];
    if (to !== undefined) this.seek(to);
    else if (event.key === " " || event.key === "Enter") this.toggle();
    else return;
    event.preventDefault();
  }

  take(event) {
    if (event.button !== 0 || !this.length) return;
    this.parts.wave.setPointerCapture(event.pointerId);
    this.held = this.under(event);
    this.show();
  }

  /** The moment under the pointer. */
  under(event) {
    const box = this.canvas.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / (box.width || 1))) * this.length;
  }

  async load() {
    seen.unobserve(this);
    if (this.peaks) return;
    try {
      const answer = await fetch(this.dataset.peaks, { redirect: "error" });
      if (!answer.ok) return;
      this.peaks = await answer.json();
    } catch { return; }  // it plays without a picture as well
    const loudest = Math.max(QUIETEST, ...this.peaks.channels.flat().map(Math.abs));
    this.scale = 1 / loudest;
    this.show();
  }

  turn() {
    const playing = !this.audio.paused && !this.audio.ended;
    const { play } = this.parts;
    this.classList.toggle("player-playing", playing);
    play.setAttribute("aria-label", playing ? play.dataset.pause : play.dataset.play);
    if (!playing) { this.show(); return; }
    // The browser tells the time four times a second; the line moves with each picture, while there is something to see.
    const step = () => { if (this.isConnected && !this.audio.paused) { this.show(); requestAnimationFrame(step); } };
    requestAnimationFrame(step);
  }

  fail() {
    // Of a player that was never started nothing was asked.
    if (this.audio.error) this.parts.said.textContent = this.parts.said.dataset.failed;
    this.turn();
  }

  show() {
    const at = Math.min(this.held ?? this.at, this.length || Infinity);
    const { wave } = this.parts;
    const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };
    put(this.parts.at, whole(at));
    put(this.parts.length, whole(this.length));
    const text = wave.dataset.text.replace("{at}", whole(at)).replace("{length}", whole(this.length));
    if (wave.getAttribute("aria-valuetext") !== text) {
      wave.setAttribute("aria-valuetext", text);
      wave.setAttribute("aria-valuenow", String(Math.floor(at)));
      wave.setAttribute("aria-valuemax", String(Math.ceil(this.length)));
    }
    this.draw(at);
  }

  draw(at = this.held ?? this.at) {
    const { canvas } = this;
    const dense = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * dense);
    const height = Math.round(canvas.clientHeight * dense);
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    const brush = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    const [played, rest, line] = ["--wave-played", "--wave-rest", "--wave-line"].map((name) => style.getPropertyValue(name).trim());
    const reached = this.length ? Math.round(width * Math.min(1, at / this.length)) : 0;
    brush.clearRect(0, 0, width, height);
    const lanes = this.peaks?.channels.length ? this.peaks.channels : [[0, 0]];
    lanes.forEach((lane, number) => {
      const half = height / lanes.length / 2;
      this.lane(brush, lane, { middle: half * (2 * number + 1), half: half - dense, width, reached, played, rest, dense });
    });
    this.hatch(brush, { width, height, dense, colour: style.getPropertyValue("--wave-pause").trim() });
    brush.fillStyle = line;
    brush.fillRect(Math.min(Math.max(0, reached - dense), width - 2 * dense), 0, Math.ceil(2 * dense), height);
  }

  /** What was not recorded: strokes aslant from where a pause begins to where it ends. */
  hatch(brush, { width, height, dense, colour }) {
    if (!this.length) return;
    brush.strokeStyle = colour;
    brush.lineWidth = dense;
    for (const [begins, ends] of this.pauses) {
      const from = (begins / this.length) * width;
      const to = Math.max(from + SLIT * dense, (ends / this.length) * width);
      brush.save();
      brush.beginPath();
      brush.rect(from, 0, to - from, height);
      brush.clip();
      brush.beginPath();
      for (let x = from - height; x < to; x += STROKES * dense) { brush.moveTo(x, height); brush.lineTo(x + height, 0); }
      brush.stroke();
      brush.restore();
    }
  }

  /** One channel: a bar for each few pixels, from the lowest to the highest that falls into it. */
  lane(brush, lane, { middle, half, width, reached, played, rest, dense }) {
    const pairs = lane.length / 2;
    const step = Math.max(1, Math.round((BAR + GAP) * dense));
    const bar = Math.max(1, Math.round(BAR * dense));
    for (let x = 0; x < width; x += step) {
      const first = Math.floor((x / width) * pairs);
      const last = Math.max(first + 1, Math.floor(((x + step) / width) * pairs));
      let low = 0;
      let high = 0;
      for (let pair = first; pair < last && pair < pairs; pair += 1) {
        low = Math.min(low, lane[2 * pair]);
        high = Math.max(high, lane[2 * pair + 1]);
      }
      const scale = (this.scale ?? 0) * half;
      const top = middle - Math.max(dense / 2, high * scale);
      const bottom = middle + Math.max(dense / 2, -low * scale);
      brush.fillStyle = x < reached ? played : rest;
      brush.fillRect(x, top, bar, bottom - top);
    }
  }
}

customElements.define("ctid-player", Player);
