// An HTTP server behind npm, sh and tsx.
import { createServer } from "node:http";

const port = Number(process.env.API_PORT ?? 4320);

createServer((_request, response) => {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify({ pid: process.pid }));
}).listen(port, "127.0.0.1", () => console.log(`api listening on ${port}`));
