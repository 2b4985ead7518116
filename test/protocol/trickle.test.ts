// Overall patience, by a clock of the test's own: what trickles is given up, what is slow and moves on is not.

import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Connection } from "../../src/protocol/imap/connection.ts";
import { KEEP_ALIVE_MS, LEAST_RATE, TRICKLE_MS, Trickle } from "../../src/protocol/trickle.ts";
import { options } from "./imap/wire.ts";

/** What becomes of so many octets every so many milliseconds: after how many minutes it is given up; undefined: not within two hours. */
function minutesOf(octets: number, everyMs: number, each?: (trickle: Trickle) => void): number | undefined {
  let now = 0;
  const trickle = new Trickle(() => now);
  for (; now < 7_200_000; now += everyMs) {
    if (trickle.took(octets)) return Math.round(now / 60_000);
    each?.(trickle);
  }
  return undefined;
}

describe("a server that sends", () => {
  it.each([
    ["an octet a second", 1, 1_000, 5],
    ["an octet whenever it would be taken for silent", 1, 299_000, 30],
    ["half of what it takes", 512, 1_000, 5],
    ["what it takes", LEAST_RATE, 1_000, undefined],
    ["much, with long breaks", 400 * 1024, 290_000, undefined],
  ])("%s", (_, octets, everyMs, minutes) => {
    const given = minutesOf(octets, everyMs);
    if (minutes === undefined) expect(given).toBeUndefined();
    else expect(given).toBeGreaterThanOrEqual(minutes);
    if (minutes !== undefined) expect(given).toBeLessThanOrEqual(minutes + 10);
  });

  it("whole answers, each of which may have cost it a look at a folder, goes on", () => {
    expect(minutesOf(60, 1_000, (trickle) => trickle.answer())).toBeUndefined();
    expect(minutesOf(60, 60_000, (trickle) => trickle.answer())).toBeLessThanOrEqual(10);
  });

  it("nothing but signs of life keeps its command alive for half an hour", () => {
    const minutes = minutesOf(22, 60_000, (trickle) => trickle.idle(22));
    expect(minutes).toBeGreaterThanOrEqual(KEEP_ALIVE_MS / 60_000);
    expect(minutes).toBeLessThanOrEqual(KEEP_ALIVE_MS / 60_000 + 5);
  });

  it("much at first, and then next to nothing, is given up all the same", () => {
    let now = 0;
    const trickle = new Trickle(() => now);
    let isOver = trickle.took(100 * 1024 * 1024);
    for (; now < 3 * TRICKLE_MS && !isOver; now += 1_000) isOver = trickle.took(1);
    expect(isOver).toBe(true);
  });

  it("an answer to its end begins anew", () => {
    let now = 0;
    const trickle = new Trickle(() => now);
    for (let n = 0; n < 100; n++) {
      expect(trickle.took(100)).toBe(false);
      now += TRICKLE_MS - 1;
      trickle.reset();
    }
  });
});

describe("an IMAP connection", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
  afterEach(() => void vi.useRealTimers());
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  function opened() {
    const socket = new PassThrough();
    const readSocket = new PassThrough();
    const wire = { readSocket, writeSocket: new PassThrough().resume(), socket };
    const connection = new Connection(wire, { server: options(143), name: "t", capabilities: new Set() });
    return { connection, readSocket };
  }

  it("is ended where a listing trickles, and the next one may do better", async () => {
    const { connection, readSocket } = opened();
    const running = connection.run("NOOP").catch((error: unknown) => error);
    await turn();
    readSocket.write("* LIST (");
    for (let second = 0; second <= 301 && connection.failure === undefined; second++) {
      readSocket.write("\\");
      await turn();
      vi.advanceTimersByTime(1_000);
    }
    expect(await running).toMatchObject({
      code: "connection",
      message: expect.stringContaining("less than 1 KB a second"),
      details: { scope: "account", remedy: "retry", outcome: "unknown" },
    });
  });

  it("lives while a long command is kept alive, and while we hold it back ourselves", async () => {
    const { connection, readSocket } = opened();
    const running = connection.run("NOOP");
    await turn();
    for (let minute = 0; minute < 20; minute++) {
      readSocket.write("* OK Still here\r\n");
      await turn();
      vi.advanceTimersByTime(60_000);
    }
    for (let n = 0; n < 6; n++) {
      readSocket.write("* LIST () NIL x\r\n* LIST () NIL y\r\n");
      await turn();
      connection.hold();
      vi.advanceTimersByTime(200_000);
      connection.release();
      await turn();
    }
    readSocket.write("m1 OK done\r\n");
    expect((await running).status).toBe("OK");
    connection.fail(new Error("the test is over"));
  });
});
