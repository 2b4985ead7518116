// Looks for a secret wherever a run may have left it: in texts, in files, on command lines; and at the modes of what was made.

import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The secret in every spelling that a program may write by mistake. */
export function traces(secret: string): readonly (readonly [string, Buffer])[] {
  const octets = Buffer.from(secret, "utf8");
  const mojibake = octets.toString("latin1");
  const texts: [string, string][] = [
    ["plain", secret],
    ["quoted", secret.replace(/[\\"]/g, "\\$&")],
    ["in JSON", JSON.stringify(secret).slice(1, -1)],
    ["octets taken for characters", mojibake],
    ["octets taken for characters, quoted", mojibake.replace(/[\\"]/g, "\\$&")],
    ["in a URL", encodeURIComponent(secret)],
    ["in hexadecimal", octets.toString("hex")],
    // Wherever it stands in what was encoded (SASL PLAIN, XOAUTH2): without the characters that it shares with its neighbours.
    ...[0, 1, 2].map((before): [string, string] => {
      const whole = Buffer.concat([Buffer.alloc(before), octets])
        .toString("base64")
        .replace(/=+$/, "");
      return [`in base64 after ${before}`, whole.slice(before === 0 ? 0 : 4, -3)];
    }),
  ];
  return texts.map(([name, text]) => [name, Buffer.from(text, "utf8")]);
}

/** Which spellings of which secret are in it. */
export function leaksIn(content: string | Buffer, secrets: readonly string[]): string[] {
  const bytes = typeof content === "string" ? Buffer.from(content, "utf8") : content;
  return secrets.flatMap((secret) =>
    traces(secret).flatMap(([name, text]) => (bytes.includes(text) ? [`${secret} ${name}`] : [])),
  );
}

export interface Found {
  readonly files: number;
  readonly leaks: readonly string[];
  /** What others than its owner may use, with its mode. */
  readonly open: readonly string[];
}

/** Everything below a directory: names, contents, modes. */
export function searchFiles(root: string, secrets: readonly string[]): Found {
  const leaks: string[] = [];
  const open: string[] = [];
  let files = 0;
  for (const name of readdirSync(root, { recursive: true, encoding: "utf8" })) {
    const path = join(root, name);
    const stat = lstatSync(path);
    leaks.push(...leaksIn(name, secrets).map((leak) => `${name}: ${leak}, in its name`));
    if ((stat.mode & 0o7777) !== (stat.isDirectory() ? 0o700 : 0o600))
      open.push(`${name} ${(stat.mode & 0o7777).toString(8)}`);
    if (!stat.isFile()) continue;
    files++;
    leaks.push(...leaksIn(readFileSync(path), secrets).map((leak) => `${name}: ${leak}`));
  }
  return { files, leaks, open };
}

/** The command lines of all processes that may be looked at. */
export function commandLines(): string {
  const lines: string[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      lines.push(readFileSync(`/proc/${name}/cmdline`, "utf8"));
    } catch {
      // It has ended.
    }
  }
  return lines.join("\n");
}
