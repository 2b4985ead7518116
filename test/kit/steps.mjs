// Preloaded into a command under test (`node --import`): numbers every step that leaves a trace outside of the process (a file
// made, written, synced, renamed or removed; octets sent to a server; an answer come in) and dies by SIGKILL at one of them.
//
// It wraps Node's own functions, so that no step of the program can be forgotten, and the program holds nothing of it.
// MAILFERRY_STEPS_LOG: a file that gets the kind of every step, one a line, when the process ends.
// MAILFERRY_DIE_AT: the number of the step, from 1, that is not carried out any more.
// MAILFERRY_DIE_TORN: "1" carries out half of it, where it is a write to a file.

import fs from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import net from "node:net";
import { isMainThread } from "node:worker_threads";

const dieAt = Number(process.env.MAILFERRY_DIE_AT ?? 0);
const torn = process.env.MAILFERRY_DIE_TORN === "1";
const log = process.env.MAILFERRY_STEPS_LOG;
const { writeSync, writeFileSync, openSync, closeSync } = fs;

const kinds = [];
/** Logging in leaves no trace; the first step is the first that might. */
let begun = false;

/** @param {string} kind @param {(() => void) | undefined} half what a write that is cut short leaves */
function step(kind, half) {
  if (!begun) return;
  kinds.push(kind);
  if (kinds.length !== dieAt) return;
  if (torn) half?.();
  if (log !== undefined) writeFileSync(log, kinds.join("\n"));
  process.kill(process.pid, "SIGKILL");
  for (;;);
}

/** @param {string} kind @param {(() => void) | undefined} half */
function durable(kind, half) {
  begun = true;
  step(kind, half);
}

const NAMED = { mkdir: 1, rename: 1, unlink: 1, link: 1, rm: 1, rmdir: 1, truncate: 1, ftruncate: 1, copyFile: 1 };
const ON_HANDLE = { sync: "fsync", datasync: "fsync", truncate: "truncate", utimes: "utimes" };

/** @param {unknown} flags */
function writes(flags) {
  if (typeof flags === "string") return flags !== "r" && flags !== "rs";
  return typeof flags === "number" && (flags & (fs.constants.O_WRONLY | fs.constants.O_RDWR)) !== 0;
}

/** @param {unknown} data @param {unknown[]} rest offset and length, or position and encoding */
function bytesOf(data, rest) {
  if (typeof data === "string") return Buffer.from(data, typeof rest[1] === "string" ? rest[1] : "utf8");
  if (!ArrayBuffer.isView(data)) return Buffer.alloc(0);
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const [offset = 0, length = bytes.length - offset] = rest;
  return bytes.subarray(offset, offset + length);
}

/** @param {number} fd @param {unknown} data @param {unknown[]} rest */
function writeHalf(fd, data, rest) {
  const bytes = bytesOf(
    data,
    rest.map((value) => (typeof value === "function" ? undefined : value)),
  );
  const position = typeof rest[2] === "number" ? rest[2] : null;
  if (bytes.length > 1) writeSync(fd, bytes, 0, bytes.length >> 1, position);
}

/** @param {string} path @param {unknown} data */
function appendHalf(path, data) {
  const fd = openSync(path, "a", 0o600);
  writeHalf(fd, data, []);
  closeSync(fd);
}

/** @param {Record<string, any>} where @param {string} name @param {(args: any[], self: any) => void} before */
function wrap(where, name, before) {
  const original = where[name];
  if (typeof original !== "function") return;
  where[name] = function (...args) {
    before(args, this);
    return Reflect.apply(original, this, args);
  };
}

for (const name of Object.keys(NAMED))
  for (const [where, spelled] of [
    [promises, name],
    [fs, name],
    [fs, `${name}Sync`],
  ])
    wrap(where, spelled, () => durable(name));
for (const [where, name] of [
  [promises, "open"],
  [fs, "open"],
  [fs, "openSync"],
])
  wrap(where, name, ([, flags]) => {
    if (writes(flags)) durable("open");
  });
for (const name of ["fsync", "fdatasync", "fsyncSync", "fdatasyncSync"]) wrap(fs, name, () => durable("fsync"));
for (const name of ["futimes", "futimesSync"]) wrap(fs, name, () => durable("utimes"));
for (const name of ["write", "writeSync"])
  wrap(fs, name, ([fd, data, ...rest]) => {
    if (fd > 2) durable("write", () => writeHalf(fd, data, rest));
  });
for (const name of ["writev", "writevSync"])
  wrap(fs, name, ([fd, [first]]) => {
    if (fd > 2) durable("write", () => writeHalf(fd, first, []));
  });
for (const [where, name] of [
  [promises, "writeFile"],
  [promises, "appendFile"],
  [fs, "writeFileSync"],
  [fs, "appendFileSync"],
])
  wrap(where, name, ([path, data]) => durable("write", () => typeof path === "string" && appendHalf(path, data)));

const handle = await promises.open(new URL(import.meta.url), "r");
const handles = Object.getPrototypeOf(handle);
await handle.close();
for (const [name, kind] of Object.entries(ON_HANDLE)) wrap(handles, name, () => durable(kind));
for (const name of ["write", "writeFile", "appendFile"])
  wrap(handles, name, ([data, ...rest], self) =>
    durable("write", () => writeHalf(self.fd, data, name === "write" ? rest : [])),
  );
wrap(handles, "writev", ([[first]], self) => durable("write", () => writeHalf(self.fd, first, [])));

/** What leaves a trace at a server, by the word that asks for it. */
const TRACES = /\b(APPEND|CREATE|UID STORE|UID EXPUNGE|EXPUNGE|UID MOVE|UID COPY|SUBSCRIBE|DELE|QUIT)\b/;

/** @param {any} socket */
const isRemote = (socket) => socket.remotePort !== undefined;

// Also a TLSSocket's, before it is made unreadable.
const { write, push } = net.Socket.prototype;
net.Socket.prototype.write = function (...args) {
  if (isRemote(this)) {
    const [data] = args;
    const text = typeof data === "string" ? data : Buffer.from(data).toString("latin1", 0, 4096);
    const trace = TRACES.exec(text)?.[1];
    if (trace !== undefined) durable(`send ${trace}`);
    else step("send");
  }
  return Reflect.apply(write, this, args);
};
net.Socket.prototype.push = function (...args) {
  if (isRemote(this) && args[0] !== null) step("answer");
  return Reflect.apply(push, this, args);
};
syncBuiltinESMExports();

if (log !== undefined && isMainThread) process.on("exit", () => writeFileSync(log, kinds.join("\n")));
