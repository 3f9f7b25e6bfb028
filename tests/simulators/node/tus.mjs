// Uploads a file by tus-js-client: {file, endpoint, headers, chunkSize}; says {done} or {error}.
import { createReadStream, statSync } from 'node:fs'
import { Upload } from 'tus-js-client'

const task = JSON.parse(process.argv[2])
const say = (what) => console.log(JSON.stringify(what))

const upload = new Upload(createReadStream(task.file), {
  endpoint: task.endpoint,
  headers: task.headers,
  chunkSize: task.chunkSize,
  uploadSize: statSync(task.file).size,
  retryDelays: Array(50).fill(10),
  onError: (error) => say({ done: false, error: String(error) }),
  onSuccess: () => say({ done: true, url: upload.url }),
})
upload.start()
