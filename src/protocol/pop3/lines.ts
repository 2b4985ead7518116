// A multi-line answer as lines: CAPA, LIST, UIDL.

import { DotUnstuffer } from "./dots.ts";
import type { Wire } from "./wire.ts";

const LF = 10;
const CR = 13;

/** Each line without its end, one octet a character. A line longer than `limit` octets ends the session. */
export async function* lines(wire: Wire, limit: number): AsyncGenerator<string> {
  for await (const batch of lineBatches(wire, limit)) yield* batch;
}

/** The same, all the lines of a chunk at once: a million lines are not a million turns of the event loop. */
export async function* lineBatches(wire: Wire, limit: number): AsyncGenerator<readonly string[]> {
  // No row holds anybody's text, so that a server which ends its lines in LF may end its lists so.
  const answer = new DotUnstuffer(true);
  let held = "";
  for (;;) {
    const pieces = await wire.pieces(answer);
    if (pieces === undefined) break;
    const batch: string[] = [];
    for (const piece of pieces) {
      let from = 0;
      for (let at = piece.indexOf(LF); at !== -1; at = piece.indexOf(LF, from)) {
        const line = held + piece.toString("latin1", from, at);
        if (line.length > limit) throw tooLong();
        batch.push(line.charCodeAt(line.length - 1) === CR ? line.slice(0, -1) : line);
        held = "";
        from = at + 1;
      }
      held += piece.toString("latin1", from);
      if (held.length > limit) throw tooLong();
    }
    if (batch.length > 0) yield batch;
  }
  if (held !== "") yield [held];

  function tooLong(): Error {
    return wire.fail(wire.protocolError(`a line of more than ${limit} octets`));
  }
}
