// Whether a packed file holds mail, by the names in it or by the first octets of what it holds.

import { constants, gunzipSync } from "node:zlib";
import { type Foreign, foreignKind, OUR_ZIP, PACKED, PACKED_TREE } from "./foreign.ts";

/** Octets at a zip's end that are looked through for the names of its entries. */
const TAIL = 256 * 1024;
const MAIL_NAME = /\.(?:mbox|mbx|eml|emlx|msg|pst|ost|olm|dbx|tbb|pmm)$|(?:^|\/)(?:cur|new|Takeout\/Mail)\//i;
const PACKED_BOX = /\.(?:mbox|mbx)\.(?:gz|bz2|xz|zst|lz4|z|br|7z|rar)$/i;
/** Of an archive that cannot be looked into its name must say what it is. */
const PACKED_MAIL = /(?:mail|mbox|imap|takeout|thunderbird|outlook|evolution).*\.(?:7z|rar|tar\.\w+|tbz2?|txz|tzst)$/i;

export interface PackedFile {
  readonly name: string;
  readonly size: number;
  readonly head: Buffer;
  read(target: Buffer, position: number): Promise<number>;
}

export async function packedKind(file: PackedFile): Promise<Foreign | undefined> {
  const { name, head } = file;
  if (head.toString("latin1", 0, 4) === "PK\x03\x04") return await zipKind(file);
  if (head[0] === 0x1f && head[1] === 0x8b) return gzKind(name, head);
  if (isTar(head)) return tarHoldsMail(head) || /mail|mbox|takeout/i.test(name) ? PACKED_TREE : undefined;
  if (PACKED_BOX.test(name)) return PACKED;
  return PACKED_MAIL.test(name) ? PACKED_TREE : undefined;
}

async function zipKind({ size, read }: PackedFile): Promise<Foreign | undefined> {
  const tail = Buffer.alloc(Math.min(TAIL, size));
  const got = await read(tail, size - tail.length);
  for (let at = tail.indexOf("PK\x01\x02"); at !== -1 && at + 46 < got; at = tail.indexOf("PK\x01\x02", at + 4)) {
    const entry = tail.toString("utf8", at + 46, at + 46 + tail.readUInt16LE(at + 28));
    if (entry === "manifest.jsonl") return OUR_ZIP;
    if (MAIL_NAME.test(entry)) return PACKED_TREE;
  }
  return undefined;
}

function gzKind(name: string, head: Buffer): Foreign | undefined {
  let inner: Buffer;
  try {
    // Cut off as it is: what can be unpacked of it is enough.
    inner = gunzipSync(head, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: 1 << 20 });
  } catch {
    return PACKED_BOX.test(name) ? PACKED : undefined;
  }
  if (isTar(inner)) return tarHoldsMail(inner) || /mail|mbox|takeout/i.test(name) ? PACKED_TREE : undefined;
  const isBox = inner.toString("latin1", 0, 5) === "From " || PACKED_BOX.test(name);
  return isBox || foreignKind("", inner) !== undefined ? PACKED : undefined;
}

function isTar(head: Buffer): boolean {
  return head.toString("latin1", 257, 262) === "ustar";
}

/** By the names of the members whose headers are at hand. */
function tarHoldsMail(head: Buffer): boolean {
  for (let at = 0; at + 512 <= head.length; ) {
    const name = head.toString("latin1", at, at + 100).replace(/\0.*$/s, "");
    if (MAIL_NAME.test(name)) return true;
    const size = Number.parseInt(head.toString("latin1", at + 124, at + 136), 8);
    if (!Number.isFinite(size)) return false;
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return false;
}
