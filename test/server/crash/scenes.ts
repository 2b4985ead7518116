// The ways from a source to a target that are killed at their steps: each made anew, with mail that tells every mistake.

import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { keyOfBytes } from "../../../src/mail/key.ts";
import type { FolderPath, SystemFlag } from "../../../src/mail/model.ts";
import { openImapSource } from "../../../src/sources/imap.ts";
import { openMaildirSource } from "../../../src/sources/maildir.ts";
import { openMboxSource } from "../../../src/sources/mbox.ts";
import { openMboxZipSource } from "../../../src/sources/mbox-zip.ts";
import { openPop3Source } from "../../../src/sources/pop3.ts";
import type { Source } from "../../../src/sources/source.ts";
import { contentOf, type Held, inOrder } from "../../kit/content.ts";
import type { Dovecot } from "../../kit/dovecot.ts";
import type { Seed } from "../../kit/imap-client.ts";
import { carryOut } from "../../kit/in-process.ts";
import { seedMaildir } from "../../kit/seed-maildir.ts";

const signal = new AbortController().signal;

export interface Way {
  readonly command: "migrate" | "migrate --move" | "backup" | "drain" | "restore";
  readonly from: "imap" | "pop3" | "mbox" | "maildir" | "mboxzip";
  readonly to: "imap" | "maildir" | "archive" | "file.zip";
}

export const nameOf = ({ command, from, to }: Way): string => `${command}, ${from} to ${to}`;

/** Folder to what it holds (keys, flags, keywords, labels, dates), in a fixed order; empty folders left out. */
export type Content = ReadonlyMap<string, readonly Held[]>;

/** A source with mail and an empty target of its own. */
export interface Scene {
  readonly args: readonly string[];
  /** What the target must hold in the end. */
  readonly wanted: Content;
  held(): Promise<Content>;
  /** What must be left at the source in the end, and what is. */
  readonly keeps: Content;
  left(): Promise<Content>;
  /** The names of the target's mail files: a copy that was made anew has another one, and FILE.zip in the end has no parts. */
  files(): readonly string[];
}

interface Sample {
  readonly folder: FolderPath;
  readonly n: number;
  readonly flags?: readonly SystemFlag[];
  readonly keywords?: readonly string[];
}

/** Twins, flags, a keyword, dates, two folders, one of them below another; small and large beside each other. */
const SAMPLES: readonly Sample[] = [
  { folder: ["INBOX"], n: 1, flags: ["seen"] },
  { folder: ["INBOX"], n: 2 },
  { folder: ["INBOX"], n: 2 },
  { folder: ["Work", "2024"], n: 3, flags: ["flagged", "answered"], keywords: ["$Label1"] },
  { folder: ["Work", "2024"], n: 2 },
];
const instantOf = (n: number): Date => new Date((1_600_000_000 + n * 60) * 1000);

/** A maildrop and an mbox tell no date of their own but the topmost Received line's. */
const seedOf = ({ n, ...seed }: Sample): Seed => ({
  ...seed,
  bytes: Buffer.from(
    `Received: by mx.example.org; ${instantOf(n).toUTCString().replace("GMT", "+0000")}\nMessage-ID: <${n}@example.org>\n` +
      `Subject: message ${n}\nDate: Mon, 06 Sep 2021 10:00:00 +0200\n\n${"lorem ipsum\n".repeat((n % 10) * 40)}`,
  ),
  received: { epochSeconds: instantOf(n).getTime() / 1000, zoneMinutes: 0 },
});

const FEW: readonly Seed[] = SAMPLES.map(seedOf);

/** The same, and some of it with octets above 127 in the header. */
export const EIGHT_BIT: readonly Seed[] = FEW.map((seed, i) => {
  const text = Buffer.from(seed.bytes).toString("latin1");
  return i === 4 ? seed : { ...seed, bytes: Buffer.from(text.replace("message", "Gr\xfc\xdfe"), "latin1") };
});

/** More than one run carries before it hears that it shall stop: every tenth message has a twin. */
export function muchMail(messages: number): readonly Seed[] {
  const folders = [["INBOX"], ["Work", "2024"], ["Work"], ["Lists"]];
  return Array.from({ length: messages }, (_, i) => {
    const folder = folders[i % folders.length] ?? ["INBOX"];
    return seedOf({ folder, n: 10 + i - (i % 10 === 9 ? 4 : 0), flags: i % 3 === 0 ? ["seen"] : [] });
  });
}

/** As mutt writes it: the state in lines of the container. */
function mboxOf(mail: readonly Seed[]): string {
  return mail
    .map(({ bytes, flags = [], keywords = [], received }) => {
      const [day, date, month, year, time] = new Date((received?.epochSeconds ?? 0) * 1000).toUTCString().split(/,? /);
      const state = [
        `Status: ${flags.includes("seen") ? "RO" : "O"}`,
        `X-Status: ${flags.includes("answered") ? "A" : ""}${flags.includes("flagged") ? "F" : ""}`,
        `X-Keywords: ${keywords.join(" ")}`,
      ];
      const from = `From a@example.org ${day} ${month} ${Number(date)} ${time} ${year}`;
      return `${from}\n${Buffer.from(bytes)
        .toString()
        .replace("\n\n", `\n${state.join("\n")}\n\n`)}\n`;
    })
    .join("");
}

/** Where scenes are made. */
export interface Place {
  readonly dovecot: Dovecot;
  readonly root: string;
}

interface End {
  readonly url: string;
  /** Where its mail lies on this machine. */
  readonly path: string;
  read(): Promise<Content>;
}

let serial = 0;

async function read(open: Promise<Source>): Promise<Content> {
  await using source = await open;
  const content = await contentOf(source);
  for (const [path, held] of content) if (held.length === 0) content.delete(path);
  return content;
}

/** What can be at one end of a way; sources come filled. */
function endsOn({ dovecot, root }: Place, mail: readonly Seed[]) {
  const server = (kind: "imap" | "pop3", user: string) =>
    ({ ...dovecot.serverOptions(kind, user), security: "none" }) as const;
  const plain = (kind: "imap" | "pop3", user: string): string =>
    `${kind}://${user}@localhost:${dovecot.ports[kind]}?tls=none`;
  const account = async (held: readonly Seed[]): Promise<string> => {
    const user = `scene${serial++}`;
    await dovecot.addUser(user);
    if (held.length > 0) seedMaildir(dovecot, user, held);
    return user;
  };
  const fresh = (name: string): string => join(root, `${name}${serial++}`);
  const maildir = (path: string): End => ({
    url: `maildir:${path}`,
    path,
    read: () => read(openMaildirSource({ path }, signal)),
  });
  const zip = (path: string): End => ({
    url: `mboxzip:${path}`,
    path,
    read: () => read(openMboxZipSource({ path }, signal)),
  });
  const imap = async (held: readonly Seed[]): Promise<End> => {
    const user = await account(held);
    const content = () => read(openImapSource(server("imap", user), signal));
    return { url: plain("imap", user), path: dovecot.maildir(user), read: content };
  };
  const sources: Readonly<Record<Way["from"], () => Promise<End>>> = {
    imap: () => imap(mail),
    async pop3() {
      const user = await account(mail.map((seed) => ({ ...seed, folder: ["INBOX"] })));
      const content = () => read(openPop3Source(server("pop3", user), signal));
      return { url: plain("pop3", user), path: dovecot.maildir(user), read: content };
    },
    maildir: async () => maildir(dovecot.maildir(await account(mail))),
    async mbox() {
      const path = fresh("mbox");
      mkdirSync(path);
      writeFileSync(join(path, "old"), mboxOf(mail));
      return { url: `mbox:${path}`, path, read: () => read(openMboxSource({ path }, signal)) };
    },
    async mboxzip() {
      const path = fresh("archive");
      const from = await sources.maildir();
      const { code, stderr } = await carryOut(["backup", from.url, `mboxzip:${path}`], dovecot.password);
      if (code !== 0) throw new Error(stderr);
      return zip(path);
    },
  };
  const targets: Readonly<Record<Way["to"], () => Promise<End>>> = {
    imap: () => imap([]),
    maildir: async () => maildir(fresh("maildir")),
    archive: async () => zip(fresh("archive")),
    "file.zip": async () => zip(`${fresh("archive")}.zip`),
  };
  return { sources, targets, fresh };
}

/** Both ends, made anew. */
export async function scene(
  place: Place,
  { command, from, to }: Way,
  mail = FEW,
  alter: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes,
): Promise<Scene> {
  const { sources, targets, fresh } = endsOn(place, mail);
  const source = await sources[from]();
  const target = await targets[to]();
  const content = await source.read();
  const isEmptied = command === "drain" || command === "migrate --move";
  const [verb = "", ...options] = command.split(" ");
  return {
    args: [verb, source.url, target.url, ...options, "--state", fresh("state")],
    wanted: dated(content, mail, alter),
    held: () => target.read().catch(nothing),
    keeps: isEmptied ? new Map() : content,
    left: source.read,
    files: () => mailFilesIn(target.path),
  };
}

/** A maildrop tells the dates only together with the bytes. */
function dated(content: Content, mail: readonly Seed[], alter: (bytes: Uint8Array) => Uint8Array): Content {
  const known = new Map<string, { key: string; received: number | undefined }>();
  for (const { bytes, received } of mail)
    known.set(keyOfBytes(bytes).key, { key: keyOfBytes(alter(bytes)).key, received: received?.epochSeconds });
  const filled = [...content].map(([path, held]) => {
    const whole = held.map((message) => {
      const { key = message.key, received } = known.get(message.key) ?? {};
      return { ...message, key, received: message.received ?? received };
    });
    return [path, inOrder(whole)] as const;
  });
  return new Map(filled);
}

/** A target that was never made. */
function nothing(error: unknown): Content {
  if (error instanceof Error && /not|no such/i.test(error.message)) return new Map();
  throw error;
}

/** Messages of a Maildir up to their flags, zips of an archive; beside a FILE.zip whatever was made for it. */
function mailFilesIn(path: string): string[] {
  if (path.endsWith(".zip")) return readdirSync(dirname(path)).filter((name) => name.startsWith(basename(path)));
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => /(^|\/)(cur|new)\/|\.zip$/.test(name))
    .map((name) => name.replace(/:2,.*$/, ""))
    .sort();
}
