// What the runtime sees: the object classes and the fetch handler, in front of the WebAssembly
// module. It has one task of its own: a trap (a panic, memory that ran out) ends the module's
// life and with it every object in it, without settling a single promise. So the calls in
// flight are failed here, and each object is built anew, from its storage, at its next event.
//
// The bundle step adds the constant INTERNAL, a problem object, and one export for each class.

import { DurableObject } from "cloudflare:workers";
import * as module from "./index.js";

const life = module.__worker_init_state();
const inFlight = new Set();

// The panic hook writes this field; a trap that is no panic comes through `run` or `error`.
let trapped = false;
Object.defineProperty(life, "criticalError", {
  get: () => trapped,
  set(value) {
    trapped = value;
    if (value) queueMicrotask(failAll);
  },
});

addEventListener("error", (event) => {
  if (event.error instanceof WebAssembly.RuntimeError) life.criticalError = true;
});

function failAll() {
  for (const reject of inFlight) reject(new Error("the module ended in a trap"));
  inFlight.clear();
}

function restartAfterTrap() {
  if (!trapped) return;
  trapped = false;
  module.__wbg_reset_state();
}

function run(call) {
  restartAfterTrap();
  return new Promise((resolve, reject) => {
    inFlight.add(reject);
    const settled = () => inFlight.delete(reject);
    try {
      call().then(
        (value) => (settled(), resolve(value)),
        (error) => (settled(), reject(error)),
      );
    } catch (error) {
      if (error instanceof WebAssembly.RuntimeError) life.criticalError = true;
      settled();
      reject(error);
    }
  });
}

function durable(Class) {
  return class extends DurableObject {
    #object;
    #life;

    #event(call) {
      return run(() => {
        if (this.#life !== life.instanceId) {
          this.#object = new Class(this.ctx, this.env);
          this.#life = life.instanceId;
        }
        return call(this.#object);
      });
    }

    fetch(request) {
      return this.#event((object) => object.fetch(request));
    }
    alarm() {
      return this.#event((object) => object.alarm());
    }
    webSocketMessage(socket, message) {
      return this.#event((object) => object.webSocketMessage(socket, message));
    }
    webSocketClose(socket, code, reason, wasClean) {
      return this.#event((object) => object.webSocketClose(socket, code, reason, wasClean));
    }
    webSocketError(socket, error) {
      return this.#event((object) => object.webSocketError(socket, error));
    }
  };
}

export default {
  async fetch(request, env, context) {
    try {
      return await run(() => module.fetch(request, env, context));
    } catch (error) {
      console.error(error);
      const headers = { "content-type": "application/problem+json" };
      return new Response(JSON.stringify(INTERNAL), { status: INTERNAL.status, headers });
    }
  },
};
