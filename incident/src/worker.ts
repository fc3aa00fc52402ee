// A worker that waits for work, and a helper that a library of it would have started: detached, its output closed,
// forgotten. Nobody in the stack knows of the helper.
import { spawn } from "node:child_process";

spawn(process.execPath, ["-e", "setInterval(() => {}, 60_000)"], { detached: true, stdio: "ignore" }).unref();
setInterval(() => {}, 60_000);
console.log("worker waits for work");
