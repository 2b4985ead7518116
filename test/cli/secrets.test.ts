import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { applyKeys } from "../../src/cli/prompt.ts";
import { type SecretOptions, secretsFrom } from "../../src/cli/secrets.ts";
import { MailError } from "../../src/mail/errors.ts";

const { signal } = new AbortController();
let root = "";
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "secrets-"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function ask(options: SecretOptions, environment: NodeJS.ProcessEnv = {}): Promise<string> {
  const password = await secretsFrom({ PATH: process.env.PATH, ...environment }, () => undefined).password(
    "source",
    "imaps://me@host",
    options,
    signal,
  );
  return password();
}
async function refusal(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => new Error("it was accepted"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(MailError);
  return error instanceof MailError ? `${error.message} ${error.details.hint ?? ""}` : "";
}

describe("a password", () => {
  it("comes from the environment, byte for byte", async () => {
    expect(await ask({}, { MAILFERRY_SOURCE_PASSWORD: " pä ss\t" })).toBe(" pä ss\t");
  });

  it("of the target is not the source's", async () => {
    expect(await refusal(ask({}, { MAILFERRY_TARGET_PASSWORD: "x" }))).toContain("MAILFERRY_SOURCE_PASSWORD");
  });

  it("comes from the first line of what a command prints", async () => {
    expect(await ask({ command: "printf 'one two\\r\\nmore\\n'" })).toBe("one two");
  });

  it("is asked of the command again only when it may be old", async () => {
    const counter = join(root, "count");
    const secrets = secretsFrom(process.env, () => undefined);
    const command = `echo x >> ${counter}; wc -l < ${counter}`;
    const password = await secrets.password("target", "a", { command }, signal);
    expect((await Promise.all([password(), password(), password()])).map((text) => text.trim())).toEqual([
      "1",
      "1",
      "1",
    ]);
  });

  it("is not handed to the command of the other side", async () => {
    const environment = { MAILFERRY_TARGET_PASSWORD: "hunter2" };
    expect(await ask({ command: 'echo "[$MAILFERRY_TARGET_PASSWORD]"' }, environment)).toBe("[]");
  });

  it("comes from the first line of a file; one that others can read is warned of", async () => {
    const file = join(root, "pw");
    writeFileSync(file, "from file\r\nnote\n");
    const warnings: string[] = [];
    for (const [mode, count] of [
      [0o600, 0],
      [0o640, 1],
      [0o604, 2],
    ] as const) {
      chmodSync(file, mode);
      const secrets = secretsFrom({}, (text) => warnings.push(text));
      expect(await (await secrets.password("source", "a", { file }, signal))()).toBe("from file");
      expect(warnings).toHaveLength(count);
    }
    expect(warnings.join()).not.toContain("from file");
  });

  it("that cannot be had says where to put it, and repeats nothing", async () => {
    writeFileSync(join(root, "empty"), "\nsecond");
    expect(await refusal(ask({ command: "echo hunter2; exit 3" }))).toMatch(
      /--source-password-command failed \(exit code 3\)/,
    );
    expect(await refusal(ask({ command: "echo hunter2; exit 3" }))).not.toContain("hunter2");
    expect(await refusal(ask({ command: "true" }))).toContain("printed no password");
    expect(await refusal(ask({ file: join(root, "none") }))).toContain("cannot read --source-password-file");
    expect(await refusal(ask({ file: join(root, "empty") }))).toContain("is empty");
    expect(await refusal(ask({ file: "a", command: "b" }))).toContain("one of them");
  });

  it("is not asked for without a terminal", async () => {
    expect(await refusal(ask({}))).toMatch(/no terminal.*MAILFERRY_SOURCE_PASSWORD/);
    expect(await refusal(ask({}, { MAILFERRY_SOURCE_PASSWORD: "" }))).toContain("no terminal");
  });

  it("is hidden wherever somebody else repeats it", async () => {
    const secrets = secretsFrom({ MAILFERRY_SOURCE_PASSWORD: 'hun"ter2' }, () => undefined);
    await secrets.password("source", "a", {}, signal);
    const base64 = Buffer.from('hun"ter2').toString("base64");
    expect(secrets.hide(`BAD LOGIN me hun"ter2 / ${base64} / ${JSON.stringify('hun"ter2')}`)).toBe(
      'BAD LOGIN me *** / *** / "***"',
    );
    expect(secrets.hide("nothing")).toBe("nothing");
  });
});

describe("the hidden line", () => {
  it("is what the keys say", () => {
    expect(applyKeys("", "abc\r")).toEqual({ text: "abc", state: "done" });
    expect(applyKeys("", "pasted\nrest")).toEqual({ text: "pasted", state: "done" });
    expect(applyKeys("ab", "😀\u007f\u007fc")).toEqual({ text: "ac", state: "open" });
    expect(applyKeys("abc", "\u0015d")).toEqual({ text: "d", state: "open" });
    expect(applyKeys("abc", "\u0003")).toEqual({ text: "", state: "interrupted" });
    expect(applyKeys("a", "\u0001\tb")).toEqual({ text: "ab", state: "open" });
  });
});
