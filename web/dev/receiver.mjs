import { createServer } from 'node:http'

/**
 * A receiver of webhooks on this machine. It answers with the status of `answer`, unless `answers` has another one for the path;
 * what it got is in `got`, each with its `id`, `type` and `data`.
 */
export async function receiver() {
  const all = { answer: 204, answers: {}, got: [] }
  const server = createServer(async (req, res) => {
    let text = ''
    for await (const part of req) text += part
    const { type, data } = JSON.parse(text)
    all.got.push({ id: req.headers['webhook-id'], type, data })
    res.writeHead(all.answers[req.url] ?? all.answer).end()
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  all.url = `http://127.0.0.1:${server.address().port}`
  all.end = () => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  }
  return all
}
