// The pictures of a bed: its night in two canvases, and the live trace.

import { $, COLOURS, STAGES, now, page, set } from "/page.js";

const ORDER = ["W", "R", "N1", "N2", "N3"];

function canvasOf(id) {
  const canvas = $(id);
  const scale = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * scale);
  const height = Math.round(canvas.clientHeight * scale);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width: canvas.clientWidth, height: canvas.clientHeight };
}

export const LEFT = 30;
export function scaleOf(width) {
  const total = Math.max(120, page.rows.length, 1);
  return { total, step: (width - LEFT - 4) / total };
}

export function drawNight() {
  if ($("bed").hidden) return;
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const { pen, width, height } = canvasOf("hypnogram");
  if (!width) return;
  const { total, step } = scaleOf(width);
  const line = (height - 26) / ORDER.length;
  pen.font = "12px system-ui, sans-serif";
  pen.textBaseline = "middle";
  ORDER.forEach((name, k) => {
    const y = 4 + (k + 0.5) * line;
    pen.fillStyle = colour("--soft");
    pen.fillText(name, 4, y);
    pen.fillStyle = colour("--line");
    pen.fillRect(LEFT, y, width - LEFT, 1);
  });
  drawHours(pen, width, height, total, step, colour("--soft"));
  let before = null;
  for (let i = 0; i < page.rows.length; i++) {
    const row = page.rows[i];
    const x = LEFT + i * step;
    if (!row || !row.counted || !row.stage) {
      pen.fillStyle = colour("--none");
      pen.fillRect(x, height - 22, Math.max(step, 1), 4);
      before = null;
      continue;
    }
    const y = 4 + (ORDER.indexOf(row.stage) + 0.5) * line;
    pen.fillStyle = colour("--soft");
    if (before !== null && before !== y) pen.fillRect(x, Math.min(y, before), 1, Math.abs(y - before));
    pen.fillStyle = colour(COLOURS[row.stage]);
    pen.fillRect(x, y - 3, Math.max(step, 1), 6);
    before = y;
  }
  if (page.chosen) {
    pen.fillStyle = colour("--accent");
    pen.fillRect(LEFT + (page.chosen.index + 0.5) * step, 0, 2, height - 18);
  }
  const dense = canvasOf("density");
  for (let i = 0; i < page.rows.length; i++) {
    const row = page.rows[i];
    if (!row || !row.stage) continue;
    let top = 0;
    for (const name of ORDER) {
      const share = row.p[STAGES.indexOf(name)] * dense.height;
      dense.pen.fillStyle = colour(COLOURS[name]);
      dense.pen.fillRect(LEFT + i * step, top, Math.max(step, 1) + 0.3, share + 0.3);
      top += share;
    }
  }
  drawCounts();
}

function drawHours(pen, width, height, total, step, colour) {
  pen.fillStyle = colour;
  const every = total > 480 ? 120 : total > 240 ? 60 : 20;
  for (let i = 0; i <= total; i += every) {
    const x = LEFT + i * step;
    pen.fillRect(x, height - 16, 1, 4);
    const text = `${Math.floor(i / 120)}:${String(Math.floor((i % 120) / 2)).padStart(2, "0")}`;
    if (x < width - 30) pen.fillText(text, x + 3, height - 8);
  }
}

function drawCounts() {
  const counts = {};
  let unscored = 0;
  for (const row of page.rows) {
    if (row && row.counted && row.stage) counts[row.stage] = (counts[row.stage] || 0) + 1;
    else unscored += 1;
  }
  const parts = STAGES.filter((name) => counts[name]).map((name) => `${name} ${(counts[name] / 2).toFixed(1)} min`);
  if (unscored) parts.push(`not scored ${(unscored / 2).toFixed(1)} min`);
  set("counts", parts.join(" · ") || "no epoch yet");
}

// One picture at a time; the next is asked for when the last has come, and no faster than once a second.
export function drawTrace() {
  const image = $("trace");
  if (page.loading || document.hidden || !page.bed || $("login").open) return;
  page.loading = true;
  const done = (there) => {
    page.loading = false;
    $("no-trace").hidden = there;
    image.style.visibility = there ? "visible" : "hidden";
  };
  image.onload = () => done(true);
  image.onerror = () => done(false);
  image.src = `/api/beds/${encodeURIComponent(page.bed)}/trace.png?size=${image.clientWidth < 600 ? "narrow" : "wide"}&at=${Math.floor(now())}`;
}
