// The question whose answer is not shown: the terminal is silent before it is asked, and speaks again after it.

import { PassThrough } from "node:stream";
import { afterEach, expect, it, vi } from "vitest";
import { askHidden } from "../../src/cli/prompt.ts";

afterEach(() => vi.restoreAllMocks());

/** What a terminal is told, in order. */
function terminal(): { readonly keyboard: PassThrough; readonly seen: string[] } {
  const seen: string[] = [];
  const keyboard = new PassThrough();
  Object.assign(keyboard, { setRawMode: (on: boolean) => seen.push(on ? "silent" : "speaks") });
  vi.spyOn(process, "stdin", "get").mockReturnValue(keyboard as unknown as typeof process.stdin);
  vi.spyOn(process.stderr, "write").mockImplementation((text) => seen.push(String(text)) > 0);
  return { keyboard, seen };
}

it("is asked on a terminal that is silent already, for who answers at once would see the first keys", async () => {
  const { keyboard, seen } = terminal();
  const answer = askHidden("Password: ", new AbortController().signal);
  keyboard.write("se");
  keyboard.write("cret\r");
  expect(await answer).toBe("secret");
  expect(seen).toEqual(["silent", "Password: ", "speaks", "\n"]);
});

it("leaves the terminal as it was when the signal comes", async () => {
  const { seen } = terminal();
  const stop = new AbortController();
  const answer = askHidden("Password: ", stop.signal);
  stop.abort();
  await expect(answer).rejects.toThrow("interrupted");
  expect(seen).toEqual(["silent", "Password: ", "speaks", "\n"]);
});
