// A secret that ends in the middle of a run: it is asked for again, once, and never the same one twice.

import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EXIT, exitCodeOf } from "../../src/cli/exit.ts";
import { secretsFrom } from "../../src/cli/secrets.ts";
import { count } from "../kit/counts.ts";
import { USUAL as POP3, USER } from "../protocol/pop3/scripted-server.ts";
import { expectSame } from "./contents.ts";
import { USUAL } from "./imap-account.ts";
import { type Bench, carry, impatient, MAIL, once, openBench, signal } from "./jobs.ts";
import { cli, nothingForeign, PLACES, type Place, type Served, serveImap, servePop3 } from "./served.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

interface Expiring extends AsyncDisposable {
  readonly server: Served;
  /** Every secret that was tried in vain. */
  readonly refused: readonly string[];
}

/** In the middle of the mail it hangs up, and from then on only "new" is right; `expired` is called at that moment. */
async function startExpiring(place: Place, expired: () => void): Promise<Expiring> {
  const refused: string[] = [];
  let right = "old";
  const isRight = (secret: string): boolean => {
    if (secret !== right) refused.push(secret);
    return secret === right;
  };
  const expire = (): void => {
    right = "new";
    expired();
  };
  const expiring = (server: Served): Expiring => ({
    server,
    refused,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  });
  if (place === "a POP3 source") {
    const on = (line: string) => {
      const [, sasl] = /^AUTH PLAIN (\S+)$/.exec(line) ?? [];
      if (sasl !== undefined) {
        const [, , secret = ""] = Buffer.from(sasl, "base64").toString().split("\0");
        return isRight(secret) ? undefined : { send: "-ERR [AUTH] no longer\r\n" };
      }
      if (line !== "RETR 3" || right === "new") return undefined;
      expire();
      return { ending: "fin" } as const;
    };
    // One way in: what is refused in one is tried in another.
    return expiring(await servePop3(bench, on, { capabilities: POP3.filter((name) => name !== "USER") }));
  }
  let appended = 0;
  const server = await serveImap(bench, place, {
    // One message a command: some are stored when it ends.
    capabilities: USUAL.filter((name) => name !== "MULTIAPPEND"),
    before({ text, literals }, talk) {
      const login = /^LOGIN \S+ "?([^"]*)"?$/.exec(text);
      if (login !== null)
        return isRight(literals.at(-1)?.toString() ?? login[1] ?? "")
          ? undefined
          : "NO [AUTHENTICATIONFAILED] no longer";
      if (place !== "an IMAP target" || right === "new" || !text.startsWith("APPEND") || ++appended < 3)
        return undefined;
      expire();
      talk.send("* BYE the password was changed\r\n");
      talk.end();
      return "done";
    },
    rows: (rows, text) => (right === "new" || !text.includes("BODY.PEEK[]") ? rows : rows.slice(0, 2)),
    after({ text }, talk) {
      if (place !== "an IMAP source" || right === "new" || !text.includes("BODY.PEEK[]")) return undefined;
      expire();
      talk.send("* BYE the password was changed\r\n");
      talk.end();
      return "done";
    },
  });
  return expiring(server);
}

/** A file that a command prints: what a key ring or an agent for tokens is. */
function keyring(): { readonly command: string; put(secret: string): void } {
  const path = bench.place("keyring");
  const put = (secret: string): void => writeFileSync(path, `${secret}\n`);
  put("old");
  return { command: `cat ${path}`, put };
}

describe.each(PLACES)("a secret that ends in the middle of a run, at %s", (place) => {
  it("is asked for again, and the run goes on", async () => {
    const ring = keyring();
    await using expiring = await startExpiring(place, () => ring.put("new"));
    const password = await secretsFrom(process.env, () => undefined).password("source", "a", ring, signal);
    const { failure, summary } = await carry(expiring.server.job({ password }));
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({ outcome: "complete", closes: true });
    expect(expiring.refused).toEqual(["old"]);
  });

  it.each([
    ["that stays wrong", "old", ["old"]],
    ["that is wrong in another way later", "older", ["old", "older"]],
  ])("%s: ends the run, and is tried no more", async (_, later, refused) => {
    const ring = keyring();
    await using expiring = await startExpiring(place, () => ring.put(later));
    const password = await secretsFrom(process.env, () => undefined).password("source", "a", ring, signal);
    const job = expiring.server.job({ password });
    const { patience, waits } = impatient();
    const { failure, summary } = await once(job, { patience });
    expect(failure).toMatchObject({ code: "auth", details: { scope: "account", remedy: "give-up" } });
    expect(failure?.message).toContain(`the login of ${place === "a POP3 source" ? USER : "u"}: `);
    expect(exitCodeOf(failure)).toBe(EXIT.login);
    expect(expiring.refused).toEqual(refused);
    // The connection that ended was worth one new one.
    expect(waits.length).toBeLessThanOrEqual(1);
    const held = await nothingForeign(job);
    expect(held).toBeGreaterThan(0);
    expect(held).toBeLessThan(MAIL.length);
    const { copied = 0, adopted = 0 } = summary?.balance ?? {};
    expect(copied + adopted).toBeLessThanOrEqual(held);
    const right = await secretsFrom(process.env, () => undefined).password(
      "source",
      "a",
      { command: "echo new" },
      signal,
    );
    // The same state and ends, another opening.
    const opened = expiring.server.job({ password: right });
    await carry({ ...job, ...(place === "an IMAP target" ? { sink: opened.sink } : { source: opened.source }) });
    expect(expiring.refused).toEqual(refused);
  });

  it("the command says whose it is, ends with exit 4, and carries the rest when it is right", async () => {
    count("scripted cases");
    const ring = keyring();
    await using expiring = await startExpiring(place, () => undefined);
    const { argv, arrived } = expiring.server.words();
    const side = place === "an IMAP target" ? "target" : "source";
    const words = [...argv, `--${side}-password-command`, ring.command];
    const environment = { XDG_STATE_HOME: bench.place("state") };
    const first = await cli(words, environment);
    expect(first.said).toContain(`the login of ${place === "a POP3 source" ? USER : "u"}: `);
    expect(first.code).toBe(EXIT.login);
    expect(expiring.refused).toEqual(["old"]);
    ring.put("new");
    for (let again = 0; again < 2; again++) expect((await cli(words, environment)).code).toBe(EXIT.complete);
    expectSame(await expiring.server.job().wanted(), await arrived());
    expect(expiring.refused).toEqual(["old"]);
  });
});
