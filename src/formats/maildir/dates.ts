// When a message was received, where the time of its file is not the time that it was given: copies without times, archives of others.

import { isPlausible, receivedFromHeader } from "../../mail/headers.ts";
import type { Received } from "../../mail/model.ts";
import { messageContent } from "./content.ts";
import type { FileInfo } from "./folder.ts";
import { parseOwn } from "./names.ts";
import type { BytePath } from "./paths.ts";

/** What the ledgers of an archive say of its messages, by their base names; more than one where more than one source led there. */
export interface RecordedDates {
  of(base: string): readonly { readonly received?: Received }[];
}

/** A delivery may take so long between the name and the last octet. */
const SLOW_DELIVERY = 3600;
/** Our own names are made when the octets are at hand. */
const SLOW_WRITE = 60;
const DAY = 86_400;
/** What tools write that know no time: 0 and 1, and the first day of DOS, wherever that was. */
const DOS_BEGAN = 315_532_800;
const ZONES = 14 * 3600;
/** https://cr.yp.to/proto/maildir.html: names begin with the time of delivery. */
const DELIVERED = /^(\d{9,10})[._]/;

/** When a message was put under this name; undefined where it does not say. */
export function namedTime(base: string): number | undefined {
  const match = DELIVERED.exec(base);
  if (match === null) return undefined;
  const epochSeconds = Number(match[1]);
  return isPlausible({ epochSeconds }) ? epochSeconds : undefined;
}

/**
 * True where the time of the file cannot be that of the message: nothing is received after it was put under its name. Where the name
 * itself holds the date (ours do), the file's time is not asked.
 */
export function hasLostTime(base: string, mtimeMs: number): boolean {
  const named = namedTime(base);
  if (named === undefined) return false;
  const own = parseOwn(base);
  if (own?.epochSeconds !== undefined) return false;
  const time = mtimeMs / 1000;
  if (own !== undefined) return time > named + SLOW_WRITE;
  return time > named + SLOW_DELIVERY || isNoTime(time);
}

/** The file has the time of a copy, whatever its name says: other programs show that instead of the message's date. */
export function hasOtherTime(base: string, mtimeMs: number): boolean {
  const { epochSeconds } = parseOwn(base) ?? {};
  if (epochSeconds === undefined) return hasLostTime(base, mtimeMs);
  // Some file systems count in two seconds, some in local time; and some dates none of them keeps.
  const time = mtimeMs / 1000;
  return Math.abs(time - epochSeconds) > DAY && time > (namedTime(base) ?? 0) + SLOW_WRITE;
}

function isNoTime(time: number): boolean {
  return (time >= 0 && time < 2) || Math.abs(time - DOS_BEGAN) <= ZONES;
}

/**
 * The date of a file that lost its time. Ours: what the ledger has; what it has without a date had that of its writing. Others: the time
 * in the name where the header agrees with it, as then it is that of the delivery; else the header's, as then it is that of an
 * import, or none. What the header says of a time after the file was written is no date.
 */
export async function recoveredDate(
  directory: BytePath,
  { file, base, mtimeMs }: Pick<FileInfo, "file" | "base" | "mtimeMs">,
  recorded: RecordedDates | undefined,
): Promise<Received | undefined> {
  const named = namedTime(base);
  const isOwn = parseOwn(base) !== undefined;
  if (isOwn) {
    const record = recorded?.of(base).at(-1);
    if (record?.received !== undefined) return record.received;
    if (record !== undefined) return named === undefined ? undefined : { epochSeconds: named };
  }
  const header = receivedFromHeader(await headOf(`${directory}/${file}`, base));
  if (named === undefined) return header;
  if (header === undefined) return { epochSeconds: named };
  // A header that is later than the name is wrong, or the name is no time at all (made up by whoever wrote the file).
  if (header.epochSeconds > named + DAY)
    return !isOwn && header.epochSeconds <= mtimeMs / 1000 + DAY ? header : { epochSeconds: named };
  return !isOwn && named - header.epochSeconds <= 2 * DAY ? { ...header, epochSeconds: named } : header;
}

/** The first octets of the message; nothing of one that cannot be read: whoever reads it then says why. */
export async function headOf(path: BytePath, base: string): Promise<Uint8Array> {
  const content = messageContent(path, base);
  try {
    const first = await content.next();
    return first.done === true ? new Uint8Array() : first.value;
  } catch {
    return new Uint8Array();
  } finally {
    await content.return(undefined);
  }
}
