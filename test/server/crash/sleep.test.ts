// The machine sleeps while its connections die, and its clock steps back: a run goes on or asks to be run again, and in the end
// each message is there once.

import { describe, expect, it } from "vitest";
import { count } from "../../kit/counts.ts";
import { launch, start, startHere } from "../../kit/crash.ts";
import { startProxy } from "../../kit/proxy.ts";
import { muchMail, nameOf, type Scene, scene, type Way } from "./scenes.ts";
import { expectComplete, useStage } from "./stage.ts";

const MAIL = muchMail(60);
const HOUR = 3600;
const YEARS = 10 * 365 * 24 * HOUR;
const stage = useStage();

/** The same command, with what its ends have on this port behind another one. */
function behind(play: Scene, port: number, other: number): Scene {
  return { ...play, args: play.args.map((arg) => arg.replaceAll(`localhost:${port}?`, `localhost:${other}?`)) };
}

async function nothingToDo(play: Scene, where: string): Promise<void> {
  await expectComplete(play, where);
  const files = play.files();
  const further = await startHere(stage.commandOf(play));
  expect(further.code, `${where}\n${further.stderr}`).toBe(0);
  expect(further.summary.balance?.copied ?? 0, where).toBe(0);
  expect(play.files(), where).toEqual(files);
}

const WAYS: readonly Way[] = [
  { command: "migrate", from: "imap", to: "imap" },
  { command: "migrate --move", from: "imap", to: "imap" },
  { command: "backup", from: "imap", to: "maildir" },
  { command: "drain", from: "pop3", to: "archive" },
];

// Side by side: most of their time is spent on waiting for what a server may yet store.
for (const way of WAYS)
  describe.concurrent(nameOf(way), () => {
    it("stopped, its connections reset, and continued: it goes on, or ends with 5 and the next run completes", async () => {
      const server = way.from === "pop3" ? "pop3" : "imap";
      const { dovecot } = stage.place();
      const port = dovecot.ports[server];
      const counted = await start(stage.commandOf(await scene(stage.place(), way, MAIL)), { count: true });
      const talks = [...counted.steps.keys()].filter((i) => /^(answer|send)/.test(counted.steps[i] ?? ""));
      for (const share of [0.3, 0.7]) {
        const at = 1 + (talks[Math.floor(talks.length * share)] ?? 0);
        await using proxy = await startProxy(port);
        const play = behind(await scene(stage.place(), way, MAIL), port, proxy.port);
        const run = launch(stage.commandOf(play), { signals: [{ name: "SIGSTOP", at }] });
        await run.stopped();
        proxy.reset();
        run.signal("SIGCONT");
        const ended = await run.ended;
        const where = `${nameOf(way)}: asleep before step ${at} (${ended.steps[at - 1]})\n${ended.stderr}`;
        count("crash points");
        expect([0, 5], where).toContain(ended.code);
        if (ended.code === 5) {
          const next = await startHere(stage.commandOf(play));
          expect(next.code, `${where}\n${next.stderr}`).toBe(0);
        }
        await nothingToDo(play, where);
      }
    });

    it("a clock that steps back in the middle of a run, or ahead as after a sleep, changes nothing", async () => {
      for (const [jumpSeconds, afterLooks] of [
        [-HOUR, 2],
        [-HOUR, 20],
        [HOUR, 8],
      ] as const) {
        const play = await scene(stage.place(), way, MAIL);
        const ended = await start(stage.commandOf(play), { clock: { jumpSeconds, afterLooks } });
        const where = `${nameOf(way)}: ${jumpSeconds} s after ${afterLooks} looks at the clock`;
        count("crash points");
        expect(ended.code, `${where}\n${ended.stderr}`).toBe(0);
        await nothingToDo(play, where);
      }
    });

    it("a clock that was set back between two runs, the first of them killed, changes nothing", async () => {
      const counted = await start(stage.commandOf(await scene(stage.place(), way, MAIL)), { count: true });
      for (const seconds of [-HOUR, -YEARS]) {
        const play = await scene(stage.place(), way, MAIL);
        const command = stage.commandOf(play);
        const died = await start(command, { signals: [{ name: "SIGKILL", at: counted.steps.length >> 1 }] });
        expect(died.signal).toBe("SIGKILL");
        const second = await start(command, { clock: { seconds } });
        const where = `${nameOf(way)}: killed before ${died.steps.at(-1)}, then ${seconds} s`;
        count("crash points");
        expect(second.code, `${where}\n${second.stderr}`).toBe(0);
        await nothingToDo(play, where);
      }
    });
  });
