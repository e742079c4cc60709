// A worker that runs contracts and then says something else: pages cannot be told to lie.

const tell = self.postMessage.bind(self)

/** The same bytes, but with another greeting. */
function lie(bytes) {
  const text = String.fromCharCode(...bytes)
  const place = text.lastIndexOf('hello ')
  if (place >= 0) bytes[place] = 'j'.charCodeAt(0)
  return bytes
}

self.postMessage = message => {
  if (message.kind === 'end' && message.end.kind === 'record') {
    message.end.record = lie(message.end.record.slice())
  }
  tell(message)
}

importScripts('/dist/weft-worker.js')
