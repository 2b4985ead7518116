// From, Subject and Date of a message for a person to recognise it by. Never in the copy path, never the body.

import { HEADER_LIMIT } from "./body.ts";

export interface Preview {
  readonly from?: string;
  readonly subject?: string;
  readonly date?: Date;
}

const LF = 10;
const CR = 13;

/** The header of a message: up to and with its blank line, at most HEADER_LIMIT octets of what is given. */
export function headerSlice(head: Uint8Array): Uint8Array {
  const limit = Math.min(head.length, HEADER_LIMIT);
  let lineStart = 0;
  for (let at = 0; at < limit; at++) {
    if (head[at] !== LF) continue;
    const blank = at === lineStart || (at === lineStart + 1 && head[lineStart] === CR);
    if (blank) return head.subarray(0, at + 1);
    lineStart = at + 1;
  }
  return head.subarray(0, limit);
}

/** An empty preview where the header cannot be read: it is never the reason why something fails. */
export async function preview(head: Uint8Array): Promise<Preview> {
  try {
    const { simpleParser } = await import("mailparser");
    const header = Buffer.concat([headerSlice(head), Buffer.from("\r\n")]);
    const { from, subject, date } = await simpleParser(header, { skipHtmlToText: true, skipTextToHtml: true });
    return {
      ...(from === undefined || from.text === "" ? {} : { from: from.text }),
      ...(subject === undefined || subject === "" ? {} : { subject }),
      ...(date === undefined || Number.isNaN(date.getTime()) ? {} : { date }),
    };
  } catch {
    return {};
  }
}
