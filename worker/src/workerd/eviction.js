// Drops an object from memory: GET /<class>/<name>. It sees the objects of the main worker, and
// `workerd:unsafe`, which only a runtime started for tests offers.

import unsafe from "workerd:unsafe";

export default {
  async fetch(request, env) {
    const [className, name] = new URL(request.url).pathname.slice(1).split("/").map(decodeURIComponent);
    try {
      const namespace = env[className];
      await unsafe.evict(namespace.get(namespace.idFromName(name)));
      return new Response(null, { status: 204 });
    } catch (error) {
      return new Response(String(error), { status: 500 });
    }
  },
};
