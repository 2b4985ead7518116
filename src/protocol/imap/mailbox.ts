// Control commands that we give ourselves, names byte for byte: LIST with STATUS, SELECT and EXAMINE, CREATE, SUBSCRIBE.

import { MailError } from "../../mail/errors.ts";
import { MAX_FOLDERS, type SpecialUse } from "../../mail/model.ts";
import { showRaw } from "../../mail/mutf7.ts";
import type { Connection, Selected } from "./connection.ts";
import { folderRefusal, protocolError } from "./errors.ts";
import { type DataResponse, type Status, type Value, valueNumber, valueText } from "./parse.ts";
import { type CommandPart, stringPart } from "./syntax.ts";

export interface MailboxStatus {
  messages?: number;
  bytes?: number;
  uidNext?: number;
  uidValidity?: string;
  highestModseq?: string;
  appendLimit?: number;
}

export interface Listed {
  /** The raw name (latin1, an octet a char). */
  readonly name: string;
  /** Null where the server knows no hierarchy. */
  readonly delimiter: string | null;
  /** In lower case. */
  readonly attributes: ReadonlySet<string>;
  subscribed: boolean;
  status?: MailboxStatus;
}

const USES: ReadonlyMap<string, SpecialUse> = new Map([
  ["\\all", "all"],
  ["\\archive", "archive"],
  ["\\drafts", "drafts"],
  ["\\flagged", "flagged"],
  ["\\important", "important"],
  ["\\junk", "junk"],
  ["\\sent", "sent"],
  ["\\trash", "trash"],
]);

export function specialUse({ attributes, name }: Listed): SpecialUse | undefined {
  if (isInbox(name)) return "inbox";
  for (const [attribute, use] of USES) if (attributes.has(attribute)) return use;
  return undefined;
}

/** RFC 3501 5.1: INBOX has no case. */
export function isInbox(name: string): boolean {
  return name.toUpperCase() === "INBOX";
}

export function isSelectable({ attributes }: Listed): boolean {
  return !attributes.has("\\noselect") && !attributes.has("\\nonexistent");
}

/** Octets of one folder's name: file systems take 255 a level, and no server nests more than some twenty. */
export const MAX_FOLDER_NAME = 8192;
/** Octets of the names of all folders. */
export const MAX_FOLDER_NAMES = 16 * 1024 * 1024;

/** Questions that may be on their way at once where the server has no LIST-STATUS. */
const STATUS_WINDOW = 64;

/**
 * Every mailbox, each name once, with subscription. "counts": with its state, in one round trip where the server offers
 * LIST-STATUS (RFC 5819), else by pipelined STATUS; a mailbox whose STATUS is refused is listed without it. "sizes": with its
 * octets as well, where the server tells them (RFC 8438); it may have to look at every message for them. "generation": with
 * UIDVALIDITY, UIDNEXT and MESSAGES where that costs no round trip.
 */
export async function listMailboxes(
  connection: Connection,
  wanted: "generation" | "counts" | "sizes",
): Promise<Listed[]> {
  const byName = new Map<string, Listed>();
  const statuses = new Map<string, MailboxStatus>();
  const extended = connection.has("LIST-EXTENDED");
  const items = wanted === "generation" ? "UIDVALIDITY UIDNEXT MESSAGES" : statusItems(connection, wanted === "sizes");
  const withStatus = extended && connection.has("LIST-STATUS");
  const returns = [
    "SUBSCRIBED",
    ...(connection.has("SPECIAL-USE") ? ["SPECIAL-USE"] : []),
    ...(withStatus ? [`STATUS (${items})`] : []),
  ];
  let names = 0;
  const data = (response: DataResponse): boolean => {
    if (response.name === "STATUS") {
      addStatus(statuses, response);
      if (statuses.size > MAX_FOLDERS) throw tooMany();
    } else if (response.name === "LIST" || response.name === "LSUB") {
      const listed = parseListed(response);
      if (listed === undefined) return false;
      const known = byName.get(keyOf(listed.name));
      if (response.name === "LSUB") {
        if (known !== undefined) known.subscribed = true;
      } else if (known === undefined) {
        byName.set(keyOf(listed.name), listed);
        names += listed.name.length;
        if (byName.size > MAX_FOLDERS || names > MAX_FOLDER_NAMES) throw tooMany();
      }
    } else return false;
    return true;
  };
  const answers = await Promise.all([
    connection.run(extended ? `LIST "" "*" RETURN (${returns.join(" ")})` : 'LIST "" "*"', { data }),
    ...(extended ? [] : [connection.run('LSUB "" "*"', { data })]),
  ]);
  const [list] = answers;
  if (list !== undefined && list.status !== "OK") throw folderRefusal("the folders cannot be listed", list);
  const all = [...byName.values()];
  if (wanted !== "generation") {
    const missing = all.filter((one) => isSelectable(one) && !statuses.has(keyOf(one.name)));
    for (let at = 0; at < missing.length; at += STATUS_WINDOW)
      await Promise.all(
        missing
          .slice(at, at + STATUS_WINDOW)
          .map(({ name }) => connection.run(["STATUS ", stringPart(name), ` (${items})`], { data })),
      );
  }
  for (const one of all) {
    const found = statuses.get(keyOf(one.name));
    if (found !== undefined) one.status = found;
  }
  return all;
}

function tooMany(): MailError {
  return protocolError(
    `the server lists more than ${MAX_FOLDERS} folders, or names of more than ${MAX_FOLDER_NAMES} octets`,
  );
}

function keyOf(name: string): string {
  return isInbox(name) ? "INBOX" : name;
}

function statusItems(connection: Connection, withSizes: boolean): string {
  const items = ["MESSAGES", "UIDNEXT", "UIDVALIDITY"];
  if (connection.has("CONDSTORE") || connection.has("QRESYNC")) items.push("HIGHESTMODSEQ");
  if (withSizes && connection.has("STATUS=SIZE")) items.push("SIZE");
  return items.join(" ");
}

function parseListed({ values: [attributes, delimiter, name, extended] }: DataResponse): Listed | undefined {
  // A mailbox may be called NIL; an empty name is the answer to a question about the delimiter.
  const raw = name === null ? "NIL" : valueText(name);
  if (raw === null || raw === "") return undefined;
  if (raw.length > MAX_FOLDER_NAME) throw protocolError(`a folder's name is longer than ${MAX_FOLDER_NAME} octets`);
  const flags = new Set<string>();
  for (const item of Array.isArray(attributes) ? attributes : []) flags.add((valueText(item) ?? "").toLowerCase());
  void extended;
  const separator = valueText(delimiter);
  return {
    name: raw,
    delimiter: separator === "" ? null : separator,
    attributes: flags,
    subscribed: flags.has("\\subscribed"),
  };
}

function addStatus(statuses: Map<string, MailboxStatus>, { values: [name, list] }: DataResponse): void {
  const raw = name === null ? "NIL" : valueText(name);
  if (raw === null) return;
  if (raw.length > MAX_FOLDER_NAME) throw protocolError(`a folder's name is longer than ${MAX_FOLDER_NAME} octets`);
  const status: MailboxStatus = {};
  forPairs(list, (item, value) => {
    const number = valueNumber(value);
    if (item === "MESSAGES" && number !== undefined) status.messages = number;
    else if (item === "SIZE" && number !== undefined) status.bytes = number;
    else if (item === "UIDNEXT" && number !== undefined) status.uidNext = number;
    else if (item === "UIDVALIDITY" && number !== undefined) status.uidValidity = String(number);
    else if (item === "APPENDLIMIT" && number !== undefined) status.appendLimit = number;
    // 63 bits (RFC 7162): kept as it is written.
    else if (item === "HIGHESTMODSEQ" && typeof value === "string") status.highestModseq = value;
  });
  statuses.set(keyOf(raw), status);
}

/** The names (in upper case) and values of a list that has them in turn. */
export function forPairs(list: Value | undefined, each: (name: string, value: Value) => void): void {
  if (!Array.isArray(list)) return;
  for (let at = 0; at + 1 < list.length; at += 2) {
    const name = list[at];
    const value = list[at + 1];
    if (typeof name === "string" && value !== undefined) each(name.toUpperCase(), value);
  }
}

/** STATUS of one mailbox. Throws MailError of scope folder. */
export async function mailboxStatus(connection: Connection, name: string, items: string): Promise<MailboxStatus> {
  const statuses = new Map<string, MailboxStatus>();
  const answer = await connection.run(["STATUS ", stringPart(name), ` (${items})`], {
    data: (response) => {
      if (response.name !== "STATUS") return false;
      addStatus(statuses, response);
      return true;
    },
  });
  if (answer.status !== "OK") throw folderRefusal(`the state of ${showRaw(name)} cannot be had`, answer);
  // A server may answer with the name that it made of this one.
  return statuses.get(keyOf(name)) ?? (statuses.size === 1 ? [...statuses.values()][0] : undefined) ?? {};
}

/** A SELECT or EXAMINE on its way; commands that are sent behind it work in its folder. */
export interface Selecting {
  /** True from its answer on, if that was OK: what the server says before it concerns the folder that was open until then. */
  isOpen(): boolean;
  /** True when it was answered and the folder is not open: no content that comes now is one of it. */
  isRefused(): boolean;
  /**
   * Messages that were in it when it was opened. (`Selected.exists` follows what the server says from then on, which on a connection
   * that others use too may be said of another folder.)
   */
  counted(): number;
  /** Rejects with MailError not-found, config or protocol of scope folder. */
  readonly selected: Promise<Selected>;
}

/** SELECTs or EXAMINEs, always anew. Throws MailError not-found, config or protocol of scope folder. */
export function selectMailbox(connection: Connection, name: string, readOnly: boolean): Promise<Selected> {
  return beginSelect(connection, name, readOnly).selected;
}

/** The same, to be sent together with what is to be done in the folder. */
export function beginSelect(connection: Connection, name: string, readOnly: boolean): Selecting {
  // Whatever happens now, the folder that was open before is no longer (RFC 3501 6.3.1).
  connection.selected = undefined;
  connection.upcoming = name;
  let exists = 0;
  let flags: readonly string[] = [];
  let permanentFlags: readonly string[] | undefined;
  let uidValidity: string | undefined;
  let uidNext: number | undefined;
  let opened: Selected | undefined;
  let isAnswered = false;
  let counted = 0;
  const status = ({ code, argument = "" }: Status): void => {
    if (code === "UIDVALIDITY") uidValidity = argument.trim();
    else if (code === "UIDNEXT") uidNext = Number(argument);
    else if (code === "PERMANENTFLAGS") permanentFlags = argument.replace(/[()]/g, " ").split(" ").filter(Boolean);
  };
  const data = (response: DataResponse): boolean => {
    if (response.name === "EXISTS") exists = response.number ?? 0;
    else if (response.name === "FLAGS") {
      const [list] = response.values;
      flags = (Array.isArray(list) ? list : []).map((flag) => valueText(flag) ?? "").filter(Boolean);
    } else return false;
    return true;
  };
  const answered = (answer: Status): void => {
    isAnswered = true;
    counted = exists;
    // RFC 3501 2.3.1.1 lets a server have no lasting UIDs; then nothing in it could be named again.
    if (answer.status !== "OK" || uidValidity === undefined || !/^\d+$/.test(uidValidity)) {
      if (connection.upcoming === name) connection.upcoming = undefined;
      return;
    }
    opened = {
      name,
      readOnly: readOnly || answer.code === "READ-ONLY",
      uidValidity,
      exists,
      flags,
      ...(uidNext === undefined || !Number.isFinite(uidNext) ? {} : { uidNext }),
      ...(permanentFlags === undefined ? {} : { permanentFlags }),
    };
    connection.selected = opened;
  };
  const command = [readOnly ? "EXAMINE " : "SELECT ", stringPart(name)];
  const selected = connection.run(command, { status, data, answered }).then((answer) => {
    if (opened !== undefined) return opened;
    if (answer.status !== "OK") throw folderRefusal(`the folder ${showRaw(name)} cannot be opened`, answer);
    throw new MailError("protocol", `the server gives no UIDVALIDITY for ${showRaw(name)}`, {
      scope: "folder",
      remedy: "give-up",
    });
  });
  return {
    isOpen: () => opened !== undefined,
    isRefused: () => isAnswered && opened === undefined,
    counted: () => counted,
    selected,
  };
}

/** The prefix and delimiter of one's own folders (RFC 2342); no prefix where the server does not say. */
export async function personalNamespace(connection: Connection): Promise<{ prefix: string; delimiter: string | null }> {
  let found: { prefix: string; delimiter: string | null } | undefined;
  if (connection.has("NAMESPACE"))
    await connection.run("NAMESPACE", {
      data: ({ name, values: [personal] }) => {
        const [first] = Array.isArray(personal) ? personal : [];
        if (name !== "NAMESPACE" || !Array.isArray(first)) return false;
        found = { prefix: valueText(first[0]) ?? "", delimiter: valueText(first[1]) };
        return true;
      },
    });
  if (found === undefined)
    await connection.run('LIST "" ""', {
      data: ({ name, values }) => {
        if (name !== "LIST") return false;
        found = { prefix: "", delimiter: valueText(values[1]) };
        return true;
      },
    });
  return found ?? { prefix: "", delimiter: "/" };
}

/** One command about a mailbox: CREATE, SUBSCRIBE. Resolves with the answer, whatever it is. */
export function mailboxCommand(connection: Connection, verb: string, name: string, rest = ""): Promise<Status> {
  const parts: CommandPart[] = [`${verb} `, stringPart(name), rest];
  return connection.run(parts);
}
