// Keeps blocks on disk for a page: in one file of the origin's private file system, with a journal as
// its index. There is one such worker at work in an origin; others wait until it is gone. What comes from
// peers is hashed here, too, beside what the page does.

import type { StoreCommand, StoreNotice } from '../src/messages.js'
import { openFile } from './files.js'
import { Store } from './store.js'

declare const self: DedicatedWorkerGlobalScope

/** How many bytes are kept at the most. */
const MOST_BYTES = 2 * 2 ** 30
/** What part of what the browser grants the origin is used at the most. */
const PART = 0.1

const say = (notice: StoreNotice, transfer: Transferable[] = []): void =>
  self.postMessage(notice, transfer)

let store: Store | undefined
/** What is to be kept as soon as the store is open; undefined while another page has it. */
let early: { hash: string; bytes: Uint8Array }[] | undefined = []
/** Blocks that were to be hashed, until the page has them kept or forgotten. */
const held = new Map<number, Uint8Array>()
let end: () => void = () => {}

async function open(limit: number | undefined): Promise<void> {
  const { locks, storage } = navigator
  if (storage?.getDirectory === undefined || locks === undefined) {
    throw new Error('this browser or page has no private file system')
  }
  const isOurs = await locks.request('weft-store', { ifAvailable: true }, async lock => {
    if (lock !== null) await serve(limit)
    return lock !== null
  })
  if (isOurs) return
  // Who comes later waits here until the page before is gone.
  early = undefined
  say({ kind: 'busy' })
  await locks.request('weft-store', () => serve(limit))
}

/** Opens the store, until the page wants it no more. */
async function serve(limit: number | undefined): Promise<void> {
  const isOver = new Promise<void>(resolve => { end = resolve })
  const { quota } = await navigator.storage.estimate()
  const most = Math.min((quota ?? 0) * PART, MOST_BYTES, limit ?? MOST_BYTES)
  store = await Store.open(openFile, most, say)
  say({ kind: 'opened', blocks: store.blocks, byteCount: store.byteCount })
  for (const { hash, bytes } of early ?? []) keep(hash, bytes)
  early = undefined
  await isOver
  store.close()
  store = undefined
}

/** What is to be written, a block at a time: what is to be hashed meanwhile does not wait for the disk. */
const writing: { hash: string; bytes: Uint8Array }[] = []
const turn = new MessageChannel()
turn.port1.onmessage = () => {
  const block = writing.shift()
  if (block === undefined) return
  store?.keep(block.hash, block.bytes)
  free(block.bytes)
  if (writing.length > 0) turn.port2.postMessage(undefined)
}

function keep(hash: string, bytes: Uint8Array): void {
  if (store === undefined) return void early?.push({ hash, bytes })
  if (writing.push({ hash, bytes }) === 1) turn.port2.postMessage(undefined)
}

/** Writes what waits for its turn. */
function finish(): void {
  for (const { hash, bytes } of writing.splice(0)) store?.keep(hash, bytes)
}

/** What is dropped may wait to be written. The rest goes on waiting, so that who reads does not. */
function forget(hash: string): void {
  const place = writing.findIndex(block => block.hash === hash)
  const [block] = place < 0 ? [] : writing.splice(place, 1)
  if (block === undefined || store === undefined) return
  say({ kind: 'changed', written: block.bytes.length, added: undefined, removed: [], byteCount: store.byteCount })
  free(block.bytes)
}

/** Gives the page back what it has lent. */
function free(bytes: Uint8Array): void {
  const memory = bytes.buffer as ArrayBuffer
  say({ kind: 'free', memory }, [memory])
}

async function hash(number: number, bytes: Uint8Array): Promise<void> {
  held.set(number, bytes)
  // Where there is none the page hashes itself.
  const digest = await crypto.subtle?.digest('SHA-256', bytes as BufferSource).catch(() => undefined)
  say({ kind: 'hashed', number, digest: new Uint8Array(digest ?? new ArrayBuffer(0)) })
}

/** Takes a block out that was hashed. */
function take(number: number): Uint8Array | undefined {
  const bytes = held.get(number)
  held.delete(number)
  return bytes
}

self.onmessage = ({ data }: MessageEvent<StoreCommand>) => {
  switch (data.kind) {
    case 'open':
      open(data.limit).catch(error => say({ kind: 'failed', message: (error as Error).message }))
      return
    case 'keep': {
      const bytes = typeof data.block === 'number' ? take(data.block) : data.block
      if (bytes !== undefined) keep(data.hash, bytes)
      return
    }
    case 'hash': return void hash(data.number, data.bytes)
    case 'forget': {
      const bytes = take(data.number)
      if (bytes !== undefined) free(bytes)
      return
    }
    case 'load':
      if (store !== undefined) void store.load(data.number, data.hash)
      else say({ kind: 'loaded', number: data.number, hash: data.hash, block: undefined })
      return
    case 'drop':
      forget(data.hash)
      return store?.drop(data.hash)
    case 'close':
      finish()
      end()
      say({ kind: 'closed' })
      self.close()
  }
}
