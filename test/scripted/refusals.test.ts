// A target that refuses, throttles, says goodbye or falls off at any one command, or at every one of a kind for a while.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import { type Manners, startAccount } from "./imap-account.ts";
import { type Bench, carry, intoAccount, intoMaildir, MAIL, openBench } from "./jobs.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const POOR: Manners = { capabilities: ["IMAP4rev1"], uidplus: false };
const PLACES: readonly (readonly [string, Manners, "source" | "target"])[] = [
  ["a target with UIDPLUS and MULTIAPPEND", {}, "target"],
  ["a target without any extension", POOR, "target"],
  ["a source with extensions", {}, "source"],
];

/** What is said in place of an answer. The second kind says by itself that it passes, and is never a reason to give up. */
const LASTING: readonly (readonly [string, string])[] = [
  ["NO", "NO not now"],
  ["BAD", "BAD what"],
];
const PASSING: readonly (readonly [string, string])[] = [
  ["NO [UNAVAILABLE]", "NO [UNAVAILABLE] later"],
  ["NO [INUSE]", "NO [INUSE] somebody has it"],
  ["NO [LIMIT]", "NO [LIMIT] too many"],
  ["a throttle", "BAD Request is throttled. Suggested Backoff Time: 5 milliseconds"],
  ["BYE", "BYE"],
  ["nothing and ends", ""],
];
/** Stored and denied with words of no code, and no UIDPLUS: then nobody can tell, so poor targets are spared the first. */
const DENIED = [...LASTING.slice(0, 1), ...PASSING.slice(-2)];
const LIMIT_MS = 300_000;
/** More commands than a job of so few messages has. */
const MOST = 60;

type When = "instead of doing it" | "after doing it";

describe.each(PLACES)("%s", (_, manners, end) => {
  it.each([
    ...[...LASTING, ...PASSING].map(([name, words]) => [name, "instead of doing it", words] as const),
    // Where the work was done and the answer says otherwise, the words matter less.
    ...(manners === POOR ? PASSING.slice(-2) : DENIED).map(([name, words]) => [name, "after doing it", words] as const),
  ] satisfies readonly (readonly [string, When, string])[])(
    "that says %s to any one command, %s",
    async (name, when, words) => {
      const passes = PASSING.some(([one]) => one === name);
      const exits = passes ? [EXIT.temporary] : [EXIT.temporary, EXIT.usage, EXIT.login];
      for (let at = 0, wasMet = true; wasMet; at++) {
        await using account = await startAccount(manners);
        if (end === "source") for (const text of MAIL) account.add("INBOX", text);
        let n = 0;
        let met: string | undefined;
        const hook: Manners["before"] = ({ text }, talk) => {
          if (n++ !== at) return undefined;
          met = text;
          if (words !== "" && words !== "BYE") return words;
          if (words === "BYE") talk.send("* BYE going down\r\n");
          talk.end();
          return "done";
        };
        account.manners = { ...manners, ...(when === "after doing it" ? { after: hook } : { before: hook }) };
        const job = end === "source" ? intoMaildir(bench, account) : intoAccount(bench, account);
        const mended = (): void => {
          account.manners = manners;
        };
        try {
          await carry(job, { exits, mended });
        } catch (error) {
          throw new Error(`${name} ${when}, command ${at}: ${met}`, { cause: error });
        }
        expect(account.failures).toEqual([]);
        expect(at).toBeLessThan(MOST);
        wasMet = met !== undefined;
      }
    },
    LIMIT_MS,
  );
});
