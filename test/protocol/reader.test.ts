// Reading into buffers of our own: the same octets in the same order as by the stream, in the clear and by TLS, and a pause holds.

import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { describe, expect, it, vi } from "vitest";
import { Connection } from "../../src/protocol/imap/connection.ts";
import type { DataResponse } from "../../src/protocol/imap/parse.ts";
import { openReader } from "../../src/protocol/reader.ts";
import { makeCertificates } from "../kit/certificates.ts";
import { randomFrom } from "../kit/random.ts";
import { type Script, startScripted } from "../kit/scripted.ts";
import { command, options } from "./imap/wire.ts";

const certificates = makeCertificates();

interface Line extends AsyncDisposable {
  readonly socket: Socket;
  readonly reader: ReturnType<typeof openReader>;
}

async function open(script: Script, isTls: boolean): Promise<Line> {
  const server = await startScripted(script, isTls ? certificates : undefined);
  const place = { port: server.port, host: "127.0.0.1" };
  const reader = openReader(() => socket);
  const secure = { ...place, ca: certificates.ca, onread: reader.onread };
  const socket: Socket = isTls ? connectTls(secure) : connect({ ...place, onread: reader.onread });
  await once(socket, isTls ? "secureConnect" : "connect");
  return {
    socket,
    reader,
    async [Symbol.asyncDispose]() {
      socket.destroy();
      await server.close();
      expect(server.failures).toEqual([]);
    },
  };
}

function connectionOn({ socket, reader }: Line, stallMs?: number): Connection {
  return new Connection(
    { readSocket: socket, writeSocket: socket, socket, reader },
    {
      server: options(socket.remotePort ?? 0),
      name: "test",
      capabilities: new Set<string>(),
      ...(stallMs === undefined ? {} : { stallMs }),
    },
  );
}

const hashOf = (octets: Uint8Array): string => createHash("sha256").update(octets).digest("hex");

it("what the stream holds at the change comes first, even if more comes at once", () => {
  const reader = openReader(() => undefined);
  const stream = new Duplex({ read: () => undefined });
  const heard: string[] = [];
  stream.on("data", (chunk: Buffer) => heard.push(chunk.toString()));
  stream.pause();
  stream.push("one ");
  stream.push("two ");
  reader.attach(stream, {
    room: () => undefined,
    filled: () => undefined,
    receive: (chunk) => heard.push(chunk.toString()),
  });
  const { buffer, callback } = reader.onread;
  const place = typeof buffer === "function" ? buffer() : buffer;
  place.set(Buffer.from("three"));
  callback(5, place);
  expect(heard.join("")).toBe("one two three");
});

describe.each([
  ["in the clear", false],
  ["by TLS", true],
])("%s", (_, isTls) => {
  it("literals of every size arrive as they were sent, the large ones without a copy, and none is written over later", async () => {
    const random = randomFrom(7);
    const sizes = [0, 1, 100, 8000, 32_767, 32_768, 70_000, 131_072, 300_000, 1_000_000];
    const literals = [...sizes, ...sizes.toReversed(), ...Array.from({ length: 40 }, () => random.upTo(200_000))].map(
      (size) =>
        Buffer.from(
          Array.from({ length: Math.ceil(size / 4) }, () => random.upTo(2 ** 31))
            .join(" ")
            .slice(0, size),
        ),
    );
    await using line = await open(async (talk) => {
      const heard = await command(talk);
      for (const literal of literals) {
        talk.send(`* 1 FETCH (BODY[] {${literal.length}}\r\n`);
        // In pieces of any length, now and then with a breath between them.
        for (let at = 0; at < literal.length; ) {
          const length = 1 + random.upTo(150_000);
          talk.send(literal.subarray(at, at + length));
          at += length;
          if (random.chance(0.2)) await sleep(1);
        }
        talk.send(" UID 5)\r\n");
      }
      talk.send(`${heard?.tag} OK\r\n`);
      await command(talk);
    }, isTls);
    const filled = vi.fn();
    const { attach } = line.reader;
    const watched: typeof line.reader = {
      ...line.reader,
      attach: (socket, receiver) =>
        attach(socket, {
          room: () => receiver.room(),
          receive: (chunk) => receiver.receive(chunk),
          filled(length) {
            filled(length);
            receiver.filled(length);
          },
        }),
    };
    const connection = connectionOn({ ...line, reader: watched });
    const seen: Buffer[] = [];
    const data = ({ values }: DataResponse): boolean => {
      const [row] = values;
      if (Array.isArray(row) && Buffer.isBuffer(row[1])) seen.push(row[1]);
      return true;
    };
    expect(await connection.run("FETCH", { data })).toMatchObject({ status: "OK" });
    expect(seen.map(hashOf)).toEqual(literals.map(hashOf));
    const direct = filled.mock.calls.reduce((sum, [length]) => sum + Number(length), 0);
    expect(direct).toBeGreaterThan(1_000_000);
  });

  it("while it is held nothing is read, and all of it comes afterwards", async () => {
    const body = Buffer.alloc(900_000, "x");
    const COUNT = 40;
    await using line = await open(async (talk) => {
      const heard = await command(talk);
      for (let n = 0; n < COUNT; n++) {
        talk.send(`* ${n} FETCH (BODY[] {${body.length}}\r\n`);
        talk.send(body);
        talk.send(")\r\n");
      }
      talk.send(`${heard?.tag} OK\r\n`);
      await command(talk);
    }, isTls);
    const connection = connectionOn(line);
    let seen = 0;
    const data = (): boolean => {
      if (++seen === 2) connection.hold();
      return true;
    };
    const answer = connection.run("FETCH", { data });
    while (seen < 2) await sleep(1);
    await sleep(50);
    const read = line.socket.bytesRead;
    await sleep(100);
    expect(line.socket.bytesRead).toBe(read);
    expect(read).toBeLessThan(10 * body.length);
    expect(seen).toBe(2);
    connection.release();
    await answer;
    expect(seen).toBe(COUNT);
  });

  it("what came before the wire ended is heard, also when it ended while it was held", async () => {
    const body = Buffer.alloc(16_000, "x");
    await using line = await open(async (talk) => {
      const heard = await command(talk);
      for (let n = 0; n < 3; n++) {
        talk.send(`* ${n} FETCH (BODY[] {${body.length}}\r\n`);
        talk.send(body);
        talk.send(")\r\n");
      }
      talk.send(`${heard?.tag} OK all of it\r\n* BYE enough\r\n`);
      talk.end();
    }, isTls);
    const connection = connectionOn(line);
    let seen = 0;
    const data = (): boolean => {
      if (++seen === 1) connection.hold();
      return true;
    };
    const answer = connection.run("FETCH", { data });
    answer.catch(() => undefined);
    await sleep(100);
    expect(seen).toBe(1);
    connection.release();
    expect(await answer).toMatchObject({ status: "OK", text: "all of it" });
    expect(seen).toBe(3);
    await expect(connection.run("NOOP")).rejects.toMatchObject({ message: expect.stringContaining("enough") });
  });

  it("a large body that comes slowly is no silence", async () => {
    const body = Buffer.alloc(600_000, "x");
    await using line = await open(async (talk) => {
      const heard = await command(talk);
      talk.send(`* 1 FETCH (BODY[] {${body.length}}\r\n`);
      for (let at = 0; at < body.length; at += 60_000) {
        talk.send(body.subarray(at, at + 60_000));
        await sleep(80);
      }
      talk.send(`)\r\n${heard?.tag} OK\r\n`);
      await command(talk);
    }, isTls);
    expect(await connectionOn(line, 400).run("FETCH")).toMatchObject({ status: "OK" });
  });

  it("the end of the wire in the middle of a large body is noticed", async () => {
    await using line = await open(async (talk) => {
      await command(talk);
      talk.send("* 1 FETCH (BODY[] {600000}\r\n");
      talk.send(Buffer.alloc(200_000, "x"));
      talk.end();
    }, isTls);
    await expect(connectionOn(line).run("FETCH")).rejects.toMatchObject({ code: "connection" });
  });
});
