// Fuzzing with seeds: inputs made by a generator, each checked within a bound of time and memory, each to be had again.
//
// `npm test` gives each target a bounded number of inputs and a bounded time. MAILFERRY_SOAK_SECONDS is the time that the
// targets of one file have together, from a seed that nobody knows; MAILFERRY_SEED is the seed of the first input, and is
// what a failure prints.

import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, expect, it } from "vitest";
import { MailError } from "../../src/mail/errors.ts";
import { count } from "../kit/counts.ts";
import { type Random, randomFrom } from "../kit/random.ts";

/** One thing to be fuzzed. */
export interface Target<Input> {
  /** In `npm test`. */
  readonly inputs: number;
  make(random: Random): Input;
  /** Throws where a property does not hold; a MailError is an answer, unless the target itself says otherwise. */
  check(input: Input, random: Random): void | Promise<void>;
  /** The input's octets, for the message of a failure; JSON where there are none. */
  show?(input: Input): Uint8Array;
}

const SECONDS_HERE = 6;
/** Of the processor: other programs may be busy. No input is larger than some hundred KB, nor takes more than milliseconds. */
const INPUT_LIMIT_MS = 3_000;
const HANG_MS = 30_000;
/** What the process may grow by over all inputs of a target: what is held beyond its input is held by mistake. */
const GROWTH_LIMIT = 200 * 1024 * 1024;

const soakSeconds = Number(process.env.MAILFERRY_SOAK_SECONDS ?? 0);
const wanted = process.env.MAILFERRY_SEED;
const firstSeed = wanted === undefined ? (soakSeconds > 0 ? Date.now() >>> 0 : 1) : Number(wanted);

/** A test for each target. */
export function fuzz(targets: Readonly<Record<string, Target<never>>>): void {
  const names = Object.keys(targets);
  const seconds = soakSeconds > 0 ? soakSeconds / names.length : SECONDS_HERE;
  const watch = watchdog();
  beforeAll(watch.start);
  afterAll(watch.stop);
  it.each(names)(
    "%s",
    async (name) => {
      const target = targets[name] as Target<unknown>;
      const done = await run(name, target, seconds, watch);
      count("fuzz inputs", done);
      expect(done).toBeGreaterThan(0);
    },
    (seconds + 60) * 1000,
  );
}

/** Keeps the type of an input within its target. */
export function target<Input>(one: Target<Input>): Target<never> {
  return one as unknown as Target<never>;
}

async function run(name: string, one: Target<unknown>, seconds: number, watch: Watch): Promise<number> {
  const until = performance.now() + seconds * 1000;
  const inputs = soakSeconds > 0 ? Number.POSITIVE_INFINITY : one.inputs;
  const before = process.memoryUsage().rss;
  let done = 0;
  for (; done < inputs && performance.now() < until; done++) {
    const seed = (firstSeed + done) >>> 0;
    watch.at(name, seed);
    const random = randomFrom(seed);
    const input = one.make(random);
    const started = process.cpuUsage();
    try {
      await one.check(input, random);
    } catch (error) {
      if (!(error instanceof MailError)) throw failure(name, seed, one, input, error);
    }
    const used = process.cpuUsage(started);
    const took = (used.user + used.system) / 1000;
    if (took > INPUT_LIMIT_MS) throw failure(name, seed, one, input, new Error(`took ${Math.round(took)} ms`));
  }
  watch.at(name, -1);
  const growth = process.memoryUsage().rss - before;
  if (growth > GROWTH_LIMIT) throw new Error(`${name}: grew by ${Math.round(growth / 1024 / 1024)} MB`);
  return done;
}

function failure(name: string, seed: number, { show }: Target<unknown>, input: unknown, cause: unknown): Error {
  const octets = show === undefined ? Buffer.from(JSON.stringify(input) ?? "") : show(input);
  const why = cause instanceof Error ? cause.message : String(cause);
  const text = `${name}: MAILFERRY_SEED=${seed}, input in base64: ${Buffer.from(octets).toString("base64")}\n${why}`;
  return new Error(text, { cause });
}

interface Watch {
  start(): void;
  at(name: string, seed: number): void;
  stop(): Promise<void>;
}

/** A loop without end stops the event loop too: a thread of its own says which input it was, and ends the process. */
function watchdog(): Watch {
  const shared = new Int32Array(new SharedArrayBuffer(8));
  let worker: Worker | undefined;
  const code = `
    const { workerData, parentPort } = require("node:worker_threads");
    let name = "";
    parentPort.on("message", (text) => { name = text; });
    let last = -1, since = Date.now();
    setInterval(() => {
      const turn = Atomics.load(workerData, 0);
      if (turn !== last) { last = turn; since = Date.now(); }
      else if (Atomics.load(workerData, 1) !== -1 && Date.now() - since > ${HANG_MS}) {
        require("node:fs").writeSync(2, name + ": MAILFERRY_SEED=" + (Atomics.load(workerData, 1) >>> 0) + " does not come to an end\\n");
        process.kill(process.pid, "SIGKILL");
      }
    }, 1000);
  `;
  let known = "";
  return {
    start() {
      Atomics.store(shared, 1, -1);
      worker = new Worker(code, { eval: true, workerData: shared });
      worker.unref();
    },
    at(name, seed) {
      if (name !== known) worker?.postMessage(name);
      known = name;
      Atomics.store(shared, 1, seed | 0);
      Atomics.add(shared, 0, 1);
    },
    async stop() {
      await worker?.terminate();
    },
  };
}
