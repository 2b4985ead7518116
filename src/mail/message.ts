// What a sink is given: the entry, the traits that its folder keeps, and the staged bytes.

import type { Body } from "./body.ts";
import type { Entry, Traits } from "./model.ts";

export interface Message {
  readonly entry: Entry;
  /** Narrowed to what the target folder keeps; `entry.traits` are the source's own. */
  readonly traits: Traits;
  readonly body: Body;
}
