// The fault proxy and the scripted server do to a connection exactly what a test tells them.

import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { afterEach, describe, expect, it } from "vitest";
import { makeCertificates } from "./certificates.ts";
import { type FaultProxy, type ProxyOptions, startProxy } from "./proxy.ts";
import { startScripted } from "./scripted.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function echoBehind(options?: ProxyOptions): Promise<{ proxy: FaultProxy; dial: () => Socket }> {
  const server = createServer((socket) => socket.on("error", () => undefined).pipe(socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  closers.push(() => server.close());
  const address = server.address();
  const proxy = await startProxy(typeof address === "object" ? (address?.port ?? 0) : 0, options);
  closers.push(() => proxy.close());
  return { proxy, dial: () => connect(proxy.port, "127.0.0.1") };
}

/** Everything that arrives until the connection ends, and how it ended. */
async function drain(socket: Socket): Promise<{ bytes: Buffer; error?: string }> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk));
  const error = await new Promise<string | undefined>((resolve) => {
    socket.once("error", (cause: NodeJS.ErrnoException) => resolve(cause.code)).once("close", () => resolve(undefined));
  });
  return { bytes: Buffer.concat(chunks), ...(error === undefined ? {} : { error }) };
}

const noise = (length: number): Buffer =>
  Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 131 + (i >> 8)) & 255));

describe("the proxy", () => {
  it.each([{}, { chunkBytes: 1 }, { chunkBytes: 7, rttMs: 4 }])(
    "hands everything on unaltered: %o",
    async (options) => {
      const { proxy, dial } = await echoBehind(options);
      const sent = noise(options.chunkBytes === undefined ? 3_000_000 : 3000);
      const socket = dial();
      socket.end(sent);
      expect((await drain(socket)).bytes.equals(sent)).toBe(true);
      expect(proxy.bytes).toEqual({ up: sent.length, down: sent.length });
      expect(proxy.accepted).toBe(1);
    },
  );

  it("adds the round trip once, however much is under way", async () => {
    const { dial } = await echoBehind({ rttMs: 60 });
    const socket = dial();
    await once(socket, "connect");
    const begun = performance.now();
    for (let n = 0; n < 50; n++) socket.write("x");
    socket.end();
    expect((await drain(socket)).bytes).toHaveLength(50);
    const took = performance.now() - begun;
    expect(took).toBeGreaterThanOrEqual(59);
    expect(took).toBeLessThan(2900);
  });

  it.each(["up", "down"] as const)("cuts after exactly the octets it was told, %s", async (direction) => {
    const { proxy, dial } = await echoBehind({ cut: { direction, afterBytes: 1234, connections: 1 } });
    const socket = dial();
    socket.write(noise(5000));
    const { bytes } = await drain(socket);
    expect(proxy.bytes[direction]).toBe(1234);
    expect(bytes.equals(noise(5000).subarray(0, bytes.length))).toBe(true);
    expect(bytes.length).toBeLessThanOrEqual(1234);
    const later = dial();
    later.end(noise(5000));
    expect((await drain(later)).bytes).toHaveLength(5000);
  });

  it("can end a cut connection politely", async () => {
    const { dial } = await echoBehind({ cut: { direction: "down", afterBytes: 10, how: "end" } });
    const socket = dial();
    socket.write(noise(100));
    const { bytes, error } = await drain(socket);
    expect(bytes).toHaveLength(10);
    expect(error).toBeUndefined();
  });

  it("can end one half of a connection, lose what follows, or change every octet of it", async () => {
    const cut = { direction: "down", afterBytes: 10 } as const;
    const sent = noise(100);
    const half = (await echoBehind({ cut: { ...cut, how: "half-open" } })).dial();
    half.write(sent);
    const ended = once(half, "end");
    half.resume();
    await ended;
    expect(half.writable).toBe(false);

    const swallowing = await echoBehind({ cut: { ...cut, how: "swallow" } });
    const mute = swallowing.dial();
    mute.write(sent);
    expect((await once(mute, "data"))[0]).toHaveLength(10);
    await expect.poll(() => swallowing.proxy.bytes).toEqual({ up: 100, down: 10 });
    expect(swallowing.proxy.open).toBe(1);
    mute.destroy();

    const garbled = (await echoBehind({ cut: { ...cut, how: "garbage" } })).dial();
    garbled.end(sent);
    const { bytes } = await drain(garbled);
    expect(bytes).toHaveLength(100);
    expect(bytes.subarray(0, 10)).toEqual(sent.subarray(0, 10));
    expect(bytes.subarray(10).every((octet, at) => octet !== sent[10 + at])).toBe(true);
  });

  it("stalls, resumes, resets and refuses on command", async () => {
    const { proxy, dial } = await echoBehind();
    const socket = dial();
    await once(socket, "connect");
    socket.write("a");
    expect(String((await once(socket, "data"))[0])).toBe("a");
    proxy.stall("down");
    socket.write("b");
    await expect.poll(() => proxy.bytes).toEqual({ up: 2, down: 1 });
    proxy.resume();
    expect(String((await once(socket, "data"))[0])).toBe("b");
    proxy.reset();
    expect((await drain(socket)).error).toBe("ECONNRESET");
    proxy.refuse(true);
    expect((await drain(dial())).bytes).toHaveLength(0);
    expect(proxy.accepted).toBe(1);
  });
});

describe("the scripted server", () => {
  it("reads lines and literals, answers whole and octet by octet, and remembers the lines", async () => {
    await using server = await startScripted(async (client) => {
      client.send("* OK\r\n");
      const line = await client.line();
      const body = await client.octets(Number(/\{(\d+)\}/.exec(line ?? "")?.[1]));
      await client.line();
      await client.dribble(`got ${body.toString("hex")}\r\n`);
    });
    const socket = connect(server.port, "127.0.0.1");
    socket.write(Buffer.from("a APPEND {3}\r\n\r\n\xff\r\n", "latin1"));
    expect((await drain(socket)).bytes.toString()).toBe("* OK\r\ngot 0d0aff\r\n");
    expect(server.heard).toEqual(["a APPEND {3}", ""]);
    expect(server.failures).toEqual([]);
  });

  it("goes over to TLS in the middle, and tells a script's own mistake", async () => {
    const certificates = makeCertificates();
    await using server = await startScripted(async (client) => {
      if ((await client.line()) === "STARTTLS") await client.secure(certificates, "go\r\n");
      client.send(`secret ${await client.line()}`);
      throw new Error("a mistake");
    });
    const plain = connect(server.port, "127.0.0.1");
    plain.write("STARTTLS\r\n");
    await once(plain, "data");
    const secured = connectTls({ socket: plain, servername: "localhost", ca: certificates.ca });
    secured.write("hello\r\n");
    expect(String((await once(secured, "data"))[0])).toBe("secret hello");
    await expect.poll(() => server.failures).toEqual([new Error("a mistake")]);
  });

  it("speaks TLS from the first octet, and a wrong certificate is refused", async () => {
    const expired = makeCertificates({ days: -1 });
    await using server = await startScripted(async (client) => client.send("hi\r\n"), expired);
    const socket = connectTls({ host: "localhost", port: server.port, ca: expired.ca });
    expect((await drain(socket)).error).toBe("CERT_HAS_EXPIRED");
    expect(server.failures).toEqual([]);
  });
});
