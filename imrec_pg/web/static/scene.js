// @ts-check
// The points of a map in three.js: one buffer as the server sent it, and one of colours.
const THREE = "/static/three/three.module.js";
const CONTROLS = "/static/three/OrbitControls.js";
const VALUES = 4; // of 16 bits a point: x, y, z and the cluster
const MOST = 65535;
const REACH = 12;

/** @typedef {{points: Uint16Array, count: number, dims: number, corners: number[]}} Points */

/** Whether this browser draws by WebGL. */
export function hasWebGL() {
  try {
    return document.createElement("canvas").getContext("webgl2") !== null;
  } catch {
    return false;
  }
}

/** @param {HTMLElement} view @param {Points} data @param {{onMove: () => void, onRest: (eye: string) => void}} on */
export async function sceneOf(view, { points, count, dims, corners }, on) {
  const [three, { OrbitControls }] = await Promise.all([import(THREE), import(CONTROLS)]);
  const flat = dims === 2;
  const renderer = new three.WebGLRenderer({ antialias: true, preserveDrawingBuffer: true });
  const canvas = renderer.domElement;
  canvas.tabIndex = 0;
  canvas.setAttribute("aria-label", "The map: arrow keys move it, the buttons zoom");
  canvas.setAttribute("role", "application");
  view.append(canvas);
  const scene = new three.Scene();
  const camera = flat ? new three.OrthographicCamera() : new three.PerspectiveCamera(45, 1, 0.001, 50);
  const interleaved = new three.InterleavedBuffer(points, VALUES);
  const geometry = new three.BufferGeometry();
  geometry.setAttribute("position", new three.InterleavedBufferAttribute(interleaved, 3, 0, true));
  const colours = new Uint8Array(count * 3).fill(140);
  geometry.setAttribute("color", new three.BufferAttribute(colours, 3, true));
  geometry.boundingSphere = new three.Sphere(new three.Vector3(0.5, 0.5, 0.5), 1);
  const size = Math.min(9, Math.max(2, 90 / Math.sqrt(Math.sqrt(count) + 20))) * Math.min(2, devicePixelRatio);
  const material = new three.PointsMaterial({ size, sizeAttenuation: false, vertexColors: true });
  material.onBeforeCompile = (/** @type {any} */ shader) => { // round dots
    shader.fragmentShader = shader.fragmentShader.replace("#include <color_fragment>",
      "#include <color_fragment>\nif (length(gl_PointCoord - 0.5) > 0.5) discard;");
  };
  const cloud = new three.Points(geometry, material);
  // Each axis fills the 16 bits: their proportions come back here.
  const spans = [0, 1, 2].map((axis) => corners[axis + 3] - corners[axis] || 0);
  const longest = Math.max(...spans) || 1;
  const sides = spans.map((span, axis) => (flat && axis === 2 ? 0 : 2 * span / longest));
  cloud.position.set(...sides.map((side) => -side / 2));
  cloud.scale.set(...sides);
  scene.add(cloud);
  const controls = new OrbitControls(camera, canvas);
  controls.enableRotate = !flat;
  controls.zoomToCursor = true;
  if (flat) { controls.mouseButtons.LEFT = three.MOUSE.PAN; controls.touches.ONE = three.TOUCH.PAN; }
  controls.listenToKeyEvents(canvas);

  let waiting = false;
  const draw = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; renderer.render(scene, camera); });
  };
  const box = () => [view.clientWidth || 1, view.clientHeight || 1];
  const resize = () => {
    const [width, height] = box();
    const ratio = width / height;
    if (flat) {
      const [x, y] = ratio > 1 ? [1.1 * ratio, 1.1] : [1.1, 1.1 / ratio];
      Object.assign(camera, { left: -x, right: x, top: y, bottom: -y });
    } else camera.aspect = ratio;
    camera.updateProjectionMatrix();
    renderer.setPixelRatio(devicePixelRatio);
    renderer.setSize(width, height);
    draw();
    on.onMove();
  };
  const all = () => {
    const [width, height] = box();
    controls.target.set(0, 0, 0);
    camera.position.set(...(flat ? [0, 0, 5] : [1.5, 0.9, 2.2]));
    if (!flat) camera.position.multiplyScalar(1.15 * Math.max(1, height / width));
    camera.zoom = 1;
    camera.updateProjectionMatrix();
    controls.update();
    draw();
  };
  const paper = () => { renderer.setClearColor(getComputedStyle(document.body).backgroundColor); draw(); };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let resting = 0;
  controls.addEventListener("change", () => {
    draw();
    on.onMove();
    clearTimeout(resting);
    resting = setTimeout(() => on.onRest([...camera.position.toArray(), ...controls.target.toArray(), camera.zoom].map((one) => one.toFixed(3)).join(",")), 250);
  });
  dark.addEventListener("change", paper);
  const watcher = new ResizeObserver(resize);

  /** Return where points lie on the screen, by calling back with number, x, y and depth. @param {(i: number, x: number, y: number, w: number) => void} each */
  const project = (each) => {
    camera.updateMatrixWorld();
    cloud.updateMatrixWorld();
    const m = new three.Matrix4().multiplyMatrices(camera.projectionMatrix, camera.matrixWorldInverse).multiply(cloud.matrixWorld).elements;
    const [width, height] = box();
    for (let i = 0; i < count; i += 1) {
      const [a, b, c] = [points[VALUES * i] / MOST, points[VALUES * i + 1] / MOST, points[VALUES * i + 2] / MOST];
      const w = m[3] * a + m[7] * b + m[11] * c + m[15];
      if (w > 0) each(i, ((m[0] * a + m[4] * b + m[8] * c + m[12]) / w + 1) / 2 * width, (1 - (m[1] * a + m[5] * b + m[9] * c + m[13]) / w) / 2 * height, w);
    }
  };
  /** Return the number of the point under a place of the screen; of equally near ones the one in front. @param {number} x @param {number} y */
  const under = (x, y) => {
    let best = -1;
    let least = Infinity;
    project((i, px, py, w) => {
      const far = (px - x) ** 2 + (py - y) ** 2;
      if (far < REACH * REACH && far + 4 * w < least) { least = far + 4 * w; best = i; }
    });
    return best;
  };
  all();
  resize();
  paper();
  watcher.observe(view);
  return {
    canvas, project, under, all, box,
    /** @param {string} eye as onRest got it */
    look: (eye) => {
      const numbers = eye.split(",").map(Number);
      if (numbers.length !== 7 || !numbers.every(Number.isFinite)) return;
      controls.target.set(...numbers.slice(3, 6));
      camera.position.set(...numbers.slice(0, 3));
      camera.zoom = numbers[6];
      camera.updateProjectionMatrix();
      controls.update();
      draw();
    },
    /** @param {number} by */
    zoom: (by) => {
      if (flat) { camera.zoom *= by; camera.updateProjectionMatrix(); } else camera.position.sub(controls.target).divideScalar(by).add(controls.target);
      controls.update();
      draw();
      controls.dispatchEvent({ type: "change" });
    },
    /** @param {boolean} free whether the pointer moves the map */
    hold: (free) => { controls.enabled = free; },
    /** @param {(i: number) => number[]} colourOf red, green and blue of a point, to 255 */
    paint: (colourOf) => {
      const linear = Uint8Array.from({ length: 256 }, (_, v) => Math.round(255 * (v / 255) ** 2.2));
      for (let i = 0; i < count; i += 1) {
        const colour = colourOf(i);
        for (let j = 0; j < 3; j += 1) colours[3 * i + j] = linear[colour[j]];
      }
      geometry.attributes.color.needsUpdate = true;
      draw();
    },
    close: () => {
      clearTimeout(resting);
      watcher.disconnect();
      dark.removeEventListener("change", paper);
      controls.dispose();
      geometry.dispose();
      material.dispose();
      renderer.dispose();
      canvas.remove();
    },
  };
}

/** Draw how many points lie where, for browsers without WebGL. @param {HTMLCanvasElement} canvas @param {Points} data */
export function density(canvas, { points, count }) {
  const side = 512;
  canvas.width = side;
  canvas.height = side;
  const counts = new Uint32Array(side * side);
  let most = 1;
  for (let i = 0; i < count; i += 1) {
    const x = Math.min(side - 1, Math.floor(points[VALUES * i] / MOST * side));
    const y = side - 1 - Math.min(side - 1, Math.floor(points[VALUES * i + 1] / MOST * side));
    most = Math.max(most, counts[y * side + x] += 1);
  }
  const context = canvas.getContext("2d");
  if (!context) return;
  const picture = context.createImageData(side, side);
  for (let at = 0; at < counts.length; at += 1) {
    const full = counts[at] ? 0.35 + 0.65 * Math.log1p(counts[at]) / Math.log1p(most) : 0;
    picture.data.set([47, 111, 208, Math.round(255 * full)], at * 4);
  }
  context.putImageData(picture, 0, 0);
}
