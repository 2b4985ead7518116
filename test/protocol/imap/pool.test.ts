// Connections of one account: two at first, one more where these leave somebody waiting while the process is idle.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Connection } from "../../../src/protocol/imap/connection.ts";
import { BLANK, ConnectionPool, type Lease } from "../../../src/protocol/imap/pool.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const { signal } = new AbortController();

/** A pool of connections that do nothing, and whoever got one. */
function poolOf(max: number, busy: () => number) {
  let opened = 0;
  let there = 0;
  const pool = new ConnectionPool(
    async () => {
      opened++;
      there++;
      const idle: Partial<Connection> = { close: async () => void there-- };
      return idle as Connection;
    },
    max,
    { everyMs: 10, busy },
  );
  const leases: Lease[] = [];
  const want = (count: number, mailbox?: string | typeof BLANK): void => {
    for (let n = 0; n < count; n++)
      void pool.lease(mailbox, signal).then(
        (lease) => leases.push(lease),
        () => undefined,
      );
  };
  return { pool, leases, want, opened: () => opened, there: () => there };
}

function open(lease: Lease | undefined, name: string): void {
  if (lease === undefined) throw new Error("nobody got it");
  lease.connection.selected = { name, readOnly: true, uidValidity: "1", exists: 0, flags: [] };
}

describe("connections of one account", () => {
  it("are two at first, and stay two while the process has its hands full", async () => {
    const { want, leases, opened } = poolOf(4, () => 0.9);
    want(5);
    await vi.advanceTimersByTimeAsync(200);
    expect(opened()).toBe(2);
    expect(leases.length).toBe(2);
  });

  it("on which no folder is open: another is ended for it where no more may be opened, and only there", async () => {
    const { want, leases, opened, there } = poolOf(1, () => 0.9);
    want(1, "INBOX");
    await vi.advanceTimersByTimeAsync(0);
    open(leases[0], "INBOX");
    want(1, BLANK);
    await vi.advanceTimersByTimeAsync(0);
    expect([leases.length, opened()]).toEqual([1, 1]);
    leases[0]?.[Symbol.dispose]();
    await vi.advanceTimersByTimeAsync(0);
    expect([leases.length, opened(), there()]).toEqual([2, 2, 1]);
    expect(leases[1]?.connection.selected).toBeUndefined();
    leases[1]?.[Symbol.dispose]();
    want(1, BLANK);
    await vi.advanceTimersByTimeAsync(0);
    expect([leases.length, opened(), there()]).toEqual([3, 2, 1]);
  });

  it("become one more with each look that finds the process waiting, as many as are granted", async () => {
    const { want, leases, opened } = poolOf(4, () => 0.1);
    want(6);
    const seen: number[] = [];
    for (let look = 0; look < 4; look++) {
      await vi.advanceTimersByTimeAsync(10);
      seen.push(opened());
    }
    expect(seen).toEqual([3, 4, 4, 4]);
    for (const lease of [...leases]) lease[Symbol.dispose]();
    await vi.advanceTimersByTimeAsync(0);
    expect(leases.length).toBe(6);
  });

  it("say how many wait for one, also where more are granted than are open", async () => {
    const { want, pool } = poolOf(4, () => 0.9);
    want(1);
    expect(pool.waiting).toBe(0);
    want(4);
    expect(pool.waiting).toBe(3);
  });

  it("change hands where no other may be opened now: another folder's idle one is taken", async () => {
    const { want, leases, opened } = poolOf(4, () => 0.9);
    want(2, "A");
    await vi.advanceTimersByTimeAsync(0);
    open(leases[0], "A");
    leases[0]?.[Symbol.dispose]();
    want(1, "B");
    await vi.advanceTimersByTimeAsync(0);
    expect([leases.length, opened()]).toEqual([3, 2]);
  });

  it("serve whichever folder comes while no folder is open on them, and else their own before a new one is opened", async () => {
    const { want, leases, opened } = poolOf(4, () => 0.9);
    want(1);
    await vi.advanceTimersByTimeAsync(0);
    leases[0]?.[Symbol.dispose]();
    want(1, "A");
    await vi.advanceTimersByTimeAsync(0);
    expect([leases.length, opened()]).toEqual([2, 1]);
    open(leases[1], "A");
    leases[1]?.[Symbol.dispose]();
    want(1, "B");
    await vi.advanceTimersByTimeAsync(0);
    expect([leases.length, opened()]).toEqual([3, 2]);
    expect(leases[2]?.connection).not.toBe(leases[0]?.connection);
    want(1, "A");
    await vi.advanceTimersByTimeAsync(0);
    expect(leases[3]?.connection).toBe(leases[0]?.connection);
  });

  it("are as many as wait now: who was served meanwhile asks for none", async () => {
    const { want, leases, opened } = poolOf(4, () => 0.1);
    want(3);
    await vi.advanceTimersByTimeAsync(0);
    leases[0]?.[Symbol.dispose]();
    await vi.advanceTimersByTimeAsync(100);
    for (const lease of [...leases]) lease[Symbol.dispose]();
    want(1, "D");
    await vi.advanceTimersByTimeAsync(100);
    expect([leases.length, opened()]).toEqual([4, 2]);
  });

  it("are opened no more when the account is closed", async () => {
    const { want, pool, opened } = poolOf(4, () => 0.1);
    want(3);
    await pool[Symbol.asyncDispose]();
    expect(vi.getTimerCount()).toBe(0);
    await vi.advanceTimersByTimeAsync(100);
    expect(opened()).toBe(2);
  });
});
