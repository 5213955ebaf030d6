/** The picture: floor, figures, where feet stand, what is held, and a camera that follows. */
import * as THREE from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
import type { Motion, SkeletonInfo } from "motionrt-web";
import type { Character } from "./character";
import { HEIGHT_M, distance, panes, reach, standing, type Insets, type Pane } from "./framing";
import { Mannequin, PALETTE } from "./mannequin";
import type { Moved, Point } from "./path";

const APART_M = 1.5;
const HELD = 0xd9691c;
const FLOOR_M = 60;
/** The picture of each figure is drawn apart where one of all would show them smaller than this part of it. */
const TOO_SMALL = 0.72;
const NO_INSETS: Insets = { left: 0, right: 0, top: 0, bottom: 0 };
const MOST_ROWS = 3;
const UP = new THREE.Vector3(0, 1, 0);
/** A followed figure is no further from the middle, metres: where all are in one picture, and in one of its own. */
const [LAG_M, OWN_LAG_M] = [0.4, 0.12];

/** A motion on the stage. */
interface Actor {
  motion: Motion;
  group: THREE.Group;
  body: Mannequin;
  character: Character | null;
  feet: THREE.Mesh[];
  trail: THREE.Line;
}

/** A picture on the canvas: of all actors, or of one. */
interface View {
  pane: Pane;
  actors: Actor[];
  /** What the camera looks at. */
  look: THREE.Vector3;
}

/** Where the label of a figure belongs, in CSS pixels. */
export interface Head {
  x: number;
  y: number;
  /** So wide at most. */
  room: number;
  shown: boolean;
}

export interface HeldPose {
  motion: Motion;
  frame: number;
  moved: Moved | null;
}

export class Stage {
  private readonly renderer: THREE.WebGLRenderer;
  private readonly scene = new THREE.Scene();
  private readonly camera = new THREE.PerspectiveCamera(34, 1, 0.05, 200);
  private readonly controls: OrbitControls;
  private readonly sun = new THREE.DirectionalLight(0xffffff, 2.6);
  private readonly floor: THREE.Mesh;
  private readonly grid: THREE.ShaderMaterial;
  private readonly held = new THREE.Group();
  private readonly turns: THREE.Quaternion[] = [];
  private actors: Actor[] = [];
  private resting: Mannequin | null = null;
  private views: View[] = [{ pane: panes(1, 1, NO_INSETS, 1, 1)[0]!, actors: [], look: new THREE.Vector3(0, HEIGHT_M, 0) }];
  private readonly eye = new THREE.PerspectiveCamera();
  /** How far away everything is seen; the visitor may go closer. */
  private fitted = 0;
  private time = 0;
  private wide = true;
  /** Counts what changes the picture besides camera and time. */
  private version = 0;
  private drawn = "";
  /** Whether the camera goes with the chosen figure. */
  follows = true;
  chosen = 0;

  constructor(private readonly canvas: HTMLCanvasElement) {
    this.renderer = new THREE.WebGLRenderer({ canvas, antialias: true, alpha: true });
    this.renderer.shadowMap.enabled = true;
    this.renderer.shadowMap.type = THREE.PCFShadowMap;
    this.renderer.toneMapping = THREE.ACESFilmicToneMapping;
    this.renderer.toneMappingExposure = 1.05;
    this.camera.position.set(2.2, 1.75, 4.6);
    this.controls = new OrbitControls(this.camera, canvas);
    Object.assign(this.controls, { enableDamping: true, dampingFactor: 0.12, minDistance: 1, maxDistance: 30, maxPolarAngle: 1.55 });
    this.controls.target.set(0, HEIGHT_M, 0);
    this.controls.update(); // the camera is turned to it from now on
    this.sun.castShadow = true;
    this.sun.shadow.mapSize.set(2048, 2048);
    this.sun.shadow.bias = -0.0004;
    this.sun.shadow.normalBias = 0.02;
    Object.assign(this.sun.shadow.camera, { left: -6, right: 6, top: 6, bottom: -6, near: 0.5, far: 24 });
    this.scene.add(new THREE.HemisphereLight(0xffffff, 0x8f98a8, 1.9), this.sun, this.sun.target, this.held);
    this.grid = gridMaterial();
    const ground = new THREE.Mesh(new THREE.PlaneGeometry(FLOOR_M, FLOOR_M), this.grid);
    this.floor = new THREE.Mesh(new THREE.PlaneGeometry(FLOOR_M, FLOOR_M), new THREE.ShadowMaterial({ opacity: 0.22 }));
    this.floor.receiveShadow = true;
    for (const [plane, height] of [[ground, -0.002], [this.floor, 0]] as const) {
      plane.rotation.x = -Math.PI / 2;
      plane.position.y = height;
      this.scene.add(plane);
    }
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const paint = (): void => {
      this.version++;
      this.grid.uniforms.ink!.value.set(dark.matches ? 0xa9b4c9 : 0x49546a);
    };
    dark.addEventListener("change", paint);
    paint();
  }

  /** Show a figure at rest, while there is no motion. */
  rest(skeleton: SkeletonInfo): void {
    this.version++;
    this.resting ??= new Mannequin(skeleton);
    this.resting.rest();
    this.scene.add(this.resting.group);
  }

  /** Show motions, next to each other or in one place. */
  show(motions: Motion[], apart: boolean): void {
    this.version++;
    if (this.resting) this.scene.remove(this.resting.group);
    this.clear();
    this.actors = motions.map((motion, i) => this.actor(motion, i));
    this.wide = apart;
    this.spread();
  }

  /** Put figures next to each other, or in one place. */
  place(apart: boolean): void {
    this.version++;
    this.wide = apart;
    this.spread();
  }

  /** Put characters on figures, in their places; null takes them away. */
  dress(characters: (Character | null)[]): void {
    this.version++;
    this.actors.forEach((actor, i) => {
      if (actor.character) actor.group.remove(actor.character.scene);
      actor.character = characters[i] ?? null;
      if (actor.character) actor.group.add(actor.character.scene);
      actor.body.group.visible = !actor.character;
    });
  }

  /** Draw what is held: a path and poses, at every figure's place. */
  hold(path: Point[] | null, poses: HeldPose[]): void {
    this.version++;
    this.held.clear();
    const places = this.actors.length ? this.actors.map(({ group }) => group.position) : [new THREE.Vector3()];
    for (const [i, place] of places.entries()) {
      const group = new THREE.Group();
      group.position.copy(place);
      if (path && path.length > 1) group.add(...ribbon(path));
      for (const { motion, frame, moved } of i === this.chosen ? poses : []) {
        const ghost = new Mannequin(motion.skeleton, { middle: HELD, left: HELD, right: HELD }, 0.32);
        ghost.pose(motion, frame / motion.fps, []);
        if (moved) {
          const from = new THREE.Vector3(moved.from[0], 0, moved.from[1]).applyAxisAngle(UP, moved.turn);
          ghost.group.rotation.y = moved.turn;
          ghost.group.position.set(moved.to[0], 0, moved.to[1]).sub(from);
        }
        group.add(ghost.group);
      }
      this.held.add(group);
    }
  }

  /** Show all figures at a moment. */
  pose(time: number): void {
    this.time = time;
    for (const actor of this.actors) {
      const { motion, body, character, feet } = actor;
      body.pose(motion, time, this.turns);
      character?.pose(time);
      const frame = Math.min(Math.round(time * motion.fps), motion.num_frames - 1);
      const columns = motion.foot_contacts.length / motion.num_frames;
      const joints = [...motion.skeleton.left_foot_joints.slice(0, 2), ...motion.skeleton.right_foot_joints.slice(0, 2)];
      joints.forEach((joint, i) => {
        const column = columns === 6 ? [0, 1, 3, 4][i]! : i;
        const at = 3 * (frame * motion.skeleton.parents.length + joint);
        feet[i]!.visible = motion.foot_contacts[frame * columns + column] === 1;
        feet[i]!.position.set(motion.posed_joints[at]!, 0.004, motion.posed_joints[at + 2]!);
      });
    }
  }

  /** Draw a picture; seconds since the last. */
  draw(seconds: number, time: number): void {
    this.resize();
    const { target } = this.controls;
    if (this.follows) {
      const lag = this.views.length > 1 ? OWN_LAG_M : LAG_M;
      for (const { actors, look } of this.views) {
        const step = this.aim(actors, time).sub(look);
        look.addScaledVector(step, Math.max(1 - Math.exp(-5 * seconds), 1 - lag / Math.max(step.length(), 1e-6)));
      }
      const step = this.views[0]!.look.clone().sub(target);
      target.add(step);
      this.camera.position.add(step);
    }
    this.controls.enablePan = !this.follows;
    this.controls.update();
    // A picture that would be the last one again is left out: batteries, and the model's own work.
    const places = [this.camera.position, target, ...this.views.map(({ look }) => look)];
    const seen = places.flatMap((place) => place.toArray().map((value) => value.toFixed(4)));
    const key = [...seen, time.toFixed(4), ...Object.values(this.insets), this.version].join();
    if (key === this.drawn) return;
    this.drawn = key;
    for (const view of this.views) this.drawView(view);
  }

  private drawView(view: View): void {
    const { pane, actors, look } = view;
    const apart = this.views.length > 1;
    const middle = apart ? look : this.controls.target;
    this.sun.position.set(middle.x + 2.6, 6.5, middle.z + 2.2);
    this.sun.target.position.set(middle.x, 0, middle.z);
    this.grid.uniforms.centre!.value.set(middle.x, middle.z);
    this.actors.forEach((actor, i) => {
      const shown = actors.includes(actor);
      actor.group.visible = shown;
      const held = this.held.children[i];
      if (held) held.visible = shown;
    });
    const { x, width, height } = pane;
    const y = this.canvas.clientHeight - pane.y - height; // WebGL counts from below
    const { renderer } = this;
    renderer.setScissorTest(apart);
    renderer.setViewport(x, y, width, height);
    renderer.setScissor(x, y, width, height);
    renderer.render(this.scene, this.eyeOf(view));
    renderer.setClearColor(this.grid.uniforms.ink!.value as THREE.Color, 0.35);
    if (x > 0) this.blank(x, y, 1, height);
    if (pane.y > 0) this.blank(x, y + height - 1, width, 1);
    renderer.setClearColor(0, 0);
  }

  private blank(x: number, y: number, width: number, height: number): void {
    this.renderer.setScissor(x, y, width, height);
    this.renderer.clear();
  }

  /** See all figures, and all of what they do. */
  frame(): void {
    this.arrange();
    const { position } = this.camera;
    const direction = position.clone().sub(this.controls.target).normalize();
    for (const view of this.views) view.look.copy(this.follows ? this.aim(view.actors, this.time) : this.middle());
    this.controls.target.copy(this.views[0]!.look);
    position.copy(this.controls.target).addScaledVector(direction, this.fitted);
  }

  /** See as much as before, after other figures, another canvas or other panels came. */
  private refit(): void {
    const before = this.fitted;
    this.arrange();
    const { position } = this.camera;
    const away = position.clone().sub(this.controls.target);
    if (before > 0) position.copy(this.controls.target).addScaledVector(away, this.fitted / before);
  }

  /** Choose between a picture of all figures and one of each: where they part, they would be small in one. */
  private arrange(): void {
    const { actors } = this;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const split = (count: number, rows: number): Pane[] => panes(width, height, this.insets, count, rows);
    const whole = split(1, 1);
    const turn = this.camera.quaternion;
    const away = (seen: Actor[], pane: Pane): number => {
      const aim = this.follows ? (time: number) => this.aim(seen, time) : () => this.middle();
      const points = reach(seen.map(({ motion }) => motion), seen.map(({ group }) => group.position), aim);
      return distance(points, turn, ...this.angles(pane));
    };
    const views = (parts: Pane[], of: (i: number) => Actor[]): View[] =>
      parts.map((pane, i) => {
        const look = this.views.length === parts.length ? this.views[i]!.look : this.aim(of(i), this.time);
        return { pane, actors: of(i), look };
      });
    this.version++;
    if (!actors.length) {
      const standing = [-0.5, 0.5].flatMap((x) => [-HEIGHT_M, 1.75 - HEIGHT_M].map((y) => new THREE.Vector3(x, y, 0)));
      this.fitted = distance(standing, turn, ...this.angles(whole[0]!));
      this.views = views(whole, () => []);
      return;
    }
    this.fitted = away(actors, whole[0]!);
    if (this.follows && this.wide && actors.length > 1) {
      const ways = Array.from({ length: Math.min(MOST_ROWS, actors.length) }, (_, rows) => {
        const parts = split(actors.length, rows + 1);
        const own = Math.max(...parts.map((pane, i) => away([actors[i]!], pane)));
        return { parts, own, size: Math.min(...parts.map((pane) => pane.height)) / own };
      });
      const best = ways.reduce((best, way) => (way.size > best.size ? way : best));
      if (height / this.fitted < TOO_SMALL * best.size) {
        this.fitted = best.own;
        this.views = views(best.parts, (i) => [actors[i]!]);
        return;
      }
    }
    this.views = views(whole, () => actors);
  }

  /** Tangents of half of what a camera sees of an uncovered pane, across and upright. */
  private angles({ width, height, left, right, top, bottom }: Pane): [number, number] {
    const tangent = Math.tan((this.camera.fov * Math.PI) / 360) / Math.max(1, height);
    return [tangent * Math.max(40, width - left - right), tangent * Math.max(40, height - top - bottom)];
  }

  /** The middle of actors at a time. */
  private aim(actors: Actor[], time: number): THREE.Vector3 {
    const sum = new THREE.Vector3(0, actors.length ? 0 : HEIGHT_M, 0);
    for (const { motion, group } of actors) sum.add(standing(motion, time, new THREE.Vector3())).add(group.position);
    return sum.divideScalar(Math.max(1, actors.length));
  }

  /** The middle of where all actors ever are. */
  private middle(): THREE.Vector3 {
    const box = new THREE.Box3();
    for (const { motion, group } of this.actors) {
      for (let t = 0; t < motion.num_frames; t++) {
        box.expandByPoint(standing(motion, t / motion.fps, new THREE.Vector3()).add(group.position));
      }
    }
    return box.isEmpty() ? new THREE.Vector3(0, HEIGHT_M, 0) : box.getCenter(new THREE.Vector3());
  }

  /**
   * Where a pixel lies on the floor, relative to a figure's place; null for the sky. The figure is the one whose
   * picture it is, or the chosen one.
   */
  onFloor(event: PointerEvent): Point | null {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const view = this.views.find(({ pane }) => x < pane.x + pane.width && y < pane.y + pane.height) ?? this.views[0]!;
    const { pane, actors } = view;
    const at = new THREE.Vector2(((x - pane.x) / pane.width) * 2 - 1, 1 - ((y - pane.y) / pane.height) * 2);
    const ray = new THREE.Raycaster();
    ray.setFromCamera(at, this.eyeOf(view));
    const hit = ray.ray.intersectPlane(new THREE.Plane(UP, 0), new THREE.Vector3());
    if (!hit || hit.length() > FLOOR_M / 2) return null;
    const place = (this.views.length > 1 ? actors[0] : this.actors[this.chosen])?.group.position;
    return [hit.x - (place?.x ?? 0), hit.z - (place?.z ?? 0)];
  }

  /** Let the pointer draw instead of turning the camera. */
  lock(drawing: boolean): void {
    this.controls.enabled = !drawing;
  }

  /** Where the label of each figure belongs: above its head, or its picture. */
  heads(): Head[] {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (this.views.length > 1) {
      return this.views.map(({ pane }) => {
        const room = pane.width - pane.left - pane.right;
        return { x: pane.x + pane.left + room / 2, y: pane.y + pane.top, room: room - 8, shown: true };
      });
    }
    const eye = this.eyeOf(this.views[0]!);
    return this.actors.map(({ motion, group, character }) => {
      const top = standing(motion, this.time, new THREE.Vector3());
      const joints = 3 * motion.skeleton.parents.length;
      const frame = Math.min(Math.round(this.time * motion.fps), motion.num_frames - 1);
      const heights = motion.posed_joints.subarray(joints * frame, joints * (frame + 1)).filter((_, i) => i % 3 === 1);
      top.setY(Math.max(...heights) + (character ? 0.32 : 0.2)).add(group.position).project(eye);
      return { x: ((top.x + 1) / 2) * width, y: ((1 - top.y) / 2) * height, room: 999, shown: top.z < 1 };
    });
  }

  /** What panels leave free is where figures are kept; whoever changes it says so. */
  keepClear(insets: Insets): void {
    if (JSON.stringify(insets) === JSON.stringify(this.insets)) return;
    this.insets = insets;
    this.refit();
  }

  private insets = NO_INSETS;

  /** Follow a change of the canvas's size. */
  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = Math.min(devicePixelRatio, 2);
    const size = this.renderer.getSize(new THREE.Vector2());
    if (size.x === width && size.y === height && this.renderer.getPixelRatio() === ratio) return;
    this.renderer.setPixelRatio(ratio);
    this.renderer.setSize(width, height, false);
    this.refit();
  }

  /** The camera of a view: it looks at the middle of what is not covered. */
  private eyeOf({ pane, look }: View): THREE.PerspectiveCamera {
    const { camera, eye } = this;
    const { width, height } = pane;
    Object.assign(eye, { fov: camera.fov, near: camera.near, far: camera.far, aspect: width / Math.max(1, height) });
    eye.quaternion.copy(camera.quaternion);
    eye.position.copy(camera.position);
    if (this.views.length > 1) eye.position.add(look).sub(this.controls.target);
    eye.setViewOffset(width, height, (pane.right - pane.left) / 2, (pane.bottom - pane.top) / 2, width, height);
    eye.updateMatrixWorld();
    return eye;
  }

  private actor(motion: Motion, index: number): Actor {
    const group = new THREE.Group();
    const body = new Mannequin(motion.skeleton, index ? { ...PALETTE, middle: 0xb6bcc9 } : PALETTE);
    const print = new THREE.CircleGeometry(0.07, 24).rotateX(-Math.PI / 2);
    const feet = [PALETTE.left, PALETTE.left, PALETTE.right, PALETTE.right].map((color) => {
      const material = new THREE.MeshBasicMaterial({ color, transparent: true, opacity: 0.55, depthWrite: false });
      return new THREE.Mesh(print, material);
    });
    const points = Array.from({ length: motion.num_frames }, (_, t) => {
      return new THREE.Vector3(motion.root_positions[3 * t]!, 0.003, motion.root_positions[3 * t + 2]!);
    });
    const trail = new THREE.Line(
      new THREE.BufferGeometry().setFromPoints(points),
      new THREE.LineBasicMaterial({ color: 0x8791a3, transparent: true, opacity: 0.55 }),
    );
    group.add(body.group, trail, ...feet);
    this.scene.add(group);
    return { motion, group, body, character: null, feet, trail };
  }

  private spread(): void {
    const middle = (this.actors.length - 1) / 2;
    this.actors.forEach(({ group }, i) => group.position.set(this.wide ? (i - middle) * APART_M : 0, 0, 0));
  }

  private clear(): void {
    for (const { group, body, trail } of this.actors) {
      this.scene.remove(group);
      body.dispose();
      trail.geometry.dispose();
    }
    this.actors = [];
  }
}

/** A path as a ribbon on the floor, with where it begins and ends. */
function ribbon(points: Point[]): THREE.Object3D[] {
  const width = 0.045;
  const corners: number[] = [];
  points.forEach((point, i) => {
    const [before, after] = [points[Math.max(0, i - 1)]!, points[Math.min(points.length - 1, i + 1)]!];
    const [x, z] = [after[0] - before[0], after[1] - before[1]];
    const size = Math.hypot(x, z) || 1;
    const side = [(-z / size) * width, (x / size) * width];
    corners.push(point[0] - side[0]!, 0.006, point[1] - side[1]!, point[0] + side[0]!, 0.006, point[1] + side[1]!);
  });
  const faces = points.slice(1).flatMap((_, i) => [2 * i, 2 * i + 1, 2 * i + 2, 2 * i + 2, 2 * i + 1, 2 * i + 3]);
  const geometry = new THREE.BufferGeometry();
  geometry.setAttribute("position", new THREE.Float32BufferAttribute(corners, 3));
  geometry.setIndex(faces);
  const material = new THREE.MeshBasicMaterial({
    color: HELD, transparent: true, opacity: 0.75, side: THREE.DoubleSide, depthWrite: false,
  });
  const last = points[points.length - 1]!;
  const disc = new THREE.Mesh(new THREE.CircleGeometry(0.1, 28).rotateX(-Math.PI / 2), material);
  disc.position.set(last[0], 0.006, last[1]);
  return [new THREE.Mesh(geometry, material), disc];
}

/** A floor of fine lines, a metre apart, that fades out. */
export function gridMaterial(): THREE.ShaderMaterial {
  return new THREE.ShaderMaterial({
    transparent: true,
    depthWrite: false,
    uniforms: { ink: { value: new THREE.Color(0x49546a) }, centre: { value: new THREE.Vector2() } },
    vertexShader: `
      varying vec2 place;
      void main() {
        vec4 world = modelMatrix * vec4(position, 1.0);
        place = world.xz;
        gl_Position = projectionMatrix * viewMatrix * world;
      }`,
    fragmentShader: `
      uniform vec3 ink;
      uniform vec2 centre;
      varying vec2 place;
      float lines(float spacing) {
        vec2 cell = place / spacing;
        vec2 near = abs(fract(cell - 0.5) - 0.5) / fwidth(cell);
        return 1.0 - min(min(near.x, near.y), 1.0);
      }
      void main() {
        float away = distance(place, centre);
        float fade = 1.0 - smoothstep(3.0, 13.0, away);
        float drawn = max(lines(1.0) * 0.34, lines(0.25) * 0.09 * (1.0 - smoothstep(2.0, 7.0, away)));
        gl_FragColor = vec4(ink, drawn * fade);
      }`,
  });
}
