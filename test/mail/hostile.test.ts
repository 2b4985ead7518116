// Mail made to be slow: time grows with the size of a message, whatever is in it.

import { expect, it } from "vitest";
import { messageIdOf, receivedFromHeader } from "../../src/mail/headers.ts";
import { keyOf } from "../../src/mail/key.ts";
import { toCrlf, toLf } from "../../src/mail/lineends.ts";

const MEGABYTE = 1_000_000;

async function* once(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text, "latin1");
}

async function drain(content: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of content);
}

const FILLINGS: Readonly<Record<string, string>> = {
  "runs of CR": "\r".repeat(MEGABYTE),
  "runs of LF": "\n".repeat(MEGABYTE),
  "CR and text in turn": "\ra".repeat(MEGABYTE / 2),
  "angle brackets": "<".repeat(MEGABYTE),
  parentheses: "(".repeat(MEGABYTE),
  blanks: " ".repeat(MEGABYTE),
  "folded blank lines": "\r\n ".repeat(MEGABYTE / 3),
  semicolons: ";".repeat(MEGABYTE),
};

for (const [what, filling] of Object.entries(FILLINGS))
  it(`a megabyte of ${what} takes no longer than a megabyte of text`, async () => {
    const text = `Message-ID: ${filling}x\r\nReceived: from ${filling}; y\r\nDate: ${filling}\r\n\r\nbody ${filling}x`;
    const started = performance.now();
    const head = Buffer.from(text, "latin1");
    messageIdOf(head);
    receivedFromHeader(head);
    messageIdOf(head.subarray(0, MEGABYTE / 2));
    await keyOf(once(text));
    await drain(toCrlf(once(text)));
    await drain(toLf(once(text)));
    // Quadratic, each of these would take from minutes to hours.
    expect(performance.now() - started).toBeLessThan(60_000);
  });
