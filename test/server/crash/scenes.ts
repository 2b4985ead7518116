// The ways from a source to a target that are killed at their steps: each made anew, with mail that tells every mistake.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openImapSource } from "../../../src/sources/imap.ts";
import { openMaildirSource } from "../../../src/sources/maildir.ts";
import { openMboxZipSource } from "../../../src/sources/mbox-zip.ts";
import { openPop3Source } from "../../../src/sources/pop3.ts";
import type { Source } from "../../../src/sources/source.ts";
import { contentOf, type Held, keysOf } from "../../kit/content.ts";
import type { Dovecot } from "../../kit/dovecot.ts";
import type { Seed } from "../../kit/imap-client.ts";
import { seedMaildir } from "../../kit/seed-maildir.ts";

const signal = new AbortController().signal;

/** Folder to what it holds, in a fixed order; empty folders left out. */
export type Content = ReadonlyMap<string, readonly unknown[]>;

/** A source with mail and an empty target of its own. */
export interface Scene {
  readonly args: readonly string[];
  /** What the target must hold in the end. */
  readonly wanted: Content;
  held(): Promise<Content>;
  /** What must be left at the source in the end, and what is. */
  readonly keeps: Content;
  left(): Promise<Content>;
  /** Whether a further run has nothing to look at: the source was emptied. */
  readonly drains: boolean;
}

/** Twins, flags, a keyword, dates, two folders, one of them below another; small and large beside each other. */
const MAIL: readonly Seed[] = [
  { folder: ["INBOX"], n: 1, flags: ["seen"] as const },
  { folder: ["INBOX"], n: 2 },
  { folder: ["INBOX"], n: 2 },
  { folder: ["Work", "2024"], n: 3, flags: ["flagged", "answered"] as const, keywords: ["$Label1"] },
  { folder: ["Work", "2024"], n: 2 },
].map(({ n, ...seed }) => ({
  ...seed,
  bytes: Buffer.from(
    `Message-ID: <${n}@example.org>\nSubject: message ${n}\nDate: Mon, 06 Sep 2021 10:0${n}:00 +0200\n\n${"lorem ipsum\n".repeat(n * 40)}`,
  ),
  received: { epochSeconds: 1_600_000_000 + n * 60, zoneMinutes: 0 },
}));
const EMPTY: Content = new Map();

export interface Stage {
  readonly dovecot: Dovecot;
  readonly root: string;
}

let serial = 0;

async function read(open: Promise<Source>): Promise<Map<string, Held[]>> {
  await using source = await open;
  const content = await contentOf(source);
  for (const [path, held] of content) if (held.length === 0) content.delete(path);
  return content;
}

/** Sources and targets by the words that the names of the ways are made of. */
export async function scene(stage: Stage, way: Way): Promise<Scene> {
  const { dovecot, root } = stage;
  const plain = (kind: "imap" | "pop3", user: string): string =>
    `${kind}://${user}@localhost:${dovecot.ports[kind]}?tls=none`;
  const server = (kind: "imap" | "pop3", user: string) => ({
    ...dovecot.serverOptions(kind, user),
    security: "none" as const,
  });
  const imap = (user: string) => read(openImapSource(server("imap", user), signal));
  const maildir = (path: string) => read(openMaildirSource({ path }, signal));
  const zip = (path: string) => read(openMboxZipSource({ path }, signal));
  const fresh = async (mail: readonly Seed[] = []): Promise<string> => {
    const user = `scene${serial++}`;
    await dovecot.addUser(user);
    if (mail.length > 0) seedMaildir(dovecot, user, mail);
    return user;
  };
  const place = (name: string): string => join(root, `${name}${serial++}`);

  const source = async () => {
    if (way.from === "imap") {
      const user = await fresh(MAIL);
      return { url: plain("imap", user), read: () => imap(user) };
    }
    if (way.from === "pop3") {
      const user = await fresh(MAIL.map((seed) => ({ ...seed, folder: ["INBOX"] })));
      return { url: plain("pop3", user), read: () => read(openPop3Source(server("pop3", user), signal)) };
    }
    if (way.from === "maildir") {
      const path = dovecot.maildir(await fresh(MAIL));
      return { url: `maildir:${path}`, read: () => maildir(path) };
    }
    const path = place("mbox");
    mkdirSync(path);
    const body = MAIL.map(({ bytes }) => `From a@example.org Mon Sep  6 10:00:00 2021\n${Buffer.from(bytes)}\n`).join(
      "",
    );
    writeFileSync(join(path, "old"), body);
    const { openMboxSource } = await import("../../../src/sources/mbox.ts");
    return { url: `mbox:${path}`, read: () => read(openMboxSource({ path }, signal)) };
  };
  const target = async () => {
    if (way.to === "imap") {
      const user = await fresh();
      return { url: plain("imap", user), read: () => imap(user) };
    }
    if (way.to === "maildir") {
      const path = place("maildir");
      return { url: `maildir:${path}`, read: () => maildir(path) };
    }
    const path = `${place("archive")}${way.to === "file.zip" ? ".zip" : ""}`;
    return { url: `mboxzip:${path}`, read: () => zip(path) };
  };
  const from = await source();
  const to = await target();
  const content = await from.read();
  // What a store cannot tell or keep is not compared: POP3 knows no flags, an mbox keeps none for IMAP to get.
  const compared = (held: Map<string, Held[]>): Content => (way.compares === "keys" ? keysOf(held) : held);
  const [verb = "", ...options] = way.command.split(" ");
  return {
    args: [verb, from.url, to.url, ...options, "--state", place("state")],
    wanted: compared(content),
    held: async () => compared(await to.read().catch(nothing)),
    keeps: way.drains ? EMPTY : compared(content),
    left: async () => compared(await from.read()),
    drains: way.drains,
  };
}

/** A target that was never made. */
function nothing(error: unknown): Map<string, Held[]> {
  if (error instanceof Error && /not|no such/i.test(error.message)) return new Map();
  throw error;
}

export interface Way {
  readonly command: string;
  readonly from: "imap" | "pop3" | "mbox" | "maildir";
  readonly to: "imap" | "maildir" | "archive" | "file.zip";
  readonly compares: "all" | "keys";
  readonly drains: boolean;
}

export function nameOf({ command, from, to }: Way): string {
  return `${command}, ${from} to ${to}`;
}
