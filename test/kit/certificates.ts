// A certificate authority and a server certificate for loopback, made in memory: no openssl command is needed.

import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign, X509Certificate } from "node:crypto";

/** PEM texts. `ca` is what a client must trust; `fingerprint` is the server certificate's SHA-256, lower-case hex. */
export interface Certificates {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
  readonly fingerprint: string;
}

export interface CertificateOptions {
  /** Names and IPv4 addresses that the certificate is good for. */
  readonly hosts?: readonly string[];
  /** Days from now; a negative number makes one that has expired. */
  readonly days?: number;
  /** Days from now on which it begins to be good; a day before now, or before it ends, unless given. */
  readonly fromDays?: number;
  /** The server's certificate is signed by its own key, and no authority knows it. */
  readonly selfSigned?: boolean;
}

const DAY_MS = 86_400_000;

/** Makes a new authority and a certificate signed by it, for localhost and 127.0.0.1 unless other hosts are named. */
export function makeCertificates(options: CertificateOptions = {}): Certificates {
  const hosts = options.hosts ?? ["localhost", "127.0.0.1"];
  const until = new Date(Date.now() + (options.days ?? 30) * DAY_MS);
  const authority = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const server = generateKeyPairSync("ec", { namedCurve: "P-256" });
  // Another authority has another name, so that OpenSSL never takes one for the other.
  const issuer = name(`mailferry test authority ${randomBytes(4).toString("hex")}`);
  const { fromDays } = options;
  const from = new Date(
    fromDays === undefined ? Math.min(Date.now(), until.getTime()) - DAY_MS : Date.now() + fromDays * DAY_MS,
  );
  const common = { issuer, from, until, signer: authority.privateKey };
  const own = options.selfSigned === true ? { issuer: name(hosts[0] ?? ""), signer: server.privateKey } : {};
  const ca = certificate({
    ...common,
    // An authority whose own time has not come would be refused for that.
    from: new Date(Math.min(Date.now(), from.getTime()) - DAY_MS),
    until: new Date(Math.max(Date.now(), until.getTime()) + DAY_MS),
    subject: issuer,
    key: authority.publicKey,
    extensions: [
      extension("2.5.29.19", true, sequence(boolean(true))),
      // keyCertSign (RFC 5280 4.2.1.3)
      extension("2.5.29.15", true, der(0x03, Buffer.from([2, 0b100]))),
      extension("2.5.29.14", false, der(0x04, keyId(authority.publicKey))),
    ],
  });
  const leaf = certificate({
    ...common,
    ...own,
    subject: name(hosts[0] ?? "localhost"),
    key: server.publicKey,
    extensions: [
      extension("2.5.29.19", true, sequence()),
      // digitalSignature
      extension("2.5.29.15", true, der(0x03, Buffer.from([7, 0b1000_0000]))),
      // serverAuth
      extension("2.5.29.37", false, sequence(oid("1.3.6.1.5.5.7.3.1"))),
      extension(
        "2.5.29.35",
        false,
        sequence(der(0x80, keyId(options.selfSigned === true ? server.publicKey : authority.publicKey))),
      ),
      extension("2.5.29.17", false, sequence(...hosts.map(alternativeName))),
    ],
  });
  const key = server.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  const fingerprint = new X509Certificate(leaf).fingerprint256.replaceAll(":", "").toLowerCase();
  return { ca, certificate: leaf, key, fingerprint };
}

interface Subject {
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly from: Date;
  readonly until: Date;
  readonly key: KeyObject;
  readonly signer: KeyObject;
  readonly extensions: readonly Buffer[];
}

function certificate(subject: Subject): string {
  const algorithm = sequence(oid("1.2.840.10045.4.3.2"));
  const serial = randomBytes(16);
  // A serial number is positive, and DER wants no superfluous zero before it.
  serial[0] = 0x40 | ((serial[0] ?? 0) & 0x3f);
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    algorithm,
    subject.issuer,
    sequence(time(subject.from), time(subject.until)),
    subject.subject,
    publicKey(subject.key),
    der(0xa3, sequence(...subject.extensions)),
  );
  const signature = sign("sha256", body, { key: subject.signer, dsaEncoding: "der" });
  const bytes = sequence(body, algorithm, der(0x03, Buffer.concat([Buffer.from([0]), signature])));
  const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
}

function publicKey(key: KeyObject): Buffer {
  return key.export({ type: "spki", format: "der" });
}

function keyId(key: KeyObject): Buffer {
  return createHash("sha1").update(publicKey(key)).digest();
}

function alternativeName(host: string): Buffer {
  const address = host.split(".").map(Number);
  const isAddress = address.length === 4 && address.every((part) => part >= 0 && part <= 255);
  return isAddress ? der(0x87, Buffer.from(address)) : der(0x82, Buffer.from(host, "ascii"));
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return sequence(oid(id), ...(critical ? [boolean(true)] : []), der(0x04, value));
}

function name(commonName: string): Buffer {
  return sequence(der(0x31, sequence(oid("2.5.4.3"), der(0x0c, Buffer.from(commonName, "utf8")))));
}

/** UTCTime, good until 2049 (RFC 5280 4.1.2.5). */
function time(date: Date): Buffer {
  const text = date.toISOString().replaceAll(/[-T:]|\.\d+/g, "");
  return der(0x17, Buffer.from(text.slice(2), "ascii"));
}

function boolean(value: boolean): Buffer {
  return der(0x01, Buffer.from([value ? 0xff : 0]));
}

function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split(".").map(Number);
  const octets = [first * 40 + second];
  for (const arc of rest) {
    const groups = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    octets.push(...groups);
  }
  return der(0x06, Buffer.from(octets));
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  if (length < 0x100) return Buffer.concat([Buffer.from([tag, 0x81, length]), content]);
  return Buffer.concat([Buffer.from([tag, 0x82, length >> 8, length & 0xff]), content]);
}
