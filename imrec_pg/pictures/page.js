const element = (id) => document.getElementById(id);
const about = JSON.parse(element("about").textContent);
const NAMES = { cluster: "cluster (by the feature)", "map-cluster": "cluster (on the map)", folder: "folder", year: "year", none: "none" };

function bytesOf(id) {
  const text = atob(element(id).textContent);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  element(id).remove();
  return bytes;
}

async function unpacked(id) {
  const stream = new Blob([bytesOf(id)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const dark = matchMedia("(prefers-color-scheme: dark)");

// The colours of the groups, as red, green and blue; on dark paper lighter.
const coloursOf = (colour) => about.groups[colour].colours.map((c) => [1, 3, 5].map((i) => {
  const value = parseInt(c.slice(i, i + 2), 16);
  return dark.matches ? Math.round(255 - (255 - value) * 0.7) : value;
}));

const moduleOf = (text) => URL.createObjectURL(new Blob([text], { type: "text/javascript" }));

async function libraries() {
  const decoder = new TextDecoder();
  const [core, main, orbit] = await Promise.all(
    ["three.core.js", "three.module.js", "OrbitControls.js"].map(async (id) => decoder.decode(await unpacked(id))));
  const coreUrl = moduleOf(core);
  const mainUrl = moduleOf(main.replaceAll("./three.core.js", coreUrl));
  const three = await import(mainUrl);
  const { OrbitControls } = await import(moduleOf(orbit.replace("from 'three'", `from '${mainUrl}'`)));
  return { three, OrbitControls };
}

function legend(colour) {
  const colours = coloursOf(colour);
  element("legend").replaceChildren(...about.groups[colour].names.map(([name, number, size]) => {
    const item = document.createElement("li");
    const dot = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const circle = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    dot.setAttribute("viewBox", "0 0 2 2");
    for (const [key, value] of Object.entries({ cx: 1, cy: 1, r: 1, fill: `rgb(${colours[number]})` })) circle.setAttribute(key, value);
    dot.append(circle);
    const count = document.createElement("small");
    count.textContent = size.toLocaleString("en");
    item.append(dot, name, count);
    item.title = name;
    return item;
  }));
}

async function start() {
  element("title").textContent = about.title;
  const { three, OrbitControls } = await libraries();
  const levels = new Uint16Array((await unpacked("points")).buffer);
  const paths = new TextDecoder().decode(await unpacked("paths")).split("\n");
  const photos = about.photos;
  const flat = about.dims === 2;
  const positions = new Float32Array(photos * 3);
  for (let i = 0; i < photos * 3; i += 1) positions[i] = (levels[i] / 65535 - 0.5) * 2;

  const renderer = new three.WebGLRenderer({ antialias: true, preserveDrawingBuffer: true });
  const canvas = renderer.domElement;
  canvas.tabIndex = 0;
  element("view").append(canvas);
  const scene = new three.Scene();
  const camera = flat ? new three.OrthographicCamera() : new three.PerspectiveCamera(45, 1, 0.01, 50);
  camera.position.set(...(flat ? [0, 0, 5] : [1.5, 0.9, 2.2]));
  if (!flat) camera.position.multiplyScalar(1.15 * Math.max(1, innerHeight / innerWidth));  // all of it in sight
  const geometry = new three.BufferGeometry();
  geometry.setAttribute("position", new three.BufferAttribute(positions, 3));
  const colours = new Uint8Array(photos * 3);
  geometry.setAttribute("color", new three.BufferAttribute(colours, 3, true));
  const size = Math.min(9, Math.max(1.5, 90 / Math.sqrt(Math.sqrt(photos) + 20))) * Math.min(2, devicePixelRatio);
  const material = new three.PointsMaterial({ size, sizeAttenuation: false, vertexColors: true });
  material.onBeforeCompile = (shader) => {  // round dots
    shader.fragmentShader = shader.fragmentShader.replace("#include <color_fragment>",
      "#include <color_fragment>\nif (length(gl_PointCoord - 0.5) > 0.5) discard;");
  };
  scene.add(new three.Points(geometry, material));
  const controls = new OrbitControls(camera, canvas);
  controls.enableRotate = !flat;
  controls.zoomToCursor = true;
  if (flat) controls.mouseButtons.LEFT = three.MOUSE.PAN;
  if (flat) controls.touches.ONE = three.TOUCH.PAN;
  controls.listenToKeyEvents(window);

  let waiting = false;
  const draw = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; renderer.render(scene, camera); });
  };
  const paper = () => { renderer.setClearColor(getComputedStyle(document.body).backgroundColor); draw(); };
  const resize = () => {
    const ratio = innerWidth / innerHeight;
    if (flat) {
      const [x, y] = ratio > 1 ? [1.1 * ratio, 1.1] : [1.1, 1.1 / ratio];
      Object.assign(camera, { left: -x, right: x, top: y, bottom: -y });
    } else camera.aspect = ratio;
    camera.updateProjectionMatrix();
    renderer.setPixelRatio(devicePixelRatio);
    renderer.setSize(innerWidth, innerHeight);
    draw();
  };
  controls.addEventListener("change", draw);
  addEventListener("resize", resize);
  dark.addEventListener("change", () => { paint(element("colour").value); paper(); });

  const byColour = {};
  const linear = (v) => Math.round(255 * (v / 255) ** 2.2);
  const paint = async (colour) => {
    byColour[colour] ??= await unpacked(`by-${colour}`);
    const numbers = byColour[colour];
    const ofGroup = coloursOf(colour).map((c) => c.map(linear));
    for (let i = 0; i < photos; i += 1) {
      const c = ofGroup[numbers[i]];
      for (let j = 0; j < 3; j += 1) colours[3 * i + j] = c[j];
    }
    geometry.attributes.color.needsUpdate = true;
    legend(colour);
    draw();
  };
  element("colour").append(...Object.keys(about.groups).map((colour) => new Option(NAMES[colour], colour)));
  element("colour").addEventListener("change", (event) => paint(event.target.value));

  // The picture under the pointer: the nearest point on the screen, of equally near ones the one in front.
  const shown = new Map();
  const thumbnails = bytesOf("thumbnails");
  let offset = 0;
  for (const [at, length] of about.pictures) {
    shown.set(at, thumbnails.subarray(offset, offset + length));
    offset += length;
  }
  const under = (x, y) => {
    const m = new three.Matrix4().multiplyMatrices(camera.projectionMatrix, camera.matrixWorldInverse).elements;
    const reach = 12;
    let best = -1;
    let least = Infinity;
    for (let i = 0; i < photos; i += 1) {
      const [a, b, c] = [positions[3 * i], positions[3 * i + 1], positions[3 * i + 2]];
      const w = m[3] * a + m[7] * b + m[11] * c + m[15];
      const dx = ((m[0] * a + m[4] * b + m[8] * c + m[12]) / w + 1) / 2 * innerWidth - x;
      const dy = (1 - (m[1] * a + m[5] * b + m[9] * c + m[13]) / w) / 2 * innerHeight - y;
      const far = dx * dx + dy * dy;
      if (w > 0 && far < reach * reach && far + 4 * w < least) { least = far + 4 * w; best = i; }
    }
    return best;
  };
  let url = null;
  let last = -1;
  const show = (at, x, y) => {
    const photo = element("photo");
    canvas.style.cursor = at < 0 ? "" : "pointer";
    if (at < 0) { photo.style.display = "none"; last = -1; return; }
    if (at !== last) {
      last = at;
      if (url) URL.revokeObjectURL(url);
      url = shown.has(at) ? URL.createObjectURL(new Blob([shown.get(at)], { type: "image/webp" })) : null;
      const picture = element("picture");
      picture.style.display = url ? "" : "none";
      if (url) picture.src = url; else picture.removeAttribute("src");
      element("path").textContent = paths[at] || "no file";
    }
    photo.style.display = "block";
    photo.style.left = `${Math.min(x + 16, innerWidth - photo.offsetWidth - 8)}px`;
    photo.style.top = `${Math.min(y + 16, innerHeight - photo.offsetHeight - 8)}px`;
  };
  let looking = false;
  canvas.addEventListener("pointermove", (event) => {
    if (looking || event.buttons) return;
    looking = true;
    requestAnimationFrame(() => { looking = false; show(under(event.clientX, event.clientY), event.clientX, event.clientY); });
  });
  canvas.addEventListener("pointerleave", () => show(-1));
  canvas.addEventListener("click", (event) => show(under(event.clientX, event.clientY), event.clientX, event.clientY));

  element("hint").textContent = `${flat ? "Drag moves" : "Drag turns, right button moves"}, wheel zooms. `
    + `${about.pictures.length.toLocaleString("en")} photos show their picture, all their path.`;
  await paint(Object.keys(about.groups)[0]);
  resize();
  paper();
  element("said").textContent = "";
  document.body.dataset.ready = "yes";
}

start().catch((error) => {
  element("said").textContent = `This page needs a browser with WebGL, of 2023 or later (${error.message}).`;
});
