// One test in each worker of the pool; it takes longer than anybody's patience.
import { test } from "vitest";

test("takes long", () => new Promise<void>((resolve) => setTimeout(resolve, 3_600_000)), 0);
