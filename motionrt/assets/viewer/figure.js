// A figure and its floor on a canvas. World: metres, y up. Who uses it has `ctx`, what is drawn on,
// and `tallest`, the height of the tallest figure.
const DARK = window.matchMedia ? window.matchMedia("(prefers-color-scheme: dark)") : { matches: false };
const paper = () => DARK.matches ? [25, 28, 34] : [255, 255, 255];  // as the page's --ground
const PALETTES = [  // the first is used alone; the others tell overlaid motions apart
  { left: [238, 108, 52], right: [41, 112, 214], get centre() { return DARK.matches ? [176, 185, 200] : [55, 68, 88]; } },
  { left: [200, 62, 142], right: [16, 150, 136], centre: [124, 112, 134] },
  { left: [214, 158, 18], right: [98, 80, 200], centre: [142, 124, 96] },
  { left: [210, 70, 70], right: [80, 150, 60], centre: [100, 130, 140] },
];
const shade = document.createElement("canvas"), shadeCtx = shade.getContext("2d");

const mix = (a, b, s) => a.map((v, i) => Math.round(v + (b[i] - v) * s));
const css = (c, alpha = 1) => `rgba(${c[0]},${c[1]},${c[2]},${alpha})`;
const clamp = (v, low, high) => Math.min(Math.max(v, low), high);

function middle(points, group) {
  return [0, 1, 2].map((k) => group.reduce((sum, j) => sum + points[j][k], 0) / group.length);
}

function headCentre(clip, joints) {
  const neck = middle(joints, clip.head.neck), top = middle(joints, clip.head.top);
  const along = top.map((v, k) => v - neck[k]), length = Math.max(Math.hypot(...along), 1e-6);
  return top.map((v, k) => v + along[k] / length * clip.head.beyond);
}

// A camera around a target: azimuth (degrees) from where a figure faces, scale in pixels a metre at
// the target, which is at a place of the canvas.
function orbit(heading, azimuth, elevation, target, scale, distance, at) {
  const a = azimuth * Math.PI / 180, e = elevation * Math.PI / 180;
  // Forward is (hx, hz), the figure's right is (-hz, hx).
  const flat = [Math.cos(a) * heading[0] - Math.sin(a) * heading[1],
                Math.cos(a) * heading[1] + Math.sin(a) * heading[0]];
  const direction = [Math.cos(e) * flat[0], Math.sin(e), Math.cos(e) * flat[1]];
  const right = [flat[1], 0, -flat[0]];
  const up = [direction[1] * right[2] - direction[2] * right[1],
              direction[2] * right[0] - direction[0] * right[2],
              direction[0] * right[1] - direction[1] * right[0]];
  const project = (p) => {
    const d = [p[0] - target[0], p[1] - target[1], p[2] - target[2]];
    const depth = -(d[0] * direction[0] + d[1] * direction[1] + d[2] * direction[2]);
    const zoom = scale * distance / Math.max(distance + depth, 0.05 * distance);
    return [at[0] + zoom * (d[0] * right[0] + d[2] * right[2]),
            at[1] - zoom * (d[0] * up[0] + d[1] * up[1] + d[2] * up[2]), depth, zoom];
  };
  return { project, target, direction, right, up, scale, distance, at };
}

function capsule(g, p, q, r0, r1) {
  const dx = q[0] - p[0], dy = q[1] - p[1], length = Math.hypot(dx, dy);
  g.beginPath();
  if (length <= Math.abs(r0 - r1)) {
    g.arc(...(r0 > r1 ? [p[0], p[1], r0] : [q[0], q[1], r1]), 0, 7);
  } else {  // arcs between the points where the outer tangents touch
    const angle = Math.atan2(dy, dx), half = Math.acos((r0 - r1) / length);
    g.arc(p[0], p[1], r0, angle + half, angle - half);
    g.arc(q[0], q[1], r1, angle - half, angle + half);
  }
  g.fill();
}

function drawFloor(camera, pane) {
  const radius = Math.max(1.6 * tallest, 0.55 * Math.max(pane.width, pane.height) / camera.scale);
  let step = 0.5;
  while (radius / step > 14) step *= 2;
  const mid = [camera.target[0], camera.target[2]];
  ctx.lineWidth = 1;
  for (const axis of [0, 1]) {
    for (let k = Math.ceil((mid[axis] - radius) / step); k <= (mid[axis] + radius) / step; k++) {
      const off = k * step - mid[axis], reach = Math.sqrt(Math.max(radius ** 2 - off ** 2, 0));
      let before = null;
      for (let n = 0; n <= 24; n++) {
        const along = reach * (n / 12 - 1);
        const p = axis === 0 ? [k * step, 0, mid[1] + along] : [mid[0] + along, 0, k * step];
        const now = camera.project(p);
        if (before) {
          const fade = 1 - (off ** 2 + (along - reach / 24) ** 2) / radius ** 2;
          ctx.strokeStyle = css([150, 163, 180], Math.max(0.6 * fade, 0));
          ctx.beginPath(); ctx.moveTo(before[0], before[1]); ctx.lineTo(now[0], now[1]); ctx.stroke();
        }
        before = now;
      }
    }
  }
}

function drawShadows(camera, pane, figures) {  // drawn small and laid down nine times: a blur
  const shrink = Math.max(0.014 * tallest * camera.scale, 1.5);
  shade.width = Math.ceil(pane.width / shrink); shade.height = Math.ceil(pane.height / shrink);
  shadeCtx.setTransform(1 / shrink, 0, 0, 1 / shrink, -pane.x / shrink, -pane.y / shrink);
  shadeCtx.fillStyle = DARK.matches ? "#000" : "#1f2937";
  for (const { clip, joints } of figures) {
    const flat = joints.map((p) => camera.project([p[0], 0, p[2]]));
    for (const part of clip.parts) {
      for (const [a, b] of part.bones) {
        const radius = 1.5 * clip.radii[b];
        capsule(shadeCtx, flat[a], flat[b], radius * flat[a][3], radius * flat[b][3]);
      }
    }
    if (clip.head) {
      const c = headCentre(clip, joints), p = camera.project([c[0], 0, c[2]]);
      capsule(shadeCtx, p, p, clip.head.radius * p[3], clip.head.radius * p[3]);
    }
  }
  ctx.globalAlpha = 0.032; ctx.imageSmoothingEnabled = true; ctx.imageSmoothingQuality = "high";
  for (let k = 0; k < 9; k++) {
    const x = pane.x + (k % 3 - 1) * shrink * 1.1, y = pane.y + (Math.floor(k / 3) - 1) * shrink * 0.8;
    ctx.drawImage(shade, x, y, shade.width * shrink, shade.height * shrink);
  }
  ctx.globalAlpha = 1;
}

function drawFigures(camera, figures) {  // all limbs of all figures, the farthest first and paler
  const items = [];
  for (const { clip, joints, palette } of figures) {
    const pixels = joints.map(camera.project), halo = 0.011 * clip.height * camera.scale;
    const rootDepth = pixels[0][2];
    for (const part of clip.parts) {
      const depth = part.bones.reduce((s, [a, b]) => s + pixels[a][2] + pixels[b][2], 0) / (2 * part.bones.length);
      items.push({ depth, clip, palette, part, pixels, halo, rootDepth });
    }
    if (clip.head) {
      const ball = camera.project(headCentre(clip, joints));
      items.push({ depth: ball[2], clip, palette, ball, halo, rootDepth });
    }
  }
  items.sort((a, b) => b.depth - a.depth);
  for (const { depth, clip, palette, part, pixels, ball, halo, rootDepth } of items) {
    const haze = 0.14 + 0.14 * clamp((depth - rootDepth) / (0.2 * clip.height), -1, 1);
    const colour = css(mix(palette[part ? part.side : "centre"], paper(), haze));
    for (const [grow, paint] of [[halo, css(paper())], [0, colour]]) {
      ctx.fillStyle = paint;
      if (ball) {
        const r = clip.head.radius * ball[3] + grow;
        capsule(ctx, ball, ball, r, r);
        continue;
      }
      for (const [a, b] of part.bones) {
        const ra = clip.radii[part.side === "centre" ? b : a];
        capsule(ctx, pixels[a], pixels[b], ra * pixels[a][3] + grow, clip.radii[b] * pixels[b][3] + grow);
      }
    }
  }
}
