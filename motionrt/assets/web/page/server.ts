/** The page that a server generates for. */
import { RemoteGenerator } from "motionrt-web";
import { mount } from "./app";

const KEPT = "motionrt-token";

/** The token of this tab, or the one that the visitor types. */
function token(refused: boolean): string | null {
  const kept = sessionStorage.getItem(KEPT);
  if (kept && !refused) return kept;
  const typed = globalThis.prompt("This server asks for a token:")?.trim() || null;
  if (typed) sessionStorage.setItem(KEPT, typed);
  return typed;
}

mount(new RemoteGenerator({ bundle: new URLSearchParams(location.search).get("bundle") ?? undefined, token }));
