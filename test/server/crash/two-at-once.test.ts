// Two runs at once: the second says who holds the lock and leaves, having changed nothing; what a dead one left holds nobody up.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { count } from "../../kit/counts.ts";
import { launch, type Running, start, startHere } from "../../kit/crash.ts";
import { muchMail, nameOf, type Scene, scene, type Way } from "./scenes.ts";
import { expectComplete, useStage } from "./stage.ts";

const MAIL = muchMail(40);
const stage = useStage();

const WAYS: readonly Way[] = [
  { command: "migrate", from: "imap", to: "imap" },
  { command: "backup", from: "imap", to: "maildir" },
  { command: "drain", from: "pop3", to: "archive" },
  { command: "backup", from: "maildir", to: "file.zip" },
];

/** A run that stands still in the middle of its work, before it records the first `record`, so that it holds what it holds. */
async function standing(play: Scene, way: Way, record = "done"): Promise<Running> {
  const counted = await start(stage.commandOf(await scene(stage.place(), way, MAIL)), { count: true });
  const at = counted.steps.findIndex((kind) => kind.startsWith(`write journal ${record}`));
  expect(at).toBeGreaterThan(0);
  const run = launch(stage.commandOf(play), { signals: [{ name: "SIGSTOP", at: at + 1 }] });
  await run.stopped();
  return run;
}

/** The one lock file below the scene's places. */
function lockOf(play: Scene): string {
  const places = play.args.map((arg) => arg.replace(/^(maildir|mboxzip):/, "")).filter((arg) => arg.startsWith("/"));
  const locks = places
    .flatMap((place) => [place, `${place}.part.d`])
    .flatMap((place) => filesIn(place).map((name) => join(place, name)))
    .filter((path) => /\/lock$/.test(path));
  expect(locks).toHaveLength(1);
  return locks[0] ?? "";
}

function filesIn(place: string): string[] {
  try {
    return readdirSync(place, { recursive: true, encoding: "utf8" });
  } catch {
    return [];
  }
}

for (const way of WAYS)
  describe(nameOf(way), () => {
    it("the second run names the process that holds the lock, and ends with 5; the first one completes", async () => {
      const play = await scene(stage.place(), way, MAIL);
      // Until its last session is over a maildrop lets nobody else in: what a second run meets is the server, not the lock.
      const first = await standing(play, way, way.from === "pop3" ? "removed" : "done");
      const second = await start(stage.commandOf(play));
      expect(second.code, second.stderr).toBe(5);
      expect(second.stderr).toContain(`is in use by process ${first.pid} on `);
      expect(second.stderr).toContain(lockOf(play));
      first.signal("SIGCONT");
      const ended = await first.ended;
      expect(ended.code, ended.stderr).toBe(0);
      await expectComplete(play, nameOf(way));
      count("crash points");
    });

    it("the lock of a killed run is taken over, also where its pid is another process's now", async () => {
      for (const isReused of [false, true]) {
        const play = await scene(stage.place(), way, MAIL);
        const first = await standing(play, way);
        first.signal("SIGKILL");
        expect((await first.ended).signal).toBe("SIGKILL");
        const lock = lockOf(play);
        const held = JSON.parse(readFileSync(lock, "utf8")) as { readonly pid: number; readonly start: string };
        expect(held).toMatchObject({ pid: first.pid, start: expect.stringMatching(/^\d+$/) });
        // This very process lives, but it did not begin when the one that took the lock did.
        if (isReused) writeFileSync(lock, JSON.stringify({ ...held, pid: process.pid }));
        const next = await startHere(stage.commandOf(play));
        expect(next.code, next.stderr).toBe(0);
        await expectComplete(play, nameOf(way));
        count("crash points");
      }
    });
  });
