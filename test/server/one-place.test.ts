// Source and target are one place under two names: nothing is lost by deleting there, and without deleting the user hears of it.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openMaildirSource } from "../../src/sources/maildir.ts";
import { contentOf } from "../kit/content.ts";
import { type Dovecot, startDovecot } from "../kit/dovecot.ts";
import type { Seed } from "../kit/imap-client.ts";
import { type Carried, carryOut } from "../kit/in-process.ts";
import { seedMaildir } from "../kit/seed-maildir.ts";

const { signal } = new AbortController();
let server: Dovecot;
let root = "";
let serial = 0;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "one-place-"));
  server = await startDovecot({ users: [], fsync: false });
});
afterAll(async () => {
  await server?.stop();
  rmSync(root, { recursive: true, force: true });
});

const MAIL: readonly Seed[] = Array.from({ length: 12 }, (_, i) => ({
  folder: i < 8 ? ["INBOX"] : ["Work"],
  bytes: Buffer.from(`Message-ID: <${i}@x>\r\nSubject: ${i}\r\n\r\n${"body\r\n".repeat(20 - i)}`),
  flags: i % 2 === 0 ? ["seen", "flagged"] : [],
  received: { epochSeconds: 1_600_000_000 + i, zoneMinutes: 0 },
}));

interface Store {
  readonly user: string;
  /** The same mail by another account of the server, which counts its UIDs by itself. */
  readonly twin: string;
  readonly maildir: string;
}

async function store(mail: readonly Seed[] = MAIL): Promise<Store> {
  const user = `user${serial++}`;
  await server.addUser(user);
  seedMaildir(server, user, mail);
  const maildir = server.maildir(user);
  const twin = `twin${serial++}`;
  await server.addUser(twin, { mailLocation: `maildir:${maildir}:CONTROL=~/control:INDEX=~/index` });
  return { user, twin, maildir };
}

const url = (kind: "imap" | "pop3", user: string): string =>
  `${kind}://${user}@localhost:${server.ports[kind]}?tls=none`;

/** Everything that there is, by folder: contents, flags and dates. Dovecot marks as seen what a maildrop gives. */
async function held({ maildir }: Store): Promise<Record<string, readonly string[]>> {
  await using source = await openMaildirSource({ path: maildir }, signal);
  const all = [...(await contentOf(source))].filter(([, messages]) => messages.length > 0);
  return Object.fromEntries(
    all.map(([folder, messages]) => [
      folder,
      messages.map((one) => JSON.stringify({ ...one, flags: one.flags.replace(/ ?seen/, "") })).sort(),
    ]),
  );
}

const carry = (...args: readonly string[]): Promise<Carried> =>
  carryOut([...args, "--state", join(root, `state${serial}`), "--yes"], server.password);

interface Way {
  readonly name: string;
  readonly command: "migrate --move" | "drain";
  source(store: Store): string;
  target(store: Store): string;
}

const WAYS: readonly Way[] = [
  {
    name: "a maildrop and its account",
    command: "migrate --move",
    source: (s) => url("pop3", s.user),
    target: (s) => url("imap", s.user),
  },
  {
    name: "a maildrop and the server's own Maildir",
    command: "drain",
    source: (s) => url("pop3", s.user),
    target: (s) => `maildir:${s.maildir}`,
  },
  {
    name: "an account and the server's own Maildir",
    command: "migrate --move",
    source: (s) => url("imap", s.user),
    target: (s) => `maildir:${s.maildir}`,
  },
  {
    name: "two accounts with UIDs of their own",
    command: "migrate --move",
    source: (s) => url("imap", s.user),
    target: (s) => url("imap", s.twin),
  },
  {
    name: "a maildrop and another server's account on its mail",
    command: "migrate --move",
    source: (s) => url("pop3", s.user),
    target: (s) => url("imap", s.twin),
  },
];

describe.each(WAYS.map((way) => [way.name, way] as const))("%s", (_, { command, source, target }) => {
  const [verb = "", ...options] = command.split(" ");

  it("deleting there costs no message, and says why it is refused; so does every further run", async () => {
    const place = await store();
    const before = await held(place);
    for (let run = 0; run < 3; run++) {
      const { code, stderr } = await carry(verb, source(place), target(place), ...options);
      expect(code, stderr).toBe(2);
      expect(stderr).toContain("under two names");
      expect(await held(place)).toEqual(before);
      // What was put into the server's own Maildir is to be the server's.
      server.adopt(place.user);
    }
  });

  it("with twins before all others it is refused as well: of two equal copies nobody knows which one is whose", async () => {
    const [one] = MAIL;
    if (one === undefined) throw new Error("there is mail");
    const twin: Seed = { ...one, flags: [] };
    const mail = [twin, twin, twin, twin, ...MAIL.slice(1, 4)];
    const place = await store([...mail, ...mail.slice(0, 3).reverse()]);
    const before = await held(place);
    const { code, stderr } = await carry(verb, source(place), target(place), ...options);
    expect(code, stderr).toBe(2);
    expect(stderr).toContain("under two names");
    expect(await held(place)).toEqual(before);
  });

  it("with a ledger of earlier runs it is refused as well", async () => {
    const place = await store();
    const before = await held(place);
    const copying = verb === "drain" ? ["drain", "--leave"] : [verb];
    const state = join(root, `kept${serial++}`);
    const first = await carryOut([...copying, source(place), target(place), "--state", state], server.password);
    expect(first.code, first.stderr).toBe(0);
    // It is said though nothing is to be deleted, and nothing went wrong.
    expect(first.stderr).toMatch(/under two names/);
    const notice = first.events.find((event) => event.type === "notice" && /two names/.test(String(event.text)));
    expect(notice).toMatchObject({ insist: true });
    const second = await carryOut([verb, source(place), target(place), ...options, "--state", state], server.password);
    expect(second.code, second.stderr).toBe(2);
    expect(second.stderr).toContain("under two names");
    expect(await held(place)).toEqual(before);
  });
});

describe("two places", () => {
  it.each([
    ["pop3", "imap", "migrate --move"],
    ["imap", "imap", "migrate --move"],
    ["imap", "maildir", "migrate --move"],
    ["pop3", "maildir", "drain"],
    ["pop3", "mboxzip", "drain"],
    ["imap", "mboxzip", "migrate --move"],
  ] as const)("%s to %s: what another program put there first is moved all the same", async (from, to, command) => {
    const [verb = "", ...options] = command.split(" ");
    const place = await store();
    const other = await store(to === "mboxzip" ? [] : MAIL);
    const target =
      to === "imap"
        ? url("imap", other.user)
        : to === "maildir"
          ? `maildir:${other.maildir}`
          : `mboxzip:${join(root, `zip${serial++}`)}`;
    const first = await carry(verb, url(from, place.user), target, ...options);
    expect(first.code, first.stderr).toBe(0);
    const left = await held(place);
    expect(left).toEqual(from === "imap" ? {} : { Work: expect.any(Array) });
    if (to !== "mboxzip") expect(await held(other)).toEqual(await held(await store()));
  });
});
