// What is said of a message that is to be deleted where it came from, beside its id.

import type { ContentKey } from "./key.ts";
import type { Origin } from "./model.ts";

/** A message to be deleted. */
export interface Removable extends Origin {
  /** Octets that it was announced with when it was copied; undefined where nobody knows. */
  readonly announced?: number;
}

/** What a store that deletes asks and tells, where an id alone does not say enough. */
export interface Removal {
  /** What was copied under this id. */
  recorded(origin: Origin): Promise<{ readonly key: ContentKey } | undefined>;
  /** The id names another message now; that stays. */
  changed(origin: Origin): Promise<void>;
  /** The store does not show it any more. */
  absent(origin: Origin): Promise<void>;
  /** Once aborted, no further session is begun: what is under way comes to its end. */
  readonly stop?: AbortSignal;
}
