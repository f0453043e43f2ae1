"use strict";
// The only script of the page: a society that is stepped through, and a search of conversations. Its hash is in the page's policy.
// Texts of models are only ever set as text.
const put = (tag, text, parent, kind) => {
  const made = parent.appendChild(document.createElement(tag));
  made.textContent = text;
  if (kind) made.className = kind; else made.dir = "auto";
  return made;
};
for (const box of document.querySelectorAll(".player")) {
  const given = JSON.parse(box.dataset.map), graph = JSON.parse(box.dataset.graph || "null"), said = JSON.parse(box.dataset.said || "null");
  const agents = [...box.querySelectorAll(".agent")], nodes = [...box.querySelectorAll(".node")], names = agents.map(one => one.dataset.name);
  const slider = box.querySelector("input"), play = box.querySelector("button"), where = box.querySelector("output"), places = given.frames[0].places;
  const light = colour => [1, 3, 5].map(i => parseInt(colour.slice(i, i + 2), 16) / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0) > 0.179;
  let timer = null, chosen = null;
  const paint = (one, number) => {
    const colour = given.palette[number];
    one.style.display = number === -2 ? "none" : "";
    one.classList.toggle("unknown", colour === undefined);
    one.children[1].style.fill = colour || "";
    return colour;
  };
  const showGraph = (number, colours) => {
    const {n, arrows} = graph.reviews[number], few = arrows.length <= 400, sheet = box.querySelector(".arrows"), radius = Number(nodes[0].children[1].getAttribute("r"));
    nodes.forEach((node, i) => paint(node, colours[i]));
    sheet.replaceChildren(...arrows.filter(one => one[0] !== one[1]).map(([from, to, colour]) => {
      const [ax, ay] = graph.places[from], [bx, by] = graph.places[to], long = Math.hypot(bx - ax, by - ay) || 1, [ux, uy] = [(bx - ax) / long, (by - ay) / long];
      // A little to the right of the straight line, so that what two say of each other stays two arrows.
      const at = (x, y, along, aside) => `${(x + ux * along - uy * aside).toFixed(2)} ${(y + uy * along + ux * aside).toFixed(2)}`;
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path"), tip = few ? `M${at(bx, by, -radius, .12)}L${at(bx, by, -radius - .4, -.05)}L${at(bx, by, -radius - .4, .29)}Z` : "";
      path.setAttribute("d", `M${at(ax, ay, radius, .12)}L${at(bx, by, -radius - (few ? .3 : 0), .12)}${tip}`);
      path.classList.toggle("plain", colour < 0);
      path.classList.toggle("far", chosen !== null && from !== chosen && to !== chosen);
      path.style.stroke = path.style.fill = colour < 0 ? "" : given.palette[colour];
      return path;
    }));
    box.querySelector(".drawn").textContent = arrows.length < n ? `(${arrows.length} of ${n}, at random)` : "";
  };
  const showSaid = (number, round) => {
    const {n, kept} = said[number], told = box.querySelector(".told"), shown = chosen === null ? kept : kept.filter(one => one[0] === chosen), list = told.querySelector("dl");
    const left = kept.length < n ? `${kept.length} of ${n} conversations, evenly over the agents, to keep the page small` : `${n} conversation${n === 1 ? "" : "s"}`;
    told.querySelector("p").textContent = `round ${round}: ` + (chosen === null || !shown.length ? left : "what was said to and by one agent") + (chosen !== null && !shown.length ? "; none of this agent" : "");
    list.replaceChildren();
    for (const [agent, question, parts] of shown) {
      const head = put("dt", "", list), asked = put("dd", "", list);
      put("bdi", names[agent], head);
      put("bdi", question, asked);
      for (const [what, text] of parts) {
        const line = put("dd", "", list);
        put("bdi", what, line, "what");
        put("bdi", `: ${text}`, line);
      }
    }
    told.hidden = false;
    told.scrollTop = 0;
  };
  const show = number => {
    const frame = given.frames[number];
    slider.value = number;
    where.textContent = `round ${frame.round} of ${given.frames[given.frames.length - 1].round}`;
    agents.forEach((agent, i) => {
      const colour = paint(agent, frame.colours[i]), [x, y] = (frame.places || places)[i], text = agent.querySelector("text"), mark = agent.querySelector(".mark");
      if (mark) mark.style.stroke = colour ? (light(colour) ? "#000" : "#fff") : "";
      agent.setAttribute("transform", `translate(${x} ${y})`);
      if (text) {
        text.textContent = frame.texts[i];
        text.style.fill = colour ? (light(colour) ? "#000" : "#fff") : "";
        text.style.fontSize = `${Math.min(0.3, 1.5 / Math.max(1, frame.texts[i].length))}px`;
      }
    });
    for (const all of [agents, nodes]) all.forEach((one, i) => one.classList.toggle("chosen", i === chosen));
    if (graph) showGraph(number, frame.colours);
    if (said) showSaid(number, frame.round);
  };
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "▶"; play.setAttribute("aria-label", "play"); };
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  for (const sheet of box.querySelectorAll("svg")) sheet.addEventListener("click", event => {
    const one = event.target.closest(".agent, .node"), place = one ? (one.matches(".agent") ? agents : nodes).indexOf(one) : null;
    chosen = place === chosen ? null : place;
    show(Number(slider.value));
  });
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
// The texts of conversations that the page does not show, decompressed; null in browsers that cannot.
const readRecord = async packed => {
  if (!packed || !window.DecompressionStream) return null;
  const bytes = Uint8Array.from(atob(packed), one => one.charCodeAt(0));
  const read = JSON.parse(await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text());
  return read.map(([question, who, label, round, scores, said]) => {
    const about = [who, ...(label ? [label] : []), `round ${round}${scores ? `: ${scores}` : ""}`];
    return {question, about, said, words: [question, `(${about.join(", ")})`, ...said.map(([what, text]) => `${what}\n${text}`)].join("\n").toLowerCase()};
  });
};
for (const field of document.querySelectorAll("input.search")) {
  const find = field.parentElement, all = [...field.closest("section").querySelectorAll("details.conversation")], told = find.querySelector("output");
  const results = find.nextElementSibling?.matches(".results") ? find.nextElementSibling : null, most = 50;
  let record = null;
  find.hidden = false;
  field.addEventListener("input", async () => {
    if (results) record = record || readRecord(find.dataset.record);
    const others = await record, wanted = field.value.trim().toLowerCase(), among = others ? all.filter(one => one.matches(".main")) : all;
    for (const one of all) one.hidden = Boolean(wanted) && !(among.includes(one) && one.textContent.toLowerCase().includes(wanted));
    const found = others && wanted ? others.filter(one => one.words.includes(wanted)) : [], n = among.filter(one => !one.hidden).length + found.length;
    told.textContent = wanted ? `${n} of ${among.length + (others || []).length} conversations${found.length > most ? `; of the others the first ${most} are shown` : ""}` : "";
    if (!results) return;
    results.hidden = !found.length;
    results.replaceChildren(...found.slice(0, most).map(({question, about, said}) => {
      const one = document.createElement("details"), head = put("summary", "", one), list = put("dl", "", one);
      put("bdi", question, head);
      const soft = put("span", " (", head, "soft");
      about.forEach((part, i) => { put("bdi", part, soft); soft.append(i + 1 < about.length ? ", " : ")"); });
      for (const [what, text] of said) { put("dt", what, list); put("dd", text, list); }
      return one;
    }));
  });
}
// Closed conversations would be left out on paper.
addEventListener("beforeprint", () => document.querySelectorAll("details.conversation.main").forEach(one => { one.open = true; }));
