// As much of libp2p as a page needs to talk to a node over webrtc-direct: framing of streams, the
// Noise handshake, multistream-select. It shares no code with the node.

export const bytes = (...parts) => {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}
export const utf8 = text => new TextEncoder().encode(text)

function varint(number) {
  const out = []
  while (number > 127) {
    out.push(number & 127 | 128)
    number >>>= 7
  }
  out.push(number)
  return Uint8Array.from(out)
}

function readVarint(from, at) {
  let number = 0
  for (let shift = 0; at < from.length; shift += 7) {
    const byte = from[at++]
    number |= (byte & 127) << shift
    if (byte < 128) return [number, at]
  }
  return null
}

/** A stream of bytes over a data channel. */
export class Stream {
  constructor(channel) {
    this.channel = channel
    channel.binaryType = 'arraybuffer'
    this.frames = new Uint8Array()
    this.pieces = []
    this.held = 0
    this.waiting = []
    this.isEnded = false
    this.closed = new Promise(resolve => channel.addEventListener('close', resolve))
    channel.addEventListener('message', event => {
      const piece = new Uint8Array(event.data)
      this.frames = this.frames.length ? bytes(this.frames, piece) : piece
      this.decode()
      this.wake()
    })
    this.closed.then(() => {
      this.isEnded = true
      this.wake()
    })
  }

  wake() {
    for (const resume of this.waiting.splice(0)) resume()
  }

  decode() {
    for (;;) {
      const head = readVarint(this.frames, 0)
      if (!head || this.frames.length < head[1] + head[0]) return
      const frame = this.frames.subarray(head[1], head[1] + head[0])
      this.frames = this.frames.subarray(head[1] + head[0])
      for (let at = 0; at < frame.length;) {
        const tag = frame[at++]
        if (tag === 0x08) {
          const flag = frame[at++]
          if (flag === 0) this.send(null, 3)
          if (flag === 0 || flag === 2) this.isEnded = true
        } else {
          const [length, start] = readVarint(frame, at)
          this.pieces.push(frame.slice(start, start + length))
          this.held += length
          at = start + length
        }
      }
    }
  }

  /** Sends bytes, or says something of the stream: 0 is its end. */
  send(data, flag) {
    const head = flag === undefined ? [] : [8, flag]
    const body = data ? bytes(head, [0x12], varint(data.length), data) : Uint8Array.from(head)
    this.channel.send(bytes(varint(body.length), body))
  }

  async wait() {
    if (this.isEnded) throw new Error('the stream has ended')
    await new Promise(resume => this.waiting.push(resume))
  }

  async read(count) {
    while (this.held < count) await this.wait()
    const all = bytes(...this.pieces)
    this.pieces = [all.slice(count)]
    this.held -= count
    return all.slice(0, count)
  }

  /** Reads and forgets so many bytes. */
  async skip(count) {
    while (count > 0) {
      while (this.held === 0) await this.wait()
      count -= this.held
      this.pieces = []
      this.held = 0
    }
  }
}

const sha256 = async data => new Uint8Array(await crypto.subtle.digest('SHA-256', data))

async function derive(chainingKey, secret) {
  const code = async (key, data) => {
    const imported = await crypto.subtle.importKey(
      'raw', key, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
    return new Uint8Array(await crypto.subtle.sign('HMAC', imported, data))
  }
  const temporary = await code(chainingKey, secret)
  const first = await code(temporary, Uint8Array.of(1))
  return [first, await code(temporary, bytes(first, [2]))]
}

async function makeCipher(key) {
  const imported = await crypto.subtle.importKey(
    'raw-secret', key, 'ChaCha20-Poly1305', false, ['encrypt', 'decrypt'])
  let count = 0
  const options = additionalData => {
    const iv = new Uint8Array(12)
    new DataView(iv.buffer).setUint32(4, count++, true)
    return { name: 'ChaCha20-Poly1305', iv, additionalData, tagLength: 128 }
  }
  return {
    seal: async (hash, text) =>
      new Uint8Array(await crypto.subtle.encrypt(options(hash), imported, text)),
    open: async (hash, sealed) =>
      new Uint8Array(await crypto.subtle.decrypt(options(hash), imported, sealed)),
  }
}

async function makeKey() {
  const pair = await crypto.subtle.generateKey('X25519', true, ['deriveBits'])
  const raw = new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey))
  const agree = async theirs => {
    const other = await crypto.subtle.importKey('raw', theirs, 'X25519', true, [])
    return new Uint8Array(
      await crypto.subtle.deriveBits({ name: 'X25519', public: other }, pair.privateKey, 256))
  }
  return { raw, agree }
}

const signedPrefix = utf8('noise-libp2p-static-key:')

/** The responder's side of Noise XX. Returns the public key that the other side has proven. */
async function respond(stream, prologue) {
  let hash = utf8('Noise_XX_25519_ChaChaPoly_SHA256')
  let chainingKey = hash
  let cipher
  const mix = async data => { hash = await sha256(bytes(hash, data)) }
  const mixSecret = async secret => {
    const [next, key] = await derive(chainingKey, secret)
    chainingKey = next
    cipher = await makeCipher(key)
  }
  const receive = async () => {
    const head = await stream.read(2)
    return stream.read(head[0] << 8 | head[1])
  }
  await mix(prologue)
  const first = await receive()
  const theirs = first.slice(0, 32)
  await mix(theirs)
  await mix(first.slice(32))

  const [ephemeral, fixed] = [await makeKey(), await makeKey()]
  await mix(ephemeral.raw)
  await mixSecret(await ephemeral.agree(theirs))
  const sealedKey = await cipher.seal(hash, fixed.raw)
  await mix(sealedKey)
  await mixSecret(await fixed.agree(theirs))
  const identity = await crypto.subtle.generateKey('Ed25519', true, ['sign'])
  const identityKey = bytes(
    [8, 1, 0x12, 32], new Uint8Array(await crypto.subtle.exportKey('raw', identity.publicKey)))
  const proof = new Uint8Array(await crypto.subtle.sign(
    'Ed25519', identity.privateKey, bytes(signedPrefix, fixed.raw)))
  const payload = bytes([10, identityKey.length], identityKey, [0x12, proof.length], proof)
  const sealed = await cipher.seal(hash, payload)
  await mix(sealed)
  const second = bytes(ephemeral.raw, sealedKey, sealed)
  stream.send(bytes([second.length >> 8, second.length & 255], second))

  const third = await receive()
  const staticKey = await cipher.open(hash, third.slice(0, 48))
  await mix(third.slice(0, 48))
  await mixSecret(await ephemeral.agree(staticKey))
  const text = await cipher.open(hash, third.slice(48))
  const key = text.slice(2, 2 + text[1])
  const signature = text.slice(4 + text[1], 4 + text[1] + text[3 + text[1]])
  const verifier = await crypto.subtle.importKey('raw', key.slice(4), 'Ed25519', true, ['verify'])
  if (!await crypto.subtle.verify('Ed25519', verifier, signature, bytes(signedPrefix, staticKey))) {
    throw new Error('the node has not signed its key')
  }
  return key
}

function parse(address) {
  const parts = address.split('/')
  const after = name => parts[parts.indexOf(name) + 1]
  const text = atob(after('certhash').slice(1).replaceAll('-', '+').replaceAll('_', '/'))
  const hash = Uint8Array.from(text, character => character.charCodeAt(0)).slice(2)
  return { ip: after('ip4'), port: after('udp'), hash }
}

/** Dials a node by webrtc-direct 2, without a change to the local description. */
export async function dial(address) {
  const { ip, port, hash } = parse(address)
  const start = performance.now()
  const connection = new RTCPeerConnection()
  const channel = connection.createDataChannel('', { negotiated: true, id: 0 })
  await connection.setLocalDescription()
  const line = name =>
    connection.localDescription.sdp.match(new RegExp(`a=${name}:(.*)\r`))[1]
  const name = 'libp2p+webrtc+v2/' + line('ice-pwd')
  const own = Uint8Array.from(
    line('fingerprint').split(' ')[1].split(':'), digits => parseInt(digits, 16))
  const print = [...hash].map(byte => byte.toString(16).padStart(2, '0').toUpperCase()).join(':')
  const stream = new Stream(channel)
  const opened = new Promise((resolve, reject) => {
    channel.onopen = resolve
    connection.onconnectionstatechange = () => {
      if (connection.connectionState === 'failed') reject(new Error('the node was not reached'))
    }
  })
  await connection.setRemoteDescription({
    type: 'answer',
    sdp: [
      'v=0', `o=- 0 0 IN IP4 ${ip}`, 's=-', 't=0 0', 'a=ice-lite',
      `m=application ${port} UDP/DTLS/SCTP webrtc-datachannel`, `c=IN IP4 ${ip}`,
      `a=mid:${line('mid')}`, 'a=ice-options:ice2', `a=ice-ufrag:${name}`, `a=ice-pwd:${name}`,
      `a=fingerprint:sha-256 ${print}`, 'a=setup:passive', 'a=sctp-port:5000',
      'a=max-message-size:16384', `a=candidate:1 1 UDP 1 ${ip} ${port} typ host`,
      'a=end-of-candidates', '',
    ].join('\r\n'),
  })
  await opened
  const key = await respond(stream, bytes(
    utf8('libp2p-webrtc-noise:'), [0x12, 0x20], own, [0x12, 0x20], hash))
  channel.close()
  return { connection, key, milliseconds: performance.now() - start }
}

/** Opens a stream that speaks a protocol. */
export async function open(connection, name) {
  const channel = connection.createDataChannel('')
  const stream = new Stream(channel)
  await new Promise(resolve => { channel.onopen = resolve })
  const line = text => bytes([text.length + 1], utf8(text + '\n'))
  stream.send(bytes(line('/multistream/1.0.0'), line(name)))
  for (const expected of ['/multistream/1.0.0\n', name + '\n']) {
    const [length] = await stream.read(1)
    const answer = new TextDecoder().decode(await stream.read(length))
    if (answer !== expected) throw new Error(`the node answers ${answer}`)
  }
  return stream
}
