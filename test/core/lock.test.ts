// The lock: one holder at a time, whatever a dead one left behind, and however many try at once.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, test } from "vitest";
import { acquireLock } from "../../src/core/lock.ts";
import { virtualClock } from "../kit/lock-clock.ts";

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "lock-"));
  path = join(directory, "state", "lock");
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const MODULE = join(import.meta.dirname, "../../src/core/lock.ts");

/** A process of its own that takes the lock, says so, and then does what it is told. */
function holder(count = 1): { lines: AsyncIterator<string>; child: ReturnType<typeof spawn> } {
  const script = `import { acquireLock } from ${JSON.stringify(MODULE)};
    for (let i = 0; i < ${count}; i++) {
      try { await acquireLock(process.argv[1], "it"); console.log("won " + process.pid); }
      catch (error) { console.log(error.code); }
    }
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script, path], {
    cwd: join(import.meta.dirname, "../.."),
    stdio: ["ignore", "pipe", "inherit"],
  });
  return { lines: linesOf(child.stdout), child };
}

async function* linesOf(stream: AsyncIterable<Buffer> | null): AsyncGenerator<string> {
  let text = "";
  for await (const chunk of stream ?? []) {
    text += chunk.toString();
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n")) {
      yield text.slice(0, end);
      text = text.slice(end + 1);
    }
  }
}

async function kill(child: ReturnType<typeof spawn>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

test("a held lock is refused with the pid, the path and the way out; given back, it can be had again", async () => {
  const first = await acquireLock(path, "the archive ./backup");
  const refused = acquireLock(path, "the archive ./backup");
  await expect(refused).rejects.toMatchObject({
    code: "locked",
    details: { scope: "account", remedy: "give-up", hint: expect.stringContaining(path) },
  });
  await expect(refused).rejects.toThrow(
    new RegExp(`the archive ./backup is in use by process ${process.pid} .*${path}`),
  );
  await first[Symbol.asyncDispose]();
  await first[Symbol.asyncDispose]();
  const second = await acquireLock(path, "it");
  await first[Symbol.asyncDispose]();
  await expect(acquireLock(path, "it")).rejects.toMatchObject({ code: "locked" });
  await second[Symbol.asyncDispose]();
  expect(await readdir(join(directory, "state"))).toEqual([]);
});

test("the lock of another living process holds, and is taken over once that is killed", async () => {
  const { lines, child } = holder();
  try {
    expect((await lines.next()).value).toBe(`won ${child.pid}`);
    await expect(acquireLock(path, "it")).rejects.toThrow(`process ${child.pid} `);
  } finally {
    await kill(child);
  }
  await (await acquireLock(path, "it"))[Symbol.asyncDispose]();
  expect(await readdir(join(directory, "state"))).toEqual([]);
});

/** What a holder on this machine would have written, with some of it changed. */
async function leave(change: object): Promise<void> {
  const lock = await acquireLock(path, "it");
  const now: unknown = JSON.parse(await readFile(path, "utf8"));
  await lock[Symbol.asyncDispose]();
  await writeFile(path, JSON.stringify(Object.assign({}, now, change)));
}

test.each([
  ["a pid that is now another process's", { start: "1" }],
  ["a process before the last boot", { boot: "another", pid: process.pid, renewed: "000000000001" }],
  ["a process before the last boot, of an older version", { boot: "another", pid: process.pid, renewals: undefined }],
  ["a process of this system that called its host otherwise", { host: "c0ffee", pid: 2 ** 22 + 5 }],
  ["a pid that nobody has", { pid: 2 ** 22 + 5 }],
  ["a process before the last boot, where only the up time tells", { boot: undefined, start: undefined, since: 1 }],
])("%s holds nothing", async (_, change) => {
  await leave(change);
  const clock = virtualClock();
  const lock = await acquireLock(path, "it", { clock });
  expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({ pid: process.pid, host: hostname() });
  await lock[Symbol.asyncDispose]();
  // Seen at once, and not by watching it.
  expect(clock.waited).toBe(0);
});

describe("a torn lock file", () => {
  it("is taken over when nobody has written it for ten seconds, and the user hears what is waited for", async () => {
    await leave({});
    await writeFile(path, "");
    const said: string[] = [];
    const clock = virtualClock();
    const lock = await acquireLock(path, "it", { clock, onWait: (text) => said.push(text) });
    expect(clock.waited).toBeGreaterThan(8_000);
    expect(clock.waited).toBeLessThanOrEqual(10_000);
    expect(said).toEqual([expect.stringMatching(/^waiting to see whether .* still runs, for \d+ seconds at the most/)]);
    await lock[Symbol.asyncDispose]();
  });

  it("is taken over at once when it is older", async () => {
    await leave({});
    await writeFile(path, "");
    const old = new Date(Date.now() - 60_000);
    await utimes(path, old, old);
    const clock = virtualClock();
    await (await acquireLock(path, "it", { clock }))[Symbol.asyncDispose]();
    expect(clock.waited).toBe(0);
  });

  it("that was being written is held by whoever wrote it", async () => {
    const other = await acquireLock(`${path}2`, "it");
    const whole = await readFile(`${path}2`, "utf8");
    await other[Symbol.asyncDispose]();
    await leave({});
    await writeFile(path, "");
    let looks = 0;
    const clock = virtualClock(async () => void (++looks === 2 && (await writeFile(path, whole))));
    await expect(acquireLock(path, "it", { clock })).rejects.toMatchObject({ code: "locked" });
    expect(clock.waited).toBe(2_000);
    expect(await readFile(path, "utf8")).toBe(whole);
  });
});

test("a take-over that was killed half-way does not stop the next one", async () => {
  await leave({ start: "1", token: "00000000-0000-4000-8000-000000000001" });
  const stale = await readFile(path, "utf8");
  await writeFile(`${path}.after-00000000-0000-4000-8000-000000000001`, stale.replace(/1",/, '2",'));
  const lock = await acquireLock(path, "it");
  await expect(acquireLock(path, "it")).rejects.toMatchObject({ code: "locked" });
  await lock[Symbol.asyncDispose]();
  expect(await readdir(join(directory, "state"))).toEqual([]);
});

test("of many that find the same stale lock at once, exactly one wins", async () => {
  for (let round = 0; round < 30; round++) {
    await leave({ start: "1" });
    const tries = await Promise.allSettled(Array.from({ length: 12 }, () => acquireLock(path, "it")));
    const won = tries.filter((result) => result.status === "fulfilled");
    expect(won).toHaveLength(1);
    for (const { value } of won) await value[Symbol.asyncDispose]();
  }
});

test("of several processes that find the same stale lock, at most one wins, and one can", async () => {
  await leave({ start: "1" });
  const all = [holder(5), holder(5), holder(5)];
  try {
    const said: unknown[] = [];
    for (const { lines } of all) for (let i = 0; i < 5; i++) said.push((await lines.next()).value);
    expect(said.filter((line) => String(line).startsWith("won"))).toHaveLength(1);
    expect(said.filter((line) => line === "locked")).toHaveLength(14);
  } finally {
    for (const { child } of all) await kill(child);
  }
});
