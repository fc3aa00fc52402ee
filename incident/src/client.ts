// What vite serves and esbuild bundles.
export async function whoServes(port: number): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}/`);
  const body = (await response.json()) as { pid: number };
  return body.pid;
}
