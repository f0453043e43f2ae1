"use strict";
// The only script of the page: a map that is stepped through, and a search of conversations. Its hash is in the page's policy.
for (const box of document.querySelectorAll(".player")) {
  const given = JSON.parse(box.dataset.map), agents = [...box.querySelectorAll(".agent")], slider = box.querySelector("input");
  const play = box.querySelector("button"), where = box.querySelector("output"), places = given.frames[0].places;
  const light = colour => [1, 3, 5].map(i => parseInt(colour.slice(i, i + 2), 16) / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0) > 0.179;
  let timer = null;
  const show = number => {
    const frame = given.frames[number];
    slider.value = number;
    where.textContent = `round ${frame.round} of ${given.frames[given.frames.length - 1].round}`;
    agents.forEach((agent, i) => {
      const colour = given.palette[frame.colours[i]], [x, y] = (frame.places || places)[i], text = agent.querySelector("text");
      agent.setAttribute("transform", `translate(${x} ${y})`);
      agent.style.display = frame.colours[i] === -2 ? "none" : "";
      agent.classList.toggle("unknown", colour === undefined);
      agent.children[1].style.fill = colour || "";
      if (text) {
        text.textContent = frame.texts[i];
        text.style.fill = colour ? (light(colour) ? "#000" : "#fff") : "";
        text.style.fontSize = `${Math.min(0.3, 1.5 / Math.max(1, frame.texts[i].length))}px`;
      }
    });
  };
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "▶"; play.setAttribute("aria-label", "play"); };
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  play.addEventListener("click", () => {
    if (timer) { stop(); return; }
    const last = given.frames.length - 1;
    show(Number(slider.value) >= last ? 0 : Number(slider.value) + 1);
    play.textContent = "❚❚";
    play.setAttribute("aria-label", "pause");
    timer = setInterval(() => Number(slider.value) >= last ? stop() : show(Number(slider.value) + 1), 700);
  });
  box.querySelector(".controls").hidden = false;
  show(given.frames.length - 1);
}
for (const field of document.querySelectorAll("input.search")) {
  const all = [...field.closest("section").querySelectorAll("details.conversation")], told = field.parentElement.querySelector("output");
  field.parentElement.hidden = false;
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    const found = all.filter(one => { one.hidden = !one.textContent.toLowerCase().includes(wanted); return !one.hidden; });
    told.textContent = wanted ? `${found.length} of ${all.length} conversations` : "";
  });
}
// Closed conversations would be left out on paper.
addEventListener("beforeprint", () => document.querySelectorAll("details.conversation.main").forEach(one => { one.open = true; }));
