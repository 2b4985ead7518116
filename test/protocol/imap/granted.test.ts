// Fewer connections than would be opened: what is in goes on, whoever wanted another waits for his turn, and nothing is asked twice.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { MailError } from "../../../src/mail/errors.ts";
import type { Connection } from "../../../src/protocol/imap/connection.ts";
import { ConnectionPool, type Lease } from "../../../src/protocol/imap/pool.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

type Fake = Partial<{ -readonly [K in keyof Connection]: Connection[K] }> & { closed?: boolean };

/** A server of which the test says what becomes of each connection; "hang" is never answered. */
function server(fate: (nth: number) => "in" | "hang" | Error) {
  const seen = { opened: 0, another: [] as boolean[], aborted: 0, made: [] as Fake[] };
  const open = (signal: AbortSignal, another: boolean): Promise<Connection> => {
    seen.another.push(another);
    const outcome = fate(++seen.opened);
    if (outcome === "hang")
      return new Promise((_, reject) =>
        signal.addEventListener("abort", () => {
          seen.aborted++;
          reject(signal.reason);
        }),
      );
    if (outcome !== "in") return Promise.reject(outcome);
    const made: Fake = {
      close: async () => {
        made.closed = true;
      },
    };
    seen.made.push(made);
    return Promise.resolve(made as Connection);
  };
  return { open, seen };
}

function asking(pool: ConnectionPool) {
  const leases: Lease[] = [];
  const errors: unknown[] = [];
  const want = async (mailbox?: string, signal = new AbortController().signal): Promise<void> => {
    void pool.lease(mailbox, signal).then(
      (lease) => leases.push(lease),
      (error: unknown) => errors.push(error),
    );
    await vi.advanceTimersByTimeAsync(0);
  };
  return { leases, errors, want };
}

const idle = { everyMs: 10, busy: () => 0.1 };
const refusal = new Error("no more");
const dead = {} as MailError;

describe("a connection that cannot be opened while another is in", () => {
  it.each([
    ["is refused", refusal],
    ["is not answered", "hang" as const],
  ])("and %s is not missed: whoever wanted it gets the next that comes back", async (_, fate) => {
    const { open, seen } = server((nth) => (nth === 1 ? "in" : fate));
    const pool = new ConnectionPool(open, 4, { ...idle, first: 4 });
    const { leases, errors, want } = asking(pool);
    await want("A");
    await want("B");
    expect(leases.length).toBe(1);
    leases[0]?.[Symbol.dispose]();
    await vi.advanceTimersByTimeAsync(0);
    expect([leases.length, errors]).toEqual([2, []]);
    expect(seen.another).toEqual([false, true]);
    await pool[Symbol.asyncDispose]();
  });

  it("is asked for no more until the account is closed", async () => {
    const { open, seen } = server((nth) => (nth === 1 ? "in" : refusal));
    const pool = new ConnectionPool(open, 4, { ...idle, first: 4 });
    const { leases, want } = asking(pool);
    for (let n = 0; n < 5; n++) await want(`F${n}`);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(seen.opened).toBe(2);
    expect(pool.max).toBe(1);
    for (let n = 0; n < 4; n++) {
      leases[n]?.[Symbol.dispose]();
      await vi.advanceTimersByTimeAsync(1_000);
    }
    expect([leases.length, seen.opened]).toEqual([5, 2]);
  });

  it("counts the one that came in later than the refusal", async () => {
    let admit: (() => void) | undefined;
    const { open, seen } = server((nth) => (nth === 2 ? refusal : "in"));
    const pool = new ConnectionPool(
      async (signal, another) => {
        const connection = await open(signal, another);
        if (seen.opened === 3) await new Promise<void>((resolve) => (admit = resolve));
        return connection;
      },
      3,
      { ...idle, first: 3 },
    );
    const { leases, want } = asking(pool);
    await want("A");
    void want("B");
    void want("C");
    await vi.advanceTimersByTimeAsync(0);
    expect(seen.opened).toBe(3);
    admit?.();
    await vi.advanceTimersByTimeAsync(0);
    expect([leases.length, pool.max]).toEqual([2, 2]);
  });

  it("and is refused later than another one: the only one that is in is not given up meanwhile", async () => {
    let refuse: (() => void) | undefined;
    const { open, seen } = server((nth) => (nth === 2 ? refusal : "in"));
    const pool = new ConnectionPool(
      async (signal, another) => {
        const connection = open(signal, another);
        if (seen.opened === 3) await new Promise<void>((_, reject) => (refuse = () => reject(refusal)));
        return connection;
      },
      3,
      { ...idle, first: 3 },
    );
    const { leases, errors, want } = asking(pool);
    await want("A");
    void want("B");
    await want("C");
    leases[0]?.[Symbol.dispose]();
    await vi.advanceTimersByTimeAsync(0);
    leases[1]?.[Symbol.dispose]();
    await vi.advanceTimersByTimeAsync(0);
    refuse?.();
    await vi.advanceTimersByTimeAsync(0);
    expect([leases.length, errors, seen.opened, seen.made[0]?.closed]).toEqual([3, [], 3, undefined]);
  });

  it("was lost before: it is replaced where the server lets us, and else the others go on", async () => {
    const { open, seen } = server((nth) => (nth <= 3 ? "in" : refusal));
    const pool = new ConnectionPool(open, 2, { ...idle, first: 2 });
    const { leases, errors, want } = asking(pool);
    await want("A");
    await want("B");
    for (const at of [0, 2]) {
      const lost = seen.made[at];
      if (lost !== undefined) lost.failure = dead;
      leases.find(({ connection }) => connection === lost)?.[Symbol.dispose]();
      await want(`after ${at}`);
    }
    expect([leases.length, seen.opened, errors]).toEqual([3, 4, []]);
    leases[1]?.[Symbol.dispose]();
    await vi.advanceTimersByTimeAsync(0);
    expect([leases.length, pool.max]).toEqual([4, 1]);
  });
});

describe("with no connection in", () => {
  it("whoever wanted one is told why, and the next one tries for himself", async () => {
    const { open, seen } = server((nth) => (nth === 2 ? refusal : "in"));
    const pool = new ConnectionPool(open, 2, { ...idle, first: 2 });
    const { leases, errors, want } = asking(pool);
    await want();
    const [first] = seen.made;
    if (first !== undefined) first.failure = dead;
    leases[0]?.[Symbol.dispose]();
    await want();
    expect([leases.length, errors]).toEqual([1, [refusal]]);
    await want();
    expect([leases.length, seen.another]).toEqual([2, [false, false, false]]);
  });

  it("a connection that is lent and dead is none", async () => {
    const { open, seen } = server((nth) => (nth === 2 ? refusal : "in"));
    const pool = new ConnectionPool(open, 2, { ...idle, first: 2 });
    const { errors, want } = asking(pool);
    await want("A");
    const [first] = seen.made;
    if (first !== undefined) first.failure = dead;
    await want("B");
    expect(errors).toEqual([refusal]);
  });
});

describe("while one is being opened", () => {
  it("and takes its time, an idle one of another folder does", async () => {
    const { open, seen } = server((nth) => (nth === 1 ? "in" : "hang"));
    const pool = new ConnectionPool(open, 4, { ...idle, first: 4 });
    const { leases, want } = asking(pool);
    await want("A");
    if (leases[0] !== undefined)
      leases[0].connection.selected = { name: "A", readOnly: true, uidValidity: "1", exists: 0, flags: [] };
    leases[0]?.[Symbol.dispose]();
    await want("B");
    expect([leases.length, seen.opened]).toEqual([1, 2]);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(leases.length).toBe(2);
    await pool[Symbol.asyncDispose]();
    expect([seen.aborted, vi.getTimerCount()]).toEqual([1, 0]);
  });

  it("whoever stops waiting ends the opening, if nobody else waits", async () => {
    const { open, seen } = server(() => "hang");
    const pool = new ConnectionPool(open, 4, { ...idle, first: 4 });
    const { errors, want } = asking(pool);
    const [one, other] = [new AbortController(), new AbortController()];
    await want("A", one.signal);
    await want("B", other.signal);
    one.abort(refusal);
    await vi.advanceTimersByTimeAsync(0);
    expect(seen.aborted).toBe(0);
    other.abort(refusal);
    await vi.advanceTimersByTimeAsync(0);
    expect([seen.aborted, errors.length, seen.opened]).toEqual([2, 2, 2]);
  });
});

describe("an opening that nobody waits for any more", () => {
  it("is no word of the server's, and leaves no timer", async () => {
    const { open } = server((nth) => (nth === 2 ? "hang" : "in"));
    const pool = new ConnectionPool(open, 4, { ...idle, first: 4 });
    const { leases, want } = asking(pool);
    await want("A");
    expect(vi.getTimerCount()).toBe(0);
    const stop = new AbortController();
    await want("B", stop.signal);
    stop.abort(refusal);
    await vi.advanceTimersByTimeAsync(0);
    expect([pool.max, vi.getTimerCount()]).toEqual([4, 0]);
    await want("C");
    expect(leases.length).toBe(2);
  });
});

describe("two accounts on one server that grants a sum", () => {
  it("the one without any connection gets one of the other's, also one that is lent, and the other opens no more", async () => {
    for (const isLent of [false, true]) {
      const granted = 2;
      let isIn = 0;
      const grant = (): "in" | Error => (isIn++ < granted ? "in" : refusal);
      const source = server(grant);
      const target = server(grant);
      const from = new ConnectionPool(source.open, 3, { ...idle, first: 3, place: "h:143" });
      const to = new ConnectionPool(target.open, 3, { ...idle, first: 3, place: "h:143" });
      const elsewhere = new ConnectionPool(server(() => "in").open, 3, { ...idle, first: 3, place: "g:143" });
      const [reader, writer, other] = [asking(from), asking(to), asking(elsewhere)];
      for (const { want } of [other, other, reader, reader]) await want("A");
      if (!isLent) reader.leases[1]?.[Symbol.dispose]();
      await writer.want();
      expect(writer.errors).toEqual([refusal]);
      if (isLent) reader.leases[1]?.[Symbol.dispose]();
      expect(source.seen.made.map(({ closed = false }) => closed)).toEqual([false, true]);
      isIn = granted - 1;
      await writer.want();
      expect(writer.leases.length).toBe(1);
      await reader.want("B");
      expect([source.seen.opened, from.max, elsewhere.max]).toEqual([2, 1, 3]);
      for (const pool of [from, to, elsewhere]) await pool[Symbol.asyncDispose]();
    }
  });

  it("nobody gives away his only one", async () => {
    const source = server((nth) => (nth === 1 ? "in" : refusal));
    const from = new ConnectionPool(source.open, 3, { ...idle, first: 3, place: "h:143" });
    const to = new ConnectionPool(server(() => refusal).open, 3, { ...idle, first: 3, place: "h:143" });
    const [reader, writer] = [asking(from), asking(to)];
    await reader.want("A");
    reader.leases[0]?.[Symbol.dispose]();
    await writer.want();
    expect([writer.errors, source.seen.made[0]?.closed]).toEqual([[refusal], undefined]);
    await from[Symbol.asyncDispose]();
    await to[Symbol.asyncDispose]();
  });
});
