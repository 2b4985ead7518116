// A loopback TCP proxy that delays, cuts, loses, garbles, stalls, resets and splits what passes through it, as a test commands.

import { connect, createServer, type Socket } from "node:net";

/** "up" is what the client sends, "down" what the server answers. */
export type Direction = "up" | "down";

export interface ProxyOptions {
  /** Milliseconds for the way there and back; half of it is added in each direction, without limiting the rate. */
  readonly rttMs?: number;
  /** Octets a write: 1 makes every reader meet every boundary. Default: as they come. */
  readonly chunkBytes?: number;
  /** Ends a connection when so many octets of it passed in one direction. Those octets still arrive. */
  readonly cut?: Cut;
  /** Is given all that passes, with the number of its connection, from 0. */
  readonly seen?: (direction: Direction, chunk: Buffer, connection: number) => void;
}

/**
 * "reset": RST to both sides. "end": FIN to both sides. "half-open": FIN to the receiver alone; the sender goes on, and what it
 * sends is lost. "swallow": what follows in this direction is lost, and nobody is told. "garbage": every octet that follows is
 * another one.
 */
export type HowCut = "reset" | "end" | "half-open" | "swallow" | "garbage";

export interface Cut {
  readonly direction: Direction;
  readonly afterBytes: number;
  /** Default "reset". */
  readonly how?: HowCut;
  /** How many connections meet this fault; later ones go through. Default: every one. */
  readonly connections?: number;
  /** So many go through before them. Default: none. */
  readonly after?: number;
}

export interface FaultProxy extends AsyncDisposable {
  readonly port: number;
  /** Connections accepted so far. */
  readonly accepted: number;
  /** Connections open now. */
  readonly open: number;
  /** Octets passed on so far, over all connections. */
  readonly bytes: Readonly<Record<Direction, number>>;
  /** Takes effect for new connections. */
  configure(options: ProxyOptions): void;
  /** Holds everything back from now on, in the direction named or in both; the connections stay open. */
  stall(direction?: Direction): void;
  /** Lets go what a stall held back. */
  resume(): void;
  /** Ends every open connection with RST. */
  reset(): void;
  /** Refuses new connections by closing them at once, until it is called with false. */
  refuse(refusing: boolean): void;
  close(): Promise<void>;
}

/** Starts a proxy on a free loopback port to another loopback port. */
export async function startProxy(targetPort: number, initial: ProxyOptions = {}): Promise<FaultProxy> {
  let options = initial;
  let accepted = 0;
  let cutsLeft = initial.cut?.connections ?? Number.POSITIVE_INFINITY;
  let unharmed = initial.cut?.after ?? 0;
  let refusing = false;
  const bytes = { up: 0, down: 0 };
  const stalled = { up: false, down: false };
  const sockets = new Set<Socket>();
  const lines = new Set<Line>();

  const server = createServer({ allowHalfOpen: true }, (client) => {
    if (refusing) {
      client.resetAndDestroy();
      return;
    }
    const connection = accepted++;
    const upstream = connect({ host: "127.0.0.1", port: targetPort, allowHalfOpen: true });
    const isMeant = options.cut !== undefined && unharmed-- <= 0 && cutsLeft-- > 0;
    const cut = isMeant ? options.cut : undefined;
    const end = (how: "reset" | "end"): void => {
      for (const socket of [client, upstream]) {
        if (how === "reset") socket.resetAndDestroy();
        else socket.destroySoon();
      }
    };
    const how = cut?.how ?? "reset";
    const settings = { rttMs: options.rttMs ?? 0, chunkBytes: options.chunkBytes ?? Number.POSITIVE_INFINITY };
    for (const direction of ["up", "down"] as const) {
      const [from, to] = direction === "up" ? [client, upstream] : [upstream, client];
      sockets.add(from);
      const allowance = cut?.direction === direction ? cut.afterBytes : Number.POSITIVE_INFINITY;
      const line = pipeLine(from, to, {
        ...settings,
        allowance,
        stalled: () => stalled[direction],
        passed: (chunk) => {
          bytes[direction] += chunk.length;
          options.seen?.(direction, chunk, connection);
        },
        beyond: how === "garbage" ? "noise" : how === "swallow" || how === "half-open" ? "lost" : "held",
        spent: () => {
          if (how === "reset" || how === "end") end(how);
          else if (how === "half-open") to.end();
        },
      });
      lines.add(line);
      from.setNoDelay(true);
      from.on("error", () => end("reset"));
      from.once("close", () => {
        sockets.delete(from);
        lines.delete(line);
        // The other side hears of it after what is still on its way.
        line.finish();
      });
    }
  });
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const close = async (): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  return {
    port,
    get accepted() {
      return accepted;
    },
    get open() {
      return sockets.size / 2;
    },
    bytes,
    configure(next) {
      options = next;
      cutsLeft = next.cut?.connections ?? Number.POSITIVE_INFINITY;
      unharmed = next.cut?.after ?? 0;
    },
    stall(direction) {
      for (const each of direction === undefined ? (["up", "down"] as const) : [direction]) stalled[each] = true;
    },
    resume() {
      stalled.up = false;
      stalled.down = false;
      for (const line of lines) line.flush();
    },
    reset() {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    refuse(now) {
      refusing = now;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

interface LineOptions {
  readonly rttMs: number;
  readonly chunkBytes: number;
  readonly allowance: number;
  /** What becomes of the octets beyond the allowance. */
  readonly beyond: "held" | "lost" | "noise";
  stalled(): boolean;
  passed(chunk: Buffer): void;
  spent(): void;
}

interface Line {
  flush(): void;
  finish(): void;
}

/** Makes every octet another one. */
const NOISE = 0x5a;
/** So much may wait in one direction before its sender is paused: a delay does not limit the rate, a stall does not fill the memory. */
const HELD_BYTES = 16 << 20;

function pipeLine(from: Socket, to: Socket, options: LineOptions): Line {
  const queue: { due: number; chunk: Buffer }[] = [];
  let held = 0;
  let left = options.allowance;
  let timer: NodeJS.Timeout | undefined;
  let blocked = false;
  let finished = false;

  const flush = (): void => {
    if (timer !== undefined) clearTimeout(timer);
    timer = undefined;
    while (queue.length > 0 && !options.stalled() && !blocked && !to.destroyed) {
      const [next] = queue;
      if (next === undefined) break;
      const wait = next.due - performance.now();
      if (wait > 0) {
        timer = setTimeout(flush, wait);
        return;
      }
      const isBeyond = left <= 0;
      const chunk = next.chunk.subarray(0, Math.min(options.chunkBytes, isBeyond ? next.chunk.length : left));
      if (chunk.length === next.chunk.length) queue.shift();
      else queue[0] = { due: next.due, chunk: next.chunk.subarray(chunk.length) };
      held -= chunk.length;
      if (isBeyond && options.beyond === "lost") continue;
      options.passed(chunk);
      blocked = !to.write(isBeyond ? chunk.map((octet) => octet ^ NOISE) : chunk);
      if (isBeyond) continue;
      left -= chunk.length;
      if (left <= 0) {
        // Once the last octets were handed to the system: a reset before that would take them back.
        to.write("", () => options.spent());
        if (options.beyond !== "held") continue;
        queue.length = 0;
        from.pause();
        return;
      }
      if (chunk.length === options.chunkBytes && queue.length > 0) {
        // Another turn of the loop, so that the system sends what it has.
        setImmediate(flush);
        break;
      }
    }
    if (held < HELD_BYTES && from.isPaused()) from.resume();
    if (finished && queue.length === 0 && !blocked) to.end();
  };
  to.on("drain", () => {
    blocked = false;
    flush();
  });
  from.on("data", (chunk: Buffer) => {
    queue.push({ due: performance.now() + options.rttMs / 2, chunk });
    held += chunk.length;
    if (held >= HELD_BYTES) from.pause();
    flush();
  });
  const finish = (): void => {
    finished = true;
    flush();
  };
  from.on("end", finish);
  return { flush, finish };
}
