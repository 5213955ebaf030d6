/** Before the page's own scripts: tells when they cannot be had, or take long. Runs in browsers that know no modules too. */
export {};

const LONG_MS = 10_000;

/** Filled in by the page's scripts, once they run. */
const started = (): boolean => document.body.dataset.started === "yes";

function tell(id: string, text: string): void {
  const told = document.getElementById(id);
  if (told) told.textContent = text;
}

function fail(why: string): void {
  if (started()) return;
  for (const [id, hidden] of [["loading", true], ["failure", false]] as const) {
    const part = document.getElementById(id);
    if (part) part.hidden = hidden;
  }
  tell("failure-told", why);
  const again = document.getElementById("retry");
  if (again) again.onclick = () => location.reload();
}

// What fails to load tells its element alone: it is heard on the way down.
addEventListener(
  "error",
  (event) => {
    const script = (event.target as Element | null)?.tagName === "SCRIPT";
    if (script) fail("A part of the page could not be fetched. Are you online?");
    else if (event instanceof ErrorEvent) fail(`The page could not start: ${(event.error as Error | null)?.message ?? event.message}`);
  },
  true,
);
setTimeout(() => started() || tell("loading-hint", "This takes longer than usual: the network is slow."), LONG_MS);
if (!("noModule" in HTMLScriptElement.prototype)) fail("This browser is too old for the page.");
