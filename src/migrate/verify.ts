// Verify: every message of one end is in the other, by content key, with the traits that both ends can keep.

import { folderMatcher } from "../core/glob.ts";
import { plural } from "../core/words.ts";
import { configError } from "../mail/errors.ts";
import { type Folder, type FolderPath, showPath } from "../mail/model.ts";
import type { FolderPlan } from "../sinks/sink.ts";
import type { Source } from "../sources/source.ts";
import { leftOutOf } from "./left-out.ts";
import { targetPath } from "./plan.ts";
import { leadsTo, selectFolders } from "./select.ts";
import { compareFolder, type Group, type Past } from "./verify-folder.ts";
import { countOf } from "./verify-read.ts";
import type { VerifyFinding, VerifyFolderResult, VerifyOptions, VerifySummary } from "./verify-result.ts";

export type { VerifyFinding, VerifyFolderResult, VerifyOptions, VerifySummary } from "./verify-result.ts";

/**
 * `describe` tells how the target spells a folder (Sink.describe), `find` where it lies when it is not there under that name
 * (Sink.find), where it can be opened as a sink; `past` what earlier runs wrote down. Folders
 * are compared one after the other, each streamed; memory grows by some fifty bytes a message of the largest folder. Throws MailError when an end cannot be read.
 */
export async function verify(
  source: Source,
  target: Source,
  describe: ((folder: Folder, signal: AbortSignal) => Promise<FolderPlan>) | undefined,
  options: VerifyOptions,
  signal: AbortSignal,
  onFinding: (finding: VerifyFinding) => void,
  onFolder: (result: VerifyFolderResult) => void,
  find?: (folder: Folder, signal: AbortSignal) => Promise<FolderPlan>,
  past?: Past,
): Promise<VerifySummary> {
  const started = Date.now();
  if (source.identity === target.identity)
    throw configError(
      "both ends are the same place",
      "Name two endpoints, or an archive alone to verify it by itself.",
    );
  const present = new Map<string, Folder>();
  for await (const folder of target.folders(signal)) if (folder.selectable) present.set(pathKey(folder.path), folder);

  // Several source folders may lead to one target folder: they are compared with it together.
  const groups = new Map<string, Group>();
  const described: { folder: Folder; wanted: Folder; plan: FolderPlan | undefined }[] = [];
  const { folders, unmatched } = await selectFolders(source, options, signal);
  for (const folder of folders) {
    if (!folder.selectable) continue;
    const { name: _, ...rest } = folder;
    const wanted = { ...rest, path: targetPath(folder.path, options) };
    described.push({ folder, wanted, plan: await describe?.(wanted, signal) });
  }
  await past?.recall(described.map(({ wanted }) => wanted.path));
  for (const { folder, wanted, plan: first } of described) {
    // Of one that is there nothing else is asked, but where an earlier run may have put it elsewhere.
    const isThere = first === undefined || (past === undefined && present.has(pathKey(first.path)));
    const plan = isThere ? first : ((await find?.(wanted, signal)) ?? first);
    const path = plan?.path ?? wanted.path;
    const one = { folder, recorded: first?.name ?? showPath(path) };
    const group = groups.get(pathKey(path));
    const fidelity = plan?.fidelity;
    if (group === undefined)
      groups.set(pathKey(path), { name: plan?.name ?? showPath(path), path, folders: [one], fidelity });
    else group.folders.push(one);
  }

  const results: VerifyFolderResult[] = [];
  let foldersMissing = 0;
  const report = (result: VerifyFolderResult): void => {
    results.push(result);
    onFolder(result);
  };
  for (const [key, group] of groups) {
    const { path } = group;
    const there = present.get(key);
    present.delete(key);
    const isParent = [...groups.values()].some((other) => other.path.length > path.length && leadsTo(path, other.path));
    const lacks = (): void => {
      foldersMissing++;
      onFinding({ kind: "folder-missing", folder: path, what: `the target has no folder ${showPath(path)}` });
    };
    if (there === undefined && !isParent) lacks();
    const compared = await compareFolder({ source, target, options, signal, onFinding, past }, group, there);
    for (const result of compared) report(result);
    // One that only leads to others is made where it is needed.
    if (there === undefined && isParent && compared.some(({ missing, altered }) => missing + altered > 0)) lacks();
  }
  const asked = (options.select?.include.length ?? 0) + (options.select?.uses?.length ?? 0);
  let foldersExtra = 0;
  const extras = asked > 0 ? [] : [...present.values()];
  for (const folder of extras) {
    if (!isConcerned(folder.path, options)) continue;
    const extra = await countOf(target, folder, signal);
    // An account and an archive have an inbox whatever was copied there.
    const isMade = isInbox(folder.path) || [...groups.values()].some(({ path }) => leadsTo(folder.path, path));
    if (extra === 0 && isMade) continue;
    foldersExtra++;
    if (extra === 0 && options.bothWays === true)
      onFinding({ kind: "folder-extra", folder: folder.path, what: "an empty folder that the source does not have" });
    if (extra > 0) {
      onFinding({
        kind: "extra",
        folder: folder.path,
        what: `${plural(extra, "message")} in a folder that the source does not have`,
      });
      report({
        folder: folder.path,
        name: showPath(folder.path),
        matched: 0,
        missing: 0,
        changed: 0,
        altered: 0,
        extra,
      });
    }
  }
  // What the target holds and nobody read is missed above; it makes a difference of its own where extra mail does.
  const leftOut = [
    ...leftOutOf(source, options.select),
    ...(options.bothWays === true ? leftOutOf(target, undefined) : []),
  ];
  for (const { name, why, folder } of leftOut) onFinding({ kind: "left-out", folder, what: `${name}: ${why}` });
  const sum = (pick: (result: VerifyFolderResult) => number): number =>
    results.reduce((total, r) => total + pick(r), 0);
  const missing = sum((r) => r.missing);
  const changed = sum((r) => r.changed);
  const extra = sum((r) => r.extra);
  const misdated = sum((r) => r.misdated ?? 0);
  const unread = sum((r) => r.unread ?? 0);
  const unlisted = sum((r) => r.unlisted ?? 0);
  const knownLosses = sum((r) => r.knownLosses ?? 0);
  return {
    folders: results,
    matched: sum((r) => r.matched),
    missing,
    changed,
    altered: sum((r) => r.altered),
    ...(misdated === 0 ? {} : { misdated }),
    ...(unread === 0 ? {} : { unread }),
    extra,
    foldersMissing,
    foldersExtra,
    ...(unlisted === 0 ? {} : { unlisted }),
    ...(unmatched.length === 0 ? {} : { unmatched }),
    ...(knownLosses === 0 ? {} : { knownLosses }),
    ...(leftOut.length === 0 ? {} : { leftOut: leftOut.length }),
    equal:
      leftOut.length === 0 &&
      unmatched.length === 0 &&
      foldersMissing === 0 &&
      unlisted === 0 &&
      missing === 0 &&
      changed === 0 &&
      (options.bothWays !== true || (extra === 0 && foldersExtra === 0)),
    seconds: (Date.now() - started) / 1000,
  };
}

/** Whether a folder of the target that no folder leads to is any of this comparison's business. */
function isConcerned(path: FolderPath, { into, select }: VerifyOptions): boolean {
  if (into !== undefined && !into.every((name, i) => path[i] === name)) return false;
  return select === undefined || !folderMatcher(select.exclude)(path);
}

function pathKey(path: FolderPath): string {
  return JSON.stringify(isInbox(path) ? ["INBOX"] : path);
}

function isInbox(path: FolderPath): boolean {
  return path.length === 1 && path[0]?.toUpperCase() === "INBOX";
}
