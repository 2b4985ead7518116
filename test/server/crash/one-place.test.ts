// Source and target are one place under two names, and the run that finds it out is killed at its steps: no message is gone from the
// place, then or ever.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openMaildirSource } from "../../../src/sources/maildir.ts";
import { builtMain } from "../../kit/build.ts";
import { contentOf } from "../../kit/content.ts";
import { count, countCompared } from "../../kit/counts.ts";
import { type Command, type Death, type Ended, start, startHere } from "../../kit/crash.ts";
import { drawDeaths, everyDeath } from "../../kit/deaths.ts";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";
import type { Seed } from "../../kit/imap-client.ts";
import { randomFrom } from "../../kit/random.ts";
import { seedMaildir } from "../../kit/seed-maildir.ts";
import { FIRST_SEED, SOAK_SECONDS } from "../../kit/seeds.ts";

const TIME_LIMIT_MS = 1_800_000 + SOAK_SECONDS * 1000;
/** In an ordinary run; weighty steps come first. */
const DEATHS = 7;
const { signal } = new AbortController();
let server: Dovecot;
let root = "";
let main = "";
let serial = 0;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "mailferry-one-place-"));
  main = await builtMain();
  server = await startDovecot({ users: [], fsync: false });
});
afterAll(async () => {
  await server?.stop();
  rmSync(root, { recursive: true, force: true });
});

/** The first two are equal, the others are not. */
const MAIL: readonly Seed[] = [0, 0, 1, 2, 3].map((n, i) => ({
  folder: i < 4 ? ["INBOX"] : ["Work"],
  bytes: Buffer.from(`Message-ID: <${n}@x>\r\nSubject: ${n}\r\n\r\n${"body\r\n".repeat(9 - n)}`),
  received: { epochSeconds: 1_600_000_000 + i, zoneMinutes: 0 },
}));

interface Place {
  readonly user: string;
  /** The same mail by another account of the server, which counts its UIDs by itself. */
  readonly twin: string;
  readonly maildir: string;
}

async function place(): Promise<Place> {
  const user = `user${serial++}`;
  await server.addUser(user);
  seedMaildir(server, user, MAIL);
  const maildir = server.maildir(user);
  const twin = `twin${serial++}`;
  await server.addUser(twin, { mailLocation: `maildir:${maildir}:CONTROL=~/control:INDEX=~/index` });
  return { user, twin, maildir };
}

const url = (kind: "imap" | "pop3", user: string): string =>
  `${kind}://${user}@localhost:${server.ports[kind]}?tls=none`;

/** What there is of each message; how often is not asked here: a copy in a place of its own makes two of one. */
async function held({ maildir }: Place): Promise<Map<string, number>> {
  await using source = await openMaildirSource({ path: maildir }, signal);
  const counts = new Map<string, number>();
  for (const [folder, messages] of await contentOf(source))
    for (const { key } of messages) counts.set(`${folder} ${key}`, (counts.get(`${folder} ${key}`) ?? 0) + 1);
  return counts;
}

const WAYS = {
  "a maildrop and its account": ({ user }: Place) => ["migrate", url("pop3", user), url("imap", user), "--move"],
  "a maildrop and the server's own Maildir": ({ user, maildir }: Place) => [
    "drain",
    url("pop3", user),
    `maildir:${maildir}`,
  ],
  "two accounts with UIDs of their own": ({ user, twin }: Place) => [
    "migrate",
    url("imap", user),
    url("imap", twin),
    "--move",
  ],
};

it.each(Object.entries(WAYS))(
  "%s: killed at the steps of its trial",
  async (name, argsOf) => {
    const commandOf = (made: Place, state: string): Command => ({
      main,
      args: [...argsOf(made), "--state", state, "--yes"],
      password: server.password,
      scratch: root,
    });
    /** Of each message there are as many as at the beginning at the least. */
    const expectAll = async (made: Place, before: ReadonlyMap<string, number>, where: string): Promise<void> => {
      const now = await held(made);
      const lines = (counts: ReadonlyMap<string, number>): string[] =>
        [...counts].flatMap(([key, many]) => Array.from({ length: many }, () => key));
      countCompared(
        lines(before),
        lines(new Map([...now].map(([key, many]) => [key, Math.min(many, before.get(key) ?? 0)]))),
      );
      for (const [key, many] of before) expect(now.get(key) ?? 0, `${where}: ${key}`).toBeGreaterThanOrEqual(many);
    };
    const counted = await start(commandOf(await place(), join(root, `state${serial}`)), { count: true });
    expect(counted.code, counted.stderr).toBe(2);
    const deaths: readonly Death[] =
      SOAK_SECONDS > 0
        ? everyDeath(counted.steps)
        : drawDeaths(counted.steps, name.startsWith("two") ? 3 : DEATHS, randomFrom(FIRST_SEED));
    const until = performance.now() + SOAK_SECONDS * 1000;
    let killed = 0;
    for (const death of deaths) {
      if (SOAK_SECONDS > 0 && performance.now() > until) break;
      const made = await place();
      const before = await held(made);
      const command = commandOf(made, join(root, `state${serial}`));
      const where = `${name}, seed ${FIRST_SEED}: killed before ${death.kind}/${death.nth}`;
      const died: Ended = await start(command, { death });
      const isKilled = died.signal === "SIGKILL";
      // Between the one deletion and the putting back the message lies on this machine's disk alone.
      for (const run of ["second", "third"]) {
        const next = await startHere(command);
        expect(next.code, `${where}, ${run} run\n${next.stderr}`).toBe(2);
        expect(next.stderr, `${where}, ${run} run`).toContain("under two names");
        await expectAll(made, before, `${where}, ${run} run`);
        // What was put into the server's own Maildir is to be the server's.
        server.adopt(made.user);
      }
      if (isKilled) {
        killed++;
        count("crash points");
      }
    }
    expect(killed).toBeGreaterThan(deaths.length / 2);
  },
  TIME_LIMIT_MS,
);
