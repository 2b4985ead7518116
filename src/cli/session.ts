// What every command works with: the words, the secrets, the signals and the trace of one invocation.

import {
  type Endpoint,
  type EndpointContext,
  isAccount,
  type Role,
  refuseCleartext,
  showEndpoint,
} from "../endpoints.ts";
import type { Interrupts } from "./interrupts.ts";
import { type Arguments, connectionsOf, isOn, secretOptionsOf } from "./options.ts";
import type { ReportFile } from "./report-file.ts";
import type { Secrets } from "./secrets.ts";
import type { Trace } from "./trace.ts";
import type { Ui } from "./ui.ts";
import { tellSilence } from "./waiting.ts";

export interface Session {
  readonly args: Arguments;
  readonly ui: Ui;
  readonly secrets: Secrets;
  readonly interrupts: Interrupts;
  readonly environment: NodeJS.ProcessEnv;
  readonly trace: Trace | undefined;
  /** --report; whatever ends the command, it is written. */
  readonly report?: ReportFile | undefined;
}

/** A positional argument, as it was typed. */
export function placeOf(args: Arguments, name: string): string {
  const value = args[name];
  return typeof value === "string" ? value : "";
}

/**
 * What opening an endpoint takes; the password of an account is asked for here, so that nothing is changed without it. Throws
 * MailError config.
 */
export async function contextOf(
  session: Session,
  side: Role,
  endpoint: Endpoint,
  report?: ReportFile,
): Promise<EndpointContext> {
  const { args, secrets, interrupts, trace } = session;
  const allowCleartext = isOn(args, "allow-cleartext");
  refuseCleartext(endpoint, allowCleartext);
  const connections = connectionsOf(args);
  const secretOptions = secretOptionsOf(args, side);
  return {
    allowCleartext,
    onNotice: noticesOf(session, report),
    ...(connections === undefined ? {} : { connections }),
    ...(isOn(args, "with-expunged") ? { withExpunged: true } : {}),
    ...(isOn(args, "follow-links") ? { followLinks: true } : {}),
    ...(trace === undefined ? {} : { trace: trace.write }),
    ...(isAccount(endpoint)
      ? {
          onSilence: tellSilence(endpoint, session.ui),
          password: await secrets.password(side, showEndpoint(endpoint), secretOptions, interrupts.signal),
        }
      : {}),
  };
}

/** Says what an end of the job wants known. */
export function noticesOf({ ui }: Session, report: ReportFile | undefined): (text: string) => void {
  return (text) => {
    ui.say(text);
    const notice = { type: "notice", text };
    if (ui.json) void ui.emit(notice);
    void report?.add(notice);
  };
}
