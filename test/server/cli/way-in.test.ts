// What keeps a command from getting in: each message says which certificate, which protocol, and what to write; what it says is so.

import { afterAll, beforeAll, expect, it } from "vitest";
import { Desk } from "../../kit/cli.ts";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";

let server: Dovecot;
let desk: Desk;
beforeAll(async () => {
  desk = new Desk();
  server = await startDovecot({ users: ["anna"] });
});
afterAll(async () => {
  await server?.stop();
  desk[Symbol.dispose]();
});

const folders = (url: string, password = server.password) =>
  desk.run(["folders", url], { MAILFERRY_SOURCE_PASSWORD: password });
const bare = (kind: "imap" | "imaps" | "pop3" | "pop3s"): string => server.url(kind, "anna").replace(/\?.*/, "");

it.each(["imaps", "imap", "pop3s", "pop3"] as const)(
  "%s: a certificate that is not trusted is told by its fingerprint, which lets in",
  async (kind) => {
    const { code, err } = await folders(bare(kind));
    expect(code).toBe(2);
    expect(err).toContain(`add ?fingerprint=sha256:${server.fingerprint} to the address`);
    const query = /\?fingerprint=\S+/.exec(err)?.[0] ?? "";
    expect(await folders(`${bare(kind)}${query}`)).toMatchObject({ code: 0 });
    const other = await folders(`${bare(kind)}?fingerprint=sha256:${"0".repeat(64)}`);
    expect(other).toMatchObject({ code: 2, err: expect.stringContaining(`it is sha256:${server.fingerprint}`) });
  },
);

it("the port of another protocol is named, with what to write there", async () => {
  const swap = (kind: "imap" | "imaps" | "pop3" | "pop3s", as: string): string =>
    server
      .url(kind, "anna")
      .replace(/^\w+/, as)
      .replace(/&?connections=\d+/, "");
  const pop = await folders(swap("imaps", "pop3s"));
  expect(pop).toMatchObject({ code: 2, err: expect.stringMatching(/speaks IMAP, not POP3\. Write imaps:\/\//) });
  expect(await folders(swap("imap", "pop3"))).toMatchObject({
    code: 2,
    err: expect.stringContaining("speaks IMAP, not POP3"),
  });
  const imap = await folders(swap("pop3s", "imaps"));
  expect(imap).toMatchObject({ code: 2, err: expect.stringMatching(/speaks POP3, not IMAP\. Write pop3s:\/\//) });
});

it("a password that is a common word puts no stars into our own sentences", async () => {
  for (const word of ["pass", "password", "user", "check"]) {
    const { code, err } = await folders(server.url("imaps", "anna"), word);
    expect(code).toBe(4);
    expect(err).toMatch(/password/);
    expect(err).not.toContain("***");
  }
});
