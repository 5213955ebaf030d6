/** The page that generates in the browser. */
import { BrowserGenerator } from "motionrt-web";
import { mount } from "./app";
import { keepOffline, keepTheRest } from "./offline";

const { bundle = "bundle/", webgpu } = document.body.dataset;
const wanted = new URLSearchParams(location.search).has("webgpu") && webgpu === "yes";

mount(new BrowserGenerator({ bundle, webgpu: wanted }), { ready: keepOffline(), loaded: keepTheRest });
