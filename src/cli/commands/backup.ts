// mailferry backup <source> <archive>

import { isAccount, parseEndpoint } from "../../endpoints.ts";
import { configError } from "../../mail/errors.ts";
import { carry } from "../carry.ts";
import type { ExitCode } from "../exit.ts";
import { placeOf, type Session } from "../session.ts";

export async function backup(session: Session): Promise<ExitCode> {
  const source = parseEndpoint(placeOf(session.args, "source"), "source");
  const target = parseEndpoint(placeOf(session.args, "archive"), "target");
  if (isAccount(target))
    throw configError(
      "backup writes an archive, and its target is an account",
      isAccount(source) ? "Use: mailferry migrate SOURCE TARGET." : "Use: mailferry restore ARCHIVE TARGET.",
    );
  return carry({ verb: "backup", source, target }, session);
}
