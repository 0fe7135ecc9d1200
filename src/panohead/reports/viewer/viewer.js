// Heads to turn in a page: frames of the rendering, the mesh (three.js) and splats. One script for all heads of a page.
//
// Every element of class "head" holds a JSON block: base64 of a GLB file ("mesh"), of an SPZ file ("splats"), of WebP
// contact sheets ("frames", "invented"), and the camera. Nothing is fetched; texts are only ever set as text. The camera is that of the
// renderer, so that all views show the head at the same place.
"use strict";
(() => {
  const TURN_S = 14;               // seconds of a full turn at rest
  const FREE = [0.25, Math.PI - 0.25]; // polar angles of the camera in the mesh view, radians
  const ROOM = 1.16;               // the mesh is seen from a little farther away than the frames, whole
  const STEP = Math.PI / 24;       // radians a key press turns
  const MAX_PIXELS = 1024;         // side of a canvas
  const SEEN = 0.3;                // visibility, weighted by the cosine of the viewing angle, from which nothing is tinted
  const INVENTED = [1, 0, 1], INVENTED_SHARE = 0.55; // linear magenta, as the reports tint
  const VIEWS = ["frames", "mesh", "splats"];
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));

  // One WebGL context draws all heads, each onto its own canvas: browsers allow only a few contexts.
  let shared;
  function graphics() {
    if (shared === undefined) {
      try {
        const renderer = new THREE.WebGLRenderer({ antialias: true, alpha: true });
        renderer.setClearColor(0, 0);
        shared = renderer;
      } catch {
        shared = null;
      }
    }
    return shared;
  }

  // A key light from above the camera's left, a fill from its right and a rim from behind: they turn with the camera.
  function lights(camera, distance) {
    const rig = new THREE.Scene();
    const lamp = (color, intensity, x, y, z) => {
      const light = new THREE.DirectionalLight(color, intensity);
      light.position.set(x, y, z).multiplyScalar(distance);
      camera.add(light);
      return light;
    };
    const all = [
      new THREE.HemisphereLight(0xffffff, 0xb0a59c, 1),
      lamp(0xfff1e2, 1, -0.9, 0.9, 0.2),
      lamp(0xdfeaff, 1, 1.2, 0.1, 0.1),
      lamp(0xffffff, 1, 0.6, 1.2, -2.2),
    ];
    rig.add(all[0]);
    return { rig, strength: factors => all.forEach((light, i) => { light.intensity = factors[i]; }) };
  }
  const SOFT = [2.45, 0.8, 0.4, 0.7], CLAY = [0.8, 2.4, 0.55, 1.6]; // in the order of the lights

  class Sheet {
    // Frames of a full turn, side by side in rows of one image.
    constructor(facts) {
      Object.assign(this, facts);
      this.image = new Image();
      this.image.src = "data:image/webp;base64," + facts.image;
      this.one = document.createElement("canvas");
      this.one.width = this.one.height = this.side;
    }
    cell(pen, number, share, side) {
      const x = (number % this.columns) * this.side, y = Math.floor(number / this.columns) * this.side;
      // Copied pixel by pixel first: enlarged out of the sheet, a frame would take in some of its neighbor.
      const copy = this.one.getContext("2d"), whole = [0, 0, this.side, this.side];
      copy.globalCompositeOperation = "copy";
      copy.drawImage(this.image, x, y, this.side, this.side, ...whole);
      pen.globalAlpha = share;
      pen.drawImage(this.one, ...whole, ...side);
    }
    draw(pen, yaw, area) {
      const place = (((yaw / (2 * Math.PI)) % 1) + 1) % 1 * this.count, first = Math.floor(place) % this.count;
      // Between two frames one fades into the other, quickly, so that double outlines are short.
      const mix = Math.min(1, Math.max(0, (place - Math.floor(place) - 0.5) * 1.8 + 0.5));
      pen.globalCompositeOperation = "lighter"; // shares of two premultiplied images add up to one
      if (mix < 1) this.cell(pen, first, 1 - mix, area);
      if (mix > 0) this.cell(pen, (first + 1) % this.count, mix, area);
    }
  }

  class HeadViewer {
    constructor(root) {
      this.root = root;
      this.facts = JSON.parse(root.querySelector("script[type='application/json']").textContent);
      this.stage = root.querySelector(".stage");
      this.canvas = root.querySelector("canvas");
      this.pen = this.canvas.getContext("2d");
      this.buttons = {};
      for (const button of root.querySelectorAll("button[data-does]")) this.buttons[button.dataset.does] = button;
      this.on = { turn: !still.matches, light: true, clay: false, invented: false };
      this.visible = false;
      this.asleep = true;
      const { distance, fov, pitch } = this.facts.camera;
      this.camera = new THREE.PerspectiveCamera(fov, 1, distance / 20, distance * 4);
      this.level = Math.PI / 2 - pitch;
      this.controls = new THREE.OrbitControls(this.camera, this.stage);
      Object.assign(this.controls, {
        enablePan: false, enableZoom: false, enableDamping: true, dampingFactor: 0.12, rotateSpeed: 0.9,
        minDistance: distance * 0.45, maxDistance: distance * 1.5,
      });
      this.stage.style.touchAction = "pan-y"; // a swipe up or down scrolls the page
      this.face(0, this.level);
      this.listen();
      this.show(this.facts.first);
      new ResizeObserver(() => this.fit()).observe(this.stage);
      new IntersectionObserver(entries => {
        this.visible = entries.at(-1).isIntersecting;
        this.wake();
      }).observe(this.stage);
    }

    face(yaw, polar) {
      // What is left of an earlier swing ends here.
      this.controls.enableDamping = false;
      this.controls.update();
      this.controls.enableDamping = true;
      const away = this.camera.position.length() || this.facts.camera.distance;
      this.camera.position.setFromSphericalCoords(away, polar, yaw);
      this.camera.lookAt(0, 0, 0);
      this.wake();
    }

    listen() {
      const stop = () => this.set("turn", false);
      this.controls.addEventListener("start", stop);
      this.controls.addEventListener("change", () => this.wake());
      // The wheel scrolls the page unless the head was clicked.
      this.stage.addEventListener("focus", () => { this.controls.enableZoom = true; });
      this.stage.addEventListener("blur", () => { this.controls.enableZoom = false; });
      this.stage.addEventListener("keydown", event => this.key(event));
      for (const [name, button] of Object.entries(this.buttons)) {
        button.addEventListener("click", () => this.press(name));
      }
      still.addEventListener("change", () => still.matches && this.set("turn", false));
    }

    press(name) {
      if (VIEWS.includes(name)) this.show(name);
      else if (name === "save") this.save("mesh", this.facts.file, "model/gltf-binary");
      else if (name === "save-splats") this.save("splats", this.facts.splats_file, "application/octet-stream");
      else this.set(name, !this.on[name]);
    }

    key(event) {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      const shown = this.view;
      const from = new THREE.Spherical().setFromVector3(this.camera.position);
      const turn = (yaw, tilt) => {
        this.set("turn", false);
        const [low, high] = [this.controls.minPolarAngle, this.controls.maxPolarAngle];
        this.face(from.theta + yaw, Math.min(high, Math.max(low, from.phi + tilt)));
      };
      const zoom = factor => {
        const { minDistance, maxDistance } = this.controls;
        this.camera.position.setLength(Math.min(maxDistance, Math.max(minDistance, from.radius * factor)));
        this.wake();
      };
      const keys = {
        ArrowLeft: () => turn(-STEP, 0), ArrowRight: () => turn(STEP, 0),
        ArrowUp: () => turn(0, -STEP), ArrowDown: () => turn(0, STEP),
        "+": () => zoom(1 / 1.15), "=": () => zoom(1 / 1.15), "-": () => zoom(1.15),
        Home: () => { this.set("turn", false); this.view = ""; this.face(0, this.level); this.show(shown); },
        " ": () => this.press("turn"), r: () => this.press("frames"), m: () => this.press("mesh"), s: () => this.press("splats"),
        l: () => this.press("light"), c: () => this.press("clay"), i: () => this.press("invented"),
      };
      const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!action) return;
      event.preventDefault();
      action();
    }

    set(name, value) {
      const button = this.buttons[name];
      if (!button || button.hidden) return;
      this.on[name] = value;
      button.setAttribute("aria-pressed", String(value));
      if (name === "clay" || name === "light" || name === "invented") this.dress();
      this.wake();
    }

    show(view) {
      if (!this.facts[view]) return;
      const solid = view !== "frames";
      if (solid && !(view === "mesh" ? this.open() : this.openSplats())) return this.view || this.show("frames");
      if (solid !== this.solid || !this.view) this.camera.position.setLength(this.facts.camera.distance * (solid ? ROOM : 1));
      Object.assign(this, { view, solid });
      for (const name of VIEWS) this.buttons[name].setAttribute("aria-pressed", String(name === view));
      for (const name of ["light", "clay"]) this.buttons[name].hidden = view !== "mesh";
      this.root.querySelector(".morphs").hidden = view !== "mesh" || !this.morphs;
      this.buttons.invented.hidden = !(view === "mesh" ? this.colors?.invented : view === "frames" && this.facts.invented);
      this.controls.minPolarAngle = solid ? FREE[0] : this.level;
      this.controls.maxPolarAngle = solid ? FREE[1] : this.level;
      for (const name of ["turn", "light", "clay", "invented"]) this.set(name, this.on[name]);
      this.wake();
    }

    // Opens the mesh at its first use; false when the browser cannot show meshes.
    open() {
      if (this.model || this.opening) return true;
      if (!graphics()) return this.without("mesh", "This browser has no WebGL, so it cannot show meshes");
      this.opening = new THREE.GLTFLoader().parseAsync(bytes(this.facts.mesh).buffer, "").then(file => {
        this.light = lights(this.camera, this.facts.camera.distance);
        this.light.rig.add(file.scene, this.camera);
        file.scene.traverse(node => { if (node.isMesh) this.model = node; });
        this.prepare();
        this.show(this.view);
      });
      return true;
    }

    // Opens the splats in the same way.
    openSplats() {
      if (this.splats) return true;
      if (!graphics()) return this.without("splats", "This browser has no WebGL, so it cannot show splats");
      if (typeof DecompressionStream === "undefined") {
        return this.without("splats", "This browser is too old to unpack splats");
      }
      this.splats = { render: null };
      SPLATS.open(bytes(this.facts.splats), this.facts.meter).then(splats => {
        this.splats = splats;
        this.wake();
      });
      return true;
    }

    without(view, reason) {
      Object.assign(this.buttons[view], { disabled: true, title: reason });
      return false;
    }

    prepare() {
      const { geometry, material } = this.model, count = geometry.attributes.position.count;
      const own = geometry.attributes.color, seen = geometry.attributes._seen;
      const plain = new Float32Array(count * 3).fill(1), tinted = new Float32Array(count * 3), clay = new Float32Array(count * 3);
      const base = new THREE.Color(0xc9bcb0).toArray();
      for (let i = 0; i < count; i++) {
        const tint = seen ? INVENTED_SHARE * (1 - Math.min(1, Math.max(0, seen.getX(i) / SEEN))) : 0;
        for (let k = 0; k < 3; k++) {
          if (own) plain[3 * i + k] = own.getComponent(i, k);
          tinted[3 * i + k] = plain[3 * i + k] * (1 - tint) + INVENTED[k] * tint;
          clay[3 * i + k] = base[k] * (1 - tint) + INVENTED[k] * tint;
        }
      }
      const attribute = values => new THREE.BufferAttribute(values, 3);
      this.colors = { plain: attribute(plain), invented: seen && attribute(tinted), clay: attribute(clay) };
      const settings = { vertexColors: true, map: material.map ?? null };
      this.materials = {
        as_is: new THREE.MeshBasicMaterial(settings),
        lit: new THREE.MeshStandardMaterial({ ...settings, roughness: 0.72, metalness: 0 }),
        clay: new THREE.MeshStandardMaterial({ vertexColors: true, roughness: 0.85, metalness: 0 }),
      };
      this.sliders();
    }

    sliders() {
      const names = Object.entries(this.model.morphTargetDictionary ?? {});
      this.morphs = names.length > 0;
      const place = this.root.querySelector(".morphs");
      for (const [name, index] of names) {
        const label = document.createElement("label"), text = document.createElement("span"), slider = document.createElement("input");
        text.textContent = name.replaceAll("_", " ");
        Object.assign(slider, { type: "range", min: 0, max: 1, step: 0.01, value: this.model.morphTargetInfluences[index] });
        slider.addEventListener("input", () => {
          this.model.morphTargetInfluences[index] = slider.valueAsNumber;
          this.wake();
        });
        label.append(text, slider);
        place.append(label);
      }
    }

    dress() {
      if (!this.model) return;
      const { clay, light, invented } = this.on;
      this.model.material = clay ? this.materials.clay : light ? this.materials.lit : this.materials.as_is;
      // Colors of clay carry the tint too, where the head has one.
      const tinted = invented && this.colors.invented;
      if (clay && !tinted) this.colors.gray ??= this.grayClay();
      const colors = clay ? (tinted ? this.colors.clay : this.colors.gray) : tinted || this.colors.plain;
      this.model.geometry.setAttribute("color", colors);
      this.light.strength(clay ? CLAY : SOFT);
    }

    grayClay() {
      const values = new Float32Array(this.colors.plain.array.length), base = new THREE.Color(0xc9bcb0).toArray();
      for (let i = 0; i < values.length; i++) values[i] = base[i % 3];
      return new THREE.BufferAttribute(values, 3);
    }

    save(what, name, type) {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([bytes(this.facts[what])], { type }));
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    }

    fit() {
      const side = Math.round(Math.min(MAX_PIXELS, this.stage.clientWidth * Math.min(2, devicePixelRatio || 1)));
      if (side > 0 && side !== this.canvas.width) this.canvas.width = this.canvas.height = side;
      this.wake();
    }

    // Frames are drawn only while something moves.
    wake() {
      this.stale = true;
      if (!this.asleep || !this.visible) return;
      this.asleep = false;
      this.before = undefined;
      requestAnimationFrame(now => this.tick(now));
    }

    tick(now) {
      const seconds = this.before === undefined ? 1 / 60 : Math.min(0.1, (now - this.before) / 1000);
      this.before = now;
      if (this.on.turn) {
        const { theta, phi } = new THREE.Spherical().setFromVector3(this.camera.position);
        this.face(theta - 2 * Math.PI * seconds / TURN_S, phi);
      }
      const moves = this.controls.update();
      if (this.stale) {
        this.stale = false;
        this.draw();
      }
      if (this.visible && (moves || this.stale || this.on.turn)) requestAnimationFrame(next => this.tick(next));
      else this.asleep = true;
    }

    draw() {
      const side = this.canvas.width, pen = this.pen;
      const mesh = this.view === "mesh" && this.model, splats = this.view === "splats" && this.splats.render;
      if (!mesh && !splats && !this.sheets) return this.view === "frames" && this.loadSheets();
      pen.globalCompositeOperation = "source-over";
      pen.globalAlpha = 1;
      pen.clearRect(0, 0, side, side);
      pen.imageSmoothingQuality = "high";
      const yaw = this.controls.getAzimuthalAngle();
      if (mesh || splats) {
        const renderer = graphics();
        if (renderer.domElement.width !== side) renderer.setSize(side, side, false);
        if (splats) splats(renderer, this.camera, side);
        else renderer.render(this.light.rig, this.camera);
        pen.drawImage(renderer.domElement, 0, 0, side, side);
      } else {
        const zoom = this.facts.camera.distance / this.camera.position.length();
        const area = [side * (1 - zoom) / 2, side * (1 - zoom) / 2, side * zoom, side * zoom];
        this.sheets.frames.draw(pen, yaw, area);
        if (this.on.invented && this.sheets.invented) {
          // On a layer of its own: shares of its two frames add up there, and it then covers the head.
          const layer = (this.layer ??= document.createElement("canvas"));
          layer.width = layer.height = side;
          this.sheets.invented.draw(layer.getContext("2d"), yaw, area);
          pen.globalCompositeOperation = "source-over";
          pen.globalAlpha = 1;
          pen.drawImage(layer, 0, 0);
        }
      }
      this.root.dataset.view = mesh ? "mesh" : splats ? "splats" : "frames"; // what is there, not what still opens
      this.root.dataset.yaw = String(Math.round(yaw * 180 / Math.PI));
      this.root.classList.add("ready");
    }

    async loadSheets() {
      if (this.loading) return;
      this.loading = true;
      const sheets = { frames: new Sheet(this.facts.frames) };
      if (this.facts.invented) sheets.invented = new Sheet(this.facts.invented);
      await Promise.all(Object.values(sheets).map(sheet => sheet.image.decode()));
      this.sheets = sheets;
      this.wake();
    }
  }

  for (const root of document.querySelectorAll(".head")) new HeadViewer(root);
})();
