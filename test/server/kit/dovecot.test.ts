// The kit's Dovecot: quick to start, private, gone when stopped, and its seeding client tells the truth.

import { execFileSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";
import { connectImap, internalDate, keyOf, type Seed } from "../../kit/imap-client.ts";
import { seedMaildir } from "../../kit/seed-maildir.ts";

let dovecot: Dovecot;
beforeAll(async () => {
  dovecot = await startDovecot({ users: ["anna", "ben", "me@example.org", "carl"], separator: "^" });
});
afterAll(() => dovecot?.stop());

const ODD = [
  "Entwürfe",
  "日本語",
  "with space",
  'quo"te',
  "a/b",
  "a.b",
  "100%",
  "star*",
  "R&D",
  " lead",
  "trail ",
  "back\\slash",
  "~tilde",
];
const SEEDS: readonly Seed[] = [
  { folder: ["INBOX"], bytes: Buffer.from("Subject: one\r\n\r\nbody\r\n") },
  {
    folder: ["Work", "A/B", "v1.2"],
    bytes: Buffer.from("Message-ID: <two@x>\r\nSubject: \xfc\r\n\r\n\xe4\r\n", "latin1"),
    flags: ["seen", "flagged", "draft"],
    keywords: ["$Forwarded", "Custom"],
    received: { epochSeconds: 1_000_000_000, zoneMinutes: 330 },
  },
  {
    folder: ["Work", "A/B", "v1.2"],
    bytes: Buffer.from("\r\nonly a body"),
    flags: ["answered", "deleted"],
    keywords: ["NonJunk"],
  },
  ...ODD.map((name): Seed => ({ folder: ["odd", name], bytes: Buffer.from(`Subject: in ${name}\r\n\r\n.\r\n`) })),
];

describe("the test Dovecot", () => {
  it("is up within some seconds and leaves nothing when stopped", async () => {
    const begun = performance.now();
    const server = await startDovecot({ users: ["x"] });
    const took = performance.now() - begun;
    expect(statSync(server.directory).mode & 0o077).toBe(0);
    await server.stop();
    await server.stop();
    expect(took).toBeLessThan(10_000);
    expect(existsSync(server.directory)).toBe(false);
    expect(() => process.kill(server.pid, 0)).toThrow("ESRCH");
    await expect(greeting(server.ports.imap)).rejects.toThrow();
  });

  it("cleans up after a test process that was killed", async () => {
    const script = `import { startDovecot } from "./test/kit/dovecot.ts";
      const { pid, directory } = await startDovecot(); process.stdout.write(pid + " " + directory, () => process.kill(process.pid, "SIGKILL"));`;
    let out = "";
    try {
      execFileSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
        encoding: "utf8",
        stdio: "pipe",
      });
    } catch (error) {
      out = String((error as { stdout: unknown }).stdout);
    }
    const [pid, directory = ""] = out.split(" ");
    expect(Number(pid)).toBeGreaterThan(1);
    await expect.poll(() => existsSync(directory), { timeout: 10_000 }).toBe(false);
  });

  it("greets on all four ports, two of them in TLS with a certificate that its own authority signed", async () => {
    expect(await greeting(dovecot.ports.imap)).toMatch(/^\* OK .*STARTTLS/);
    expect(await greeting(dovecot.ports.pop3)).toMatch(/^\+OK/);
    expect(await greeting(dovecot.ports.imaps, dovecot.ca)).toMatch(/^\* OK/);
    expect(await greeting(dovecot.ports.pop3s, dovecot.ca)).toMatch(/^\+OK/);
    await expect(greeting(dovecot.ports.imaps, "")).rejects.toThrow(/certificate/);
  });

  it.each(["imap", "imaps"] as const)("lets the right password in over %s and no other", async (kind) => {
    await using client = await connectImap(dovecot.serverOptions(kind, "me@example.org"));
    expect(await client.count(["INBOX"])).toBe(0);
    const wrong = { ...dovecot.serverOptions(kind, "anna"), password: () => Promise.resolve("wrong") };
    await expect(connectImap(wrong)).rejects.toThrow("AUTHENTICATIONFAILED");
    await expect(connectImap(dovecot.serverOptions(kind, "nobody-here"))).rejects.toThrow("AUTHENTICATIONFAILED");
  });
});

describe("the seeding client", () => {
  it.each([
    [
      "IMAP",
      async () => {
        await using client = await connectImap(dovecot.serverOptions("imaps", "anna"));
        return { count: await client.fill(SEEDS), user: "anna" };
      },
    ],
    ["files", async () => ({ count: seedMaildir(dovecot, "ben", SEEDS), user: "ben" })],
  ] as const)("puts every message where it belongs, through %s, and reads it back as it is", async (_way, fill) => {
    const { count, user } = await fill();
    expect(count).toBe(SEEDS.length);
    await using client = await connectImap(dovecot.serverOptions("imap", user));
    const folders = await client.folders();
    for (const name of ODD) expect(folders.map(({ path }) => path)).toContainEqual(["odd", name]);
    const all = await client.readAll();
    expect([...all.values()].flat()).toHaveLength(SEEDS.length);
    const held = await client.read(["Work", "A/B", "v1.2"]);
    expect(held).toMatchObject([
      {
        flags: ["draft", "flagged", "seen"],
        keywords: ["$Forwarded", "Custom"],
        epochSeconds: 1_000_000_000,
        messageId: "<two@x>",
      },
      { flags: ["answered", "deleted"], keywords: ["NonJunk"] },
    ]);
    expect(held.map(({ key }) => key)).toEqual(SEEDS.slice(1, 3).map(({ bytes }) => keyOf(bytes)));
  });

  it("subscribes, changes flags, expunges, renames and deletes", async () => {
    await using client = await connectImap(dovecot.serverOptions("imaps", "carl"));
    const uids = [];
    for (const n of [1, 2, 3])
      uids.push(await client.append({ folder: ["F"], bytes: Buffer.from(`Subject: ${n}\r\n\r\n`) }));
    expect(uids).toEqual([1, 2, 3]);
    await client.subscribe(["F"]);
    await client.store(["F"], 1, "+", ["\\Seen", "Label"]);
    await client.expunge(["F"], [2]);
    expect(await client.read(["F"])).toMatchObject([
      { uid: 1, flags: ["seen"], keywords: ["Label"] },
      { uid: 3, flags: [] },
    ]);
    expect((await client.folders()).find(({ raw }) => raw === "F")?.subscribed).toBe(true);
    await client.rename(["F"], ["G"]);
    expect(await client.count(["G"])).toBe(2);
    await client.delete(["G"]);
    expect((await client.folders()).map(({ raw }) => raw)).toEqual(["INBOX"]);
  });

  it("keeps a Maildir that was copied in, with its dates", async () => {
    await dovecot.addUser("dora", { maildir: dovecot.maildir("ben") });
    await using client = await connectImap(dovecot.serverOptions("imaps", "dora"));
    expect((await client.read(["Work", "A/B", "v1.2"]))[0]?.epochSeconds).toBe(1_000_000_000);
  });

  it("writes dates with their zone", () => {
    expect(internalDate({ epochSeconds: 0, zoneMinutes: -210 })).toBe("31-Dec-1969 20:30:00 -0330");
    expect(internalDate({ epochSeconds: 2_147_483_647 })).toBe("19-Jan-2038 03:14:07 +0000");
  });
});

/** The first line that a port says; with `ca` the port speaks TLS. */
function greeting(port: number, ca?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { host: "localhost", port };
    const socket = ca === undefined ? connect(options) : connectTls({ ...options, ...(ca === "" ? {} : { ca }) });
    socket.once("error", reject).once("data", (chunk: Buffer) => {
      resolve(chunk.toString("latin1").split("\r\n", 1)[0] ?? "");
      socket.destroy();
    });
  });
}
