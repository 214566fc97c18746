// What the page knows, and the few functions that all of its scripts use.

export const STAGES = ["W", "N1", "N2", "N3", "R"];
export const COLOURS = { W: "--w", N1: "--n1", N2: "--n2", N3: "--n3", R: "--r" };
export const $ = (id) => document.getElementById(id);

export function hashBed() {
  try { return decodeURIComponent(location.hash.slice(1)); } catch { return ""; }
}

export const page = {
  bed: hashBed(),
  state: null, heard: 0, source: null, rows: [], last: null, chosen: null, writing: { index: -1, text: "" },
  role: "", happenings: [], retry: 0, key: "",
};

// Ages are counted from when the state came, by a clock that nobody sets: they grow on where the stream is cut.
export const now = () => performance.now();
export const since = (seconds) => (seconds === null || seconds === undefined ? null : seconds + (now() - page.heard) / 1000);

export function age(seconds) {
  if (seconds === null) return "never";
  if (seconds < 100) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export function set(id, text, name) {
  const element = $(id);
  if (element.textContent !== text) element.textContent = text;
  if (name !== undefined && element.className !== name) element.className = name;
}

export function make(tag, name, text) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined) element.textContent = text;
  return element;
}
