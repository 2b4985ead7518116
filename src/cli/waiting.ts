// A word while a server says nothing: it may take a minute until it is given up.

import { type Endpoint, isAccount, showEndpoint } from "../endpoints.ts";
import type { Ui } from "./ui.ts";

/** Until then nobody wonders. */
export const SILENCE_MS = 5000;

/** The result of opening an endpoint; while an account is silent for long, that is said once. */
export async function opening<T>(endpoint: Endpoint, ui: Pick<Ui, "say">, work: Promise<T>): Promise<T> {
  if (!isAccount(endpoint)) return await work;
  const say = (): void => ui.say(`still waiting for ${showEndpoint(endpoint)}: it has not let us in yet`);
  const timer = setTimeout(say, SILENCE_MS);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}
