// What is wrong with the layout of the page: text or shapes outside it, text over text, text that is cut, poor contrast.
const wrong = { outside: [], overlap: [], cut: [], contrast: [] };
const width = document.documentElement.clientWidth;

function luminance(color) {
  const [r, g, b] = color.map((c) => {
    const share = c / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function numbers(text) {
  return text.match(/[\d.]+/g).map(Number);
}

function background(element) {
  for (let e = element; e; e = e.parentElement) {
    const parts = numbers(getComputedStyle(e).backgroundColor);
    if (parts.length < 4 || parts[3] > 0.99) return parts.slice(0, 3);
  }
  return [255, 255, 255];
}

const boxes = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode;
  const parent = node.parentElement;
  const style = getComputedStyle(parent);
  if (!node.nodeValue.trim() || ["SCRIPT", "STYLE"].includes(parent.tagName) || style.visibility === "hidden") continue;
  const range = document.createRange();
  range.selectNodeContents(node);
  let seen = false;
  for (const r of range.getClientRects()) {
    if (r.width < 1 || r.height < 1) continue;
    seen = true;
    const text = node.nodeValue.trim().slice(0, 40);
    boxes.push({ x0: r.left, y0: r.top + scrollY, x1: r.right, y1: r.bottom + scrollY, text });
    if (r.right > width + 1 || r.left < -1) wrong.outside.push(text);
    for (let e = parent; e && e !== document.body; e = e.parentElement) {
      const s = getComputedStyle(e);
      const c = e.getBoundingClientRect();
      if (s.overflow !== "visible" && (r.right > c.right + 1 || r.bottom > c.bottom + 1)) wrong.cut.push(text);
    }
  }
  if (seen) {
    const pair = [luminance(numbers(style.color).slice(0, 3)), luminance(background(parent))].sort((a, b) => a - b);
    const ratio = (pair[1] + 0.05) / (pair[0] + 0.05);
    if (ratio < 4.5) wrong.contrast.push(node.nodeValue.trim().slice(0, 40) + " " + ratio.toFixed(1));
  }
}
boxes.sort((a, b) => a.y0 - b.y0);
for (let i = 0; i < boxes.length; i++) {
  for (let j = i + 1; j < boxes.length && boxes[j].y0 < boxes[i].y1 - 3; j++) {
    const [a, b] = [boxes[i], boxes[j]];
    const across = Math.min(a.x1, b.x1) - Math.max(a.x0, b.x0);
    const down = Math.min(a.y1, b.y1) - Math.max(a.y0, b.y0);
    if (across > 2 && down > 4) wrong.overlap.push(a.text + " | " + b.text);
  }
}
for (const e of document.querySelectorAll("svg, table, button, article")) {
  const r = e.getBoundingClientRect();
  if (r.width > 0 && (r.right > width + 1 || r.left < -1)) wrong.outside.push(e.tagName);
}
return { wrong, texts: boxes.length };
