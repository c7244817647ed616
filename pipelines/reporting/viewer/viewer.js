"use strict";
// Draws the scene that stands in this page. Light and camera are those of the pipeline (see the two shaders).

const scene = JSON.parse(document.getElementById("scene").textContent);
const canvas = document.getElementById("picture");
const ball = document.getElementById("ball");
const embedded = window.top !== window.self;

const DEGREES_PER_PIXEL = 0.4;
const DEGREES_PER_KEY = 5;
const STEEPEST = 85; // degrees up or down
const ZOOM_RANGE = [0.5, 8];
const BALL_RADIUS = 80; // mm
const BALL_MARGIN = 1.1;
const BALL_COLOURS = { diffuse: [0.55, 0.55, 0.55], specular: [0.25, 0.25, 0.25] };

// Numbers, as packing.py wrote them.

function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

function unpackedPoints({ data, low, step }) {
  return Float32Array.from(new Uint16Array(bytes(data).buffer), (value, i) => low[i % 3] + step[i % 3] * value);
}

function unpackedTriangles({ data, bits }) {
  const Whole = bits === 16 ? Uint16Array : Uint32Array;
  return Uint32Array.from(new Whole(bytes(data).buffer));
}

function unpackedColours(packed) {
  if (packed.palette) {
    const palette = unpackedColours(packed.palette);
    const choices = bytes(packed.data);
    return Float32Array.from({ length: 3 * choices.length }, (_, i) => palette[3 * choices[Math.floor(i / 3)] + (i % 3)]);
  }
  return Float32Array.from(bytes(packed.data), (value) => packed.largest * (value / 255) ** 2.2);
}

// Geometry.

/** Unit normals, each the area-weighted mean over the triangles around a vertex, as in models/normals.py. */
function vertexNormals(points, triangles) {
  const sums = new Float32Array(points.length);
  for (let first = 0; first < triangles.length; first += 3) {
    const [a, b, c] = triangles.subarray(first, first + 3).map((corner) => 3 * corner);
    const [ux, uy, uz] = [points[b] - points[a], points[b + 1] - points[a + 1], points[b + 2] - points[a + 2]];
    const [vx, vy, vz] = [points[c] - points[a], points[c + 1] - points[a + 1], points[c + 2] - points[a + 2]];
    for (const corner of [a, b, c]) {
      sums[corner] += uy * vz - uz * vy;
      sums[corner + 1] += uz * vx - ux * vz;
      sums[corner + 2] += ux * vy - uy * vx;
    }
  }
  for (let i = 0; i < sums.length; i += 3) {
    const length = Math.hypot(sums[i], sums[i + 1], sums[i + 2]);
    if (length > 1.0e-4) for (let axis = 0; axis < 3; axis++) sums[i + axis] /= length;
  }
  return sums;
}

/** The ball that shows the light. */
function sphere(radius, rings = 32, columns = 64) {
  const points = [], triangles = [];
  for (let ring = 0; ring <= rings; ring++) {
    for (let column = 0; column <= columns; column++) {
      const [polar, round] = [(Math.PI * ring) / rings, (2 * Math.PI * column) / columns];
      points.push(radius * Math.sin(polar) * Math.sin(round), radius * Math.cos(polar), radius * Math.sin(polar) * Math.cos(round));
      if (ring === rings || column === columns) continue;
      const here = ring * (columns + 1) + column, below = here + columns + 1;
      triangles.push(here, below, here + 1, here + 1, below, below + 1);
    }
  }
  const unit = Float32Array.from(points, (value) => value / radius);
  return { points: Float32Array.from(points), normals: unit, triangles: Uint32Array.from(triangles) };
}

/** Yaw, then pitch, in degrees, as a matrix in columns; positive yaw brings the left of the picture to the front. */
function turned({ yaw, pitch }) {
  const [a, b] = [(pitch * Math.PI) / 180, (yaw * Math.PI) / 180];
  const [sa, ca, sb, cb] = [Math.sin(a), Math.cos(a), Math.sin(b), Math.cos(b)];
  return [cb, sa * sb, -ca * sb, 0, ca, sa, sb, -sa * cb, ca * cb];
}

function middle(points) {
  const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
  points.forEach((value, i) => {
    low[i % 3] = Math.min(low[i % 3], value);
    high[i % 3] = Math.max(high[i % 3], value);
  });
  return low.map((value, axis) => (value + high[axis]) / 2);
}

// What a person may change.

function initialState() {
  return {
    layer: 0,
    face: { yaw: 0, pitch: 0 },
    ambientTurn: { yaw: 0, pitch: 0 },
    lampTurn: { yaw: 0, pitch: 0 },
    zoom: 1,
    shift: [0, 0],
    shininess: scene.lights[0].shininess,
    lamp: 1,
    ambient: 1,
    lampOnly: false,
    unlit: false,
  };
}

let state = initialState();

function clamped(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

function turn(angles, yaw, pitch) {
  angles.yaw += yaw;
  angles.pitch = clamped(angles.pitch + pitch, -STEEPEST, STEEPEST);
  schedule();
}

function turnLight(yaw, pitch) {
  if (!state.lampOnly) turn(state.ambientTurn, yaw, pitch);
  turn(state.lampTurn, yaw, pitch);
}

function zoomBy(factor) {
  state.zoom = clamped(state.zoom * factor, ...ZOOM_RANGE);
  schedule();
}

// WebGL.

const gl = canvas.getContext("webgl2", { antialias: true, alpha: true });
let drawing = null; // everything that lives on the graphics card

function compiled(kind, source) {
  const shader = gl.createShader(kind);
  gl.shaderSource(shader, source.trim());
  gl.compileShader(shader);
  if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
  return shader;
}

function linked() {
  const program = gl.createProgram();
  gl.attachShader(program, compiled(gl.VERTEX_SHADER, document.getElementById("vertex-shader").textContent));
  gl.attachShader(program, compiled(gl.FRAGMENT_SHADER, document.getElementById("fragment-shader").textContent));
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
  return program;
}

function buffer(target, array) {
  const made = gl.createBuffer();
  gl.bindBuffer(target, made);
  gl.bufferData(target, array, gl.STATIC_DRAW);
  return made;
}

function start() {
  const program = linked();
  const uniforms = new Proxy({}, { get: (_, name) => gl.getUniformLocation(program, name) });
  const points = unpackedPoints(scene.mesh.points);
  const triangles = unpackedTriangles(scene.mesh.triangles);
  const patch = scene.mesh.patch ? unpackedTriangles(scene.mesh.patch) : new Uint32Array(0);
  const face = {
    points: buffer(gl.ARRAY_BUFFER, points),
    normals: buffer(gl.ARRAY_BUFFER, vertexNormals(points, triangles)),
    triangles: buffer(gl.ELEMENT_ARRAY_BUFFER, triangles),
    patch: buffer(gl.ELEMENT_ARRAY_BUFFER, patch),
    count: triangles.length,
    patchCount: patch.length,
    gloss: scene.gloss && buffer(gl.ARRAY_BUFFER, new Float32Array(bytes(scene.gloss.data).buffer)),
  };
  const round = sphere(BALL_RADIUS);
  drawing = {
    program,
    uniforms,
    face,
    ball: {
      points: buffer(gl.ARRAY_BUFFER, round.points),
      normals: buffer(gl.ARRAY_BUFFER, round.normals),
      triangles: buffer(gl.ELEMENT_ARRAY_BUFFER, round.triangles),
      count: round.triangles.length,
    },
    colours: scene.colours.map((packed) => buffer(gl.ARRAY_BUFFER, unpackedColours(packed))),
    centre: middle(points),
  };
  draw();
}

/** A buffer as the attribute of that name, or the same numbers for every vertex. */
function attribute(name, source, size) {
  const location = gl.getAttribLocation(drawing.program, name);
  if (source instanceof WebGLBuffer) {
    gl.bindBuffer(gl.ARRAY_BUFFER, source);
    gl.enableVertexAttribArray(location);
    gl.vertexAttribPointer(location, size, gl.FLOAT, false, 0, 0);
  } else {
    gl.disableVertexAttribArray(location);
    gl.vertexAttrib4f(location, ...source, ...Array(4 - source.length).fill(0));
  }
}

function setLight(light) {
  const { uniforms } = drawing;
  gl.uniform3fv(uniforms.u_harmonics, light.harmonics.map((value) => value * state.ambient));
  gl.uniformMatrix3fv(uniforms.u_harmonics_turn, false, turned(state.ambientTurn));
  gl.uniform1i(uniforms.u_lamps, light.strengths.length);
  if (light.strengths.length) {
    gl.uniform3fv(uniforms.u_lamp, light.lamps);
    gl.uniform1fv(uniforms.u_strength, light.strengths.map((value) => value * state.lamp));
  }
  gl.uniformMatrix3fv(uniforms.u_lamps_turn, false, turned(state.lampTurn));
  gl.uniform1f(uniforms.u_shininess, state.shininess);
}

function setView({ centre, angles, focal, shift }) {
  const { uniforms } = drawing;
  gl.uniform3fv(uniforms.u_centre, centre);
  gl.uniformMatrix3fv(uniforms.u_turn, false, turned(angles));
  gl.uniform1f(uniforms.u_distance, scene.camera.distance);
  gl.uniform2fv(uniforms.u_focal, focal);
  gl.uniform2fv(uniforms.u_shift, shift);
}

function drawFace(layer, width, height) {
  const { uniforms, face, colours, centre } = drawing;
  const side = Math.min(width, height);
  const focal = state.zoom * scene.camera.focal;
  gl.viewport(0, 0, width, height);
  setView({ centre, angles: state.face, focal: [(focal * side) / width, (focal * side) / height], shift: state.shift });
  gl.uniform1i(uniforms.u_unlit, state.unlit ? 1 : 0);
  attribute("a_point", face.points, 3);
  attribute("a_normal", face.normals, 3);
  attribute("a_diffuse", colours[layer.diffuse] ?? [0, 0, 0], 3);
  attribute("a_specular", colours[layer.specular] ?? [0, 0, 0], 3);
  attribute("a_gloss", face.gloss ?? [1], 1);
  drawTriangles(face.triangles, face.count);
  gl.uniform1i(uniforms.u_flat, 1);
  gl.uniform1i(uniforms.u_behind, layer.patch_behind ? 1 : 0);
  gl.uniform3fv(uniforms.u_colour, layer.patch_rgb);
  drawTriangles(face.patch, face.patchCount);
  gl.uniform1i(uniforms.u_flat, 0);
  gl.uniform1i(uniforms.u_behind, 0);
}

function drawBall(pixelRatio, height) {
  const { uniforms, ball: mesh } = drawing;
  const side = ball.offsetWidth * pixelRatio;
  const top = (ball.offsetTop - canvas.offsetTop) * pixelRatio;
  gl.viewport((ball.offsetLeft - canvas.offsetLeft) * pixelRatio, height - top - side, side, side);
  const focal = scene.camera.distance / (BALL_RADIUS * BALL_MARGIN);
  setView({ centre: [0, 0, 0], angles: { yaw: 0, pitch: 0 }, focal: [focal, focal], shift: [0, 0] });
  gl.clear(gl.DEPTH_BUFFER_BIT);
  gl.uniform1i(uniforms.u_unlit, 0);
  attribute("a_point", mesh.points, 3);
  attribute("a_normal", mesh.normals, 3);
  attribute("a_diffuse", BALL_COLOURS.diffuse, 3);
  attribute("a_specular", BALL_COLOURS.specular, 3);
  attribute("a_gloss", [1], 1);
  drawTriangles(mesh.triangles, mesh.count);
}

function drawTriangles(indices, count) {
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, indices);
  gl.drawElements(gl.TRIANGLES, count, gl.UNSIGNED_INT, 0);
}

function draw() {
  if (!drawing || gl.isContextLost()) return;
  const pixelRatio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.max(1, Math.round(side * pixelRatio)));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const layer = scene.layers[state.layer];
  gl.useProgram(drawing.program);
  gl.enable(gl.DEPTH_TEST);
  gl.clearColor(0, 0, 0, 0);
  gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
  setLight(scene.lights[layer.light]);
  drawFace(layer, width, height);
  drawBall(pixelRatio, height);
}

let scheduled = false;

function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    draw();
  });
}

// Pointer and keys.

/** One finger or the mouse turns, two fingers come closer and move; `move` gets the way in pixels. */
function followPointers(element, move, pinch = null) {
  const down = new Map();
  element.addEventListener("pointerdown", (event) => {
    element.focus({ preventScroll: true });
    element.setPointerCapture(event.pointerId);
    down.set(event.pointerId, [event.clientX, event.clientY]);
  });
  element.addEventListener("pointermove", (event) => {
    const before = down.get(event.pointerId);
    if (!before) return;
    const now = [event.clientX, event.clientY];
    const other = [...down].find(([id]) => id !== event.pointerId)?.[1];
    down.set(event.pointerId, now);
    const way = [now[0] - before[0], now[1] - before[1]];
    if (!other) move(...way, event.shiftKey);
    else if (pinch) pinch(distance(now, other) / Math.max(distance(before, other), 1), way[0] / 2, way[1] / 2);
  });
  for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, (event) => down.delete(event.pointerId));
}

function distance(a, b) {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}

function shiftBy(x, y) {
  state.shift = [state.shift[0] + (2 * x) / canvas.clientWidth, state.shift[1] - (2 * y) / canvas.clientHeight];
  schedule();
}

function followKeys(element, move, others = {}) {
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  element.addEventListener("keydown", (event) => {
    const arrow = arrows[event.key];
    if (!arrow && !others[event.key]) return;
    event.preventDefault();
    if (arrow) move(arrow[0] * DEGREES_PER_KEY, arrow[1] * DEGREES_PER_KEY);
    else others[event.key]();
  });
}

function followPerson() {
  followPointers(
    canvas,
    (x, y, shift) => (shift ? shiftBy(x, y) : turn(state.face, x * DEGREES_PER_PIXEL, y * DEGREES_PER_PIXEL)),
    (factor, x, y) => {
      zoomBy(factor);
      shiftBy(x, y);
    },
  );
  followKeys(canvas, (yaw, pitch) => turn(state.face, yaw, pitch), {
    "+": () => zoomBy(1.1),
    "=": () => zoomBy(1.1),
    "-": () => zoomBy(1 / 1.1),
  });
  followPointers(ball, (x, y) => turnLight(x, y));
  followKeys(ball, turnLight);
  canvas.addEventListener("wheel", (event) => {
    // Inside the report the wheel scrolls the page until the picture was clicked.
    if (embedded && document.activeElement !== canvas && !event.ctrlKey) return;
    event.preventDefault();
    zoomBy(Math.exp(-0.001 * event.deltaY * (event.deltaMode === 1 ? 30 : 1)));
  }, { passive: false });
  new ResizeObserver(draw).observe(canvas);
}

// Controls: every input is named after the part of the state that it changes.

const form = document.getElementById("controls");

function valueOf(input) {
  if (input.type === "checkbox") return input.checked;
  return input.name === "shininess" ? 2 ** Number(input.value) : Number(input.value);
}

function showState() {
  const noHighlight = scene.layers[state.layer].specular === null;
  for (const input of form.querySelectorAll("input")) {
    const value = state[input.name];
    if (input.type === "checkbox") input.checked = value;
    else if (input.type === "radio") input.checked = Number(input.value) === value;
    else {
      input.value = input.name === "shininess" ? Math.log2(value) : value;
      const words = input.name === "shininess" ? value.toFixed(1) : `× ${value.toFixed(2)}`;
      input.setAttribute("aria-valuetext", words);
      input.disabled = noHighlight && input.name !== "ambient";
      form.querySelector(`output[for=${input.id}]`).textContent = words;
    }
  }
}

form.addEventListener("input", (event) => {
  state[event.target.name] = valueOf(event.target);
  showState();
  schedule();
});
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", (event) => {
  event.preventDefault();
  state = initialState();
  showState();
  schedule();
});

if (gl) {
  canvas.style.touchAction = embedded ? "pan-y" : "none"; // a finger on the picture must still scroll the report
  canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
  canvas.addEventListener("webglcontextrestored", start);
  showState();
  followPerson();
  start();
} else {
  document.getElementById("missing").hidden = false;
  document.getElementById("viewer").hidden = true;
}
