// How many messages one MULTIAPPEND may hold, and what a server's refusals and a dying connection say about that.

import type { Connection } from "./connection.ts";

/** More in one command gains nothing: the server's one commit is spread thin by then. */
export const GROUP_MESSAGES = 128;
/** All of a group is sent again when the server refuses it. */
export const GROUP_BYTES = 1024 * 1024;
/** Groups refused whose members were then all taken one by one: it is the grouping that the server does not like. */
const MAX_VAIN = 3;

/** One for an account: what one folder taught holds for the next, and for the next pass over the same one. */
export class Grouping {
  #limit = GROUP_MESSAGES;
  #vain = 0;

  /** Messages that the next command may hold. */
  limit(connection: Connection): number {
    return connection.has("MULTIAPPEND") && this.#vain < MAX_VAIN ? this.#limit : 1;
  }

  /** A command was taken as it was: groups may grow again. */
  taken(): void {
    this.#limit = Math.min(this.#limit * 2, GROUP_MESSAGES);
  }

  /**
   * A group was refused, or its connection died of it: whatever it was, one message at a time shows which, and those before it
   * get through.
   */
  failed(): void {
    this.#limit = 1;
  }

  /** The members of a refused group were all taken singly, without any change. */
  inVain(): void {
    this.#vain++;
  }
}
