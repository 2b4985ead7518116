// Targets of a run, each with a way to open it and to read back what it holds: for suites that go through all of them.

import { openImapSink } from "../../src/sinks/imap.ts";
import { openMaildirSink } from "../../src/sinks/maildir.ts";
import { openMboxZipSink } from "../../src/sinks/mbox-zip.ts";
import type { Sink } from "../../src/sinks/sink.ts";
import { openImapSource } from "../../src/sources/imap.ts";
import { openMaildirSource } from "../../src/sources/maildir.ts";
import { openMboxZipSource } from "../../src/sources/mbox-zip.ts";
import type { Source } from "../../src/sources/source.ts";
import { contentOf, type Held } from "../kit/content.ts";
import type { Dovecot } from "../kit/dovecot.ts";

const signal = new AbortController().signal;

/** By folder; folders without mail are left out. */
export type Content = Map<string, Held[]>;

export interface Place {
  /** The account's user, where it is one. */
  readonly user?: string;
  sink(): Promise<Sink>;
  content(): Promise<Content>;
}

export async function held(source: Promise<Source>): Promise<Content> {
  await using open = await source;
  const content = await contentOf(open);
  for (const [path, messages] of content) if (messages.length === 0) content.delete(path);
  return content;
}

/** A key a message, with its folder. */
export function keys(content: Content): string[] {
  return [...content].flatMap(([folder, messages]) => messages.map(({ key }) => `${folder} ${key}`));
}

let users = 0;

/** Each makes a target of its own; files lie at `path`. */
export const PLACES = {
  "a Maildir": async (_: Dovecot, path: string): Promise<Place> => ({
    sink: () => openMaildirSink({ path }, signal),
    content: () => held(openMaildirSource({ path }, signal)),
  }),
  "an archive of zips": async (_: Dovecot, path: string): Promise<Place> => ({
    sink: () => openMboxZipSink({ path, job: "the same" }, signal),
    content: () => held(openMboxZipSource({ path }, signal)),
  }),
  "a FILE.zip": async (_: Dovecot, path: string): Promise<Place> => ({
    sink: () => openMboxZipSink({ path: `${path}.zip`, job: "the same" }, signal),
    content: () => held(openMboxZipSource({ path: `${path}.zip` }, signal)),
  }),
  "an account": async (dovecot: Dovecot): Promise<Place> => {
    const user = `to${users++}`;
    await dovecot.addUser(user);
    const server = dovecot.serverOptions("imap", user);
    return {
      user,
      sink: () => openImapSink(server, signal),
      content: () => held(openImapSource(server, signal)),
    };
  },
} as const satisfies Readonly<Record<string, (dovecot: Dovecot, path: string) => Promise<Place>>>;

/** Those again, for suites on disks: of an account only the ledger is there. */
export const ON_DISKS: Readonly<Record<string, (dovecot: Dovecot, path: string) => Promise<Place>>> = {
  "a Maildir": PLACES["a Maildir"],
  "an archive of zips": PLACES["an archive of zips"],
  "a FILE.zip": PLACES["a FILE.zip"],
  "an account, its ledger on the disk": PLACES["an account"],
};
