/**
 * Takes: what was generated, kept in this browser (IndexedDB), so that a reload loses nothing.
 *
 * What is told of a take and its motions are kept apart: a list of takes reads no motions. Where a browser
 * keeps nothing (a private window, no room), takes last as long as the page.
 */
import type { Motion, MotionRequest } from "motionrt-web";
import type { Point } from "./path";

/** A pose that is held: a motion of one frame, and the frame at which it is. */
export interface HeldFrame {
  frame: number;
  pose: Motion;
}

export interface Take {
  id: number;
  /** When, in milliseconds since 1970. */
  made: number;
  name: string;
  /** The model that made it. */
  model: string;
  request: MotionRequest;
  quality: string;
  path: Point[] | null;
  held: HeldFrame[];
  /** A small picture of it, as a data: address; empty if it could not be drawn. */
  picture: string;
  /** Of its motions. */
  bytes: number;
}

export type NewTake = Omit<Take, "id" | "bytes">;

const TOLD = "takes";
const MOTIONS = "motions";
/** Besides the bytes: a list of more is no list that somebody reads. */
const MOST_TAKES = 300;

export class Takes {
  private all: Take[] = [];
  /** Takes that the browser does not keep, whose ids are negative. */
  private readonly loose = new Map<number, Motion[]>();
  private next = -1;

  private constructor(
    private readonly database: IDBDatabase | null,
    /** At most so many bytes of motions are kept. */
    readonly most: number,
  ) {
    // A page of a later version may want it otherwise: it is let go.
    if (database) database.onversionchange = () => database.close();
  }

  /** Open the takes of a page; name tells its takes from those of other pages of the same host. */
  static async open(name: string, most: number): Promise<Takes> {
    const takes = new Takes(await openDatabase(name).catch(() => null), most);
    await takes.refresh();
    return takes;
  }

  /** The newest first. */
  get list(): readonly Take[] {
    return this.all;
  }

  get bytes(): number {
    return this.all.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Whether this browser keeps takes at all. */
  get lasting(): boolean {
    return this.database !== null;
  }

  /** Whether a take outlives the page. */
  keeps(take: Take): boolean {
    return take.id > 0;
  }

  /** Read the list again: another tab may have changed it. */
  async refresh(): Promise<void> {
    let kept: Take[] = [];
    try {
      if (this.database) kept = await answered(this.database.transaction(TOLD).objectStore(TOLD).getAll());
    } catch {
      return; // it was closed, or the browser failed: what is known stays
    }
    this.all = [...this.all.filter((take) => !this.keeps(take)), ...kept].sort((a, b) => b.made - a.made || b.id - a.id);
  }

  /**
   * Keep a take; the oldest make room for it. Gives it back with its id, and those that were dropped.
   * A take for which there is no room at all lasts as long as the page.
   */
  async add(take: NewTake & { id?: number }, motions: Motion[]): Promise<{ take: Take; dropped: Take[] }> {
    const bytes = motions.reduce((sum, motion) => sum + sizeOf(motion), 0);
    if (!take.id || take.id < 0) delete (take = { ...take }).id; // the browser gives it one
    if (this.database && bytes <= this.most) {
      for (let more = 0; ; more = Math.max(1, 2 * more)) {
        try {
          const written = await this.write({ ...take, bytes }, motions, more);
          await this.refresh();
          return written;
        } catch (error) {
          // The browser's own room may be less than ours: it takes fewer of them, down to none.
          if ((error as Error | null)?.name !== "QuotaExceededError" || more > MOST_TAKES) break;
        }
      }
    }
    const made = { ...take, bytes, id: this.next-- };
    this.loose.set(made.id, motions);
    this.all = [made, ...this.all].sort((a, b) => b.made - a.made);
    return { take: made, dropped: [] };
  }

  /** The motions of a take; null if it is not there any more. */
  async motions(take: Take): Promise<Motion[] | null> {
    if (!this.keeps(take)) return this.loose.get(take.id) ?? null;
    try {
      return (await answered(this.database!.transaction(MOTIONS).objectStore(MOTIONS).get(take.id))) ?? null;
    } catch {
      return null;
    }
  }

  async rename(take: Take, name: string): Promise<void> {
    take.name = name;
    if (this.keeps(take)) await this.change((told) => told.put(take));
  }

  async remove(...takes: Take[]): Promise<void> {
    for (const { id } of takes) this.loose.delete(id);
    this.all = this.all.filter((take) => !takes.some(({ id }) => id === take.id));
    const kept = takes.filter((take) => this.keeps(take));
    if (kept.length) await this.change((told, motions) => kept.forEach(({ id }) => (told.delete(id), motions.delete(id))));
  }

  private async change(how: (told: IDBObjectStore, motions: IDBObjectStore) => void): Promise<void> {
    const transaction = this.database!.transaction([TOLD, MOTIONS], "readwrite");
    how(transaction.objectStore(TOLD), transaction.objectStore(MOTIONS));
    await finished(transaction);
  }

  /** Write a take and drop the oldest, in one piece: `more` of them besides those that are over the bound. */
  private async write(take: NewTake & { id?: number; bytes: number }, motions: Motion[], more: number): Promise<{ take: Take; dropped: Take[] }> {
    const transaction = this.database!.transaction([TOLD, MOTIONS], "readwrite");
    const told = transaction.objectStore(TOLD);
    const done = finished(transaction);
    const dropped: Take[] = [];
    const begun = (async (): Promise<number> => {
      const oldest: Take[] = (await answered(told.getAll())).sort((a: Take, b: Take) => a.made - b.made || a.id - b.id);
      let room = this.most - oldest.reduce((sum, { bytes }) => sum + bytes, 0) - take.bytes;
      while (oldest.length && (room < 0 || oldest.length >= MOST_TAKES || more-- > 0)) {
        const old = oldest.shift()!;
        room += old.bytes;
        dropped.push(old);
        told.delete(old.id);
        transaction.objectStore(MOTIONS).delete(old.id);
      }
      const id = (await answered(told.put(take))) as number;
      transaction.objectStore(MOTIONS).put(motions, id);
      return id;
    })();
    let failure: unknown;
    begun.catch((error: unknown) => {
      failure = error;
      if (transaction.error) return;
      try {
        transaction.abort(); // what cannot be written takes all with it
      } catch {
        // It was over already.
      }
    });
    await done.catch((error: unknown) => {
      throw transaction.error ?? failure ?? error;
    });
    return { take: { ...take, id: await begun }, dropped };
  }
}

/** One frame of a motion, as a motion of its own. */
export function frameOf(motion: Motion, frame: number): Motion {
  const part = <A extends Float32Array | Uint8Array>(array: A): A => {
    const width = array.length / motion.num_frames;
    return array.slice(frame * width, (frame + 1) * width) as A;
  };
  return {
    ...motion,
    num_frames: 1,
    local_rotations: part(motion.local_rotations),
    root_positions: part(motion.root_positions),
    posed_joints: part(motion.posed_joints),
    foot_contacts: part(motion.foot_contacts),
    smooth_root_positions: motion.smooth_root_positions && part(motion.smooth_root_positions),
  };
}

const sizeOf = (motion: Motion): number =>
  [motion.local_rotations, motion.root_positions, motion.posed_joints, motion.foot_contacts, motion.smooth_root_positions].reduce(
    (sum, array) => sum + (array?.byteLength ?? 0),
    2000, // the skeleton and what is told of it
  );

function openDatabase(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(TOLD, { keyPath: "id", autoIncrement: true });
      request.result.createObjectStore(MOTIONS);
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function answered<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function finished(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}
