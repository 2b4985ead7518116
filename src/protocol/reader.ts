// Reading from a socket into buffers of our own: no buffer a chunk, no stream's machinery, and large literals where they belong.

import type { OnReadOpts, Socket } from "node:net";
import type { Duplex } from "node:stream";

/** One piece of new memory, filled by as many reads as have room in it. */
const SLAB = 128 * 1024;
/** A read into less than this costs more calls than it spares. */
export const LEAST_ROOM = 32 * 1024;

/** Who takes the octets once the login is over. */
export interface Receiver {
  /** Where the next octets belong, if that is known and worth a read of its own. */
  room(): Uint8Array | undefined;
  /** So many octets more lie in what `room` gave last. */
  filled(length: number): void;
  /** Octets that nobody else writes to. */
  receive(chunk: Buffer): void;
}

export interface Reader {
  /** For the socket's constructor. Until somebody is attached, what comes is the stream's as ever. */
  readonly onread: OnReadOpts;
  /**
   * What the stream still holds goes first, by its "data" event; all that comes from now on goes to the receiver. From inside of it
   * nothing empty may be written to a TLS socket: that makes Node read once more, into the buffer that it has just handed out.
   */
  attach(socket: Duplex, receiver: Receiver): void;
}

/** For one socket, whose `pause` and `resume` hold as ever. `socketOf`: that socket, once there is something to read from it. */
export function openReader(socketOf: () => Socket | undefined): Reader {
  let receiver: Receiver | undefined;
  let slab = Buffer.alloc(0);
  /** Octets of the slab that are given away. */
  let used = 0;
  /** What the receiver asked to be filled; undefined: the slab is read into. */
  let place: Uint8Array | undefined;

  const buffer = (): Uint8Array => {
    place = receiver?.room();
    if (place !== undefined) return place;
    if (slab.length - used < LEAST_ROOM) {
      slab = Buffer.allocUnsafeSlow(SLAB);
      used = 0;
    }
    return slab.subarray(used);
  };
  const callback = (length: number): boolean => {
    if (receiver !== undefined && place !== undefined) {
      receiver.filled(length);
      return true;
    }
    const chunk = slab.subarray(used, used + length);
    used += length;
    if (receiver === undefined) return socketOf()?.push(chunk) ?? false;
    receiver.receive(chunk);
    return true;
  };
  return {
    onread: { buffer, callback },
    attach(socket, to) {
      while (socket.read() !== null);
      receiver = to;
    },
  };
}
