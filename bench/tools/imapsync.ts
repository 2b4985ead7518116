// imapsync: IMAP to IMAP.

import { type Tool, versionOf } from "./tool.ts";

export const imapsync = {
  name: "imapsync",
  kind: "peer",
  version: () => versionOf("imapsync"),
  does: (route) => route === "imap-imap",
  command({ source, account = source, state }) {
    const end = (number: 1 | 2, { port, user, password, ca }: typeof source): readonly string[] => [
      ...[`--host${number}`, "localhost", `--port${number}`, String(port), `--user${number}`, user],
      ...[
        `--password${number}`,
        password,
        ...(ca === undefined ? [`--nossl${number}`, `--notls${number}`] : [`--ssl${number}`]),
      ],
    ];
    return {
      program: "imapsync",
      args: [
        ...end(1, source),
        ...end(2, account),
        "--nolog",
        "--noreleasecheck",
        "--nofoldersizes",
        "--nofoldersizesatend",
        "--tmpdir",
        state,
      ],
      env: { HOME: state },
    };
  },
} satisfies Tool;
