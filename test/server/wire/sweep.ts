// Sweeps a fault over the octets of a job's conversation: many cases at once, seeded, and without end in a soak.

import { expect } from "vitest";
import { EXIT, type ExitCode } from "../../../src/cli/exit.ts";
import { count } from "../../kit/counts.ts";
import { type Cut, type Direction, startProxy } from "../../kit/proxy.ts";
import { type Random, randomFrom } from "../../kit/random.ts";
import type { Job, Yard } from "./jobs.ts";

/** Jobs at once: most of each is waiting for the other side. */
const LANES = 8;
/** How long a soak goes on with places drawn anew, in one file; 0: the bounded sweep alone. */
const SOAK_MS = Number(process.env.MAILFERRY_SOAK_SECONDS ?? 0) * 1000;
/** A failure names the place; with the seed the same ones are met again. */
const SEED = Number(process.env.MAILFERRY_SEED ?? 1);

/** What is done to the wire, beside where. */
export type Fault = Pick<Cut, "how" | "connections">;

export interface Sweep {
  readonly job: Job;
  readonly direction: Direction;
  /** Places; all of them where the conversation has no more octets. */
  readonly cases: number;
  readonly counted: "cuts" | "wire faults";
  fault(random: Random): Fault;
  readonly lanes?: number;
  /** Sweeps that the file makes: they share its time. */
  readonly sweeps: number;
}

export interface Swept {
  /** Runs that went on by themselves, and those that had to be started again. */
  readonly itself: number;
  readonly again: number;
  /** Runs that found copies which the server had stored and never confirmed. */
  readonly adopted: number;
}

/** In each case the target ends up with what the source holds, once; a fault behind the login ends no run. */
export async function sweep(yard: Yard, options: Sweep): Promise<Swept> {
  const { job, direction, counted } = options;
  const { opening, whole, connections, answers } = await lengths(yard, job, direction);
  const random = randomFrom(SEED);
  const swept = { itself: 0, again: 0, adopted: 0 };
  const until = performance.now() + SOAK_MS / options.sweeps;
  do {
    // That a server stored something and its answer was lost is not left to what is drawn.
    const rest = [...answers, ...places(whole, options.cases, random)].entries();
    const lane = async (): Promise<void> => {
      for (const [, afterBytes] of rest) {
        const fault = options.fault(random);
        const place = `${fault.how} after ${afterBytes} of ${whole} octets ${direction}`;
        const where = within(connections, afterBytes);
        try {
          // A handshake that is garbled looks like one with a server that speaks no TLS.
          const isLogin = where.afterBytes <= opening;
          const isHandshake = fault.how === "garbage" && isLogin;
          const exits = isHandshake ? [EXIT.temporary, EXIT.usage] : [EXIT.temporary];
          const { failure, first } = await carryThrough(yard, job, { direction, ...where, ...fault }, exits);
          if (first === undefined || first.outcome !== "complete") swept.again++;
          else swept.itself++;
          if ((first?.balance.adopted ?? 0) > 0) swept.adopted++;
          if ((where.after > 0 || !isLogin) && fault.connections === 1 && !yard.isImpatient)
            expect(failure, place).toBeUndefined();
        } catch (error) {
          throw new Error(`${job.name}: ${place} (MAILFERRY_SEED=${SEED})`, { cause: error });
        }
        count(counted);
      }
    };
    await Promise.all(Array.from({ length: options.lanes ?? LANES }, lane));
  } while (performance.now() < until);
  return swept;
}

async function carryThrough(yard: Yard, job: Job, cut: Cut, exits: readonly ExitCode[]): ReturnType<Yard["carry"]> {
  await using proxy = await startProxy(yard.dovecot.ports[portOf(yard, job)]);
  return await yard.carry(job, proxy.port, {
    fault: () => proxy.configure({ cut }),
    mended: () => proxy.configure({}),
    exits,
  });
}

function portOf({ security }: Yard, { kind }: Job): "imap" | "imaps" | "pop3" | "pop3s" {
  return security === "tls" ? `${kind}s` : kind;
}

interface Lengths {
  /** Up to the end of the first login. */
  readonly opening: number;
  readonly whole: number;
  /** Of each connection, in the order in which they were made. */
  readonly connections: readonly number[];
  /** Places within the answers to an APPEND. */
  readonly answers: readonly number[];
}

/** The octets of one undisturbed job in this direction. */
async function lengths(yard: Yard, job: Job, direction: Direction): Promise<Lengths> {
  const target = yard.dovecot.ports[portOf(yard, job)];
  await using login = await startProxy(target);
  await using _open = await job.open(login.port);
  const opening = login.bytes[direction];
  const passed: string[] = [];
  const seen = (way: Direction, chunk: Buffer, connection: number): void => {
    if (way === direction) passed[connection] = (passed[connection] ?? "") + chunk.toString("latin1");
  };
  await using proxy = await startProxy(target, { seen });
  let all: readonly string[] = [];
  const mended = (): void => {
    all = Array.from(passed, (text = "") => text);
  };
  const { failure } = await yard.carry(job, proxy.port, { fault: () => undefined, mended });
  expect(failure).toBeUndefined();
  const found = all.join("").matchAll(/^\S+ OK (?:\[APPENDUID |Append)/gm);
  return {
    opening,
    whole: all.reduce((sum, { length }) => sum + length, 0),
    connections: all.map(({ length }) => length),
    answers: [...found].map(({ index }) => index + "1 OK ".length),
  };
}

/** Which connection a place of the whole conversation is in, and where there. */
function within(
  connections: readonly number[],
  place: number,
): { readonly after: number; readonly afterBytes: number } {
  let before = 0;
  for (const [after, length] of connections.entries()) {
    if (place <= before + length) return { after, afterBytes: place - before };
    before += length;
  }
  return { after: 0, afterBytes: place };
}

/** Every place, or one drawn from each of as many equal stretches. */
function places(total: number, cases: number, random: Random): number[] {
  if (cases >= total) return Array.from({ length: total }, (_, n) => n + 1);
  return Array.from({ length: cases }, (_, n) => {
    const [from, to] = [n, n + 1].map((at) => Math.floor((at * total) / cases));
    return 1 + (from ?? 0) + random.upTo(Math.max(1, (to ?? 0) - (from ?? 0)));
  });
}
