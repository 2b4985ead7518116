// Literals that wait for their "+": behind a command without an answer where that spares a round trip, after it where the server's
// "+" then waits for an acknowledgement. On a wire and a clock of the test's own.

import { Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { CommandWriter, type Writing } from "../../../src/protocol/imap/command-writer.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function line() {
  let now = 0;
  let seen = "";
  const wire = new Writable({
    write(chunk: Buffer, _, done) {
      seen += chunk.toString("latin1");
      done();
    },
  });
  const writer = new CommandWriter(wire, {
    capabilities: new Set(),
    failed: (error) => {
      throw error;
    },
    progress: () => undefined,
    trace: () => undefined,
    now: () => now,
  });
  let tags = 0;
  return {
    writer,
    append(): Writing {
      const bytes = Buffer.from("mail");
      const literal = {
        size: bytes.length,
        whole: () => bytes,
        async *chunks() {
          yield bytes;
        },
      };
      const command: Writing = { tag: `t${++tags}`, parts: ["APPEND x ", literal], started: false };
      writer.add(command);
      return command;
    },
    plain(): Writing {
      const command: Writing = { tag: `t${++tags}`, parts: ["NOOP"], started: false };
      writer.add(command);
      return command;
    },
    pass(ms: number): void {
      now += ms;
    },
    /** What went out since the last look. */
    async sent(): Promise<string> {
      await turn();
      const all = seen;
      seen = "";
      return all;
    },
  };
}

const announced = (tag: string): string => `${tag} APPEND x {4}\r\n`;

/** The first one, alone: a round trip of so many milliseconds. Then one more stands announced behind the next. */
async function begun(roundTripMs: number) {
  const on = line();
  const first = on.append();
  expect(await on.sent()).toBe(announced("t1"));
  on.pass(roundTripMs);
  on.writer.proceed();
  await on.sent();
  on.writer.answered(first);
  return on;
}

describe("a literal that waits", () => {
  it("goes out alone at first, though others are without an answer: then the round trip is known", async () => {
    const on = line();
    const plain = on.plain();
    const append = on.append();
    expect(await on.sent()).toBe("t1 NOOP\r\n");
    expect(append.started).toBe(false);
    on.writer.answered(plain);
    expect(await on.sent()).toBe(announced("t2"));
  });

  it("is announced together with the end of the one before, while that spares a round trip", async () => {
    const on = await begun(1);
    let [now, next] = [on.append(), on.append()];
    expect(await on.sent()).toBe(announced(now.tag));
    on.writer.proceed();
    for (let n = 0; n < 4; n++) {
      expect(await on.sent()).toBe(`mail\r\n${announced(next.tag)}`);
      on.pass(30);
      on.writer.answered(now);
      on.pass(2);
      on.writer.proceed();
      now = next;
      next = on.append();
    }
  });

  it("goes after the answer once the server let it wait twice for longer than a round trip", async () => {
    const on = await begun(1);
    let [now, next] = [on.append(), on.append()];
    await on.sent();
    on.writer.proceed();
    for (let late = 0; late < 2; late++) {
      expect(await on.sent()).toBe(`mail\r\n${announced(next.tag)}`);
      on.writer.answered(now);
      on.pass(41);
      on.writer.proceed();
      now = next;
      next = on.append();
    }
    for (let n = 0; n < 3; n++) {
      expect(await on.sent()).toBe("mail\r\n");
      on.writer.answered(now);
      expect(await on.sent()).toBe(announced(next.tag));
      on.pass(1);
      on.writer.proceed();
      now = next;
      next = on.append();
    }
  });

  it("is not held back by what is no more than a far server's round trip, nor by a single delay", async () => {
    const on = await begun(150);
    let [now, next] = [on.append(), on.append()];
    await on.sent();
    on.pass(150);
    on.writer.proceed();
    for (const ms of [41, 155, 400, 41, 400]) {
      expect(await on.sent()).toBe(`mail\r\n${announced(next.tag)}`);
      on.writer.answered(now);
      on.pass(ms);
      on.writer.proceed();
      now = next;
      next = on.append();
    }
    expect(await on.sent()).toBe(`mail\r\n${announced(next.tag)}`);
  });

  it("goes alone once in a while: a round trip that was too long, by chance, is put right", async () => {
    const on = await begun(60);
    let [now, next] = [on.append(), on.append()];
    await on.sent();
    on.pass(60);
    on.writer.proceed();
    let alone = 0;
    for (let n = 0; n < 40; n++) {
      const together = (await on.sent()) !== "mail\r\n";
      on.writer.answered(now);
      if (!together) {
        alone++;
        expect(await on.sent()).toBe(announced(next.tag));
      }
      on.pass(together ? 41 : 1);
      on.writer.proceed();
      now = next;
      next = on.append();
    }
    // One after sixteen, and after the two late ones behind it each.
    expect(alone).toBe(1 + 40 - 16 - 1 - 2);
  });

  it("waits no more when the wire has ended", async () => {
    const on = line();
    on.plain();
    const append = on.append();
    await on.sent();
    on.writer.stop(new Error("over"));
    expect(await on.sent()).toBe("");
    expect(append.started).toBe(false);
  });
});
