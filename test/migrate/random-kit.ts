// A small world of mail that a seed makes, and runs over it that are cut, refused, stopped and killed at any step.

import { cpSync, rmSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { MailError } from "../../src/mail/errors.ts";
import type { SystemFlag } from "../../src/mail/model.ts";
import type { RunSummary } from "../../src/migrate/events.ts";
import { type RunOptions, run } from "../../src/migrate/run.ts";
import {
  type MemoryFolder,
  type MemoryStore,
  mail,
  memorySink,
  memorySource,
  newStore,
  type SinkFaults,
  type SinkStep,
  type SourceStep,
  type StoredMail,
} from "../kit/memory.ts";
import { type Random, randomFrom } from "../kit/random.ts";

const FLAGS: readonly SystemFlag[] = ["seen", "flagged", "answered"];
const KEYWORDS = ["$Label1", "work"];
const PATIENCE = { attempts: 4, firstDelayMs: 1 };

export interface World {
  readonly random: Random;
  readonly folders: MemoryFolder[];
  store: MemoryStore;
  readonly directory: string;
  /** Options that stay the same over all runs. */
  readonly options: Partial<RunOptions>;
  readonly noReceipts: boolean;
  readonly hasEightBit: boolean;
  readonly hasState: boolean;
  /** What is wrong with the target beside the faults that are drawn, and what others do at each step of a run. */
  target: SinkFaults;
  /** The ledger was lost, or the target made anew: what was removed at the source is not known any more. */
  forgot: boolean;
  /** What was ever at the source, for runs that delete there. */
  readonly ever: StoredMail[];
  next: number;
  /** What happened, for whoever has to understand a case that failed. */
  readonly story: string[];
}

/** What is different in a world from the beginning. */
export interface Shape {
  readonly noReceipts?: boolean;
  /** Half of its mail has octets above 127 in its header. */
  readonly hasEightBit?: boolean;
}

export function worldOf(
  seed: number,
  directory: string,
  options: Partial<RunOptions> = {},
  { noReceipts, hasEightBit = false }: Shape = {},
): World {
  const random = randomFrom(seed);
  const paths = [["INBOX"], ["Work"], ["Work", "2024"]].slice(0, 1 + random.upTo(3));
  const merged = paths.length > 1 && random.chance(0.4);
  const world: World = {
    random,
    folders: paths.map((path) => ({ path, generation: "1", mail: [] })),
    store: newStore(),
    directory,
    options: {
      ...options,
      ...(merged ? { map: [{ from: ["Work"], to: ["INBOX"] }] } : {}),
    },
    noReceipts: noReceipts ?? random.chance(0.25),
    hasEightBit,
    hasState: random.chance(0.5),
    target: {},
    forgot: false,
    ever: [],
    next: 1,
    story: [],
  };
  for (const folder of world.folders) for (let n = 1 + random.upTo(7); n > 0; n--) deliver(world, folder);
  if (random.chance(0.35)) fillTarget(world);
  return world;
}

/** A third of all mail has a twin somewhere; some have no Message-ID, some share one. */
export function deliver(world: World, folder: MemoryFolder): void {
  const { random } = world;
  // A twin that comes when the first was removed is the same message to whoever does not know of the removal.
  const isLate = world.options.remove !== undefined && world.story.length > 0;
  const kind = isLate ? 2 + random.upTo(4) : random.upTo(6);
  const number = world.next++;
  const body = kind < 2 ? `twin ${kind}` : `body ${number}`;
  const header =
    kind === 5 ? "Subject: none" : `Message-ID: <${kind < 2 ? `t${kind}` : kind === 4 ? "same" : number}@x>`;
  // Nothing but its bytes tells a copy of one from an altered copy of another that has its Message-ID and date: there both may be
  // made anew. So only true twins share these here.
  const own = kind < 2 ? kind : number;
  const subject = world.hasEightBit && own % 2 === 0 ? "\r\nSubject: Gr\xfc\xdfe" : "";
  const message = mail(String(number), `${header}${subject}\r\n\r\n${body}\r\n`, {
    ...traitsOf(random),
    received: { epochSeconds: 1000 + (world.hasEightBit ? own : random.upTo(10)) * 100 },
  });
  folder.mail.push(message);
  world.ever.push(message);
}

function traitsOf(random: Random) {
  return {
    flags: new Set(FLAGS.filter(() => random.chance(0.4))),
    keywords: new Set(KEYWORDS.filter(() => random.chance(0.2))),
  };
}

/** Another program was here: half of the mail is in the target already, with flags of its own, and something else too. */
function fillTarget(world: World): void {
  const { random, store } = world;
  for (const folder of world.folders) {
    const held = targetOf(world, folder);
    for (const { bytes, traits } of folder.mail)
      if (random.chance(0.5))
        held.push({
          ref: String(store.next++),
          bytes,
          traits: random.chance(0.5) ? traits : { ...traits, ...traitsOf(random) },
        });
  }
  world.story.push("filled");
}

function targetOf(world: World, folder: MemoryFolder) {
  const isMerged = world.options.map !== undefined && folder.path[0] === "Work";
  const name = (isMerged ? ["INBOX", ...folder.path.slice(1)] : folder.path).join("/");
  const held = world.store.folders.get(name) ?? [];
  world.store.folders.set(name, held);
  return held;
}

/** What the users of both ends, and of this machine, do between two runs. */
export async function meddle(world: World): Promise<void> {
  const { random, story } = world;
  const folder = random.pick(world.folders);
  switch (random.upTo(7)) {
    case 0:
      await rm(world.directory, { recursive: true, force: true });
      world.forgot = true;
      story.push("ledger lost");
      return;
    case 1: {
      folder.generation = String(Number(folder.generation) + 1);
      const anew = folder.mail.map(({ bytes, traits }) => ({ id: String(world.next++), bytes, traits }));
      folder.mail.splice(0, folder.mail.length, ...anew);
      story.push(`new generation of ${folder.path.join("/")}`);
      return;
    }
    case 2:
      world.store.generation = String(Number(world.store.generation) + 1);
      world.forgot = true;
      story.push("new generation of the target");
      return;
    case 3:
    case 4:
      for (const message of folder.mail)
        if (random.chance(0.5)) message.traits = { ...message.traits, ...traitsOf(random) };
      story.push("flags");
      return;
    default:
      for (let n = 1 + random.upTo(3); n > 0; n--) deliver(world, folder);
      story.push("new mail");
  }
}

/** One run with what may go wrong. Returns undefined for one that was killed or gave up. */
export async function adventure(world: World, extra: Partial<RunOptions> = {}): Promise<RunSummary | undefined> {
  const { random } = world;
  const fate = random.pick(["kill", "kill", "abort", "stop", "faults", "faults", "none"] as const);
  const at = random.upTo(60);
  let faults = fate === "faults" || random.chance(0.3) ? 1 + random.upTo(4) : 0;
  const hard = new AbortController();
  let steps = 0;
  let snapshot: (() => Promise<void>) | undefined;
  let stop = (): void => undefined;
  const step = (what: SourceStep | SinkStep): void => {
    if (snapshot !== undefined) return;
    world.target.step?.(what);
    if (steps++ === at) {
      if (fate === "kill") snapshot = snap(world);
      if (fate === "kill" || fate === "abort") hard.abort();
      if (fate === "stop") stop();
    }
    if (faults > 0 && random.chance(0.12)) {
      faults--;
      throw faultAt(random, what);
    }
  };
  world.story.push(`${fate} at ${at}, ${faults} faults ${JSON.stringify({ ...extra, map: undefined })}`);
  const going = start(world, extra, step, hard.signal);
  stop = () => going.stop();
  let summary: RunSummary | undefined;
  try {
    summary = await going.finished;
  } catch (error) {
    if (!(error instanceof MailError) && !hard.signal.aborted) throw error;
  }
  await snapshot?.();
  return snapshot === undefined ? summary : undefined;
}

/** A run in which nothing goes wrong. */
export async function calm(world: World, extra: Partial<RunOptions> = {}): Promise<RunSummary> {
  world.story.push("calm");
  const step = (what: SourceStep | SinkStep): void => world.target.step?.(what);
  return await start(world, extra, step, new AbortController().signal).finished;
}

function start(
  world: World,
  extra: Partial<RunOptions>,
  step: (what: SourceStep | SinkStep) => void,
  signal: AbortSignal,
) {
  for (const folder of world.folders) if (world.hasState) folder.state = stateOf(folder);
  const source = memorySource(world.folders, { step });
  const sink = memorySink(world.store, { ...world.target, step, noReceipts: world.noReceipts });
  const options = { stateDirectory: world.directory, patience: PATIENCE, ...world.options, ...extra };
  return run(source, sink, options, signal);
}

function stateOf({ generation, mail: held }: MemoryFolder): string {
  return JSON.stringify([generation, held.map(({ id, traits }) => [id, [...traits.flags], [...traits.keywords]])]);
}

export function copyOf(store: MemoryStore): MemoryStore {
  const folders = [...store.folders].map(([name, held]) => [name, held.map((item) => ({ ...item }))] as const);
  return { ...store, folders: new Map(folders) };
}

/** The disk, the target and the source as they are at this instant; to be put back when the rest of the run is over. */
function snap(world: World): () => Promise<void> {
  const copy = `${world.directory}.killed`;
  rmSync(copy, { recursive: true, force: true });
  let hasDisk = true;
  try {
    cpSync(world.directory, copy, { recursive: true });
  } catch {
    hasDisk = false;
  }
  const store = copyOf(world.store);
  const source = world.folders.map(({ mail: held }) => [...held]);
  return async () => {
    await rm(world.directory, { recursive: true, force: true });
    if (hasDisk) {
      cpSync(copy, world.directory, { recursive: true });
      await rm(copy, { recursive: true });
      // Its holder is dead; this process, which lent it its number, is not.
      for (const name of await readdir(world.directory, { recursive: true }))
        if (/(^|\/)lock(\.|$)/.test(name)) await rm(join(world.directory, name));
    }
    world.store = store;
    for (const [i, held] of source.entries()) world.folders[i]?.mail.splice(0, Number.POSITIVE_INFINITY, ...held);
  };
}

function faultAt(random: Random, what: SourceStep | SinkStep): MailError {
  const connection = (outcome: "none" | "unknown") =>
    new MailError("connection", `cut at ${what}`, { scope: "account", remedy: "retry", outcome });
  const message = (remedy: "retry" | "give-up", outcome: "none" | "unknown" = "none") =>
    new MailError("protocol", `refused at ${what}`, { scope: "message", remedy, outcome });
  switch (what) {
    case "store":
      return random.pick([connection("none"), connection("unknown"), message("retry"), message("give-up")]);
    case "stored":
      return random.pick([connection("unknown"), message("retry", "unknown"), message("give-up", "unknown")]);
    case "content":
      return random.pick([connection("none"), message("retry"), message("give-up")]);
    case "update":
      return random.pick([connection("none"), message("retry"), message("give-up")]);
    case "open":
      return random.pick([
        connection("none"),
        new MailError("protocol", "folder refused", { scope: "folder", remedy: "give-up" }),
      ]);
    default:
      return connection("none");
  }
}
