/** The picture of a motion without an end: one figure, its way, where it goes, a camera that stays with it. */
import * as THREE from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
import type { SkeletonInfo } from "motionrt-web";
import { Mannequin, PALETTE } from "./mannequin";
import type { Rolling } from "./rolling";
import { gridMaterial } from "./stage";

const FLOOR_M = 60;
const LOOKED_AT_M = 0.85;
const MOST_TRAIL = 2000;

export class StreamStage {
  private readonly renderer: THREE.WebGLRenderer;
  private readonly scene = new THREE.Scene();
  private readonly camera = new THREE.PerspectiveCamera(34, 1, 0.05, 200);
  private readonly controls: OrbitControls;
  private readonly sun = new THREE.DirectionalLight(0xffffff, 2.6);
  private readonly grid = gridMaterial();
  private readonly planes: THREE.Mesh[] = [];
  private readonly feet: THREE.Mesh[];
  private readonly goal: THREE.Mesh;
  private readonly trail: THREE.Line;
  private readonly turns: THREE.Quaternion[] = [];
  private body: Mannequin | null = null;
  private readonly centre = new THREE.Vector3(0, LOOKED_AT_M, 0);
  /** CSS pixels at the left that are covered. */
  covered = 0;

  constructor(private readonly canvas: HTMLCanvasElement) {
    this.renderer = new THREE.WebGLRenderer({ canvas, antialias: true, alpha: true });
    this.renderer.shadowMap.enabled = true;
    this.renderer.shadowMap.type = THREE.PCFShadowMap;
    this.renderer.toneMapping = THREE.ACESFilmicToneMapping;
    this.renderer.toneMappingExposure = 1.05;
    this.camera.position.set(2.2, 2.1, 4.9);
    this.controls = new OrbitControls(this.camera, canvas);
    Object.assign(this.controls, { enableDamping: true, dampingFactor: 0.12, enablePan: false, minDistance: 1.5, maxDistance: 20, maxPolarAngle: 1.5 });
    this.controls.target.copy(this.centre);
    this.sun.castShadow = true;
    this.sun.shadow.mapSize.set(1024, 1024);
    this.sun.shadow.bias = -0.0004;
    this.sun.shadow.normalBias = 0.02;
    Object.assign(this.sun.shadow.camera, { left: -4, right: 4, top: 4, bottom: -4, near: 0.5, far: 24 });
    this.scene.add(new THREE.HemisphereLight(0xffffff, 0x8f98a8, 1.9), this.sun, this.sun.target);
    const floor = new THREE.Mesh(new THREE.PlaneGeometry(FLOOR_M, FLOOR_M), new THREE.ShadowMaterial({ opacity: 0.22 }));
    floor.receiveShadow = true;
    const ground = new THREE.Mesh(new THREE.PlaneGeometry(FLOOR_M, FLOOR_M), this.grid);
    for (const [plane, height] of [[ground, -0.002], [floor, 0]] as const) {
      plane.rotation.x = -Math.PI / 2;
      plane.position.y = height;
      this.planes.push(plane);
    }
    const flat = (color: number, opacity: number): THREE.MeshBasicMaterial =>
      new THREE.MeshBasicMaterial({ color, transparent: true, opacity, depthWrite: false, side: THREE.DoubleSide });
    const print = new THREE.CircleGeometry(0.07, 24).rotateX(-Math.PI / 2);
    this.feet = [PALETTE.left, PALETTE.left, PALETTE.right, PALETTE.right].map((color) => new THREE.Mesh(print, flat(color, 0.55)));
    for (const foot of this.feet) foot.visible = false;
    this.goal = new THREE.Mesh(new THREE.RingGeometry(0.15, 0.2, 40).rotateX(-Math.PI / 2), flat(0xd9691c, 0.9));
    this.goal.visible = false;
    const way = new THREE.BufferGeometry();
    way.setAttribute("position", new THREE.BufferAttribute(new Float32Array(3 * MOST_TRAIL), 3));
    way.setDrawRange(0, 0);
    this.trail = new THREE.Line(way, new THREE.LineBasicMaterial({ color: 0x8791a3, transparent: true, opacity: 0.6 }));
    this.trail.frustumCulled = false;
    this.scene.add(...this.planes, ...this.feet, this.goal, this.trail);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const paint = (): void => void this.grid.uniforms.ink!.value.set(dark.matches ? 0xa9b4c9 : 0x49546a);
    dark.addEventListener("change", paint);
    paint();
  }

  /** Show a figure at rest, while there is no motion. */
  rest(skeleton: SkeletonInfo): void {
    if (!this.body) {
      this.body = new Mannequin(skeleton);
      this.scene.add(this.body.group);
    }
    this.body.rest();
  }

  /** Mark where the figure shall go; null takes the mark away. */
  mark(place: [number, number] | null): void {
    this.goal.visible = place !== null;
    if (place) this.goal.position.set(place[0], 0.006, place[1]);
  }

  /** Draw a picture; seconds since the last. */
  draw(rolling: Rolling, seconds: number): void {
    this.fit();
    const { motion, time } = rolling;
    if (motion && this.body) {
      this.body.pose(motion, time, this.turns);
      const frame = Math.min(Math.round(time * motion.fps), motion.num_frames - 1);
      const { left_foot_joints: left, right_foot_joints: right, parents } = motion.skeleton;
      [...left.slice(0, 2), ...right.slice(0, 2)].forEach((joint, i) => {
        const at = 3 * (frame * parents.length + joint);
        this.feet[i]!.visible = motion.foot_contacts[4 * frame + i] === 1;
        this.feet[i]!.position.set(motion.posed_joints[at]!, 0.004, motion.posed_joints[at + 2]!);
      });
      const [x, z] = rolling.place;
      this.centre.set(x, LOOKED_AT_M, z);
      this.drawWay(rolling.way());
    }
    this.follow(seconds);
    this.controls.update();
    this.renderer.render(this.scene, this.camera);
  }

  /** Where a pixel lies on the floor; null for the sky. */
  onFloor(event: PointerEvent): [number, number] | null {
    const box = this.canvas.getBoundingClientRect();
    const at = new THREE.Vector2(((event.clientX - box.left) / box.width) * 2 - 1, 1 - ((event.clientY - box.top) / box.height) * 2);
    const ray = new THREE.Raycaster();
    ray.setFromCamera(at, this.camera);
    const hit = ray.ray.intersectPlane(new THREE.Plane(new THREE.Vector3(0, 1, 0), 0), new THREE.Vector3());
    if (!hit || hit.distanceTo(this.centre) > FLOOR_M / 2) return null;
    return [hit.x, hit.z];
  }

  /** A direction on the floor, x and z, that is so much to the right and away as the camera looks. */
  heading(across: number, along: number): [number, number] {
    const away = this.controls.target.clone().sub(this.camera.position).setY(0).normalize();
    return [along * away.x - across * away.z, along * away.z + across * away.x];
  }

  /** The camera stays with the figure, softly; floor and light come along. */
  private follow(seconds: number): void {
    const { target } = this.controls;
    const away = this.centre.clone().sub(target);
    const share = Math.max(1 - Math.exp(-6 * seconds), 1 - 0.7 / Math.max(away.length(), 1e-6));
    away.multiplyScalar(share);
    target.add(away);
    this.camera.position.add(away);
    this.sun.position.set(target.x + 2.6, 6.5, target.z + 2.2);
    this.sun.target.position.set(target.x, 0, target.z);
    this.grid.uniforms.centre!.value.set(target.x, target.z);
    for (const plane of this.planes) [plane.position.x, plane.position.z] = [target.x, target.z];
  }

  private drawWay(way: [number, number][]): void {
    const points = this.trail.geometry.getAttribute("position") as THREE.BufferAttribute;
    const shown = way.slice(-MOST_TRAIL);
    shown.forEach(([x, z], i) => points.setXYZ(i, x, 0.004, z));
    points.needsUpdate = true;
    this.trail.geometry.setDrawRange(0, shown.length);
  }

  private fit(): void {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = Math.min(devicePixelRatio, 2);
    const size = this.renderer.getSize(new THREE.Vector2());
    if (size.x !== width || size.y !== height || this.renderer.getPixelRatio() !== ratio) {
      this.renderer.setPixelRatio(ratio);
      this.renderer.setSize(width, height, false);
    }
    this.camera.aspect = width / Math.max(1, height);
    this.camera.setViewOffset(width, height, -this.covered / 2, 0, width, height);
    this.camera.updateProjectionMatrix();
  }
}
