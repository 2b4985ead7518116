import { defineConfig } from "vitest/config";

const SERVER_TESTS = ["test/server/**/*.test.ts"];

export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["test/**/*.test.ts"], exclude: SERVER_TESTS, testTimeout: 30_000 } },
      // Against real Dovecot processes: one file at a time would be slow, more than two starve each other.
      { test: { name: "server", include: SERVER_TESTS, testTimeout: 180_000, hookTimeout: 60_000, maxWorkers: 2 } },
    ],
  },
});
