// Preloaded into a command under test (`node --import`): numbers every step that leaves a trace outside of the process (a file
// made, written, synced, renamed or removed; octets sent to a server; an answer come in) and sends itself a signal at some of them.
//
// It wraps Node's own functions, so that no step of the program can be forgotten, and the program holds nothing of it.
// MAILFERRY_STEPS_LOG: a file that gets the kind of every step, one a line, when the process ends.
// MAILFERRY_SIGNALS: what it gets before which step, as JSON: { "12": "SIGINT" } before the twelfth, { "fsync journal/2":
// "SIGKILL" } before the second of its kind, which is the same one however the work of two folders is interleaved.
// MAILFERRY_TORN: "1" carries out half of the step that it dies at, where that is a write to a file or to a server.

import fs from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import net from "node:net";
import { isMainThread } from "node:worker_threads";
import { completes, placeOf, traceOf, writeTo } from "./step-kinds.mjs";

/** By the number of the step, or by its kind and which of them it is. */
const signals = JSON.parse(process.env.MAILFERRY_SIGNALS || "{}");
const torn = process.env.MAILFERRY_TORN === "1";
const log = process.env.MAILFERRY_STEPS_LOG;
const { writeSync, writeFileSync, openSync, closeSync } = fs;

const kinds = [];
/** How many there were of each kind. */
const many = new Map();
/** Logging in leaves no trace; the first step is the first that might. */
let begun = false;

/** @param {string} kind @param {(() => void) | undefined} half what a write that is cut short leaves */
function step(kind, half) {
  if (!begun) return;
  kinds.push(kind);
  const nth = (many.get(kind) ?? 0) + 1;
  many.set(kind, nth);
  const signal = signals[kinds.length] ?? signals[`${kind}/${nth}`];
  if (signal === undefined) return;
  if (signal === "SIGKILL" && torn) half?.();
  if (log !== undefined) writeFileSync(log, kinds.join("\n"));
  process.kill(process.pid, signal);
  // It may take an instant to come.
  if (signal === "SIGKILL") for (;;);
}

/** @param {string} kind @param {(() => void) | undefined} half */
function durable(kind, half) {
  begun = true;
  step(kind, half);
}

/** Which of the arguments is the path that matters. */
const NAMED = { mkdir: 0, rename: 1, unlink: 0, link: 1, rm: 0, rmdir: 0, truncate: 0, copyFile: 1 };
const ON_HANDLE = { sync: "fsync", datasync: "fsync", truncate: "truncate", utimes: "utimes" };

/** What the open files are there for, by descriptor. */
const places = new Map();
/** @param {number} fd */
const placeAt = (fd) => places.get(fd) ?? "file";

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
  const [offset = 0, length = bytes.length - offset] = rest.map((value) =>
    typeof value === "number" ? value : undefined,
  );
  return bytes.subarray(offset, offset + length);
}

/** A write to an open file, whole or cut short. @param {number} fd @param {unknown} data @param {unknown[]} rest */
function writing(fd, data, rest) {
  const bytes = bytesOf(data, rest);
  const position = typeof rest[2] === "number" ? rest[2] : null;
  durable(writeTo(placeAt(fd), bytes.toString("latin1")), () => {
    if (bytes.length > 1) writeSync(fd, bytes, 0, bytes.length >> 1, position);
  });
}

/** @param {unknown} path @param {unknown} data */
function appendHalf(path, data) {
  const bytes = bytesOf(data, []);
  const fd = openSync(path, "a", 0o600);
  writeSync(fd, bytes, 0, bytes.length >> 1, null);
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

for (const [name, index] of Object.entries(NAMED))
  for (const [where, spelled] of [
    [promises, name],
    [fs, name],
    [fs, `${name}Sync`],
  ])
    wrap(where, spelled, (args) => durable(`${name} ${placeOf(args[index])}`));

/** @param {any[]} args */
function opening([path, flags]) {
  if (writes(flags)) durable(`open ${placeOf(path)}`);
}
{
  const { open } = promises;
  promises.open = async (...args) => {
    opening(args);
    const handle = await open(...args);
    places.set(handle.fd, placeOf(args[0]));
    return handle;
  };
  const { open: openLater } = fs;
  fs.open = (...args) => {
    opening(args);
    const done = args.pop();
    openLater(...args, (error, fd) => {
      if (fd !== undefined) places.set(fd, placeOf(args[0]));
      done(error, fd);
    });
  };
  fs.openSync = (...args) => {
    opening(args);
    const fd = openSync(...args);
    places.set(fd, placeOf(args[0]));
    return fd;
  };
}
for (const name of ["fsync", "fdatasync", "fsyncSync", "fdatasyncSync"])
  wrap(fs, name, ([fd]) => durable(`fsync ${placeAt(fd)}`));
for (const name of ["futimes", "futimesSync"]) wrap(fs, name, ([fd]) => durable(`utimes ${placeAt(fd)}`));
for (const name of ["write", "writeSync"])
  wrap(fs, name, ([fd, data, ...rest]) => {
    if (fd > 2) writing(fd, data, rest);
  });
for (const name of ["writev", "writevSync"])
  wrap(fs, name, ([fd, [first]]) => {
    if (fd > 2) writing(fd, first, []);
  });
for (const [where, name] of [
  [promises, "writeFile"],
  [promises, "appendFile"],
  [fs, "writeFileSync"],
  [fs, "appendFileSync"],
])
  wrap(where, name, ([path, data]) =>
    durable(writeTo(placeOf(path), String(data).slice(0, 4096)), () => appendHalf(path, data)),
  );

const handle = await promises.open(new URL(import.meta.url), "r");
const handles = Object.getPrototypeOf(handle);
await handle.close();
for (const [name, kind] of Object.entries(ON_HANDLE))
  wrap(handles, name, (_, self) => durable(`${kind} ${placeAt(self.fd)}`));
for (const name of ["write", "writeFile", "appendFile"])
  wrap(handles, name, ([data, ...rest], self) => writing(self.fd, data, name === "write" ? rest : []));
wrap(handles, "writev", ([[first]], self) => writing(self.fd, first, []));

/** @param {any} socket */
const isRemote = (socket) => socket.remotePort !== undefined;
/** By socket: the command that leaves a trace and has not been answered. */
const asked = new WeakMap();

// Also a TLSSocket's, before it is made unreadable.
const { write, push } = net.Socket.prototype;
net.Socket.prototype.write = function (...args) {
  if (isRemote(this)) {
    const bytes = bytesOf(args[0], []);
    const trace = traceOf(bytes.toString("latin1", 0, 4096));
    if (trace !== undefined) asked.set(this, trace);
    const half = () => Reflect.apply(write, this, [bytes.subarray(0, bytes.length >> 1)]);
    if (trace === undefined) step("send", half);
    else durable(`send ${trace}`, half);
  }
  return Reflect.apply(write, this, args);
};
net.Socket.prototype.push = function (...args) {
  const [chunk] = args;
  if (isRemote(this) && chunk !== null) {
    const trace = asked.get(this);
    step(trace === undefined ? "answer" : `answer ${trace}`);
    if (completes(bytesOf(chunk, []).toString("latin1"))) asked.delete(this);
  }
  return Reflect.apply(push, this, args);
};
syncBuiltinESMExports();

if (log !== undefined && isMainThread) process.on("exit", () => writeFileSync(log, kinds.join("\n")));
