import { defineConfig } from "vitest/config";

const SERVER_TESTS = ["test/server/**/*.test.ts"];
const withoutServers = process.env.MAILFERRY_TEST_SERVERS === "none";
if (withoutServers) console.warn("MAILFERRY_TEST_SERVERS=none: the suites in test/server are left out");

export default defineConfig({
  test: {
    // One more than there are processors to count on: a fifth of their time is spent on waiting for servers and disks.
    maxWorkers: 3,
    globalSetup: "test/kit/run-setup.ts",
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: SERVER_TESTS,
          testTimeout: 180_000,
          hookTimeout: 120_000,
        },
      },
      // Against real Dovecot processes and real commands, which share two cores.
      ...(withoutServers
        ? []
        : [{ test: { name: "server", include: SERVER_TESTS, testTimeout: 300_000, hookTimeout: 120_000 } }]),
    ],
  },
});
