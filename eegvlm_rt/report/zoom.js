// Zoom into the panels of the night. Everything is there without it.
"use strict";
(function () {
  const panels = document.querySelector(".panels");
  const group = document.querySelector(".zoom");
  if (!panels || !group) return;
  const all = Number(panels.dataset.epochs);
  let first = 0;
  let count = all;

  function draw() {
    for (const svg of panels.querySelectorAll("svg.night")) {
      svg.setAttribute("viewBox", first + " 0 " + count + " 100");
    }
    for (const label of panels.querySelectorAll("[data-epoch]")) {
      const share = (Number(label.dataset.epoch) - first) / count;
      label.style.left = 100 * share + "%";
      label.style.visibility = share < 0 || share > 1 ? "hidden" : "visible";
    }
  }

  const moves = {
    in: function () { const wide = Math.max(20, count / 2); first += (count - wide) / 2; count = wide; },
    out: function () { const wide = Math.min(all, count * 2); first -= (wide - count) / 2; count = wide; },
    left: function () { first -= count / 2; },
    right: function () { first += count / 2; },
    all: function () { first = 0; count = all; },
  };
  group.hidden = false;
  group.addEventListener("click", function (event) {
    const move = moves[event.target.dataset.zoom];
    if (!move) return;
    move();
    count = Math.min(count, all);
    first = Math.max(0, Math.min(first, all - count));
    draw();
  });
})();
