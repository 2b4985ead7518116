// What a connection that fails tells its user.

import { expect, it } from "vitest";
import { networkError, type ServerOptions } from "../../src/protocol/server.ts";

const server: ServerOptions = {
  host: "mail.example.org",
  port: 993,
  security: "tls",
  user: "me",
  password: () => Promise.resolve(""),
};
const failure = (code: string, message: string): Error => Object.assign(new Error(message), { code });

it.each([
  ["ENOTFOUND", "getaddrinfo ENOTFOUND", "connection", "give-up", /no server found at mail\.example\.org/, /host name/],
  ["EAI_AGAIN", "getaddrinfo EAI_AGAIN", "connection", "retry", /no server found/, /network/],
  ["ECONNREFUSED", "connect ECONNREFUSED", "connection", "retry", /:993 refuses connections/, /port/],
  ["SELF_SIGNED_CERT_IN_CHAIN", "self-signed", "config", "give-up", /not trusted: self-signed/, /\?ca=FILE/],
  ["CERT_HAS_EXPIRED", "certificate has expired", "config", "give-up", /not trusted: certificate has expired/, /renew/],
  [
    "ERR_TLS_CERT_ALTNAME_INVALID",
    "Host: mail.example.org. is not in the cert's altnames: DNS:other.example.org",
    "config",
    "give-up",
    /is for another host: .*other\.example\.org/,
    /name that stands in the certificate/,
  ],
  [
    "ERR_SSL_WRONG_VERSION_NUMBER",
    "808C:error:0A00010B:SSL routines:ssl3_get_record:wrong version number:../deps/openssl/ssl3_record.c:350:\n",
    "config",
    "give-up",
    /^no TLS connection to mail\.example\.org:993 could be made \(wrong version number\)$/,
    /STARTTLS/,
  ],
  ["ECONNRESET", "read ECONNRESET", "connection", "retry", /failed: read ECONNRESET/, undefined],
] as const)("%s names the server and the way out", (code, message, kind, remedy, words, hint) => {
  const error = networkError(server, failure(code, message));
  expect(error).toMatchObject({ code: kind, details: { scope: "account", remedy } });
  expect(error.message).toMatch(words);
  if (hint !== undefined) expect(error.details.hint).toMatch(hint);
});
