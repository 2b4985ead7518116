// A small account that is copied to a target, and what its tests do to the state in between: files found, lines read, results compared.

import { cpSync, readdirSync, rmSync, statSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import type { MailError } from "../../../src/mail/errors.ts";
import type { RunSummary } from "../../../src/migrate/events.ts";
import { type RunOptions, run } from "../../../src/migrate/run.ts";
import { openImapSource } from "../../../src/sources/imap.ts";
import { count, countCompared } from "../../kit/counts.ts";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";
import { connectImap, type ImapClient, type Seed } from "../../kit/imap-client.ts";
import { quickDisk } from "../../kit/scratch.ts";
import { seedMaildir } from "../../kit/seed-maildir.ts";
import { type Content, held, keys, PLACES, type Place } from "../places.ts";

const signal = new AbortController().signal;
const PATIENCE = { attempts: 2, firstDelayMs: 1 };

/** Twins, flags and keywords in two folders. */
export function seeds(): Seed[] {
  return [["INBOX"], ["Work", "2024"]].flatMap((folder) =>
    [1, 2, 2, 3].map((n) =>
      seed(`${folder.join("-")}${n}`, folder, n === 1 ? ["seen"] : [], n === 3 ? ["Project"] : []),
    ),
  );
}

export function seed(
  name: string,
  folder: Seed["folder"],
  flags: NonNullable<Seed["flags"]> = [],
  keywords: readonly string[] = [],
): Seed {
  return {
    folder,
    bytes: Buffer.from(`Message-ID: <${name}@example.org>\r\nSubject: ${name}\r\n\r\nthe body of ${name}\r\n`),
    flags,
    keywords,
    received: { epochSeconds: 1_600_000_000 },
  };
}

export type PlaceName = keyof typeof PLACES;

/** One source account, its target and its state, for one test. */
export interface Scene extends Place {
  readonly state: string;
  /** The target's files, where it has any. */
  readonly path: string;
  /** What the source holds. */
  wanted(): Promise<Content>;
  go(options?: Partial<RunOptions>): Promise<RunSummary>;
  /** The same, and the content of the target is then that of the source, each message once; the run after it copies nothing. */
  heals(options?: Partial<RunOptions>): Promise<RunSummary>;
  /** The run refuses, in words that match, and changes nothing. */
  refuses(words: RegExp): Promise<void>;
  /** Another mail program at the source or at the target account. */
  atSource<T>(work: (client: ImapClient) => Promise<T>): Promise<T>;
  atTarget<T>(work: (client: ImapClient) => Promise<T>): Promise<T>;
  /** One a target folder. */
  journals(): string[];
  /** Keeps the target's mail as it is now, as a snapshot does; gives what puts it back, UIDVALIDITYs and all. */
  snapshot(): () => Promise<void>;
}

/** Starts a server for this file; gives a maker of scenes. */
export function scenes(): { scene(target: PlaceName): Promise<Scene> } {
  let dovecot: Dovecot;
  let root: string;
  let made = 0;
  beforeAll(async () => {
    root = await mkdtemp(join(quickDisk(), "mailferry-state-"));
    dovecot = await startDovecot({ fsync: false, users: [] });
  });
  afterAll(async () => {
    await dovecot?.stop();
    await rm(root, { recursive: true, force: true });
  });
  const scene = async (target: PlaceName): Promise<Scene> => {
    count("states");
    const directory = join(root, `scene${++made}`);
    await mkdir(directory);
    const from = `from${made}`;
    await dovecot.addUser(from);
    seedMaildir(dovecot, from, seeds());
    const path = join(directory, "target");
    const place: Place = await PLACES[target](dovecot, path);
    const source = () => openImapSource(dovecot.serverOptions("imap", from), signal);
    const state = join(directory, "state");
    const as = async <T>(user: string, work: (client: ImapClient) => Promise<T>): Promise<T> => {
      await using client = await connectImap(dovecot.serverOptions("imap", user));
      return await work(client);
    };
    const go = async (options: Partial<RunOptions> = {}): Promise<RunSummary> => {
      await using open = await source();
      await using sink = await place.sink();
      return await run(open, sink, { stateDirectory: state, patience: PATIENCE, ...options }, signal).finished;
    };
    const wanted = (): Promise<Content> => held(source());
    return {
      ...place,
      state,
      path,
      wanted,
      go,
      async heals(options) {
        const summary = await go(options);
        const [at, there] = await Promise.all([wanted(), place.content()]);
        countCompared(keys(at), keys(there));
        expect(there).toEqual(at);
        expect(summary).toMatchObject({ outcome: "complete", closes: true });
        const again = await go();
        expect(again.balance.copied + again.balance.adopted).toBe(0);
        expect(await place.content()).toEqual(at);
        return summary;
      },
      async refuses(words) {
        const before = await place.content();
        const refusal: unknown = await go().catch((error: unknown) => error);
        expect(refusal).toMatchObject({
          name: "MailError",
          details: { remedy: "give-up" } satisfies Partial<MailError["details"]>,
        });
        expect(String(refusal)).toMatch(words);
        expect(await place.content()).toEqual(before);
      },
      atSource: (work) => as(from, work),
      atTarget: (work) => as(place.user ?? expect.fail("no account"), work),
      journals: () => [state, path].flatMap(journalsBelow),
      snapshot() {
        const store = place.user === undefined ? path : dovecot.maildir(place.user);
        const kept = join(directory, `snapshot${++made}`);
        cpSync(store, kept, { recursive: true, preserveTimestamps: true });
        // The ledger of an archive is not what goes back: it would know nothing of what was lost.
        const home = join(path, "mailferry");
        return async () => {
          if (place.user === undefined) cpSync(home, join(kept, "mailferry"), { recursive: true, force: true });
          rmSync(store, { recursive: true });
          cpSync(kept, store, { recursive: true, preserveTimestamps: true });
          if (place.user !== undefined) await dovecot.adopt(place.user);
        };
      },
    };
  };
  return { scene };
}

function journalsBelow(directory: string): string[] {
  if (statSync(directory, { throwIfNoEntry: false }) === undefined) return [];
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((name) => /ledger\/[^/]+\/(?!runs\.)[^/]+\.jsonl$/.test(name))
    .map((name) => join(directory, name));
}
