/** The list of takes: a row each, to see it again, compare, rename, download and delete it. */
import type { Take } from "./takes";

export interface TakesEvents {
  show: (take: Take) => void;
  /** Stand it beside what is shown, or take it away again. */
  compare: (take: Take) => void;
  rename: (take: Take, name: string) => void;
  reuse: (take: Take) => void;
  download: (take: Take, format: string) => void;
  remove: (take: Take) => void;
}

export interface Marks {
  shown: number | null;
  compared: ReadonlySet<number>;
  /** Takes that last as long as the page. */
  fleeting: ReadonlySet<number>;
}

interface Row {
  element: HTMLLIElement;
  show: HTMLButtonElement;
  compare: HTMLButtonElement;
  more: HTMLButtonElement;
  name: HTMLSpanElement;
  told: HTMLElement;
  details: HTMLDivElement;
  field: HTMLInputElement;
}

const MORE = '<svg viewBox="0 0 20 20" aria-hidden="true"><circle cx="4.5" cy="10" r="1.5"/><circle cx="10" cy="10" r="1.5"/><circle cx="15.5" cy="10" r="1.5"/></svg>';
const COMPARE = '<svg viewBox="0 0 20 20" aria-hidden="true"><circle cx="6" cy="5" r="1.9"/><path d="M6 7.6v4.6m0 0-2 4.8m2-4.8 2 4.8"/><circle cx="14" cy="5" r="1.9"/><path d="M14 7.6v4.6m0 0-2 4.8m2-4.8 2 4.8"/></svg>';

export class TakesList {
  private readonly rows = new Map<number, Row>();
  private order: number[] = [];

  constructor(
    private readonly element: HTMLElement,
    private readonly formats: string[],
    private readonly events: TakesEvents,
  ) {
    element.addEventListener("keydown", (event) => this.key(event));
  }

  /** Show these, the first at the top. What has the focus keeps it; if it is gone, its neighbour takes it. */
  show(takes: readonly Take[], marks: Marks): void {
    const focused = this.order.findIndex((id) => this.rows.get(id)!.element.contains(document.activeElement));
    const ids = new Set(takes.map(({ id }) => id));
    const lost = focused >= 0 && !ids.has(this.order[focused]!);
    for (const [id, row] of this.rows) {
      if (ids.has(id)) continue;
      row.element.remove();
      this.rows.delete(id);
    }
    takes.forEach((take, index) => {
      const row = this.rows.get(take.id) ?? this.row(take);
      if (this.element.children[index] !== row.element) this.element.insertBefore(row.element, this.element.children[index] ?? null);
      this.fill(row, take, marks);
    });
    this.order = takes.map(({ id }) => id);
    if (lost) this.rows.get(this.order[Math.min(focused, this.order.length - 1)] ?? NaN)?.show.focus();
  }

  private fill(row: Row, take: Take, { shown, compared, fleeting }: Marks): void {
    const { request } = take;
    row.name.textContent = take.name;
    row.told.textContent = [
      `${Number(request.seconds).toFixed(1)} s`,
      `seed ${request.seed}`,
      ...(request.num_samples === 1 ? [] : [`×${request.num_samples}`]),
      whenOf(take.made),
      ...(fleeting.has(take.id) ? ["until the page is closed"] : []),
    ].join(" · ");
    row.element.classList.toggle("shown", take.id === shown);
    row.show.ariaCurrent = String(take.id === shown);
    row.compare.ariaPressed = String(compared.has(take.id));
    row.compare.ariaLabel = `Compare: ${take.name}`;
    row.more.ariaLabel = `More: ${take.name}`;
    if (document.activeElement !== row.field) row.field.value = take.name;
  }

  private row(take: Take): Row {
    const { events } = this;
    const element = document.createElement("li");
    const show = button("", () => events.show(take), "show");
    const picture = Object.assign(document.createElement("img"), { src: take.picture, alt: "", width: 48, height: 48 });
    const words = document.createElement("span");
    const name = Object.assign(document.createElement("span"), { className: "name" });
    const told = document.createElement("small");
    words.append(name, told);
    show.append(...(take.picture ? [picture] : []), words);
    const compare = button("", () => events.compare(take), "icon compare");
    compare.innerHTML = COMPARE;
    compare.title = "Keep it beside what is shown";
    const details = Object.assign(document.createElement("div"), { className: "details", hidden: true, id: `take-${take.id}` });
    const more = button("", () => this.unfold(take.id, details.hidden), "icon more");
    more.innerHTML = MORE;
    more.title = "Name, settings, download, delete";
    more.ariaExpanded = "false";
    more.setAttribute("aria-controls", details.id);
    const settings = Object.assign(document.createElement("p"), { className: "quiet", textContent: settingsOf(take) });
    const label = Object.assign(document.createElement("label"), { textContent: "Name", htmlFor: `name-${take.id}` });
    const field = Object.assign(document.createElement("input"), { type: "text", id: `name-${take.id}`, maxLength: 120, autocomplete: "off" });
    const rename = (): void => {
      const wanted = field.value.trim();
      if (wanted && wanted !== take.name) events.rename(take, wanted);
      field.value = take.name;
    };
    field.onchange = rename;
    field.onkeydown = (event) => {
      if (event.key === "Escape") field.value = take.name;
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation();
      rename();
      this.unfold(take.id, false);
      more.focus();
    };
    const row = document.createElement("div");
    row.className = "row";
    row.append(label, field);
    const actions = Object.assign(document.createElement("div"), { className: "actions" });
    actions.append(button("Use settings", () => events.reuse(take)), button("Delete", () => events.remove(take)));
    actions.firstElementChild!.setAttribute("title", "Put its prompt, seed and all else into the form");
    const downloads = Object.assign(document.createElement("div"), { className: "actions four" });
    for (const format of this.formats) {
      const one = button(format, () => events.download(take, format));
      one.ariaLabel = `Download ${format}`;
      downloads.append(one);
    }
    details.append(settings, row, downloads, actions);
    element.append(show, compare, more, details);
    const made = { element, show, compare, more, name, told, details, field };
    this.rows.set(take.id, made);
    return made;
  }

  /** Show what can be done with a take, and with no other. */
  private unfold(id: number, is: boolean): void {
    for (const [other, row] of this.rows) {
      const open = is && other === id;
      row.details.hidden = !open;
      row.more.ariaExpanded = String(open);
      row.element.classList.toggle("open", open);
    }
    if (is) this.rows.get(id)?.details.scrollIntoView({ block: "nearest" });
  }

  private key(event: KeyboardEvent): void {
    if (event.target instanceof HTMLInputElement) return;
    const at = this.order.findIndex((id) => this.rows.get(id)!.element.contains(event.target as Node));
    const step = { ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity, Delete: 0 }[event.key];
    if (at < 0 || step === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const wanted = this.order[Math.min(this.order.length - 1, Math.max(0, at + step))]!;
    if (step) this.rows.get(wanted)!.show.focus();
    else this.remove(wanted);
  }

  private remove(id: number): void {
    (this.rows.get(id)!.details.querySelector(".actions:last-child button:last-child") as HTMLButtonElement).click();
  }
}

function button(text: string, act: () => void, className = ""): HTMLButtonElement {
  const made = Object.assign(document.createElement("button"), { type: "button" as const, textContent: text, className });
  made.onclick = act;
  return made;
}

function whenOf(made: number): string {
  const date = new Date(made);
  const today = date.toDateString() === new Date().toDateString();
  return today
    ? date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" })
    : date.toLocaleDateString(undefined, { day: "numeric", month: "short" });
}

function settingsOf({ request, path, held, model, name }: Take): string {
  const prompt = request.prompts![0]!;
  return [
    ...(prompt === name ? [] : [`“${prompt}”`]),
    `${request.num_steps} steps of ${request.solver}`,
    ...(request.guidance_weights ? [`guidance ${request.guidance_weights.join(", ")}`] : []),
    ...(path ? ["a path"] : []),
    ...(held.length ? [held.length === 1 ? "a held pose" : `${held.length} held poses`] : []),
    ...(request.postprocess ? [] : ["no clean-up"]),
    model,
  ].join(" · ");
}
