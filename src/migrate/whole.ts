// A content that is not as large as its source announced it: asked for again, and in the end not taken for the message.

import { Announced } from "../mail/announced.ts";
import type { Body } from "../mail/body.ts";
import { MailError } from "../mail/errors.ts";
import type { Entry, Origin } from "../mail/model.ts";
import type { FolderLedger } from "./ledger.ts";

/** Times that one is asked for, each in a pass of its own. */
const TRIES = 2;
/** Messages of earlier runs that show how a server counts. */
const REMEMBERED = 1000;
/** Octets a line, where nobody counted them. */
const LINE = 40;

/** What is known of a source's sizes, over all folders of a run. */
export class Whole {
  readonly #sizes = new Announced();
  readonly #tries = new Map<string, number>();
  #remembers: Promise<void> | undefined;

  /** Undefined where there is nothing to doubt. */
  doubt({ size }: Entry, { shape, head }: Body): MailError | undefined {
    if (size === undefined) return undefined;
    const what = this.#sizes.doubt(size, shape, head);
    if (what === undefined) return undefined;
    return new MailError("malformed", what, {
      scope: "message",
      remedy: "give-up",
      outcome: "none",
      hint: "It stays at the source, and is asked for again by the next run.",
    });
  }

  /** The same after a look at what came of earlier messages: a server may count so ever since. */
  async isUsual(entry: Entry, { shape }: Body, ledger: FolderLedger): Promise<boolean> {
    this.#remembers ??= this.#remember(entry.origin, ledger);
    await this.#remembers;
    return this.#sizes.isUsual({ announced: entry.size ?? shape.size, size: shape.size, lines: shape.lines });
  }

  /** True while it is worth another try. */
  again({ folder, generation, id }: Origin): boolean {
    const key = JSON.stringify([folder, generation, id]);
    const tries = (this.#tries.get(key) ?? 0) + 1;
    this.#tries.set(key, tries);
    return tries < TRIES;
  }

  async #remember({ folder }: Origin, ledger: FolderLedger): Promise<void> {
    let count = 0;
    for await (const { announced, size } of ledger.sizes(folder)) {
      this.#sizes.note({ announced, size, lines: Math.ceil(size / LINE) });
      if (++count >= REMEMBERED) return;
    }
  }
}
