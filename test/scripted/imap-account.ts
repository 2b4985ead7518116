// An IMAP account in memory that does what a test tells it: to be read from and written to by whole jobs.

import { keyOf } from "../../src/mail/key.ts";
import { expandSet } from "../../src/protocol/imap/syntax.ts";
import type { ServerOptions } from "../../src/protocol/server.ts";
import { type Conversation, startScripted } from "../kit/scripted.ts";
import { command, type Heard, options } from "../protocol/imap/wire.ts";

export interface StoredMessage {
  readonly uid: number;
  readonly flags: Set<string>;
  readonly date: string;
  readonly bytes: Buffer;
}

export interface Mailbox {
  uidValidity: number;
  uidNext: number;
  messages: StoredMessage[];
  attributes?: string;
}

/** What a hook may do: nothing, answer with these words instead, or "done": it has said all that will be said. */
export type Instead = string | undefined;

export interface Manners {
  readonly capabilities?: readonly string[];
  readonly greeting?: string;
  /** What NAMESPACE says, behind its name. */
  readonly namespace?: string;
  readonly delimiter?: string | null;
  /** Called before the greeting; gives what is to be called when the client has gone, or undefined: it was not let in. */
  enter?(talk: Conversation): Promise<(() => void) | undefined>;
  /** How it spells the name that it was given: where it differs, both are one mailbox. */
  spelling?(name: string, account: ScriptedAccount): string;
  /** Asked before each "+": what is said in its place, where the literal is not to come. `text` ends with its announcement. */
  literal?(text: string, talk: Conversation, account: ScriptedAccount): Instead;
  /** Awaited for each command before it is heard. */
  wait?(heard: Heard): Promise<void>;
  /** Called for each command before it is worked on. */
  before?(heard: Heard, talk: Conversation, account: ScriptedAccount): Instead;
  /** Called when a command was worked on and its data was sent, before its tagged answer. */
  after?(heard: Heard, talk: Conversation, account: ScriptedAccount): Instead;
  /** What is sent for the rows of a FETCH. */
  rows?(rows: readonly Buffer[], text: string): readonly Buffer[];
  /** Octets and date of a message as they are stored. */
  store?(bytes: Buffer, date: string): { bytes: Buffer; date: string };
  /** False: APPEND does not tell UIDs. */
  readonly uidplus?: boolean;
  /** An APPEND to the folder that its own session has open replaces the last message there. */
  readonly overwrites?: boolean;
}

export interface ScriptedAccount extends AsyncDisposable {
  readonly mailboxes: Map<string, Mailbox>;
  readonly heard: readonly string[];
  readonly failures: readonly unknown[];
  readonly connections: number;
  manners: Manners;
  add(name: string, bytes: string, more?: Partial<StoredMessage>): void;
  server(): ServerOptions;
  /** Content keys by mailbox; empty ones are left out. */
  keys(): Promise<Map<string, string[]>>;
}

export const USUAL = ["IMAP4rev1", "LITERAL+", "UIDPLUS", "MULTIAPPEND", "NAMESPACE"];
const DATE = " 1-Jan-2020 00:00:00 +0100";

export async function startAccount(initial: Manners = {}): Promise<ScriptedAccount> {
  const mailboxes = new Map<string, Mailbox>([["INBOX", { uidValidity: 5, uidNext: 1, messages: [] }]]);
  const server = await startScripted((talk) => converse(talk, account));
  const account: ScriptedAccount = {
    mailboxes,
    manners: initial,
    heard: server.heard,
    failures: server.failures,
    get connections() {
      return server.connections;
    },
    add(name, bytes, more = {}) {
      const mailbox = mailboxes.get(name) ?? { uidValidity: 5, uidNext: 1, messages: [] };
      mailboxes.set(name, mailbox);
      const { uid = mailbox.uidNext, flags = new Set<string>(), date = DATE } = more;
      mailbox.messages.push({ uid, flags, date, bytes: Buffer.from(bytes, "latin1") });
      mailbox.uidNext = Math.max(mailbox.uidNext, uid + 1);
    },
    server: () => ({ ...options(server.port), connections: 1 }),
    async keys() {
      const all = new Map<string, string[]>();
      for (const [name, { messages }] of mailboxes) {
        const keys = await Promise.all(messages.map(async ({ bytes }) => (await keyOf(once(bytes))).key));
        if (keys.length > 0) all.set(name, keys.sort());
      }
      return all;
    },
    [Symbol.asyncDispose]: () => server.close(),
  };
  return account;
}

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function converse(talk: Conversation, account: ScriptedAccount): Promise<void> {
  const { enter } = account.manners;
  const leave = enter === undefined ? (): void => undefined : await enter(talk);
  if (leave === undefined) return;
  try {
    await serve(talk, account);
  } finally {
    leave();
  }
}

async function serve(talk: Conversation, account: ScriptedAccount): Promise<void> {
  const { greeting, capabilities = USUAL } = account.manners;
  talk.send(greeting ?? `* OK [CAPABILITY ${capabilities.join(" ")}] hello\r\n`);
  const session: Session = { open: undefined };
  let refusal: Instead;
  const next = (): Promise<Heard | undefined> => {
    refusal = undefined;
    return command(talk, (text) => {
      refusal = account.manners.literal?.(text.slice(text.indexOf(" ") + 1), talk, account);
      return refusal !== undefined;
    });
  };
  for (let heard = await next(); heard !== undefined; heard = await next()) {
    const { tag, text } = heard;
    if (account.manners.wait !== undefined) await account.manners.wait(heard);
    let instead = refusal ?? account.manners.before?.(heard, talk, account);
    if (instead === undefined) {
      const answer = work(heard, talk, account, session);
      instead = account.manners.after?.(heard, talk, account) ?? answer;
    }
    if (instead !== "done") talk.send(`${tag} ${instead}\r\n`);
    if (text === "LOGOUT") talk.end();
  }
}

interface Session {
  open: string | undefined;
}

/** Sends the data of a command, and returns its answer. */
function work({ text, literals }: Heard, talk: Conversation, account: ScriptedAccount, session: Session): string {
  const { mailboxes, manners } = account;
  const { capabilities = USUAL, delimiter = "/", namespace = '(("" "/")) NIL NIL' } = manners;
  const verb = /^(?:UID )?\S+/.exec(text)?.[0].toUpperCase() ?? "";
  const asked = nameIn(text);
  const name = manners.spelling?.(asked, account) ?? asked;
  const mailbox = mailboxes.get(name);
  const shown = delimiter === null ? "NIL" : `"${delimiter}"`;
  switch (verb) {
    case "CAPABILITY":
      talk.send(`* CAPABILITY ${capabilities.join(" ")}\r\n`);
      break;
    case "NAMESPACE":
      talk.send(`* NAMESPACE ${namespace}\r\n`);
      break;
    case "LIST":
      if (text.startsWith('LIST "" ""')) talk.send(`* LIST (\\Noselect) ${shown} ""\r\n`);
      else
        for (const [one, { attributes = "" }] of mailboxes)
          talk.send(`* LIST (${attributes}) ${shown} ${literal(one)}\r\n`);
      break;
    case "STATUS":
      if (mailbox === undefined) return "NO [NONEXISTENT] no such mailbox";
      talk.send(
        `* STATUS ${literal(name)} (MESSAGES ${mailbox.messages.length} UIDVALIDITY ${mailbox.uidValidity} UIDNEXT ${mailbox.uidNext})\r\n`,
      );
      break;
    case "CREATE":
      if (mailbox !== undefined) return "NO [ALREADYEXISTS] it is there";
      mailboxes.set(name, { uidValidity: 5, uidNext: 1, messages: [] });
      break;
    case "SELECT":
    case "EXAMINE":
      session.open = undefined;
      if (mailbox === undefined) return "NO [NONEXISTENT] no such mailbox";
      session.open = name;
      talk.send(`* ${mailbox.messages.length} EXISTS\r\n* FLAGS (\\Seen \\Flagged \\Answered \\Draft \\Deleted)\r\n`);
      talk.send(`* OK [PERMANENTFLAGS (\\Seen \\Flagged \\Answered \\Draft \\Deleted \\*)] x\r\n`);
      talk.send(`* OK [UIDVALIDITY ${mailbox.uidValidity}] x\r\n* OK [UIDNEXT ${mailbox.uidNext}] x\r\n`);
      break;
    case "APPEND":
      if (mailbox === undefined) return "NO [TRYCREATE] no such mailbox";
      if (manners.overwrites === true && session.open === name && mailbox.messages.pop() !== undefined)
        mailbox.uidNext--;
      return append(text, literals, mailbox, manners);
    case "UNSELECT":
    case "CLOSE":
      session.open = undefined;
      break;
    case "UID FETCH":
    case "UID STORE":
    case "UID EXPUNGE":
    case "UID MOVE": {
      const open = mailboxes.get(session.open ?? "");
      if (open === undefined) return "BAD no mailbox is open";
      if (verb === "UID MOVE") return move(text, open, mailboxes);
      return inside(verb, text, open, talk, manners);
    }
  }
  return "OK done";
}

function append(text: string, literals: readonly Buffer[], mailbox: Mailbox, manners: Manners): string {
  // A name may hold what looks like flags.
  const parts = text.replace(NAMED, "").split(/\{\d+\+?\}/);
  const uids = literals.map((octets, at) => {
    const part = parts[at] ?? "";
    const sent = /"([ \d]\d-[^"]*)"/.exec(part)?.[1] ?? DATE;
    const { bytes, date } = manners.store?.(octets, sent) ?? { bytes: octets, date: sent };
    const uid = mailbox.uidNext++;
    const flags = /\(([^)]*)\)/.exec(part)?.[1] ?? "";
    mailbox.messages.push({ uid, flags: new Set(flags.split(" ").filter(Boolean)), date, bytes });
    return uid;
  });
  const named = manners.uidplus === false ? "" : `[APPENDUID ${mailbox.uidValidity} ${uids.join(",")}] `;
  return `OK ${named}stored`;
}

function inside(verb: string, text: string, open: Mailbox, talk: Conversation, manners: Manners): string {
  const set = text.split(" ")[2] ?? "";
  const from = /^(\d+):\*$/.exec(set)?.[1];
  const last = open.messages.at(-1)?.uid ?? 0;
  const uids = from === undefined ? (expandSet(set, 10_000) ?? []) : [];
  const isNamed = (uid: number): boolean =>
    from === undefined ? uids.includes(uid) : uid >= Math.min(Number(from), last);
  const named = open.messages.filter(({ uid }) => isNamed(uid));
  if (verb === "UID EXPUNGE")
    open.messages = open.messages.filter(({ uid, flags }) => !isNamed(uid) || !flags.has("\\Deleted"));
  if (verb === "UID STORE")
    for (const { flags } of named)
      for (const flag of (/\(([^)]*)\)/.exec(text)?.[1] ?? "").split(" ")) {
        if (text.includes("+FLAGS")) flags.add(flag);
        else flags.delete(flag);
      }
  if (verb === "UID STORE" && !text.includes(".SILENT"))
    for (const { uid, flags } of named)
      talk.send(
        `* ${open.messages.findIndex((one) => one.uid === uid) + 1} FETCH (UID ${uid} FLAGS (${[...flags].join(" ")}))\r\n`,
      );
  if (verb !== "UID FETCH") return "OK done";
  const rows = named.map((message) => row(message, open.messages.indexOf(message) + 1, text));
  for (const each of manners.rows?.(rows, text) ?? rows) talk.send(each);
  return "OK done";
}

function move(text: string, open: Mailbox, mailboxes: ReadonlyMap<string, Mailbox>): string {
  const [, , set = "", quoted = ""] = text.split(" ");
  const to = mailboxes.get(quoted.replaceAll('"', ""));
  if (to === undefined) return "NO [TRYCREATE] no such mailbox";
  const uids = expandSet(set, 10_000) ?? [];
  for (const message of open.messages.filter(({ uid }) => uids.includes(uid)))
    to.messages.push({ ...message, uid: to.uidNext++ });
  open.messages = open.messages.filter(({ uid }) => !uids.includes(uid));
  return "OK moved";
}

function row({ uid, flags, date, bytes }: StoredMessage, sequence: number, text: string): Buffer {
  const meta = `UID ${uid} FLAGS (${[...flags].join(" ")}) INTERNALDATE "${date}" RFC822.SIZE ${bytes.length}`;
  const asked = /HEADER\.FIELDS \(([^)]*)\)/.exec(text)?.[1];
  const block = bytes.toString("latin1").split("\r\n\r\n", 1)[0]?.split("\r\n") ?? [];
  const names = asked?.toLowerCase().split(" ") ?? [];
  const lines = block.filter((line) => names.includes(line.split(":", 1)[0]?.toLowerCase() ?? ""));
  const header = [...lines, "", ""].join("\r\n").slice(lines.length > 0 ? 0 : 2);
  const fields = asked === undefined ? "" : ` BODY[HEADER.FIELDS (${asked})] {${header.length}}\r\n${header}`;
  const start = Buffer.from(`* ${sequence} FETCH (${meta}${fields}`, "latin1");
  if (!text.includes("BODY.PEEK[]")) return Buffer.concat([start, Buffer.from(")\r\n")]);
  return Buffer.concat([start, Buffer.from(` BODY[] {${bytes.length}}\r\n`), bytes, Buffer.from(")\r\n")]);
}

/** A command and the mailbox behind it. */
const NAMED = /^\S+ (?:"((?:[^"\\]|\\.)*)"|(\S+))/;

function nameIn(text: string): string {
  const [, quoted, atom] = NAMED.exec(text) ?? [];
  const name = quoted?.replace(/\\(.)/g, "$1") ?? atom ?? "";
  return name.toUpperCase() === "INBOX" ? "INBOX" : name;
}

function literal(name: string): string {
  return `{${name.length}}\r\n${name}`;
}
