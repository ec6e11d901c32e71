// The bundle's classes on a platform that fails when it is told to.
//
// Told by `/fault/<binding>/<name>/<what>?…`, a GET but for commands, which reaches the object `name`:
//
//   arm?statement=N     the N-th statement from now on throws, once
//   arm?trap=N          a trap of the module takes the place of the N-th statement, once
//   arm?alarm=N         the same as `statement`, counted from the next alarm on
//   look                what is stored, row by row, and when the alarm is to ring
//   acquire, list       these commands for a lease object, past the worker's own handler: nothing else is under
//                       way in the module
//   held                what becomes of an exchange whose body is still coming when another object traps
//   instances           how many WebAssembly instances were made since the worker began

import * as bundle from "./index.js";

let instances = 0;
WebAssembly.Instance = class extends WebAssembly.Instance {
  constructor(...given) {
    super(...given);
    instances += 1;
  }
};

// A trap leaves the module through a call that nobody in it expects to throw.
let trapping = false;
const push = Array.prototype.push;

function trap() {
  Array.prototype.push = function (...items) {
    if (!trapping) return push.apply(this, items);
    trapping = false;
    Array.prototype.push = push;
    throw new WebAssembly.RuntimeError("unreachable");
  };
  trapping = true;
}

// A view of `target` in which `changed` stands for some of its members.
function view(target, changed) {
  return new Proxy(target, {
    get(_, key) {
      if (Object.hasOwn(changed, key)) return changed[key];
      const value = target[key];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

function faulty(Class) {
  return class extends Class {
    #storage;
    #left = { statement: 0, trap: 0, alarm: 0 };
    #failed = 0;

    constructor(ctx, env) {
      super(ctx, env);
      this.#storage = ctx.storage;
      const sql = view(ctx.storage.sql, { exec: (...given) => this.#exec(...given) });
      this.ctx = view(ctx, { storage: view(ctx.storage, { sql }) });
    }

    #exec(...given) {
      if (this.#left.statement > 0 && --this.#left.statement === 0) {
        this.#failed += 1;
        throw new Error("a planted fault: database or disk is full");
      }
      if (this.#left.trap > 0 && --this.#left.trap === 0) {
        this.#failed += 1;
        trap();
      }
      return this.#storage.sql.exec(...given);
    }

    async #look() {
      const sql = this.#storage.sql;
      const tables = [...sql.exec("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")];
      const rows = tables
        .filter(({ name }) => !name.startsWith("_cf_") && !name.startsWith("sqlite_"))
        .map(({ name }) => [name, [...sql.exec(`SELECT * FROM "${name}"`).raw()].map(plain).sort()]);
      return { rows, alarm: await this.#storage.getAlarm(), failed: this.#failed };
    }

    async fetch(request) {
      const url = new URL(request.url);
      if (!url.pathname.startsWith("/fault/")) return super.fetch(request);
      if (url.pathname.endsWith("/instances")) return Response.json({ instances });
      for (const [kind, count] of url.searchParams) this.#left[kind] = Number(count);
      return Response.json(await this.#look());
    }

    async alarm() {
      this.#left.statement = this.#left.alarm;
      this.#left.alarm = 0;
      return super.alarm();
    }
  };
}

function plain(row) {
  return JSON.stringify(row.map((value) => (value instanceof ArrayBuffer ? [...new Uint8Array(value)] : value)));
}

export const LeaseDurableObject = faulty(bundle.LeaseDurableObject);
export const MailboxDurableObject = faulty(bundle.MailboxDurableObject);

const post = (body) => ({ method: "POST", body });

async function held(env, name) {
  const object = (binding, name) => env[binding].get(env[binding].idFromName(name));
  const [asked, trapped] = [object("MAILBOX", "other"), object("LEASE", name)];
  const coming = new ReadableStream({ pull: () => new Promise(() => {}) });
  const answer = asked.fetch("http://mailbus/v1/other/mailbox/send", post(coming));
  const told = answer.then(({ status }) => status, String);
  // What is asked over one stub arrives in order.
  await asked.fetch(`http://mailbus/fault/MAILBOX/other/look`);
  await trapped.fetch(`http://mailbus/fault/LEASE/${name}/arm?trap=1`);
  const acquire = { agentId: "eve", session: "s", request: "r", paths: ["x"], ttlMs: 1_000 };
  const event = trapped.fetch(`http://mailbus/v1/${name}/lease/acquire`, post(JSON.stringify(acquire)));
  await event.catch(() => {});
  return Response.json({ held: await told });
}

export default {
  fetch(request, env, context) {
    const [, fault, binding, name, what] = new URL(request.url).pathname.split("/");
    if (fault !== "fault") return bundle.default.fetch(request, env, context);
    if (what === "held") return held(env, name);
    const object = env[binding].get(env[binding].idFromName(name));
    if (request.method === "GET") return object.fetch(request);
    const asked = object.fetch(`http://mailbus/v1/${name}/lease/${what}`, request);
    return asked.catch((error) => new Response(error, { status: 500 }));
  },
};
