/** The picture: floor, figures, where feet stand, what is held, and a camera that follows. */
import * as THREE from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
import type { Motion, SkeletonInfo } from "motionrt-web";
import type { Character } from "./character";
import { Mannequin, PALETTE } from "./mannequin";
import type { Point } from "./path";

const APART_M = 1.5;
const HELD = 0xd9691c;
const FLOOR_M = 60;

/** A motion on the stage. */
interface Actor {
  motion: Motion;
  group: THREE.Group;
  body: Mannequin;
  character: Character | null;
  feet: THREE.Mesh[];
  trail: THREE.Line;
}

export interface HeldPose {
  motion: Motion;
  frame: number;
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
  private wide = true;
  /** Counts what changes the picture besides camera and time. */
  private version = 0;
  private drawn = "";
  private readonly centre = new THREE.Vector3(0, 0.85, 0);
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
    this.controls.target.copy(this.centre);
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
      for (const { motion, frame } of i === this.chosen ? poses : []) {
        const ghost = new Mannequin(motion.skeleton, { middle: HELD, left: HELD, right: HELD }, 0.32);
        ghost.pose(motion, frame / motion.fps, []);
        group.add(ghost.group);
      }
      this.held.add(group);
    }
  }

  /** Show all figures at a moment. */
  pose(time: number): void {
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
    this.fit();
    const actor = this.actors[this.chosen] ?? this.actors[0];
    if (actor) {
      const { motion, group } = actor;
      const frame = Math.min(Math.max(time * motion.fps, 0), motion.num_frames - 1);
      const at = 3 * Math.floor(frame);
      const middle = this.actors.length > 1 && this.wide ? this.middle(time) : null;
      this.centre.set(
        middle ? middle.x : motion.root_positions[at]! + group.position.x,
        0.85,
        middle ? middle.z : motion.root_positions[at + 2]! + group.position.z,
      );
    } else this.centre.set(0, 0.85, 0);
    if (this.follows) {
      const step = this.centre.clone().sub(this.controls.target).multiplyScalar(1 - Math.exp(-5 * seconds));
      this.controls.target.add(step);
      this.camera.position.add(step);
    }
    const { target } = this.controls;
    this.sun.position.set(target.x + 2.6, 6.5, target.z + 2.2);
    this.sun.target.position.set(target.x, 0, target.z);
    this.controls.update();
    this.grid.uniforms.centre!.value.set(target.x, target.z);
    // A picture that would be the last one again is left out: batteries, and the model's own work.
    const seen = [...this.camera.position.toArray(), ...target.toArray(), time].map((value) => value.toFixed(4));
    const key = [...seen, ...this.camera.projectionMatrix.elements, this.version].join();
    if (key === this.drawn) return;
    this.drawn = key;
    this.renderer.render(this.scene, this.camera);
  }

  /** See all figures, and all of what they do. */
  frame(): void {
    const box = new THREE.Box3(new THREE.Vector3(-0.5, 0, -0.5), new THREE.Vector3(0.5, 1.8, 0.5));
    for (const { motion, group } of this.actors) {
      for (let t = 0; t < motion.num_frames; t += this.follows ? motion.num_frames : 5) {
        const at = new THREE.Vector3(motion.root_positions[3 * t]!, 0, motion.root_positions[3 * t + 2]!).add(group.position);
        box.expandByPoint(at.clone().setY(0)).expandByPoint(at.clone().setY(1.8));
      }
    }
    const sphere = box.getBoundingSphere(new THREE.Sphere());
    const angle = (this.camera.fov * Math.PI) / 360;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const narrow = Math.min(1, ((width - this.taken) / Math.max(1, height)) * 0.92);
    const away = Math.max(2.4, (sphere.radius * 1.04) / Math.sin(Math.atan(Math.tan(angle) * narrow)));
    const direction = this.camera.position.clone().sub(this.controls.target).normalize();
    const target = this.follows && this.actors.length ? this.centre : sphere.center.setY(0.85);
    this.controls.target.copy(target);
    this.camera.position.copy(target).addScaledVector(direction, away);
  }

  /** Where a pixel lies on the floor, relative to the chosen figure's place; null for the sky. */
  onFloor(event: PointerEvent): Point | null {
    const box = this.canvas.getBoundingClientRect();
    const at = new THREE.Vector2(
      ((event.clientX - box.left) / box.width) * 2 - 1,
      1 - ((event.clientY - box.top) / box.height) * 2,
    );
    const ray = new THREE.Raycaster();
    ray.setFromCamera(at, this.camera);
    const hit = ray.ray.intersectPlane(new THREE.Plane(new THREE.Vector3(0, 1, 0), 0), new THREE.Vector3());
    if (!hit || hit.length() > FLOOR_M / 2) return null;
    const place = this.actors[this.chosen]?.group.position;
    return [hit.x - (place?.x ?? 0), hit.z - (place?.z ?? 0)];
  }

  /** Let the pointer draw instead of turning the camera. */
  lock(drawing: boolean): void {
    this.controls.enabled = !drawing;
  }

  /** Where the head of each figure is on the canvas, in CSS pixels. */
  heads(): { x: number; y: number; shown: boolean }[] {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    return this.actors.map(({ body, group }) => {
      const box = new THREE.Box3().setFromObject(body.group.visible ? body.group : group);
      const top = box.getCenter(new THREE.Vector3()).setY(box.max.y + 0.16).project(this.camera);
      return { x: ((top.x + 1) / 2) * width, y: ((1 - top.y) / 2) * height, shown: top.z < 1 };
    });
  }

  /** Keep what is looked at in the middle of what a panel of so many pixels leaves free. */
  shift = 0;
  /** So many pixels are taken by panels at the sides. */
  taken = 0;
  /** So many pixels at the bottom are covered. */
  covered = 0;

  private fit(): void {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = Math.min(devicePixelRatio, 2);
    const size = this.renderer.getSize(new THREE.Vector2());
    if (size.x !== width || size.y !== height || this.renderer.getPixelRatio() !== ratio) {
      this.renderer.setPixelRatio(ratio);
      this.renderer.setSize(width, height, false);
      this.version++;
    }
    this.camera.aspect = width / Math.max(1, height);
    this.camera.setViewOffset(width, height, -this.shift / 2, this.covered / 2, width, height);
    this.camera.updateProjectionMatrix();
  }

  private middle(time: number): THREE.Vector3 {
    const sum = new THREE.Vector3();
    for (const { motion, group } of this.actors) {
      const frame = Math.min(Math.floor(time * motion.fps), motion.num_frames - 1);
      sum.add(group.position);
      sum.x += motion.root_positions[3 * frame]!;
      sum.z += motion.root_positions[3 * frame + 2]!;
    }
    return sum.divideScalar(this.actors.length);
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
function gridMaterial(): THREE.ShaderMaterial {
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
