// The page of the bedside service. It shows what the event stream says, and always how old that is.

import { $, COLOURS, STAGES, age, hashBed, make, now, page, set, since } from "/page.js";
import { LEFT, drawNight, drawTrace, scaleOf } from "/pictures.js";

const OUTCOMES = {
  late: "Decided after its deadline; it counts. ", gap: "No signal in this epoch. ", artefact: "Too much of the signal is an artefact. ",
  unscorable: "The signal cannot be scored. ", failed: "The model failed. ",
};
const QUIET_MS = 15000;
const MOST_HAPPENINGS = 60;

function connect() {
  if (page.source) page.source.close();
  const source = new EventSource(`/events?bed=${encodeURIComponent(page.bed)}`);
  page.source = source;
  const on = (name, take) => source.addEventListener(name, (event) => {
    if (source !== page.source) return;
    page.lastEvent = now();
    take(JSON.parse(event.data));
  });
  on("state", takeState);
  on("night", takeNight);
  on("row", takeRow);
  on("text", takeText);
  on("happening", (told) => { if (!told.bed || told.bed === page.bed) takeHappenings([...page.happenings, told]); });
  on("happenings", (told) => takeHappenings(told.list));
  page.lastEvent = now();
  source.onerror = () => { if (source === page.source) checkRole(); };
}

// A stream that says nothing is opened anew: a dead connection is not always an error to the browser.
function watch() {
  if (page.source && now() - page.lastEvent > QUIET_MS) connect();
}

async function checkRole() {
  try {
    const answer = await fetch("/api/role");
    if (answer.status === 401) {
      if (!$("login").open) $("login").showModal();
      if (page.source) { page.source.close(); page.source = null; }
      return false;
    }
    if (answer.ok) { page.role = (await answer.json()).role; return true; }
  } catch { /* the ages tell it */ }
  return true;
}

function takeState(state) {
  page.state = state;
  page.heard = now();
  if (!state.beds.some((bed) => bed.id === page.bed) && state.beds.length) choose(state.beds[0].id);
  document.title = `${state.alarms.length ? `(${state.alarms.length}) ` : ""}${state.device} – sleep staging`;
  set("device", state.device);
  set("ready", state.ready ? "ready" : state.not_ready.join("; "), `pill ${state.ready ? "good" : "warn"}`);
  drawAlarms(state.alarms);
  drawBeds(state.beds);
  tick();
}

function drawAlarms(alarms) {
  const text = JSON.stringify(alarms.map((a) => [a.kind, a.bed, a.state, a.detail]).concat([page.role]));
  if (text === page.alarmText) return;
  page.alarmText = text;
  const focus = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.key : null;
  $("alarms").replaceChildren(...alarms.map((alarm) => {
    const box = make("div", `alarm ${alarm.priority} ${alarm.state}`);
    box.setAttribute("role", "alert");
    const what = make("div", "what");
    const bed = page.state.beds.find((one) => one.id === alarm.bed);
    const where = alarm.bed ? `${bed ? bed.label : alarm.bed}: ` : "";
    what.append(make("b", "", `${where}${alarm.kind.replaceAll("_", " ")}`), document.createTextNode(` ${alarm.detail}`));
    what.append(make("small", "", alarm.advice));
    box.append(make("span", "", `${alarm.priority} · ${alarm.state}`), what);
    if (page.role === "operate" && alarm.state !== "acknowledged") {
      const button = make("button", "", "Acknowledge");
      button.dataset.key = `${alarm.bed}/${alarm.kind}`;
      button.onclick = () => post("/api/acknowledge", { kind: alarm.kind, bed: alarm.bed });
      box.append(button);
    }
    if (page.role === "operate" && alarm.kind === "safe_mode") {
      const again = make("button", "", "Start the model");
      again.onclick = () => post("/api/model/retry", {});
      box.append(again);
    }
    return box;
  }));
  if (focus) {
    const again = [...$("alarms").querySelectorAll("button")].find((b) => b.dataset.key && b.dataset.key === focus);
    if (again) again.focus();
  }
}

// Paused alarms are shown and recorded, and not delivered: that must be in sight for everybody.
const PAUSE_S = 300;
function drawPause(bed) {
  const left = bed ? bed.paused_s - (now() - page.heard) / 1000 : 0;
  set("paused", left > 0 ? `Alarms of ${bed.label} are paused for ${age(Math.max(left, 0))}` : "");
  $("pause").hidden = !bed || page.role !== "operate" || !(left > 0 || page.state.alarms.some((a) => a.bed === bed.id));
  set("pause", left > 0 ? "End the pause" : `Pause alarms of ${bed ? bed.label : ""} for 5 min`);
}

function pause() {
  const bed = bedNow();
  if (bed && !$("pause").hidden) post("/api/pause", { bed: bed.id, seconds: bed.paused_s > 0 ? 0 : PAUSE_S });
}

function drawBeds(beds) {
  const nav = $("beds");
  while (nav.children.length > beds.length) nav.lastChild.remove();
  beds.forEach((bed, i) => {
    let card = nav.children[i];
    if (!card) {
      card = make("button", "bed");
      card.append(make("span", "label"), make("b", "big"), make("small", "state"), make("span", "age"));
      card.onclick = () => choose(card.dataset.bed);
      nav.append(card);
    }
    card.dataset.bed = bed.id;
    card.setAttribute("aria-current", String(bed.id === page.bed));
    const last = bed.recording && bed.last ? bed.last.stage || "?" : "–";
    const words = [bed.label, last, bed.problem && bed.state !== "ended" ? `${bed.state}: source not there` : bed.state];
    [".label", ".big", ".state"].forEach((name, k) => {
      const element = card.querySelector(name);
      if (element.textContent !== words[k]) element.textContent = words[k];
    });
  });
}

function choose(bed) {
  if (bed === page.bed && page.source) return;
  Object.assign(page, { bed, rows: [], last: null, chosen: null, happenings: [], key: "", writing: { index: -1, text: "" } });
  history.replaceState(null, "", `#${encodeURIComponent(bed)}`);
  takeHappenings([]);
  drawRow();
  drawNight();
  if (page.state) {
    drawBeds(page.state.beds);
    tick();
  }
  connect();
  drawTrace();
}

function takeNight(night) {
  if (night.bed !== page.bed) return;
  page.rows = [];
  page.key = night.key;
  for (const [i, stage, outcome, counted, ...p] of night.rows) page.rows[i] = { stage, outcome, counted, p };
  page.last = night.last;
  page.chosen = null;
  drawRow();
  drawNight();
}

function takeRow(told) {
  if (told.bed !== page.bed || (page.key && told.key !== page.key)) return;
  const { stage, outcome, counted, p, index } = told.row;
  if (told.final) page.rows[index] = { stage, outcome, counted, p };
  if (told.final && index >= page.writing.index) page.writing = { index: -1, text: "" };
  page.last = { ...told.row, provisional: !told.final };
  drawRow();
  drawNight();
}

function takeText(told) {
  if (told.bed !== page.bed) return;
  if (told.index !== page.writing.index) page.writing = { index: told.index, text: "" };
  page.writing.text = (page.writing.text + told.text).slice(-4000);
  if (page.chosen === null) drawRow();
}

function takeHappenings(list) {
  page.happenings = list.slice(-MOST_HAPPENINGS);
  $("happenings").replaceChildren(...page.happenings.slice().reverse().map((told) => {
    const line = make("li");
    const time = make("time", "", new Date(told.at_s * 1000).toLocaleTimeString([], { hour12: false }));
    line.append(time, make("span", "kind", told.kind), make("span", "", told.detail));
    return line;
  }));
}

async function post(path, body) {
  try {
    const answer = await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
    if (answer.status === 401) checkRole();
    return answer;
  } catch { return null; }
}

function drawRow() {
  const row = page.chosen === null ? page.last : page.chosen;
  const writing = page.chosen === null && page.writing.text && (!row || page.writing.index >= row.index);
  const stage = row ? row.stage : null;
  set("stage", stage || "–", row && !row.counted ? "late" : "");
  set("epoch", row ? `epoch ${row.index + 1}${page.chosen ? ", chosen" : row.provisional ? ", reasons follow" : ""}` : "");
  const bars = $("bars");
  if (!bars.children.length) {
    for (const name of STAGES) {
      const line = make("li");
      const bar = make("span", "bar");
      bar.append(make("i"));
      line.append(make("span", "", name), bar, make("span", "value"));
      bars.append(line);
    }
  }
  STAGES.forEach((name, i) => {
    const share = row ? row.p[i] : 0;
    const fill = bars.children[i].querySelector("i");
    fill.style.width = `${Math.round(100 * share)}%`;
    fill.style.background = `var(${COLOURS[name]})`;
    bars.children[i].lastChild.textContent = row ? `${Math.round(100 * share)} %` : "";
  });
  let words = "";
  if (row) {
    words = OUTCOMES[row.outcome] || "";
    if (row.error) words += `${row.error}. `;
    if (row.flags && row.flags.length) words += `Signal: ${row.flags.join(", ")}. `;
    if (row.head && row.head !== row.stage) words += `The quick answer was ${row.head}.`;
  }
  set("outcome", words);
  const written = writing ? page.writing.text : row ? row.text : "";
  const none = !row ? "No decision yet." : row.provisional ? "Reasons follow." : "No reasons for this epoch.";
  set("text", written || none);
  set("whose", writing ? `being written, epoch ${page.writing.index + 1}` : "");
  const claims = !writing && row && row.checks ? row.checks : [];
  $("claims").replaceChildren(...claims.map(([kind, value, verdict]) => {
    const name = verdict === "supported" ? "good" : verdict === "contradicted" ? "bad" : "warn";
    const shown = value === true ? "" : value === false ? "no " : "";
    const tail = value === true || value === false ? "" : ` ${value}`;
    return make("li", name, `${shown}${String(kind).replaceAll("_", " ")}${tail}: ${verdict}`);
  }));
}

async function chooseEpoch(index) {
  if (index < 0 || index >= page.rows.length || !page.rows[index]) return;
  const bed = page.bed;
  try {
    const answer = await fetch(`/api/beds/${encodeURIComponent(bed)}/epochs/${index}`);
    if (!answer.ok || bed !== page.bed) return;
    page.chosen = await answer.json();
  } catch { return; }
  drawRow();
  drawNight();
}

const bedNow = () => (page.state ? page.state.beds.find((bed) => bed.id === page.bed) : null);

function tick() {
  const quiet = (now() - page.heard) / 1000;
  const live = page.state && quiet < 5;
  set("link", page.state ? (live ? "live" : `no word for ${age(quiet)}`) : "connecting", `pill ${live ? "good" : "bad"}`);
  // What is shown stays on the screen where the connection is cut: it must not look as if it were of now.
  const cut = Boolean(page.state) && !live;
  document.documentElement.classList.toggle("cut", cut);
  $("cut").hidden = !cut;
  set("cut", cut ? `No connection to the service for ${age(quiet)}: everything below is old.` : "");
  set("clock", new Date().toLocaleTimeString([], { hour12: false }));
  const bed = bedNow();
  $("bed").hidden = !bed;
  drawPause(bed);
  if (!page.state) return;
  page.state.beds.forEach((one, i) => {
    const card = $("beds").children[i];
    if (!card) return;
    const sample = since(one.sample_age_s);
    const decision = since(one.decision_age_s);
    const text = `sample ${age(sample)} · decision ${age(decision)}`;
    const element = card.querySelector(".age");
    if (element.textContent !== text) element.textContent = text;
    element.className = `age ${one.recording && (sample === null || sample > 15) ? "stale" : ""}`;
  });
  if (!bed) return;
  const sample = since(bed.sample_age_s);
  const decision = since(bed.decision_age_s);
  set("age-sample", age(sample), bed.recording && (sample === null || sample > 15) ? "stale" : "");
  set("age-decision", age(decision), bed.recording && (decision === null || decision > 75) ? "stale" : "");
  set("lag", age(bed.lag_s), bed.lag_s > 30 ? "stale" : "");
  const next = bed.next_begin_s ? `from ${new Date(bed.next_begin_s * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false })}` : "-";
  set("night", bed.recording ? bed.night : next);
  set("signal", bed.sfreq ? `${bed.channel}, ${bed.sfreq} Hz` : "-");
}

function colours(night) {
  document.documentElement.classList.toggle("night", night);
  set("mode", night ? "Day" : "Night");
  try { localStorage.setItem("night", night ? "1" : "0"); } catch { /* private window */ }
  drawNight();
}

function begin() {
  let stored = null;
  try { stored = localStorage.getItem("night"); } catch { /* private window */ }
  const wanted = new URLSearchParams(location.search).get("colours") || stored;
  colours(wanted === null ? matchMedia("(prefers-color-scheme: dark)").matches : wanted === "1" || wanted === "night");
  $("mode").onclick = () => colours(!document.documentElement.classList.contains("night"));
  $("login-form").onsubmit = async (event) => {
    event.preventDefault();
    const answer = await post("/login", { token: $("token").value });
    $("token").value = "";
    if (answer && answer.ok) {
      set("login-error", "");
      $("login").close();
      $("leave").hidden = false;
      await checkRole();
      connect();
    } else set("login-error", answer && answer.status === 429 ? "Too many attempts: wait a minute." : "This token is not known.");
  };
  $("leave").onclick = async () => { await post("/logout", {}); location.reload(); };
  $("hypnogram").onclick = (event) => {
    const { step } = scaleOf($("hypnogram").clientWidth);
    chooseEpoch(Math.floor((event.offsetX - LEFT) / step));
  };
  document.onkeydown = (event) => {
    if (event.target.tagName === "INPUT" || event.ctrlKey || event.altKey || event.metaKey) return;
    const at = page.chosen ? page.chosen.index : page.rows.length;
    if (event.key === "ArrowLeft") chooseEpoch(at - 1);
    else if (event.key === "ArrowRight") { if (at + 1 >= page.rows.length) latest(); else chooseEpoch(at + 1); }
    else if (event.key === "Escape") latest();
    else if (event.key === "n" || event.key === "N") $("mode").click();
    else if (event.key === "a" || event.key === "A") { const button = $("alarms").querySelector("button"); if (button) button.click(); }
    else if (event.key === "p" || event.key === "P") pause();
    else if (/^[1-9]$/.test(event.key) && page.state && page.state.beds[event.key - 1]) choose(page.state.beds[event.key - 1].id);
    else return;
    event.preventDefault();
  };
  $("pause").onclick = pause;
  window.onhashchange = () => {
    const bed = hashBed();
    if (page.state && page.state.beds.some((one) => one.id === bed)) choose(bed);
  };
  window.onresize = drawNight;
  document.onvisibilitychange = () => { if (!document.hidden) { watch(); drawTrace(); } };
  setInterval(tick, 500);
  setInterval(watch, 2000);
  setInterval(drawTrace, 1000);
  drawRow();
  checkRole().then((known) => { if (known) connect(); });
}

function latest() {
  page.chosen = null;
  drawRow();
  drawNight();
}

begin();
