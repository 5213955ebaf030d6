/** The history of takes: what is kept, its list, which of them stand beside what is shown. */
import type { Motion } from "motionrt-web";
import { Takes, type NewTake, type Take } from "./takes";
import { TakesList } from "./takes_list";

/** What the page does for it. */
export interface HistoryHost {
  /** Show a take's motions instead of those that are shown. */
  show: (take: Take, motions: Motion[]) => void;
  /** Other takes stand beside what is shown. */
  compared: () => void;
  /** Put what a take was made with into the form. */
  reuse: (take: Take) => void;
  download: (motions: Motion[], format: string, name: string) => void;
  /** Tell something, with something that may be done about it. */
  notice: (text: string, action?: [string, () => void]) => void;
  /** The list was opened or closed. */
  opened: (is: boolean) => void;
}

export interface Beside {
  name: string;
  motion: Motion;
}

/** Figures that stand beside each other at most: more are a crowd in which nobody compares. */
export const MOST_FIGURES = 8;
const OPEN = "motionrt-takes-open";
const WIDE = "(min-width: 1200px)";

export class TakeHistory {
  private takes: Takes | null = null;
  private shown: Take | null = null;
  private compared = new Map<number, { take: Take; motions: Motion[] }>();
  private readonly list: TakesList;
  private readonly panel = document.getElementById("takes")!;
  private readonly toggle = document.getElementById("takes-open") as HTMLButtonElement;

  constructor(
    formats: string[],
    private readonly host: HistoryHost,
  ) {
    this.list = new TakesList(document.getElementById("takes-list")!, formats, {
      show: (take) => void this.show(take),
      compare: (take) => void this.compare(take),
      rename: (take, name) => void this.rename(take, name),
      reuse: (take) => host.reuse(take),
      download: (take, format) => void this.download(take, format),
      remove: (take) => void this.remove(take),
    });
    this.toggle.onclick = () => this.open(this.panel.hidden);
    document.getElementById("takes-close")!.onclick = () => {
      this.open(false);
      this.toggle.focus();
    };
    document.getElementById("takes-clear")!.onclick = () => void this.clear();
    this.panel.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.defaultPrevented) return;
      event.stopPropagation();
      this.open(false);
      this.toggle.focus();
    });
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) void this.takes?.refresh().then(() => this.tell());
    });
  }

  /** Open what was kept; at most so many bytes of it. */
  async start(most: number): Promise<void> {
    // Pages of one host each have their own, wherever in the page's folder they were opened.
    this.takes = await Takes.open(`motionrt-takes ${new URL(".", location.href).pathname}`, most);
    this.toggle.hidden = false;
    const wanted = remembered();
    if (matchMedia(WIDE).matches && (wanted ?? this.takes.list.length > 0)) this.open(true, false);
    this.tell();
  }

  /** Keep what was generated, and take it for what is shown. */
  async add(take: NewTake, motions: Motion[]): Promise<void> {
    if (!this.takes) return;
    const { take: made, dropped } = await this.takes.add(take, motions);
    this.shown = made;
    for (const { id } of dropped) this.compared.delete(id);
    this.tell();
    const [first] = dropped;
    if (first) {
      const which = dropped.length === 1 ? `“${shortened(first.name)}” was` : `${dropped.length} takes were`;
      this.host.notice(`The oldest made room: ${which} dropped`);
    }
  }

  /** Something that is no take is shown. */
  forget(): void {
    this.shown = null;
    this.tell();
  }

  /** What stands beside what is shown. */
  beside(): Beside[] {
    return [...this.compared.values()]
      .filter(({ take }) => take.id !== this.shown?.id)
      .flatMap(({ take, motions }) => motions.map((motion) => ({ name: take.name, motion })));
  }

  /** The take that is shown, if it is one. */
  get current(): Take | null {
    return this.shown;
  }

  /** Show the first take, of the newest, that is wanted; whether there is one. */
  async find(wanted: (take: Take) => boolean): Promise<boolean> {
    const found = this.takes?.list.find(wanted);
    if (found) await this.show(found);
    return found !== undefined;
  }

  close(): void {
    this.open(false, false);
  }

  private async show(take: Take): Promise<void> {
    const motions = await this.motionsOf(take);
    if (!motions) return;
    this.shown = take;
    this.tell();
    this.host.show(take, motions);
  }

  private async compare(take: Take): Promise<void> {
    if (this.compared.delete(take.id)) {
      this.tell();
      this.host.compared();
      return;
    }
    const motions = await this.motionsOf(take);
    if (!motions) return;
    const figures = this.beside().length + motions.length + (take.id === this.shown?.id ? 0 : 1);
    if (figures > MOST_FIGURES) {
      this.host.notice(`At most ${MOST_FIGURES} figures stand beside each other: take one away first`);
      return;
    }
    this.compared.set(take.id, { take, motions });
    if (this.shown) {
      this.tell();
      this.host.compared();
    } else await this.show(take);
    if (take.id === this.shown?.id) this.host.notice("It stays on the stage, beside what you show or generate next");
  }

  private async rename(take: Take, name: string): Promise<void> {
    await this.tried(this.takes!.rename(take, name));
    this.tell();
    this.host.compared();
  }

  private async download(take: Take, format: string): Promise<void> {
    const motions = await this.motionsOf(take);
    if (motions) this.host.download(motions, format, take.name);
  }

  private async remove(take: Take): Promise<void> {
    const motions = await this.takes!.motions(take);
    await this.drop(take);
    if (!motions) return;
    this.host.notice(`Deleted “${shortened(take.name)}”`, ["Undo", () => void this.restore([[take, motions]])]);
  }

  private async clear(): Promise<void> {
    const all: [Take, Motion[]][] = [];
    for (const take of this.takes!.list) {
      const motions = await this.takes!.motions(take);
      if (motions) all.push([take, motions]);
    }
    await this.drop(...this.takes!.list);
    this.toggle.focus();
    this.host.notice(`Deleted ${all.length === 1 ? "the take" : `all ${all.length} takes`}`, ["Undo", () => void this.restore(all)]);
  }

  private async drop(...takes: Take[]): Promise<void> {
    await this.tried(this.takes!.remove(...takes));
    let beside = false;
    for (const { id } of takes) {
      beside = this.compared.delete(id) || beside;
      if (this.shown?.id === id) this.shown = null; // it stays on the stage
    }
    this.tell();
    if (beside) this.host.compared();
  }

  private async restore(all: [Take, Motion[]][]): Promise<void> {
    for (const [take, motions] of [...all].reverse()) await this.takes!.add(take, motions);
    this.tell();
    this.host.notice(all.length === 1 ? "It is back" : "They are back");
  }

  private async motionsOf(take: Take): Promise<Motion[] | null> {
    const motions = await this.takes!.motions(take);
    if (!motions) {
      await this.takes!.refresh();
      this.tell();
      this.host.notice("This take is not there any more: it was deleted in another tab");
    }
    return motions;
  }

  private async tried(change: Promise<void>): Promise<void> {
    await change.catch(() => this.host.notice("The browser does not keep this change"));
  }

  private open(is: boolean, remember = true): void {
    this.panel.hidden = !is;
    this.toggle.ariaExpanded = String(is);
    document.getElementById("app")!.classList.toggle("with-takes", is);
    if (remember) {
      try {
        localStorage.setItem(OPEN, is ? "yes" : "no");
      } catch {
        // Then it is not remembered.
      }
    }
    this.host.opened(is);
  }

  private tell(): void {
    const { takes } = this;
    if (!takes) return;
    const fleeting = new Set(takes.list.filter((take) => !takes.keeps(take)).map(({ id }) => id));
    this.list.show(takes.list, { shown: this.shown?.id ?? null, compared: new Set(this.compared.keys()), fleeting });
    const count = takes.list.length;
    document.getElementById("takes-count")!.textContent = count ? String(count) : "";
    document.getElementById("takes-none")!.hidden = count > 0;
    document.getElementById("takes-foot")!.hidden = count === 0;
    const [used, most] = [takes.bytes, takes.most].map((bytes) => (bytes < 1e7 ? (Math.ceil(bytes / 1e5) / 10).toFixed(1) : (bytes / 1e6).toFixed(0)));
    document.getElementById("takes-told")!.textContent = takes.lasting
      ? `Kept here: ${used} of ${most} MB`
      : "This browser keeps nothing: takes last until the page is closed";
  }
}

const shortened = (name: string): string => (name.length > 32 ? `${name.slice(0, 31).trimEnd()}…` : name);

function remembered(): boolean | null {
  try {
    const kept = localStorage.getItem(OPEN);
    return kept === null ? null : kept === "yes";
  } catch {
    return null;
  }
}
