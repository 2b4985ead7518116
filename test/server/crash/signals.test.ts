// Ctrl-C and SIGTERM at any moment: what is in flight is finished, the exit code says what it was, and the next run goes on
// from there: nothing lost, nothing twice, nothing left that would have to be looked for.

import { describe, expect, it } from "vitest";
import { count } from "../../kit/counts.ts";
import { type Ended, start, startHere, type Watch } from "../../kit/crash.ts";
import { randomFrom } from "../../kit/random.ts";
import { FIRST_SEED } from "../../kit/seeds.ts";
import { muchMail, nameOf, type Scene, scene, type Way } from "./scenes.ts";
import { expectComplete, useStage } from "./stage.ts";

const MESSAGES = 200;
/** Of each kind of signal, on each way: one before this step, others anywhere. */
const MOMENTS = 2;
const EARLY = 2;
/** A second signal follows within so many steps. */
const SOON = 10;
const MAIL = muchMail(MESSAGES);

const WAYS: readonly Way[] = [
  { command: "migrate", from: "imap", to: "imap" },
  { command: "migrate --move", from: "imap", to: "imap" },
  { command: "backup", from: "imap", to: "maildir" },
  { command: "drain", from: "pop3", to: "archive" },
  { command: "backup", from: "maildir", to: "file.zip" },
];

const stage = useStage();

async function goOn(play: Scene, where: string): Promise<Ended> {
  const next = await startHere(stage.commandOf(play));
  expect(next.code, `${where}\n${next.stderr}`).toBe(0);
  await expectComplete(play, where);
  const files = play.files();
  const last = await startHere(stage.commandOf(play));
  expect(last.code, `${where}\n${last.stderr}`).toBe(0);
  expect(last.summary.balance?.copied ?? 0, where).toBe(0);
  expect(play.files(), where).toEqual(files);
  return next;
}

/** A signal before one of the last steps may be heard by nobody: then the run is complete, and says so. */
function expectStopped(ended: Ended, code: number, at: number, where: string): boolean {
  const isTooLate = ended.steps.length - at < SOON && ended.code === 0;
  if (isTooLate) expect([ended.summary.outcome, copied(ended)], where).toEqual(["complete", MESSAGES]);
  else expect(ended.code, where).toBe(code);
  return !isTooLate;
}

const copied = ({ summary }: Ended): number => summary.balance?.copied ?? 0;

for (const way of WAYS)
  describe(nameOf(way), () => {
    const random = randomFrom(FIRST_SEED);
    let steps: Promise<number> | undefined;
    /** Steps at which it is interrupted. */
    async function moments(): Promise<number[]> {
      steps ??= scene(stage.place(), way, MAIL)
        .then((play) => start(stage.commandOf(play), { count: true }))
        .then((ended) => ended.steps.length);
      const all = await steps;
      return [EARLY, ...Array.from({ length: MOMENTS - 1 }, () => 1 + random.upTo(all))];
    }

    async function interrupt(
      signals: NonNullable<Watch["signals"]>,
    ): Promise<{ play: Scene; ended: Ended; where: string }> {
      const play = await scene(stage.place(), way, MAIL);
      const ended = await start(stage.commandOf(play), { signals });
      const names = signals.map(({ name, at }) => `${name} before step ${at}`).join(", ");
      count("crash points");
      return {
        play,
        ended,
        where: `${nameOf(way)}, seed ${FIRST_SEED}: ${names} (${ended.steps.at(-1)})\n${ended.stderr}`,
      };
    }

    it.each([
      ["SIGINT", 130],
      ["SIGTERM", 143],
    ] as const)(
      "%s: it finishes what is in flight, ends with %i, and the next run copies the rest",
      async (name, code) => {
        for (const at of await moments()) {
          const { play, ended, where } = await interrupt([{ name, at }]);
          if (expectStopped(ended, code, at, where))
            expect(ended.stderr, where).toContain("stopping: what is in flight is finished first");
          // Early enough that not all can have been in flight.
          if (at === EARLY) expect(copied(ended), where).toBeLessThan(MESSAGES);
          const next = await goOn(play, where);
          // All that was written was recorded: the next run finds none that it does not know.
          expect(next.summary.balance?.adopted ?? 0, where).toBe(0);
          expect(copied(ended) + copied(next), where).toBe(MESSAGES);
        }
      },
    );

    it("a second SIGINT stops at once, with 130; the next run ends with each message once", async () => {
      for (const at of await moments()) {
        const second = at + 1 + random.upTo(SOON);
        const { play, ended, where } = await interrupt([
          { name: "SIGINT", at },
          { name: "SIGINT", at: second },
        ]);
        expectStopped(ended, 130, at, where);
        await goOn(play, where);
      }
    });
  });

it("the third SIGINT ends the process, and the next run ends with each message once", async () => {
  const way: Way = { command: "backup", from: "imap", to: "maildir" };
  const play = await scene(stage.place(), way, MAIL);
  // Before steps that follow each other at once: the signals are heard together.
  const signals = [40, 41, 42].map((at) => ({ name: "SIGINT", at }) as const);
  const ended = await start(stage.commandOf(play), { signals });
  expect(ended.code, ended.stderr).toBe(130);
  await goOn(play, nameOf(way));
});
