// Aborts that follow others.

import { setMaxListeners } from "node:events";

/**
 * Aborts when the parent does, with its reason, or by itself. Disposed of, the parent knows it no longer: what AbortSignal.any makes is
 * known to its parents until it is collected, and leaves a weak reference for good.
 */
export class AbortChild extends AbortController implements Disposable {
  readonly #parent: AbortSignal;
  readonly #follow = (): void => this.abort(this.#parent.reason);

  constructor(parent: AbortSignal) {
    super();
    this.#parent = parent;
    // Every message in flight listens to it.
    setMaxListeners(0, this.signal);
    if (parent.aborted) this.#follow();
    else parent.addEventListener("abort", this.#follow, { once: true });
  }

  [Symbol.dispose](): void {
    this.#parent.removeEventListener("abort", this.#follow);
  }
}
