// mailferry folders <endpoint>: names, use, messages, bytes.

import { openSource, parseEndpoint } from "../../endpoints.ts";
import { type Folder, showPath } from "../../mail/model.ts";
import { leftOutOf } from "../../migrate/left-out.ts";
import { selectFolders } from "../../migrate/select.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import { selectOf } from "../options.ts";
import { renderLeftOut } from "../report.ts";
import { contextOf, placeOf, type Session } from "../session.ts";
import { columnsOf, fitted } from "../tables.ts";
import { cut, plain } from "../text.ts";
import { plural, showBytes, showCount } from "../values.ts";

export async function folders(session: Session): Promise<ExitCode> {
  const { args, ui, interrupts } = session;
  const { signal } = interrupts;
  const endpoint = parseEndpoint(placeOf(args, "endpoint"), "source");
  const select = selectOf(args);
  const file = session.report;
  const context = await contextOf(session, "source", endpoint, file);
  await using source = await openSource(endpoint, context, signal);
  const chosen = await selectFolders(source, { ...(select === undefined ? {} : { select }), bare: true }, signal);
  const found = [...chosen.folders].sort(byPath);
  signal.throwIfAborted();
  const told = async (event: object): Promise<void> => {
    if (ui.json) await ui.emit(event);
    await file?.add(event);
  };
  for (const { path, selectable, use, subscribed, messages, bytes } of found) {
    await told({ type: "folder", path, name: showPath(path), selectable, use, subscribed, messages, bytes });
  }
  if (!ui.json) ui.print(...renderFolders(found, columnsOf(process.stdout)));
  const left = leftOutOf(source, select);
  for (const item of left) {
    await told({ type: "left-out", ...item });
  }
  ui.insist(...renderLeftOut(left));
  for (const text of chosen.unmatched) {
    await told({ type: "unmatched", text });
    ui.insist(cut(text, 400));
  }
  for (const text of chosen.idle) {
    await told({ type: "notice", text });
    ui.say(cut(text, 400));
  }
  const code = interrupts.code ?? (chosen.unmatched.length + left.length > 0 ? EXIT.partial : EXIT.complete);
  await file?.finish({ exitCode: code });
  return code;
}

/** The inbox first, then a tree. */
function byPath(a: Folder, b: Folder): number {
  const inbox = Number(b.use === "inbox") - Number(a.use === "inbox");
  return inbox !== 0 ? inbox : showPath(a.path).localeCompare(showPath(b.path), "en");
}

/** The table; "?" where the store does not say. */
export function renderFolders(found: readonly Folder[], columns?: number): string[] {
  const rows = found.map(({ path, use, messages, bytes, selectable }) => ({
    cells: [
      plain(showPath(path)),
      use ?? "",
      selectable ? (messages === undefined ? "?" : showCount(messages)) : "-",
      selectable ? (bytes === undefined ? "?" : showBytes(bytes)) : "-",
    ],
  }));
  const sum = (pick: (folder: Folder) => number | undefined): number =>
    found.reduce((total, folder) => total + (pick(folder) ?? 0), 0);
  const messages = sum((folder) => folder.messages);
  const bytes = sum((folder) => folder.bytes);
  const known = found.every((folder) => !folder.selectable || folder.bytes !== undefined);
  const all = [plural(found.length, "folder"), "", showCount(messages), `${known ? "" : ">= "}${showBytes(bytes)}`];
  return fitted([["FOLDER", "USE", "MESSAGES", "BYTES"]], [...rows, { cells: all }], columns, new Set([1]));
}
