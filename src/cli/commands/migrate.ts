// mailferry migrate <source> <target> [--move]

import { parseEndpoint } from "../../endpoints.ts";
import { configError } from "../../mail/errors.ts";
import { carry } from "../carry.ts";
import type { ExitCode } from "../exit.ts";
import { isOn } from "../options.ts";
import { placeOf, type Session } from "../session.ts";

export async function migrate(session: Session): Promise<ExitCode> {
  const source = parseEndpoint(placeOf(session.args, "source"), "source");
  const target = parseEndpoint(placeOf(session.args, "target"), "target");
  const isMove = isOn(session.args, "move");
  if (isMove && source.kind !== "imap" && source.kind !== "pop3")
    throw configError(`--move cannot delete from ${source.kind}: files are only read`, "Leave --move out.");
  return carry({ verb: "migrate", source, target, ...(isMove ? { remove: {} } : {}) }, session);
}
