// A Worker whose code speaks the original's protocol and nothing else: bare URLs over bindings, one
// mailbox object for everybody, one lease object a file, messages as they are, no `protocol`, no `seq`.
// It comes back 5 s after every close, and acknowledges only what says `ackRequired`.

const RECONNECT_MS = 5_000;

class OriginalBus {
  constructor(env, agentId) {
    this.env = env;
    this.agentId = agentId;
    this.handlers = new Map();
    this.received = [];
    this.connects = 0;
    this.closes = [];
    this.isShutDown = false;
  }

  mailbox() {
    return this.env.MAILBOX.get(this.env.MAILBOX.idFromName("global-mailbox"));
  }

  lease(file) {
    return this.env.LEASE.get(this.env.LEASE.idFromName("lease:" + file));
  }

  async initialize() {
    const url = "https://mailbox/subscribe?agentId=" + encodeURIComponent(this.agentId);
    const response = await this.mailbox().fetch(url, { headers: { Upgrade: "websocket" } });
    const socket = response.webSocket;
    if (!socket) throw new Error("no WebSocket: " + response.status);
    socket.accept();
    this.connects += 1;
    this.socket = socket;
    socket.addEventListener("message", (event) => this.heard(event.data));
    socket.addEventListener("close", (event) => {
      this.closes.push(event.code);
      if (!this.isShutDown) setTimeout(() => this.initialize(), RECONNECT_MS);
    });
  }

  heard(data) {
    const message = JSON.parse(data);
    const handler = this.handlers.get(message.type);
    if (!handler) return; // Also what begins with `$`, which it does not know.
    this.received.push(message);
    handler(message);
    if (message.ackRequired) this.acknowledge(message.id);
  }

  subscribe(type, handler) {
    this.handlers.set(type, handler);
    this.socket.send(JSON.stringify({ action: "subscribe", type }));
  }

  async post(stub, path, body) {
    const response = await stub.fetch("https://mailbox" + path, {
      method: "POST",
      body: JSON.stringify(body),
    });
    return { status: response.status, body: await response.json() };
  }

  message(type, payload, more) {
    return {
      id: crypto.randomUUID(),
      type,
      from: this.agentId,
      payload,
      timestamp: new Date().toISOString(),
      ...more,
    };
  }

  publish(type, payload, more) {
    return this.post(this.mailbox(), "/publish", this.message(type, payload, more));
  }

  sendTo(targetAgent, type, payload, more) {
    const message = this.message(type, payload, more);
    return this.post(this.mailbox(), "/send", { targetAgent, message });
  }

  async acknowledge(messageId) {
    const settled = await this.post(this.mailbox(), "/acknowledge", {
      messageId,
      agentId: this.agentId,
    });
    (this.settled ??= []).push(settled.body.settled);
  }

  acquire(file, ttlMs) {
    return this.post(this.lease(file), "/acquire", { file, agentId: this.agentId, ttlMs });
  }

  release(file) {
    return this.post(this.lease(file), "/release", { file, agentId: this.agentId });
  }

  status(file) {
    return this.post(this.lease(file), "/status", { file });
  }

  shutdown() {
    this.isShutDown = true;
    this.socket.close(1000, "done");
  }

  told() {
    const { received, connects, closes, settled = [] } = this;
    return structuredClone({ received, connects, closes, settled });
  }
}

async function until(holds, most = 10_000) {
  for (let waited = 0; waited < most; waited += 20) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("not within " + most + " ms: " + holds);
}

const scenarios = {
  // Publishing, sending, offline mail, acknowledging, leases.
  async day(env) {
    const [ann, bob, late] = ["ann", "bob", "late"].map((name) => new OriginalBus(env, name));
    await ann.initialize();
    await bob.initialize();
    for (const bus of [ann, bob]) {
      bus.subscribe("task_assigned", () => {});
      bus.subscribe("status_update", () => {});
    }
    const published = await ann.publish("task_assigned", { n: 1 });
    await until(() => bob.received.length === 1);
    const sent = await ann.sendTo("bob", "status_update", { n: 2 }, { ackRequired: true });
    await until(() => (bob.settled ?? []).length === 1);
    const offline = await bob.sendTo("late", "sync_request", { n: 3 }, { extra: "kept" });
    late.handlers.set("sync_request", () => {});
    await late.initialize();
    await until(() => late.received.length === 1);
    const lease = {
      ann: await ann.acquire("src/a.rs", 60_000),
      bob: await bob.acquire("src/a.rs", 60_000),
      held: await bob.status("src/a.rs"),
      released: await ann.release("src/a.rs"),
      free: await bob.status("src/a.rs"),
      again: await ann.release("src/a.rs"),
    };
    for (const bus of [ann, bob, late]) bus.shutdown();
    return { published, sent, offline, lease, ann: ann.told(), bob: bob.told(), late: late.told() };
  },

  // Two processes of one name: neither throws the other out, and when the one that is served ends, the
  // other comes back and is served.
  async twins(env) {
    const [one, two, other] = ["twin", "twin", "other"].map((name) => new OriginalBus(env, name));
    for (const bus of [one, two]) bus.handlers.set("status_update", () => {});
    await one.initialize();
    await two.initialize();
    await other.sendTo("twin", "status_update", { n: 1 });
    await until(() => two.received.length === 1);
    await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS + 1_000));
    const quiet = { one: one.told(), two: two.told() };
    two.shutdown();
    await until(() => one.connects === 2, 20_000);
    await other.sendTo("twin", "status_update", { n: 2 });
    await until(() => one.received.some((message) => message.payload.n === 2));
    one.shutdown();
    return { quiet, one: one.told(), two: two.told() };
  },
};

export default {
  async fetch(request, env) {
    const scenario = scenarios[new URL(request.url).pathname.slice(1)];
    if (!scenario) return new Response("no such scenario", { status: 404 });
    try {
      return Response.json(await scenario(env));
    } catch (error) {
      return Response.json({ error: String(error?.stack ?? error) }, { status: 500 });
    }
  },
};
