// Locks that cannot be judged from here: watched, taken over when they are not renewed, refused as soon as they are.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, it, test } from "vitest";
import { acquireLock, type LockOptions } from "../../src/core/lock.ts";
import { virtualClock } from "../kit/lock-clock.ts";

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "lock-"));
  path = join(directory, "lock");
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const FOREIGN = {
  token: "00000000-0000-4000-8000-000000000001",
  pid: 3,
  host: "c0ffee",
  since: 1_700_000_000,
  life: "00000000-0000-4000-8000-0000000000aa",
  boot: "another",
  space: "pid:[1]",
  renewals: "00000007",
  renewed: "001700000070",
};

const leave = (change: object = {}, where = path): Promise<void> =>
  writeFile(where, `${JSON.stringify({ ...FOREIGN, ...change })}\n`);

/** Takes the lock, by a clock of its own; with what was said to the user. */
async function take(options: LockOptions & { readonly each?: () => unknown } = {}) {
  const said: string[] = [];
  const clock = virtualClock(options.each);
  const lock = await acquireLock(path, "it", { clock, onWait: (text) => said.push(text), ...options });
  return { said, clock, lock };
}

describe("a holder on another machine, or in another container", () => {
  it.each([
    ["another machine", {}],
    ["another machine of the same name, which was started later", { host: undefined, renewed: "009999999999" }],
    ["a container of the same name, on the same system", { host: undefined, boot: undefined }],
    ["a system without boot ids, as a Mac that was called otherwise", { boot: "none", space: "none" }],
  ])("%s: silent for a minute, it is dead, and the user hears what is waited for", async (_, change) => {
    const own = await acquireLock(join(directory, "own"), "it");
    const me = JSON.parse(await readFile(join(directory, "own"), "utf8")) as Record<string, unknown>;
    await own[Symbol.asyncDispose]();
    const filled = Object.fromEntries(
      Object.entries({ ...FOREIGN, ...change })
        .map(([name, value]) => [name, value === undefined ? me[name] : value])
        .filter(([, value]) => value !== "none"),
    );
    await writeFile(path, JSON.stringify({ ...filled, pid: 2 ** 22 + 5 }));
    const { said, clock, lock } = await take();
    expect(said).toEqual([expect.stringMatching(/^waiting to see whether process \d+ on \S+ still runs/)]);
    // The settling after it is part of it.
    expect(clock.waited).toBe(62_000);
    expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({ pid: process.pid });
    await lock[Symbol.asyncDispose]();
    expect(await readdir(directory)).toEqual([]);
  });

  it.each([1_000, 59_000])("renewed after %i ms, it lives, and the lock is refused there and then", async (after) => {
    await leave();
    let waited = 0;
    const each = async (): Promise<void> => {
      waited += 1_000;
      if (waited === after) await leave({ renewals: "00000008", renewed: "001700000080" });
    };
    await expect(take({ each })).rejects.toThrow("it is in use by process 3 on c0ffee since 2023");
    expect(waited).toBe(after);
    expect(await readFile(path, "utf8")).toContain('"pid":3,');
  });

  it("given back, the lock is taken at once", async () => {
    await leave();
    let looks = 0;
    const { clock, lock } = await take({ each: async () => void (++looks === 3 && (await unlink(path))) });
    expect(clock.waited).toBe(3_000);
    await lock[Symbol.asyncDispose]();
  });

  it("renewed in the last moment, while it is about to be replaced, it is not", async () => {
    await leave();
    const right = `${path}.after-${FOREIGN.token}`;
    // Another one has the right already, and is dead: when that right is given up, the holder has come back.
    await leave({ token: "00000000-0000-4000-8000-000000000002", life: "00000000-0000-4000-8000-0000000000bb" }, right);
    let waited = 0;
    const each = async (): Promise<void> => {
      waited += 1_000;
      if (waited === 90_000) await leave({ renewals: "00000008" });
      if (waited === 130_000) await leave({ renewals: "00000009" });
    };
    await expect(take({ each })).rejects.toMatchObject({ code: "locked" });
    expect(await readFile(path, "utf8")).toContain('"pid":3,');
  });

  it("an abort ends the waiting with its reason, and leaves the lock", async () => {
    await leave();
    const stop = new AbortController();
    const waiting = take({ signal: stop.signal, each: () => stop.abort(new Error("enough")) });
    await expect(waiting).rejects.toThrow("enough");
    expect(await readdir(directory)).toEqual(["lock"]);
  });

  it("is not thought silent for a time in which this process itself stood still", async () => {
    await leave();
    let waits = 0;
    const clock = virtualClock();
    const wait = async (): Promise<void> => {
      waits++;
      await clock.pass(3_600_000);
    };
    const { lock } = await take({ clock: { ...clock, wait } });
    // An hour a look, of which two seconds count.
    expect(waits).toBeGreaterThanOrEqual(30);
    await lock[Symbol.asyncDispose]();
  });

  it("of an older version, which renews nothing, is refused as ever: its silence says nothing", async () => {
    await leave({ renewals: undefined, renewed: undefined });
    const clock = virtualClock();
    const refused = acquireLock(path, "it", { clock });
    await expect(refused).rejects.toMatchObject({
      code: "locked",
      details: { hint: expect.stringContaining(`remove ${path}`) },
    });
    expect(clock.waited).toBe(0);
  });

  it("its other lock in that folder is not waited for again, but one that it renewed since is", async () => {
    await leave();
    const first = await take();
    await leave({ token: "00000000-0000-4000-8000-000000000009" });
    const second = await take();
    expect(second.clock.waited).toBe(2_000);
    await leave({ token: "00000000-0000-4000-8000-00000000000a", renewed: "001700000200" });
    const third = await take();
    expect(third.clock.waited).toBe(62_000);
    for (const { lock } of [first, second, third]) await lock[Symbol.asyncDispose]();
  });

  it("of two that wait for it, one wins", async () => {
    for (let round = 0; round < 5; round++) {
      await leave({ life: `00000000-0000-4000-8000-0000000001${round}0` });
      const tries = await Promise.allSettled([take(), take(), take()]);
      const won = tries.filter((result) => result.status === "fulfilled");
      expect(won).toHaveLength(1);
      for (const result of tries)
        if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "locked" });
      for (const { value } of won) await value.lock[Symbol.asyncDispose]();
      expect(await readdir(directory)).toEqual([]);
    }
  });
});

/** Twenty times as fast as the real one. */
const FAST = `const clock = {
  now: () => performance.now() * 20, wall: () => Date.now(),
  wait: (ms, signal, idle) => delay(ms / 20, undefined, { ref: !idle, ...(signal ? { signal } : {}) }).catch(() => undefined),
};`;
const MODULE = join(import.meta.dirname, "../../src/core/lock.ts");
const apart = spawnSync("unshare", ["--pid", "--fork", "true"]).status === 0;

/** A process in a pid namespace of its own that takes the lock and holds it. */
async function elsewhere(): Promise<{ kill(): Promise<void>; said: string }> {
  const script = `import { acquireLock } from ${JSON.stringify(MODULE)};
    import { setTimeout as delay } from "node:timers/promises";
    ${FAST}
    try { await acquireLock(process.argv[1], "it", { clock }); console.log("won"); } catch (error) { console.log(error.code); }
    setInterval(() => {}, 1000);`;
  const child = spawn(
    "unshare",
    ["--pid", "--fork", "--kill-child", process.execPath, "--import", "tsx", "--input-type=module", "-e", script, path],
    { cwd: join(import.meta.dirname, "../.."), stdio: ["ignore", "pipe", "inherit"] },
  );
  const lines = createInterface(child.stdout);
  const [said] = (await once(lines, "line")) as [string];
  return {
    said,
    async kill() {
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await gone;
    },
  };
}

test.skipIf(!apart)(
  "a real process in another pid namespace is refused while it lives, and replaced once killed",
  async () => {
    await mkdir(directory, { recursive: true });
    const fast = {
      now: () => performance.now() * 20,
      wall: () => Date.now(),
      wait: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms / 20)),
    };
    const first = await elsewhere();
    try {
      expect(first.said).toBe("won");
      await expect(acquireLock(path, "it", { clock: fast })).rejects.toMatchObject({ code: "locked" });
    } finally {
      await first.kill();
    }
    const said: string[] = [];
    const lock = await acquireLock(path, "it", { clock: fast, onWait: (text) => said.push(text) });
    expect(said).toHaveLength(1);
    await lock[Symbol.asyncDispose]();
  },
);
