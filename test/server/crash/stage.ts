// What every suite on real commands needs: a server, a place, the built program. One of each a test file.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { builtMain } from "../../kit/build.ts";
import { countCompared } from "../../kit/counts.ts";
import type { Command } from "../../kit/crash.ts";
import { type Dovecot, type DovecotOptions, startDovecot } from "../../kit/dovecot.ts";
import { masking, withoutUidplus } from "../../kit/other-servers.ts";
import type { Content, Scene } from "./scenes.ts";

export interface Stage {
  /** The server and the scratch folder; there once the tests run. */
  place(): { readonly dovecot: Dovecot; readonly root: string };
  commandOf(scene: Scene): Command;
}

export interface StageOptions extends DovecotOptions {
  /** Whether accounts that are reached by `imap` tell the UIDs of what was appended. Default true. */
  readonly uidplus?: boolean;
  /** Whether what is appended by `imap` has an X for each octet above 127 in its header. */
  readonly masks?: boolean;
}

/** Made before the tests of the file, and taken down after them. */
export function useStage({ uidplus = true, masks = false, ...options }: StageOptions = {}): Stage {
  let made: { dovecot: Dovecot; root: string; main: string } | undefined;
  beforeAll(async () => {
    const root = await mkdtemp(join(tmpdir(), "mailferry-stage-"));
    const main = await builtMain();
    const dovecot = await startDovecot({ ...options, users: [] });
    const named = uidplus ? dovecot : await withoutUidplus(dovecot);
    made = { root, main, dovecot: masks ? await masking(named) : named };
  });
  afterAll(async () => {
    await made?.dovecot.stop();
    if (made !== undefined) await rm(made.root, { recursive: true, force: true });
  });
  const there = () => {
    if (made === undefined) throw new Error("the stage is made in beforeAll");
    return made;
  };
  return {
    place: there,
    commandOf({ args }) {
      const { main, dovecot, root } = there();
      return { main, args, password: dovecot.password, scratch: root };
    },
  };
}

/** Fails, after counting, when anything is lost, twice or changed at the target, or gone from the source that should not be. */
export async function expectComplete(play: Scene, where: string): Promise<void> {
  const held = await play.held();
  countCompared(linesOf(play.wanted), linesOf(held));
  expect(held, where).toEqual(play.wanted);
  expect(await play.left(), where).toEqual(play.keeps);
  expect(
    play.files().filter((name) => name.includes(".zip.")),
    where,
  ).toEqual([]);
}

function* linesOf(content: Content): Generator<string> {
  for (const [folder, held] of content) for (const message of held) yield `${folder} ${JSON.stringify(message)}`;
}
