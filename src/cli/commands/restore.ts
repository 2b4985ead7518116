// mailferry restore <archive> <target>

import { isAccount, parseEndpoint } from "../../endpoints.ts";
import { configError } from "../../mail/errors.ts";
import { carry } from "../carry.ts";
import type { ExitCode } from "../exit.ts";
import { placeOf, type Session } from "../session.ts";

export async function restore(session: Session): Promise<ExitCode> {
  const source = parseEndpoint(placeOf(session.args, "archive"), "source");
  const target = parseEndpoint(placeOf(session.args, "target"), "target");
  if (isAccount(source))
    throw configError("restore reads an archive, and its source is an account", "Use: mailferry migrate, or backup.");
  return carry({ verb: "restore", source, target }, session);
}
