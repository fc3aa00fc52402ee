// A pool of many forks, one for each project, as a monorepo's test run has them.
import { defineConfig } from "vitest/config";

const workers = Number(process.env.TEST_WORKERS ?? 40);

export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: workers,
    watch: false,
    reporters: ["verbose"],
    projects: Array.from({ length: workers }, (_, index) => ({
      test: { name: `part-${index + 1}`, include: ["src/wait.test.ts"] },
    })),
  },
});
