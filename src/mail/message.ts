// What a sink is given: the entry, the traits that its folder keeps, and the staged bytes.

import type { Body } from "./body.ts";
import type { Entry, Traits } from "./model.ts";

export interface Message {
  readonly entry: Entry;
  /** Narrowed to what the target folder keeps; `entry.traits` are the source's own. */
  readonly traits: Traits;
  readonly body: Body;
  /** It may be what ends the connection: it was sent for by itself, and is waited for with less patience. */
  readonly alone?: boolean;
}
