// The mailboxes of the bench: seeded, so that each run of each tool on each machine carries the same mail.

import { believableFolders, bigMessage, bigMessageChunks, mailbox } from "../fixtures/make.ts";
import type { Seed } from "../test/kit/imap-client.ts";

export type Profile = "small" | "large" | "wide" | "big" | "inbox" | "mbox" | "mbox-small";

export interface Size {
  readonly messages: number;
  readonly folders: number;
  /** Of a message, in the mean. */
  readonly bytes: number;
}

const FULL: Readonly<Record<Profile, Size>> = {
  small: { messages: 10_000, folders: 4, bytes: 8 << 10 },
  large: { messages: 1000, folders: 4, bytes: 512 << 10 },
  wide: { messages: 10_000, folders: 200, bytes: 4 << 10 },
  big: { messages: 1, folders: 1, bytes: 100 << 20 },
  inbox: { messages: 10_000, folders: 1, bytes: 8 << 10 },
  mbox: { messages: 25_600, folders: 1, bytes: 40 << 10 },
  "mbox-small": { messages: 128_000, folders: 1, bytes: 8 << 10 },
};

const QUICK: Readonly<Record<Profile, Size>> = {
  small: { messages: 2000, folders: 4, bytes: 8 << 10 },
  large: { messages: 200, folders: 4, bytes: 512 << 10 },
  wide: { messages: 1000, folders: 200, bytes: 4 << 10 },
  big: { messages: 1, folders: 1, bytes: 100 << 20 },
  inbox: { messages: 1000, folders: 1, bytes: 8 << 10 },
  mbox: { messages: 6400, folders: 1, bytes: 40 << 10 },
  "mbox-small": { messages: 32_000, folders: 1, bytes: 8 << 10 },
};

/** What one in so many messages is, in works where something is new. */
export const NEW_ONE_IN = 100;

/** `scale` multiplies the number of messages, for trying the bench itself. */
export function sizeOf(profile: Profile, quick: boolean, scale: number): Size {
  const size = (quick ? QUICK : FULL)[profile];
  return { ...size, messages: Math.max(size.folders, Math.round(size.messages * scale)) };
}

/** The same mail for the same size. */
export function* mailOf(profile: Profile, size: Size): Iterable<Seed> {
  const { messages, folders, bytes } = size;
  if (profile === "big") {
    yield { folder: ["INBOX"], bytes: bigMessage(bytes) };
    return;
  }
  if (profile === "mbox") {
    // Text of 8 KB in the mean, and one in sixteen with half a megabyte attached: a mailbox of these years in small.
    const text = mailOf("small", { ...size, bytes: 8 << 10 });
    let number = 0;
    for (const seed of text) {
      const attached = ++number % 16 === 0 ? [...bigMessageChunks(512 << 10, number)] : [];
      yield { ...seed, bytes: Buffer.concat([seed.bytes, ...attached]) };
    }
    return;
  }
  if (profile === "large") {
    const paths = believableFolders(folders);
    // Attachments without end, cut into messages: sizes vary by half around the mean.
    for (let number = 0; number < messages; number++) {
      const length = Math.round(bytes * (0.5 + ((number * 7) % 11) / 10));
      const folder = paths[Math.floor((number * paths.length) / messages)] ?? ["INBOX"];
      const chunks = [...bigMessageChunks(length, 1)];
      const head = Buffer.from(`X-Number: ${number}\r\n`);
      yield { folder, bytes: Buffer.concat([head, ...chunks]), flags: ["seen"] };
    }
    return;
  }
  // A believable message has 4 KB in the mean; the rest is lines of text, each its own.
  const line = "and a line of text that says nothing new, but takes its room";
  const most = Math.max(0, Math.ceil(((bytes - 4300) * 2) / (line.length + 10)));
  let number = 0;
  for (const message of mailbox({ seed: 20_240, messages, folders })) {
    const lines = most === 0 ? 0 : (number * 7919) % most;
    const more = Array.from({ length: lines }, (_, index) => `${index} ${line} ${number}\r\n`).join("");
    number++;
    yield { ...message, bytes: Buffer.concat([message.bytes, Buffer.from(more)]) };
  }
}

/** Messages that come later, to folders that are there. */
export function* newMail(profile: Profile, size: Size): Iterable<Seed> {
  const paths = believableFolders(size.folders);
  const count = Math.max(1, Math.round(size.messages / NEW_ONE_IN));
  for (let number = 0; number < count; number++) {
    const folder = paths[(number * 3) % paths.length] ?? ["INBOX"];
    const text = `From: new@example.net\r\nSubject: new ${number}\r\nMessage-ID: <new.${profile}.${number}@example.net>\r\n\r\n${"A line of it.\r\n".repeat(500)}`;
    yield { folder, bytes: Buffer.from(text) };
  }
}

/** The same mail as one mboxrd file. */
export function* mboxOf(seeds: Iterable<Seed>): Iterable<Buffer> {
  for (const { bytes } of seeds) {
    const text = Buffer.from(bytes).toString("latin1").replaceAll("\r\n", "\n");
    const quoted = text.replace(/^(>*From )/gm, ">$1");
    const end = quoted.endsWith("\n") ? "\n" : "\n\n";
    yield Buffer.from(`From someone@example.net Thu Jan  4 12:00:00 2024\n${quoted}${end}`, "latin1");
  }
}
