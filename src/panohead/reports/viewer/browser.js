"use strict";
// A grid of images with filters. Everything is made by the DOM's own functions: no text becomes markup.
(() => {
  const root = document.querySelector(".browser");
  if (!root) return;
  const images = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const PAGE = 120, BIN = 30, NO_CAMERA = "no camera";
  const state = { page: 0, bins: new Set(), flags: new Set(), text: "", order: "yaw", limits: new Map() };

  const element = (tag, properties = {}, children = []) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };
  const binOf = (image) => {
    if (image.yaw === undefined) return NO_CAMERA;
    const turned = ((image.yaw + BIN / 2 + 180 + 720) % 360) - 180;
    return String(Math.floor(turned / BIN) * BIN);
  };
  const labelOf = (bin) => (bin === NO_CAMERA ? bin : `${bin}\u00b0`);
  const binPlace = (bin) => (bin === NO_CAMERA ? 1000 : Number(bin));
  images.forEach((image) => { image.bin = binOf(image); });

  const counted = (values) => {
    const found = new Map();
    for (const value of values) found.set(value, (found.get(value) || 0) + 1);
    return found;
  };
  const bins = counted(images.map((image) => image.bin));
  const flags = counted(images.flatMap((image) => image.flags));
  const attributes = new Map();
  for (const image of images) {
    for (const [name, value] of Object.entries(image.attributes)) {
      if (!attributes.has(name)) attributes.set(name, { words: new Map(), low: Infinity, high: -Infinity });
      const seen = attributes.get(name);
      if (typeof value === "number") {
        seen.low = Math.min(seen.low, value);
        seen.high = Math.max(seen.high, value);
      } else seen.words.set(value, (seen.words.get(value) || 0) + 1);
    }
  }

  const agrees = (image) => {
    if (state.bins.size && !state.bins.has(image.bin)) return false;
    if (state.flags.size && !image.flags.some((flag) => state.flags.has(flag))) return false;
    if (state.text && !image.name.toLowerCase().includes(state.text)) return false;
    for (const [name, limit] of state.limits) {
      const value = image.attributes[name];
      if (value === undefined) return false;
      if (limit.word !== undefined ? value !== limit.word : value < limit.low || value > limit.high) return false;
    }
    return true;
  };
  const compare = (a, b) => {
    if (state.order === "yaw") {
      const gap = binPlace(a.bin) - binPlace(b.bin) || (a.yaw || 0) - (b.yaw || 0);
      if (gap) return gap;
    }
    return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
  };

  const shown = root.querySelector(".shown"), count = root.querySelector(".count");
  const dialog = root.querySelector("dialog"), pager = root.querySelector(".pager");
  let found = [];

  const show = () => {
    found = images.filter(agrees).sort(compare);
    state.page = Math.max(0, Math.min(state.page, Math.ceil(found.length / PAGE) - 1));
    const part = found.slice(state.page * PAGE, (state.page + 1) * PAGE);
    const blocks = [];
    let grid = null, last = null;
    for (const image of part) {
      if (grid === null || (state.order === "yaw" && image.bin !== last)) {
        if (state.order === "yaw") {
          blocks.push(element("h3", { textContent: `yaw ${labelOf(image.bin)}` }));
        }
        grid = element("div", { className: "thumbnails" });
        blocks.push(grid);
        last = image.bin;
      }
      grid.append(card(image));
    }
    shown.replaceChildren(...blocks);
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    count.textContent = `${found.length} of ${images.length} images, page ${state.page + 1} of ${pages}`;
    pager.querySelector("[data-does=back]").disabled = state.page === 0;
    pager.querySelector("[data-does=next]").disabled = state.page >= pages - 1;
  };

  const source = (image) => (image.image ? `data:image/webp;base64,${image.image}` : "");
  const card = (image) => {
    const button = element("button", { type: "button", title: image.name });
    const words = [image.name, ...image.flags].join(", ");
    if (image.image) button.append(element("img", { src: source(image), alt: words, width: 96, height: 96 }));
    else button.append(element("span", { className: "missing", textContent: image.name }));
    if (image.problem) button.classList.add("bad");
    else if (image.flags.length) button.classList.add("fair");
    button.addEventListener("click", () => open(image));
    return button;
  };

  const open = (image) => {
    const rows = Object.entries(image.attributes).map(([name, value]) => element("tr", {}, [
      element("th", { scope: "row", textContent: name.replaceAll("_", " ") }),
      element("td", { textContent: typeof value === "number" ? String(Math.round(value * 1000) / 1000) : value }),
    ]));
    const camera = image.yaw === undefined ? "no camera" : `yaw ${image.yaw}\u00b0, pitch ${image.pitch}\u00b0`;
    const parts = [element("h3", { textContent: image.name }), element("p", { textContent: camera })];
    if (image.problem) parts.push(element("p", { className: "warning", textContent: image.problem }));
    if (image.flags.length) parts.push(element("p", { textContent: image.flags.join(", ") }));
    const whole = element("img", { src: image.file || source(image), alt: image.name });
    // The page may have been moved away from its dataset.
    whole.addEventListener("error", () => { if (image.image && whole.src !== source(image)) whole.src = source(image); });
    if (image.file || image.image) parts.push(whole);
    if (image.overlay) {
      const overlay = element("img", { src: image.overlay, alt: `${image.name}: the crop in its photo` });
      overlay.addEventListener("error", () => overlay.remove());
      parts.push(overlay);
    }
    if (rows.length) parts.push(element("table", {}, rows));
    dialog.querySelector(".whole").replaceChildren(...parts);
    dialog.showModal();
  };
  dialog.querySelector("button").addEventListener("click", () => dialog.close());

  const changed = () => { state.page = 0; show(); };
  const toggles = (place, values, chosen, label) => {
    for (const [value, number] of values) {
      const button = element("button", { type: "button", textContent: `${label(value)} (${number})` });
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", () => {
        if (!chosen.delete(value)) chosen.add(value);
        button.setAttribute("aria-pressed", String(chosen.has(value)));
        changed();
      });
      place.append(button);
    }
  };
  toggles(root.querySelector(".bins"), [...bins].sort((a, b) => binPlace(a[0]) - binPlace(b[0])), state.bins, labelOf);
  const flagPlace = root.querySelector(".flags");
  toggles(flagPlace, [...flags].sort((a, b) => b[1] - a[1]), state.flags, (flag) => flag);
  flagPlace.hidden = !flags.size;

  const attributePlace = root.querySelector(".attributes");
  attributePlace.hidden = !attributes.size;
  for (const [name, seen] of [...attributes].sort()) {
    const label = element("label", { textContent: `${name.replaceAll("_", " ")} ` });
    if (seen.words.size) {
      const choice = element("select");
      choice.append(element("option", { value: "", textContent: "any" }));
      for (const [word, number] of [...seen.words].sort()) {
        choice.append(element("option", { value: word, textContent: `${word} (${number})` }));
      }
      choice.addEventListener("change", () => {
        if (choice.value) state.limits.set(name, { word: choice.value });
        else state.limits.delete(name);
        changed();
      });
      label.append(choice);
    } else {
      const ends = [seen.low, seen.high].map((end, i) => {
        const field = element("input", { type: "number", step: "any", placeholder: String(Math.round(end * 100) / 100) });
        field.setAttribute("aria-label", `${name}, ${i ? "highest" : "lowest"}`);
        return field;
      });
      for (const field of ends) {
        field.addEventListener("input", () => {
          const [low, high] = ends.map((end) => (end.value === "" ? NaN : Number(end.value)));
          if (Number.isNaN(low) && Number.isNaN(high)) state.limits.delete(name);
          else {
            state.limits.set(name, {
              low: Number.isNaN(low) ? -Infinity : low, high: Number.isNaN(high) ? Infinity : high,
            });
          }
          changed();
        });
      }
      label.append(ends[0], " to ", ends[1]);
    }
    attributePlace.append(label);
  }

  root.querySelector("[data-does=search]").addEventListener("input", (event) => {
    state.text = event.target.value.toLowerCase();
    changed();
  });
  root.querySelector("[data-does=order]").addEventListener("change", (event) => {
    state.order = event.target.value;
    changed();
  });
  const turn = (step) => { state.page += step; show(); };
  pager.querySelector("[data-does=back]").addEventListener("click", () => turn(-1));
  pager.querySelector("[data-does=next]").addEventListener("click", () => turn(1));
  document.addEventListener("keydown", (event) => {
    if (dialog.open || /^(INPUT|SELECT)$/.test(event.target.tagName)) return;
    if (event.key === "ArrowLeft") turn(-1);
    if (event.key === "ArrowRight") turn(1);
  });
  show();
})();
