// A server that owes us something and says nothing: told after a while, long before it is given up.

/** Until then nobody wonders. */
export const SILENCE_MS = 5000;

/** What is waited for: to be let in, or an answer. */
export type Owed = "login" | "answer";

/** Called once a wait. Gives what is called when that has ended, one way or another. */
export type OnSilence = (owed: Owed) => () => void;

/** Getting in, from the first octet to the login. Its result; the word where it takes long. */
export async function whileOpening<T>(onSilence: OnSilence | undefined, work: Promise<T>): Promise<T> {
  if (onSilence === undefined) return await work;
  let ended: (() => void) | undefined;
  const timer = setTimeout(() => {
    ended = onSilence("login");
  }, SILENCE_MS);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
    ended?.();
  }
}
